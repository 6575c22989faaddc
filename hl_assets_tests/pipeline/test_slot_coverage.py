"""Slot coverage end to end: real ticks that worked, failed, came late, were skipped or never were, and their rows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from hl_assets.jobs import OPERATIONS_ASSETS, console_log
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.schedules import TICK_SCHEDULE
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.slots import SLOT as TEN_MINUTES
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.dagster_ticks import store_tick, switch_schedule
from hl_assets_tests.pipeline.conftest import DAY, DERIVED, RAW, SLOT, FirstTick, Platform, checks_of

SEVEN = timedelta(minutes=7)
PROVENANCE = Provenance("by hand", "1", "simulated")


@pytest.fixture
def observed(ticked: Platform) -> Iterator[Platform]:
    """The first tick's platform on a Dagster instance that keeps ticks, its schedule on since the hour before."""
    with dg.instance_for_test() as instance:
        yield replace(ticked, instance=instance)


def settle(platform: Platform, now: datetime, day: str | None = None) -> dg.ExecuteInProcessResult:
    """Run the job `coverage` as its schedule does."""
    platform.at(now)
    return (
        platform.defs()
        .resolve_job_def("coverage")
        .execute_in_process(
            instance=platform.instance,
            partition_key=day or partition_key(now),
            run_config=console_log("CRITICAL"),
            raise_on_error=False,
        )
    )


def coverage(platform: Platform) -> pd.DataFrame:
    with Warehouse(platform.warehouse) as store:
        return store.read_table(SLOT_COVERAGE).set_index("as_of")


def facts(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    assert result.success
    return {
        name: value.value
        for name, value in result.asset_materializations_for_node("slot_coverage")[0].metadata.items()
    }


def publications(platform: Platform) -> int:
    with Warehouse(platform.warehouse) as store:
        [(count,)] = store.read_rows("SELECT count() FROM publications WHERE table_name = 'slot_coverage'")
    return int(count)


def after(slots: int) -> datetime:
    return SLOT + slots * TEN_MINUTES


def publish(platform: Platform, slices: list[Slice], provenance: Provenance = PROVENANCE) -> None:
    with Warehouse(platform.warehouse) as store:
        Publisher(store).publish(slices, provenance)


def test_an_hour_of_every_kind(observed: Platform) -> None:
    state = switch_schedule(observed.instance, on_since=SLOT - timedelta(hours=1))
    observed.at(after(1))
    assert observed.tick().success  # the sandbox's board stays the same within the hour
    observed.at(after(2))
    observed.fault(endpoint="leaderboard", kind="server_error")
    assert not observed.tick().success
    observed.control("DELETE", "/faults")
    observed.at(after(4))
    assert not observed.tick(after(3)).success, "the run came when the slot was over"
    answer = _skip_behind_a_running_tick(observed, after(4))
    store_tick(observed.instance, state, after(4), answer)
    result = settle(observed, after(6) + SEVEN)
    rows = coverage(observed)
    assert list(rows.index) == [after(step) for step in range(6)]
    assert rows["status"].tolist() == ["live", "unchanged", "missing", "missing", "missing", "missing"]
    assert [None if pd.isna(cause) else cause for cause in rows["cause"]] == [
        None, None, "exchange_failed", "run_too_late", "previous_unfinished", "scheduler_down",
    ]  # fmt: skip
    assert rows["failed_step"].tolist() == [None, None, "leaderboard", "leaderboard", None, None]
    assert "3 attempts" in rows["cause_detail"].iloc[2]
    assert rows["run_id"].notna().tolist() == [True, True, True, True, False, False]
    assert rows["n_wanted"].tolist()[:2] == [12, 12]
    assert rows[["n_wanted", "n_answered", "n_scored", "n_ranked"]].iloc[2:].isna().all(axis=None)
    assert rows["board_as_of"].iloc[:2].tolist() == [SLOT, SLOT]
    assert rows["settled"].tolist() == [True, True, False, False, False, False]
    _the_run_says_so(result)


def _skip_behind_a_running_tick(platform: Platform, slot: datetime) -> dg.SkipReason:
    """The schedule's own answer while another tick is at work."""
    defs = platform.defs()
    running = platform.instance.create_run_for_job(
        defs.resolve_job_def("tick"), status=dg.DagsterRunStatus.STARTED
    )
    context = dg.build_schedule_context(
        instance=platform.instance, scheduled_execution_time=slot, repository_def=defs.get_repository_def()
    )
    answer = defs.resolve_schedule_def(TICK_SCHEDULE)(context)
    platform.instance.report_run_failed(running)
    assert isinstance(answer, dg.SkipReason)
    return answer


def _the_run_says_so(result: dg.ExecuteInProcessResult) -> None:
    said = facts(result)
    assert (said["slots_live"], said["slots_unchanged"], said["slots_missing"]) == (1, 1, 4)
    assert said["cause_exchange_failed"] == 1
    assert said["longest_gap"].startswith("2026-05-31 12:30 to 13:00 (4 slots)")
    assert said["covered since the start"] == round(2 / 6, 5)
    assert said["slots"].startswith("![slots](data:image/png")
    checks = checks_of(result)
    assert {name for _, name in checks} == {
        "contract", "unique_key", "non_empty", "row_count_drift", "no_missing_slots",
    }  # fmt: skip
    missing = checks["slot_coverage", "no_missing_slots"]
    assert not missing.passed
    assert missing.severity is dg.AssetCheckSeverity.WARN
    assert missing.metadata["uncovered"].value == 4
    assert "12:30 (1 slot): exchange_failed" in str(missing.metadata["which"].value)
    assert "hl-assets backfill --from" in str(missing.metadata["what_to_do"].value)


def test_settled_rows_are_not_written_again_and_open_ones_only_when_they_change(observed: Platform) -> None:
    switch_schedule(observed.instance, on_since=SLOT - timedelta(hours=1))
    assert facts(settle(observed, after(3) + SEVEN))["slots_published"] == 3
    before = publications(observed)
    assert facts(settle(observed, after(3) + SEVEN))["slots_examined"] == 2, "the two open ones"
    assert publications(observed) == before
    again = facts(settle(observed, after(9)))
    assert (again["slots_examined"], again["slots_published"]) == (8, 8), "open ones are settled by now"
    assert facts(settle(observed, after(9)))["slots_examined"] == 5


def test_a_gap_over_midnight_and_days_on_which_nothing_ran(observed: Platform) -> None:
    switch_schedule(observed.instance, on_since=SLOT - timedelta(hours=1))
    now = SLOT + timedelta(days=2, hours=13)
    said = facts(settle(observed, now))
    assert said["slots_published"] == (now - SLOT) // TEN_MINUTES
    assert said["dagster/partition_row_count"] == 7
    assert (
        said["longest_gap"]
        == f"2026-05-31 12:20 to 2026-06-03 01:00 ({len(coverage(observed)) - 1} slots): scheduler_down"
    )
    rows = coverage(observed)
    assert rows["settled"].iloc[:-6].all()
    past = settle(observed, now, day="2026-06-01")
    assert facts(past)["dagster/partition_row_count"] == 144
    assert checks_of(past)["slot_coverage", "no_missing_slots"].metadata["slots"].value == 144


def test_a_slot_without_scores_is_partial_until_it_is_derived(platform: Platform) -> None:
    assert platform.materialize(RAW, DAY, tags={SLOT_TAG: slot_text(SLOT)}).success
    settle(platform, after(1) + SEVEN)
    [row] = coverage(platform).itertuples()
    assert (row.status, row.cause, row.n_wanted, row.settled) == ("partial", "not_derived", 12, False)
    assert platform.materialize(DERIVED, DAY).success
    settle(platform, after(1) + SEVEN)
    [row] = coverage(platform).itertuples()
    assert (row.status, row.cause, row.n_scored, row.settled) == ("live", None, 12, True)


def test_a_repaired_slot_loses_its_cause(first_tick: FirstTick, observed: Platform) -> None:
    switch_schedule(observed.instance, on_since=SLOT - timedelta(hours=1))
    scores = [Slice(WALLET_SCORES, SLOT, first_tick.tables["wallet_scores"])]
    with Warehouse(observed.warehouse) as store:
        Publisher(store).withdraw(WALLET_SCORES, [SLOT], PROVENANCE)
    settle(observed, after(1) + SEVEN)
    assert coverage(observed)[["status", "cause"]].iloc[0].tolist() == ["partial", "withdrawn"]
    publish(observed, scores)
    settle(observed, after(2) + SEVEN)
    assert coverage(observed)[["status", "cause"]].iloc[0].tolist() == ["live", None]


def test_a_reconstructed_slot_keeps_why_it_was_missed(first_tick: FirstTick, observed: Platform) -> None:
    switch_schedule(observed.instance, on_since=SLOT - timedelta(hours=1))
    settle(observed, after(3) + SEVEN)
    slot = after(1)
    tables = {WALLET_SCORES: first_tick.tables["wallet_scores"], SCORE_RUNS: first_tick.tables["score_runs"]}
    rebuilt = {
        table: frame.assign(as_of=pd.Timestamp(slot).as_unit("s"), origin="reconstructed")
        for table, frame in tables.items()
    }
    publish(
        observed,
        [Slice(table, slot, frame) for table, frame in rebuilt.items()],
        replace(PROVENANCE, origin="reconstructed"),
    )
    settle(observed, after(3) + SEVEN)
    row = coverage(observed).loc[pd.Timestamp(slot)]
    assert (row["status"], row["cause"], row["origin"]) == (
        "reconstructed",
        "scheduler_down",
        "reconstructed",
    )
    assert (row["n_scored"], row["stages"]) == (12, ["wallet_scores"])
    assert pd.isna(row["n_wanted"])
    checks = checks_of(settle(observed, after(3) + SEVEN))
    assert checks["slot_coverage", "no_missing_slots"].metadata["uncovered"].value == 1, "only the last one"


def test_slots_of_a_panel_are_live_and_those_between_are_no_failures(
    platform: Platform, first_tick: FirstTick
) -> None:
    fetches = first_tick.tables["portfolio_fetches"].assign(selected_by="panel")
    platform.read_published()
    for days in (2, 1):
        slot = SLOT - timedelta(days=days)
        moved = {
            name: frame.assign(as_of=pd.Timestamp(slot).as_unit("s"))
            for name, frame in first_tick.tables.items()
        }
        slices = [Slice(PORTFOLIO_FETCHES, slot, fetches.assign(as_of=pd.Timestamp(slot).as_unit("s")))]
        if days == 2:
            slices.append(Slice(WALLET_SCORES, slot, moved["wallet_scores"]))
        publish(platform, slices)
    result = settle(platform, SLOT + SEVEN)
    rows = coverage(platform)
    assert rows["status"].value_counts().to_dict() == {"missing": 286, "live": 1, "partial": 1}
    assert rows["cause"].value_counts().to_dict() == {"before_observation": 286, "not_derived": 1}
    assert facts(result)["covered since the start"] == 0.5
    gaps = checks_of(result)["slot_coverage", "no_missing_slots"].metadata
    assert gaps["uncovered"].value == 1


def test_nothing_stored_is_no_failure_and_a_day_before_everything_is(platform: Platform) -> None:
    result = settle(platform, SLOT + SEVEN)
    said = facts(result)
    assert (said["slots_examined"], said["longest_gap"], said["rows"]) == (0, "none", 0)
    assert not checks_of(result)["slot_coverage", "non_empty"].passed
    platform.at(SLOT)
    assert platform.tick().success
    assert not settle(platform, SLOT + timedelta(days=1), day="2026-05-30").success
    assert not settle(platform, SLOT + timedelta(hours=1), day="2026-06-01").success


@pytest.mark.soak
def test_a_year_costs_no_more_than_the_slots_that_are_new(observed: Platform) -> None:
    first = datetime(2025, 5, 31, 12, 10, tzinfo=UTC)
    count = (SLOT - first) // TEN_MINUTES
    tables = ("leaderboard_snapshots", "portfolio_fetches", "wallet_metrics", "ai_grades", "wallet_scores")
    names = ", ".join(f"'{name}', toUInt64({place + 1})" for place, name in enumerate(tables))
    with Warehouse(observed.warehouse) as store:
        insert = "INSERT INTO publications (table_name, as_of, version, n_rows, inputs, origin, code_version, run_id, withdrawn) "
        slots = "toDateTime('2025-05-31 12:10:00', 'UTC') + number * 600"
        for place, name in enumerate(tables):
            store.command(
                f"{insert} SELECT '{name}', {slots}, {place + 1}, 1, map(), 'simulated', '1', 'r', false FROM numbers({count})"
            )
        store.command(
            f"{insert} SELECT 'slot_coverage', {slots}, 9, 0, map({names}), 'simulated', '1', 'r', false FROM numbers({count})"
        )
    assert count == 52_560
    assert facts(settle(observed, after(1) + SEVEN))["slots_examined"] == 1
    with Warehouse(observed.warehouse) as store:  # derived again in the middle of the year
        store.command(
            f"{insert} SELECT 'wallet_scores', {slots}, 6, 1, map(), 'simulated', '1', 'r', false FROM numbers(30000, 3)"
        )
    assert facts(settle(observed, after(1) + SEVEN))["slots_examined"] == 3


def test_the_job_is_of_the_operations_assets_only(platform: Platform) -> None:
    job = platform.defs().resolve_job_def("coverage")
    assert {node.name for node in job.nodes} == set(OPERATIONS_ASSETS)
