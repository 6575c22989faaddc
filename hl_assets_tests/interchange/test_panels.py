import csv
import gzip
import json
import math
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hl_assets.interchange.errors import UnreadableFileError
from hl_assets.interchange.import_export import ImportReport, ImportRequest
from hl_assets.interchange.panels import import_panel, panel_slots, read_panel
from hl_assets.interchange.rejects import RejectLog
from hl_assets.interchange.target import opened_target
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.slots import slot_of
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest
from hl_assets_tests.interchange.commands import run_command
from hl_assets_tests.pipeline.conftest import Platform, failure_of

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
HEADER = "date,address,display_name,account_value,pnl"


@pytest.fixture
def recorded(embedded_server: Path) -> Iterator[WarehouseResource]:
    config = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
    yield WarehouseResource(config, "recorded")
    with Warehouse(config) as store:
        store.drop_database()


def panel(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "panel.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def read(path: Path) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    rejects = path.with_suffix(".rejects.jsonl")
    rejects.unlink(missing_ok=True)
    with RejectLog(rejects) as log:
        samples = read_panel(path, NOW, log)
    return samples, [
        json.loads(line) for line in rejects.read_text().splitlines()
    ] if rejects.exists() else []


def imported(resource: WarehouseResource, path: Path, **how: bool) -> ImportReport:
    request = ImportRequest(**how)
    with (
        RejectLog(path.parent / "log.jsonl") as log,
        opened_target(resource, "import-1", dry_run=request.dry_run) as target,
    ):
        return import_panel(target, read_panel(path, NOW, log), request, log)


def test_samples_become_points_first_seen_on_their_day(recorded: WarehouseResource, tmp_path: Path) -> None:
    path = panel(
        tmp_path,
        f"2026-05-02,{B},b,-5.5,-105.5",
        f"2026-05-01,{A.upper().replace('X', 'x')},a,100,0",
        f"2026-05-02,{A},a,150,10",
        f"2026-05-02T00:03:00Z,{A},a,151,11",
    )
    imported(recorded, path)
    first, second, third = (datetime(2026, 5, *when, tzinfo=UTC) for when in ((1,), (2,), (2, 0, 10)))
    with Warehouse(recorded.config) as store:
        points = store.read_table(PORTFOLIO_POINTS, order_by=["as_of", "wallet", "ts"])
        fetches = store.read_table(PORTFOLIO_FETCHES, order_by=["as_of", "selection_rank"])
        published = Manifest(store).committed_together([PORTFOLIO_POINTS, PORTFOLIO_FETCHES])
    assert points[["as_of", "wallet", "account_value", "pnl"]].values.tolist() == [
        [first, A, 100.0, 0.0],
        [second, A, 150.0, 10.0],
        [second, B, -5.5, -105.5],
        [third, A, 151.0, 11.0],
    ]
    assert (points["as_of"] >= points["ts"]).all()
    assert set(points["scope"]) == {"all"}
    assert set(points["segment"]) == {""}
    assert fetches[["as_of", "wallet", "selection_rank", "n_points", "n_new_points"]].values.tolist() == [
        [first, A, 1, 1, 1],
        [second, A, 1, 2, 1],
        [second, B, 2, 1, 1],
        [third, A, 1, 3, 1],
    ]
    assert {publication.origin for slots in published.values() for publication in slots.values()} == {
        "recorded"
    }
    assert (
        list(published["portfolio_points"]) == list(published["portfolio_fetches"]) == [first, second, third]
    )


@pytest.mark.parametrize(
    ("line", "column", "rule"),
    [
        (f"2026-05-02,{A},a,150", "", "5 fields, like the header"),
        (f"2026-05-02,{A[:-1]},a,150,10", "address", "0x and 40 hexadecimal digits"),
        (f"2 May,{A},a,150,10", "timestamp", "an ISO 8601 date or instant, or milliseconds since 1970"),
        (f"2026-06-16,{A},a,150,10", "timestamp", "between 2020 and the present, 2026-06-15T12:00Z"),
        (f"0026-05-02,{A},a,150,10", "timestamp", "between 2020 and the present, 2026-06-15T12:00Z"),
        (f"2026-05-02,{A},a,1 50,10", "account_value", "a number"),
        (f"2026-05-02,{A},a,150,", "pnl", "a number"),
        (f"2026-05-02,{A},a,nan,10", "account_value", "a finite number within 1e+12 USD"),
        (f"2026-05-01,{A},a,100,0", "address", "no repetition of an earlier line"),
        (f"2026-05-01,{A},a,100,1", "address", "no contradiction to an earlier line"),
    ],
)
def test_a_line_that_cannot_be_used_is_rejected_with_its_reason_and_the_others_are_read(
    tmp_path: Path, line: str, column: str, rule: str
) -> None:
    samples, rejects = read(panel(tmp_path, f"2026-05-01,{A},a,100,0", line, f"2026-05-01,{B},b,7,0"))
    assert samples["wallet"].tolist() == [A, B]
    [reject] = rejects
    assert (reject["place"], reject["column"], reject["rule"]) == ("line 3", column, rule)
    assert reject["row"]


CELLS = st.sampled_from(["1.5", "-2", "0", "1e13", "inf", "x", "", " 3 "])
LINES = st.tuples(
    st.sampled_from(["2026-05-01", "2026-05-02", "1777680000000", "2027-01-01", "soon"]),
    st.sampled_from([A, B, "0x12", "wallet"]),
    CELLS,
    CELLS,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(lines=st.lists(LINES, max_size=12))
def test_every_line_is_a_sample_or_a_reject_and_no_sample_is_bad(
    tmp_path: Path, lines: list[tuple[str, str, str, str]]
) -> None:
    path = panel(tmp_path, *(f"{day},{wallet},n,{value},{pnl}" for day, wallet, value, pnl in lines))
    samples, rejects = read(path)
    assert len(samples) + len(rejects) == len(lines)
    assert len({reject["place"] for reject in rejects}) == len(rejects)
    assert not samples.duplicated(["wallet", "ts"]).any()
    assert set(samples["wallet"]) <= {A, B}
    assert all(math.isfinite(value) for value in samples["account_value"])
    for slot in panel_slots(samples):
        assert slot.as_of == slot_of(slot.as_of)
        assert (slot.points["ts"] <= pd.Timestamp(slot.as_of)).all()
        assert (slot.points["ts"] > pd.Timestamp(slot.as_of) - timedelta(minutes=10)).all()
        assert sorted(slot.fetches["wallet"]) == sorted(set(slot.points["wallet"]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("date,address,pnl\n", "lacks the columns account_value"),
        ("date,timestamp,address,account_value,pnl\n", "both mean timestamp"),
        ('date,address,account_value,pnl\n"2026', "cannot be read"),
    ],
)
def test_a_panel_without_what_it_needs_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "panel.csv"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=reason):
        read(path)


def test_importing_again_changes_nothing_and_replacing_only_what_differs(
    recorded: WarehouseResource, tmp_path: Path
) -> None:
    lines = [f"2026-05-01,{A},a,100,0", f"2026-05-02,{A},a,150,10"]
    imported(recorded, panel(tmp_path, *lines))
    with Warehouse(recorded.config) as store:
        before = Manifest(store).committed(PORTFOLIO_POINTS)
    again = imported(recorded, panel(tmp_path, *lines), replace=True).tables["portfolio_points"]
    assert (again.published, again.unchanged) == (0, 2)
    lines[1] = f"2026-05-02,{A},a,151,10"
    kept = imported(recorded, panel(tmp_path, *lines)).tables["portfolio_points"]
    assert (kept.published, kept.unchanged, kept.kept) == (0, 1, 1)
    imported(recorded, panel(tmp_path, *lines), replace=True)
    with Warehouse(recorded.config) as store:
        after = Manifest(store).committed(PORTFOLIO_POINTS)
        assert store.read_table(PORTFOLIO_POINTS)["account_value"].tolist() == [100.0, 151.0]
    assert [before[slot].version == after[slot].version for slot in after] == [True, False]


def real_panel(recorded_data: Path) -> Path:
    return next((recorded_data / "vault_panel").glob("*.csv.gz"))


def test_the_recorded_panel_is_imported_whole(
    recorded: WarehouseResource, recorded_data: Path, tmp_path: Path
) -> None:
    with gzip.open(real_panel(recorded_data), "rt", encoding="utf-8") as file:
        lines = sum(1 for _ in csv.reader(file)) - 1
    path = tmp_path / "panel.csv.gz"
    path.write_bytes(real_panel(recorded_data).read_bytes())
    tally = imported(recorded, path).tables["portfolio_points"]
    assert (tally.published, tally.rows, tally.rejected_rows) == (62, lines, 0)


@pytest.mark.slow
def test_metrics_of_a_day_are_those_of_a_panel_cut_at_that_day(
    platform: Platform, recorded: WarehouseResource, recorded_data: Path, tmp_path: Path
) -> None:
    platform.overrides = {"source": "recorded"}
    day = "2026-04-24"
    rows = pd.read_csv(real_panel(recorded_data))
    rows.to_csv(tmp_path / "whole.csv", index=False)
    rows[rows["date"] <= day].to_csv(tmp_path / "cut.csv", index=False)
    found = {}
    for name, config in (("whole.csv", platform.warehouse), ("cut.csv", recorded.config)):
        imported(WarehouseResource(config, "recorded"), tmp_path / name)
        here = replace(platform, warehouse=config)
        result = here.materialize(["wallet_metrics"], day)
        assert result.success, failure_of(result)
        found[name] = here.read()[WALLET_METRICS.name]
    assert len(found["whole.csv"]) == (rows["date"] == day).sum()
    assert found["whole.csv"]["roi"].notna().mean() > 0.9
    pd.testing.assert_frame_equal(found["whole.csv"], found["cut.csv"])


def test_the_command_imports_a_panel_into_the_recorded_source_only(
    recorded: WarehouseResource, tmp_path: Path
) -> None:
    with Warehouse(recorded.config) as store:
        environment = {
            "CLICKHOUSE_URL": str(store.endpoint),
            "CLICKHOUSE_DATABASE": recorded.config.database or "",
        }
    panel(tmp_path, f"2026-05-01,{A},a,100,0", f"2026-05-01,{B},b,x,0")
    wrong = run_command(tmp_path, environment, "import", "panel.csv")
    assert wrong.returncode == 2
    assert "add --source recorded" in wrong.stderr
    dry = run_command(tmp_path, environment, "import", "panel.csv", "--source", "recorded", "--dry-run")
    assert dry.returncode == 1, dry.stderr
    assert "Dry run: nothing was written" in dry.stdout
    done = run_command(
        tmp_path, environment, "import", "panel.csv", "--source", "recorded", "--rejects", "bad.jsonl"
    )
    assert "rejected 1: account_value a number" in done.stdout
    assert json.loads((tmp_path / "bad.jsonl").read_text())["row"]["account_value"] == "x"
    with Warehouse(recorded.config) as store:
        assert store.read_table(PORTFOLIO_POINTS)["wallet"].tolist() == [A]
