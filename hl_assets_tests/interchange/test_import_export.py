import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hl_assets.interchange import export_files
from hl_assets.interchange.errors import ForeignOriginError, UnreadableFileError
from hl_assets.interchange.export import FOREVER, ExportRequest, export_tables
from hl_assets.interchange.import_export import ImportReport, ImportRequest, import_file, import_folder
from hl_assets.interchange.manifest_file import MANIFEST_NAME, file_sha256, read_manifest
from hl_assets.interchange.rejects import RejectLog
from hl_assets.interchange.target import opened_target, refuse_foreign
from hl_assets.resources.warehouse import MixedOriginsError, WarehouseResource
from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.slots import SLOT as SLOT_LENGTH
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseQueryError
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Provenance, Publisher, Slice
from hl_assets_tests.interchange.commands import run_command
from hl_assets_tests.pipeline.conftest import SLOT, Platform, assert_same_tables

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WALLETS = ["0x" + f"{number:02x}" * 20 for number in range(1, 9)]
POINTS_FILE = "table=portfolio_points/day={}/part.parquet"
SIMULATED = Provenance("run", "1.2.3", "simulated")


@pytest.fixture
def other(embedded_server: Path) -> Iterator[WarehouseResource]:
    """A database of simulated rows that does not exist yet."""
    config = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
    yield WarehouseResource(config, "simulated")
    with Warehouse(config) as store:
        store.drop_database()


def points(slot: datetime, wallets: list[str] = WALLETS, value: float = 100.0) -> pd.DataFrame:
    n = len(wallets)
    return PORTFOLIO_POINTS.conform(
        {
            "as_of": pd.Series([slot] * n, dtype="datetime64[s, UTC]"),
            "wallet": wallets,
            "scope": ["all"] * n,
            "segment": [""] * n,
            "ts": pd.Series([slot] * n, dtype="datetime64[ms, UTC]"),
            "account_value": [value + step for step in range(n)],
            "pnl": [float(step) for step in range(n)],
            "contradicts": [False] * n,
            "observed_at": pd.Series([slot] * n, dtype="datetime64[ms, UTC]"),
        }
    )


def fill(store: Warehouse) -> None:
    """Publish three slots of points: two on 31 May, one on 1 June."""
    store.ensure_tables(TABLES)
    slots = [SLOT, SLOT + SLOT_LENGTH, SLOT + timedelta(days=1)]
    Publisher(store).publish([Slice(PORTFOLIO_POINTS, slot, points(slot)) for slot in slots], SIMULATED)


@pytest.fixture(scope="module")
def exported_once(embedded_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
    with Warehouse(config) as store:
        fill(store)
        folder = export(store, tmp_path_factory.mktemp("exported") / "two_days")
        store.drop_database()
    return folder


@pytest.fixture
def two_days(exported_once: Path, tmp_path: Path) -> Path:
    """An export of those three slots; the test's own, to be damaged."""
    return shutil.copytree(exported_once, tmp_path / "two_days")


def export(store: Warehouse, folder: Path) -> Path:
    export_tables(store, ExportRequest(TABLES, *FOREVER), folder, exported_at=NOW)
    return folder


class Importing:
    """Imports and what came of them."""

    def __init__(self, resource: WarehouseResource, folder: Path) -> None:
        self._resource, self.rejects = resource, folder / "rejects.jsonl"

    def run(self, path: Path, **how: bool) -> ImportReport:
        request = ImportRequest(**how)
        with (
            RejectLog(self.rejects) as log,
            opened_target(self._resource, "import-1", dry_run=request.dry_run) as target,
        ):
            if path.is_dir():
                return import_folder(target, path, read_manifest(path), request, log)
            return import_file(target, path, request, log)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.rejects.read_text().splitlines()]

    def slots(self) -> list[datetime]:
        with Warehouse(self._resource.config) as store:
            return list(Manifest(store).committed(PORTFOLIO_POINTS))

    def values(self) -> list[float]:
        with Warehouse(self._resource.config) as store:
            return store.read_table(PORTFOLIO_POINTS)["account_value"].tolist()


@pytest.fixture
def importing(other: WarehouseResource, tmp_path: Path) -> Importing:
    return Importing(other, tmp_path)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a file and leave what it says about itself."""
    with pq.ParquetFile(path) as stored:
        table, metadata = stored.read(), dict(stored.metadata.metadata)
    metadata.pop(b"ARROW:schema")
    changed = change(table)
    pq.write_table(changed.replace_schema_metadata(metadata), path)


def with_cell(row: int, name: str, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        cells = table[name].to_pylist()
        cells[row] = value
        position = table.schema.get_field_index(name)
        field = pa.field(name, table.schema.field(name).type, nullable=True)
        return table.set_column(position, field, pa.array(cells, field.type))

    return change


def resign(folder: Path) -> None:
    """Make the folder's manifest agree with its files again."""
    manifest = read_manifest(folder)
    files = [msgspec.structs.replace(file, sha256=file_sha256(folder / file.path)) for file in manifest.files]
    (folder / MANIFEST_NAME).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, files=files)))


# Round trip


def test_an_imported_export_is_the_same_tables_and_nothing_in_it_is_stale(
    ticked: Platform, other: WarehouseResource, importing: Importing, tmp_path: Path
) -> None:
    ticked.at(SLOT + SLOT_LENGTH)
    assert ticked.tick().success
    with Warehouse(ticked.warehouse) as store:
        export(store, tmp_path / "out")
        before = Manifest(store).committed(WALLET_SCORES)
    report = importing.run(tmp_path / "out")
    assert not importing.rejects.exists()
    there = replace(ticked, warehouse=other.config)
    assert_same_tables(ticked.read(), there.read())
    assert there.manifest_slots() == ticked.manifest_slots()
    assert report.tables["wallet_scores"].published == 2
    with Warehouse(other.config) as store:
        manifest = Manifest(store)
        assert manifest.underived(WALLET_METRICS, (PORTFOLIO_FETCHES, PORTFOLIO_POINTS)) == []
        assert manifest.underived(WALLET_SCORES, (WALLET_METRICS, AI_GRADES)) == []
        after = manifest.committed(WALLET_SCORES)
        assert {p.run_id for p in after.values()} == {"import-1"}
        assert {s: (p.origin, p.code_version, p.n_rows) for s, p in after.items()} == {
            s: (p.origin, p.code_version, p.n_rows) for s, p in before.items()
        }


def test_importing_again_changes_nothing(
    two_days: Path, importing: Importing, other: WarehouseResource
) -> None:
    importing.run(two_days)
    with Warehouse(other.config) as store:
        first = Manifest(store).committed(PORTFOLIO_POINTS)
    again = importing.run(two_days, replace=True)
    assert (again.tables["portfolio_points"].published, again.tables["portfolio_points"].unchanged) == (0, 3)
    with Warehouse(other.config) as store:
        assert Manifest(store).committed(PORTFOLIO_POINTS) == first


def test_an_export_imported_where_it_came_from_changes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    fill(warehouse)
    exported = export(warehouse, tmp_path / "exported")
    home = Importing(WarehouseResource(warehouse._config, "simulated"), tmp_path)
    assert home.run(exported, replace=True).tables["portfolio_points"].unchanged == 3


def test_a_slot_with_other_content_is_kept_unless_it_may_be_replaced(
    two_days: Path, importing: Importing, other: WarehouseResource
) -> None:
    with other.open("run", "test") as session:
        session.publisher.replace_slice(PORTFOLIO_POINTS, SLOT, points(SLOT, WALLETS[:1], 7.0), SIMULATED)
    kept = importing.run(two_days).tables["portfolio_points"]
    assert (kept.published, kept.kept) == (2, 1)
    assert 7.0 in importing.values()
    replaced = importing.run(two_days, replace=True).tables["portfolio_points"]
    assert (replaced.published, replaced.unchanged, replaced.kept) == (1, 2, 0)
    assert 7.0 not in importing.values()


def test_what_does_not_follow_from_the_sources_here_is_derived_again(
    ticked: Platform, other: WarehouseResource, importing: Importing, tmp_path: Path
) -> None:
    with Warehouse(ticked.warehouse) as store:
        export(store, tmp_path / "out")
    with other.open("run", "test") as session:
        other_points = Slice(PORTFOLIO_POINTS, SLOT, points(SLOT))
        session.publisher.publish([other_points], SIMULATED)
    importing.run(tmp_path / "out")
    with Warehouse(other.config) as store:
        manifest = Manifest(store)
        assert manifest.underived(WALLET_METRICS, (PORTFOLIO_FETCHES, PORTFOLIO_POINTS)) == [SLOT]
        assert manifest.underived(WALLET_SCORES, (WALLET_METRICS, AI_GRADES)) == []


def test_entries_of_a_ledger_are_appended_once(
    warehouse: Warehouse, importing: Importing, other: WarehouseResource, tmp_path: Path
) -> None:
    warehouse.ensure_tables(TABLES)
    append_entries(warehouse, GRADE_CALLS, calls(SLOT, 3))
    export(warehouse, tmp_path / "out")
    assert importing.run(tmp_path / "out").tables["grade_calls"].rows == 3
    again = importing.run(tmp_path / "out").tables["grade_calls"]
    assert (again.rows, again.unchanged) == (0, 3)
    with Warehouse(other.config) as store:
        pd.testing.assert_frame_equal(store.read_table(GRADE_CALLS), warehouse.read_table(GRADE_CALLS))


def calls(slot: datetime, count: int) -> pd.DataFrame:
    """Ledger entries with a value of every column's kind."""
    columns: dict[str, object] = {}
    for spec in GRADE_CALLS.columns:
        if spec.nullable:
            columns[spec.name] = pd.Series([None] * count, dtype=spec.pandas_dtype)
        elif spec.pandas_dtype.startswith("datetime"):
            columns[spec.name] = pd.Series([slot] * count, dtype=spec.pandas_dtype)
        elif spec.pandas_dtype == "object":
            columns[spec.name] = [f"{number:032x}" for number in range(count)]
        else:
            columns[spec.name] = pd.Series([1] * count, dtype=spec.pandas_dtype)
    hashes = ("grade_key", "input_hash", "prompt_hash", "schema_hash")
    columns |= {name: [name.encode().hex().ljust(64, "0")[:64]] * count for name in hashes}
    columns |= {"wallet": WALLETS[:count], "mode": ["realtime"] * count, "outcome": ["graded"] * count}
    columns |= {"origin": ["simulated"] * count}
    return GRADE_CALLS.conform({name: columns[name] for name in GRADE_CALLS.column_names})


# Files that are not what they say


def test_changed_bytes_withhold_their_day_and_no_other(two_days: Path, importing: Importing) -> None:
    path = two_days / POINTS_FILE.format("2026-05-31")
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    report = importing.run(two_days)
    assert importing.slots() == [SLOT + timedelta(days=1)]
    [line] = importing.lines()
    assert line["rule"] == "usable file"
    assert "its bytes have changed: SHA-256" in str(line["value"])
    assert report.tables["portfolio_points"].published == 1


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.unlink(), "it is missing"),
        (lambda path: path.write_bytes(b"PAR1 no"), "it is no Parquet file"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "was not written by `hl-assets export`"),
        (lambda path: rewrite(path, lambda t: t.drop_columns(["pnl"])), "lacks column pnl"),
        (
            lambda path: rewrite(path, lambda t: t.set_column(6, "pnl", t["pnl"].cast(pa.string()))),
            "column pnl is string, expected double",
        ),
        (lambda path: rewrite(path, lambda t: t.append_column("more", t["pnl"])), "has column more"),
        (
            lambda path: rewrite(path, lambda t: t.take([0, 8, 1, 9, *range(2, 8), *range(10, 16)])),
            "are not together",
        ),
    ],
)
def test_an_unusable_file_is_refused_with_its_reason(
    two_days: Path, importing: Importing, harm: Callable[[Path], object], reason: str
) -> None:
    path = two_days / POINTS_FILE.format("2026-05-31")
    harm(path)
    if path.exists():
        resign(two_days)
    importing.run(two_days)
    assert importing.slots() == [SLOT + timedelta(days=1)]
    [line] = importing.lines()
    assert reason in str(line["value"])


def test_a_manifest_cannot_lead_outside_its_folder(two_days: Path, importing: Importing) -> None:
    manifest = read_manifest(two_days)
    files = [msgspec.structs.replace(file, path="../" + file.path) for file in manifest.files]
    (two_days / MANIFEST_NAME).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(manifest, files=files))
    )
    importing.run(two_days)
    assert {line["value"] for line in importing.lines()} == {"the manifest places it outside the folder"}


def test_a_folder_without_its_manifest_is_refused(two_days: Path) -> None:
    (two_days / MANIFEST_NAME).unlink()
    with pytest.raises(UnreadableFileError, match=r"no manifest\.json"):
        read_manifest(two_days)


# Rows that break the contract


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("wallet", "0xNOT", "str_matches"),
        ("scope", "spot", "isin"),
        ("pnl", None, "not_nullable"),
        ("pnl", float("inf"), "finite"),
        ("wallet", WALLETS[1], "unique"),
        ("as_of", datetime(2026, 5, 31, 12, 11, tzinfo=UTC), "whole 10 minutes"),
    ],
)
def test_a_broken_row_withholds_its_slot_and_is_written_down(
    two_days: Path, importing: Importing, column: str, value: object, rule: str
) -> None:
    path = two_days / POINTS_FILE.format("2026-05-31")
    rewrite(path, with_cell(0, column, value))
    report = importing.run(path)
    assert importing.slots() == [SLOT + SLOT_LENGTH], "only the broken slot is withheld"
    tally = report.tables["portfolio_points"]
    assert (tally.withheld, tally.published) == (1, 1)
    line = importing.lines()[0]
    assert rule in str(line["rule"])
    assert (line["source"], line["place"]) == ("part.parquet", "row 1")
    assert set(line["row"]) == set(PORTFOLIO_POINTS.column_names)  # type: ignore[call-overload]


def test_a_row_of_another_origin_is_rejected(
    warehouse: Warehouse, importing: Importing, tmp_path: Path
) -> None:
    warehouse.ensure_tables(TABLES)
    append_entries(warehouse, GRADE_CALLS, calls(SLOT, 3))
    folder = export(warehouse, tmp_path / "out")
    path = folder / "table=grade_calls/day=2026-05-31/part.parquet"
    rewrite(path, with_cell(1, "origin", "live"))
    resign(folder)
    tally = importing.run(folder).tables["grade_calls"]
    assert (tally.rows, tally.rejected_rows) == (2, 1)
    assert importing.lines()[0]["rule"] == "origin of this database (simulated)"


def test_a_slot_of_which_rows_are_missing_is_withheld(two_days: Path, importing: Importing) -> None:
    path = two_days / POINTS_FILE.format("2026-05-31")
    rewrite(path, lambda table: table.slice(1))
    importing.run(path)
    assert importing.slots() == [SLOT + SLOT_LENGTH]
    [line] = importing.lines()
    assert line["value"] == "2026-05-31T12:10:00Z: 7 rows, the file's metadata say 8"


def test_a_rejected_row_withholds_its_slot_in_every_table(
    ticked: Platform, importing: Importing, other: WarehouseResource, tmp_path: Path
) -> None:
    with Warehouse(ticked.warehouse) as store:
        folder = export(store, tmp_path / "out")
    rewrite(folder / "table=wallet_scores/day=2026-05-31/part.parquet", with_cell(3, "weighted_score", 101.0))
    resign(folder)
    report = importing.run(folder)
    assert sum(tally.published for tally in report.tables.values()) == 0
    with Warehouse(other.config) as store:
        assert all(store.read_table(table).empty for table in TABLES if table.storage == "slices")
    [line] = importing.lines()
    assert (line["column"], line["rule"], line["value"]) == (
        "weighted_score",
        "less_than_or_equal_to(100)",
        "101.0",
    )


def test_large_files_are_read_in_whole_slots(
    two_days: Path, importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "_ROWS_PER_BATCH", 3)
    monkeypatch.setattr(export_files, "_ROWS_AT_ONCE", 5)
    assert importing.run(two_days).tables["portfolio_points"].published == 3
    assert len(importing.values()) == 24


# Which database


def test_a_dry_run_judges_and_writes_nothing(
    two_days: Path, importing: Importing, other: WarehouseResource
) -> None:
    report = importing.run(two_days, dry_run=True)
    assert report.tables["portfolio_points"].published == 3
    with Warehouse(other.config) as store, pytest.raises(WarehouseQueryError, match="does not exist"):
        store.read_rows("SELECT 1")


def test_rows_of_another_origin_are_refused(two_days: Path, other: WarehouseResource) -> None:
    live = WarehouseResource(other.config, "live")
    with pytest.raises(ForeignOriginError, match="add --source sandbox"):
        refuse_foreign(read_manifest(two_days).origins, live)
    refuse_foreign(["reconstructed", "live"], live)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_database_of_another_origin_is_refused(
    two_days: Path, importing: Importing, other: WarehouseResource, dry_run: bool
) -> None:
    with replace(other, origin="live").open("run", "test") as session:
        session.publisher.replace_slice(PORTFOLIO_POINTS, SLOT, points(SLOT), session.provenance("live"))
    with pytest.raises(MixedOriginsError, match="holds live rows"):
        importing.run(two_days, dry_run=dry_run)


def test_the_command_imports_reports_and_exits_with_1_when_something_was_rejected(
    two_days: Path, other: WarehouseResource, tmp_path: Path
) -> None:
    with Warehouse(other.config) as store:
        environment = {
            "CLICKHOUSE_URL": str(store.endpoint),
            "CLICKHOUSE_DATABASE": other.config.database or "",
        }
    foreign = run_command(tmp_path, environment, "import", str(two_days), "--source", "live")
    assert foreign.returncode == 2
    assert "add --source sandbox" in foreign.stderr
    path = two_days / POINTS_FILE.format("2026-06-01")
    rewrite(path, with_cell(2, "scope", "spot\x1b[31m"))
    resign(two_days)
    done = run_command(tmp_path, environment, "import", str(two_days))
    assert done.returncode == 1, done.stderr
    assert "rejected 1: scope isin" in done.stdout
    assert "\x1b" not in done.stdout
    assert "every reject with its reason: two_days.rejects.jsonl" in done.stdout
    assert (tmp_path / "two_days.rejects.jsonl").read_text().count("\n") == 1
    with Warehouse(other.config) as store:
        assert list(Manifest(store).committed(PORTFOLIO_POINTS)) == [SLOT, SLOT + SLOT_LENGTH]
