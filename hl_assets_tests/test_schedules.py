"""The schedule: one run per slot, keyed by it, skipped while a tick is unfinished."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from hl_assets.definitions import build_defs
from hl_assets.partitions import SLOT_TAG
from hl_assets.settings import Settings

SECONDS = timedelta(seconds=1)


def evaluate(
    instance: dg.DagsterInstance, at: datetime, late: timedelta = 5 * SECONDS
) -> dg.RunRequest | dg.SkipReason:
    """The schedule's answer for the tick of `at`, evaluated a little later."""
    defs = build_defs(Settings.load(clock=at + late))
    schedule = defs.resolve_schedule_def("every_slot")
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
    )
    return schedule(context)


@pytest.mark.parametrize(
    ("at", "slot", "day"),
    [
        (datetime(2026, 5, 31, 12, 10, tzinfo=UTC), "2026-05-31T12:10:00Z", "2026-05-31"),
        (datetime(2026, 6, 1, 0, 0, tzinfo=UTC), "2026-06-01T00:00:00Z", "2026-06-01"),
        (datetime(2026, 5, 31, 23, 50, tzinfo=UTC), "2026-05-31T23:50:00Z", "2026-05-31"),
    ],
)
def test_a_tick_is_requested_for_its_slot(at: datetime, slot: str, day: str) -> None:
    with dg.instance_for_test() as instance:
        request = evaluate(instance, at)
    assert isinstance(request, dg.RunRequest)
    assert (request.run_key, request.partition_key, request.tags[SLOT_TAG]) == (slot, day, slot)


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_a_tick_is_skipped_while_one_is_unfinished(status: str) -> None:
    with dg.instance_for_test() as instance:
        instance.create_run_for_job(
            build_defs(Settings.load()).resolve_job_def("tick"), status=dg.DagsterRunStatus[status]
        )
        answer = evaluate(instance, datetime(2026, 5, 31, 12, 10, tzinfo=UTC))
    assert isinstance(answer, dg.SkipReason)
    assert "2026-05-31T12:10:00Z stays missing" in (answer.skip_message or "")


def test_a_finished_tick_does_not_hold_the_next_one_back() -> None:
    with dg.instance_for_test() as instance:
        instance.create_run_for_job(
            build_defs(Settings.load()).resolve_job_def("tick"), status=dg.DagsterRunStatus.FAILURE
        )
        answer = evaluate(instance, datetime(2026, 5, 31, 12, 10, tzinfo=UTC))
    assert isinstance(answer, dg.RunRequest)


@pytest.mark.parametrize("late", [timedelta(minutes=8), timedelta(hours=3)])
def test_a_tick_evaluated_at_the_end_of_its_slot_is_skipped(late: timedelta) -> None:
    with dg.instance_for_test() as instance:
        answer = evaluate(instance, datetime(2026, 5, 31, 12, 10, tzinfo=UTC), late)
    assert isinstance(answer, dg.SkipReason)
    assert "2026-05-31T12:10:00Z is over or nearly so" in (answer.skip_message or "")


@pytest.mark.parametrize(("on", "status"), [(True, "RUNNING"), (False, "STOPPED")])
def test_schedules_are_on_only_where_the_settings_say_so(on: bool, status: str) -> None:
    defs = build_defs(Settings.load(schedules_on=on))
    for name in ("every_slot", "watch_freshness", "settle_coverage"):
        assert defs.resolve_schedule_def(name).default_status.value == status


def test_coverage_is_settled_between_ticks_of_the_day() -> None:
    defs = build_defs(Settings.load())
    schedule = defs.resolve_schedule_def("settle_coverage")
    assert schedule.cron_schedule == "7-59/10 * * * *"
    with dg.instance_for_test() as instance:
        at = datetime(2026, 6, 1, 0, 7, tzinfo=UTC)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        request = schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, SLOT_TAG in request.tags) == ("2026-06-01", False)


def test_maintenance_runs_daily_between_two_ticks_and_touches_no_asset() -> None:
    defs = build_defs(Settings.load())
    schedule = defs.resolve_schedule_def("daily_maintenance")
    assert (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name) == (
        "37 0 * * *",
        "UTC",
        "maintenance",
    )
    job = defs.resolve_job_def("maintenance")
    assert list(job.asset_layer.executable_asset_keys) == []
    assert job.graph.node_named("withdraw_expired_slices").definition.pool == "clickhouse_write"
