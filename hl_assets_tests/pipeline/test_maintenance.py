"""Retention and upkeep on the real engine: what goes, what stays, and that the platform goes on."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.maintain import run_maintain
from hl_assets.maintenance.job import WRITE_POOL, run_in_the_pool
from hl_assets.maintenance.rules import NEVER_REMOVED
from hl_assets.maintenance.upkeep import RUN_PREFIX, SLICE_TABLES, plan_expiry, withdraw_expired
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.schemas.tracking import TRACKED_WALLETS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets.warehouse.errors import WarehouseError
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.conftest import bare_environment
from hl_assets_tests.deployment.ports import wait_until
from hl_assets_tests.pipeline.conftest import SLOT, FirstTick, Platform

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD_DAY = date(2026, 4, 10)
OLD = [datetime(2026, 4, 10, hour, tzinfo=SLOT.tzinfo) for hour in (0, 1, 2)]
YOUNG = SLOT - 3 * DAY
FROM_FETCHES: Sequence[tuple[tuple[TableContract, ...], tuple[TableContract, ...]]] = (
    ((TRACKED_WALLETS,), (PORTFOLIO_FETCHES, PORTFOLIO_POINTS)),
    ((EQUITY_CURVES,), (PORTFOLIO_FETCHES, PORTFOLIO_POINTS)),
    ((WALLET_METRICS,), (PORTFOLIO_FETCHES, PORTFOLIO_POINTS)),
    ((AI_GRADES,), (WALLET_METRICS,)),
    ((WALLET_SCORES, SCORE_RUNS), (WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES)),
)
DAILY = ",".join(f"{table.name}=40:daily" for table in SLICE_TABLES if table.name not in NEVER_REMOVED)


@contextmanager
def opened(platform: Platform) -> Iterator[Warehouse]:
    with Warehouse(platform.warehouse) as store:
        yield store


def plant(platform: Platform, tables: Mapping[str, pd.DataFrame], slot: datetime, board: datetime) -> None:
    """Publish the first tick's rows as those of another slot, each table derived from the ones before."""
    provenance = Provenance("earlier", "test", "simulated")

    def dated(contract: TableContract) -> pd.DataFrame:
        frame = tables[contract.name].assign(as_of=pd.Timestamp(slot))
        if contract is LEADERBOARD_SNAPSHOTS:
            frame = frame.assign(board_as_of=pd.Timestamp(board))
        return contract.conform(frame)

    with opened(platform) as store:
        publisher = Publisher(store)
        versions: dict[str, int] = {}

        def publish(contracts: Sequence[TableContract], sources: Sequence[TableContract] = ()) -> None:
            inputs = {source.name: versions[source.name] for source in sources}
            slices = [Slice(contract, slot, dated(contract), inputs) for contract in contracts]
            version = publisher.publish(slices, provenance).version
            assert version is not None
            versions.update(dict.fromkeys((contract.name for contract in contracts), version))

        publish([LEADERBOARD_SNAPSHOTS, LEADERBOARD_ROWS] if board == slot else [LEADERBOARD_SNAPSHOTS])
        publish([PORTFOLIO_FETCHES, PORTFOLIO_POINTS])
        for contracts, sources in FROM_FETCHES:
            publish(contracts, sources)


@pytest.fixture
def aged(first_tick: FirstTick, ticked: Platform) -> Platform:
    """A platform with three slots of an old day, of which two saw one board, a young one and today's."""
    for slot, board in ((OLD[0], OLD[0]), (OLD[1], OLD[1]), (OLD[2], OLD[1]), (YOUNG, YOUNG)):
        plant(ticked, first_tick.tables, slot, board)
    return ticked


def maintain(platform: Platform, retention: str | None) -> dg.ExecuteInProcessResult:
    """Run the maintenance job under a RETENTION."""
    platform.overrides = {**platform.overrides, "retention": retention}
    job = platform.defs().resolve_job_def("maintenance")
    result = job.execute_in_process(instance=platform.instance, raise_on_error=False)
    assert result.success
    return result


def references_of(platform: Platform) -> list[tuple[str, datetime, str]]:
    """Published slices whose inputs are not published any more."""
    with opened(platform) as store:
        published = Manifest(store).committed_together(SLICE_TABLES)
    return [
        (publication.table_name, slot, name)
        for slices in published.values()
        for slot, publication in slices.items()
        for name, version in publication.inputs.items()
        if slot not in published[name] or published[name][slot].version != version
    ]


def test_without_the_setting_every_slot_stays(aged: Platform) -> None:
    before = aged.read()
    maintain(aged, None)
    for name, frame in aged.read().items():
        pd.testing.assert_frame_equal(frame, before[name], obj=name)


def test_thinned_to_a_slot_a_day_with_everything_it_was_made_from(aged: Platform) -> None:
    before = aged.read()
    maintain(aged, DAILY)
    slots = aged.manifest_slots()
    kept = [OLD[2], YOUNG, SLOT]
    thinned = (
        "portfolio_fetches",
        "wallet_metrics",
        "ai_grades",
        "wallet_scores",
        "score_runs",
        "equity_curves",
    )
    assert {name: slots[name] for name in thinned} == dict.fromkeys(thinned, kept)
    assert slots["leaderboard_snapshots"] == kept
    assert slots["leaderboard_rows"] == [
        OLD[1],
        YOUNG,
        SLOT,
    ]  # the last slot of the old day saw the board of the second
    assert slots["portfolio_points"] == [*OLD, YOUNG, SLOT]
    assert references_of(aged) == []
    after = aged.read()
    for name, frame in after.items():
        stays = before[name][before[name]["as_of"].isin(frame["as_of"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame, stays, obj=name)
    with opened(aged) as store:
        runs = store.read_rows("SELECT DISTINCT run_id FROM publications WHERE withdrawn")
        assert runs
        assert all(run_id.startswith(RUN_PREFIX) for (run_id,) in runs)
    maintain(aged, DAILY)
    assert aged.manifest_slots() == slots

    aged.at(SLOT + timedelta(minutes=10))
    assert aged.tick().success, "ticks go on"
    assert aged.manifest_slots()["wallet_scores"] == [*kept, SLOT + timedelta(minutes=10)]


def test_what_scores_refer_to_stays_and_it_is_said_why(aged: Platform) -> None:
    before = aged.manifest_slots()
    maintain(aged, "wallet_metrics=40,portfolio_fetches=40,leaderboard_rows=40,leaderboard_snapshots=40")
    assert aged.manifest_slots() == before
    with opened(aged) as store:
        held = plan_expiry(store, aged.settings.retention_rules, aged.now).expiry.held
    by_table = dict.fromkeys((table for table, _ in held), 0)
    for (table, _), count in held.items():
        by_table[table] += count
    assert by_table == {
        "wallet_metrics": 3,
        "portfolio_fetches": 3,
        "leaderboard_snapshots": 3,
        "leaderboard_rows": 2,  # two boards were seen
    }


def test_withdrawn_rows_leave_the_disk_with_a_later_sweep(aged: Platform) -> None:
    maintain(aged, "equity_curves=40")
    assert aged.manifest_slots()["equity_curves"] == [YOUNG, SLOT]
    sql = "SELECT count() FROM equity_curves__versions WHERE toDate(as_of) = {day:Date}"
    with opened(aged) as store:
        assert store.read_rows(sql, {"day": OLD_DAY})[0][0] > 0  # a query may have begun a moment ago
        later = Publisher(store, retain_seconds=0)
        assert later.sweep(EQUITY_CURVES) > 0
        assert store.read_rows(sql, {"day": OLD_DAY})[0][0] == 0


def test_an_interrupted_withdrawal_leaves_nothing_without_its_inputs(aged: Platform) -> None:
    aged.overrides = {"retention": DAILY}
    for _ in range(30):
        with opened(aged) as store:
            plan = plan_expiry(store, aged.settings.retention_rules, aged.now)
            turns = iter([1.0, 0.0])
            provenance = Provenance("maintain", "test", "simulated")
            withdraw_expired(Publisher(store), plan, provenance, lambda: next(turns, 0.0))  # noqa: B023 - used at once
        assert references_of(aged) == []
        if not plan.expiry.removable:
            break
    else:
        raise AssertionError("it does not end")
    assert aged.manifest_slots()["wallet_scores"] == [OLD[2], YOUNG, SLOT]


def test_a_command_says_what_it_would_do_and_does_it(
    aged: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aged.warehouse.home is not None
    values: dict[str, object] = {
        "home": aged.home,
        "clickhouse_url": ensure_running(aged.warehouse.home),
        "clickhouse_database": aged.warehouse.database,
        "retention": "equity_curves=40,wallet_metrics=40",
        "clock": aged.now,
    }
    before = aged.manifest_slots()
    assert run_maintain(values, dry_run=True) == 0
    said = capsys.readouterr().out
    assert "3 slices would be withdrawn" in said
    assert "expired slices of wallet_metrics stay: " in said
    assert aged.manifest_slots() == before
    assert run_maintain(values, dry_run=False) == 0
    assert "3 slices were withdrawn" in capsys.readouterr().out
    assert aged.manifest_slots()["equity_curves"] == [YOUNG, SLOT]
    assert Settings.load(**values).retention_rules["equity_curves"].days == 40


def test_nothing_is_withdrawn_by_hand_while_something_derives(
    aged: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aged.warehouse.home is not None
    values: dict[str, object] = {
        "home": aged.home,
        "clickhouse_url": ensure_running(aged.warehouse.home),
        "clickhouse_database": aged.warehouse.database,
        "retention": "equity_curves=40",
        "clock": aged.now,
    }
    home = prepare_dagster_home(Settings.load(**values))
    before = aged.manifest_slots()["equity_curves"]
    command = [
        sys.executable,
        "-m",
        "hl_assets_tests.pipeline.holding_a_pool",
        str(home),
        WRITE_POOL,
        str(tmp_path),
    ]
    deriving = subprocess.Popen(command, env=bare_environment(), stderr=subprocess.DEVNULL)
    try:
        wait_until("another run holds the pool", (tmp_path / "held").exists, 60)
        with ThreadPoolExecutor(1) as pool:
            maintaining = pool.submit(run_maintain, values, dry_run=False)
            with pytest.raises(TimeoutError):
                maintaining.result(timeout=4)
            assert aged.manifest_slots()["equity_curves"] == before
            (tmp_path / "release").touch()
            assert maintaining.result(timeout=60) == 0
    finally:
        (tmp_path / "release").touch()
        deriving.wait(60)
    assert aged.manifest_slots()["equity_curves"] == [YOUNG, SLOT]
    assert f"Waiting for the pool {WRITE_POOL}" in capsys.readouterr().out


def test_what_fails_by_hand_is_raised_as_it_is() -> None:
    def fail() -> None:
        raise WarehouseError("nothing there")

    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(WarehouseError, match="nothing there"):
        run_in_the_pool(instance, fail, 60)
