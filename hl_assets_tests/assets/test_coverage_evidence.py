"""What Dagster's instance says of slots: real runs and events, ticks as its scheduler stores them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import RemoteJobOrigin

from hl_assets.assets.coverage_evidence import read_knowledge
from hl_assets.coverage.classify import Knowledge, SlotFacts, classify
from hl_assets.coverage.vocabulary import Cause
from hl_assets.exchange.errors import ExchangeUnavailableError
from hl_assets.failures import classified_failures
from hl_assets.jobs import MAX_RUNTIME_SECONDS
from hl_assets.partitions import SLOT_TAG
from hl_assets.slots import SLOT, slot_of, slot_text
from hl_assets.warehouse.errors import WarehouseUnavailableError
from hl_assets_tests.dagster_ticks import REPOSITORY_ORIGIN, store_tick, switch_schedule

NOW = datetime.now(UTC)
FIRST = slot_of(NOW - timedelta(hours=3))
SLOTS = [FIRST + step * SLOT for step in range(6)]
RETENTION = {"retention": {"schedule": {"purge_after_days": {"skipped": 7, "success": 30, "failure": 90}}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides=RETENTION) as made:
        yield made


def failing_job(error: Exception) -> dg.JobDefinition:
    @dg.op(name="leaderboard")
    def step() -> None:
        with classified_failures():
            raise error

    @dg.job(name="tick")
    def job() -> None:
        step()

    return job


def requested(instance: dg.DagsterInstance, slot: datetime, status: str = "NOT_STARTED") -> dg.DagsterRun:
    return instance.create_run_for_job(
        failing_job(ValueError()),
        status=dg.DagsterRunStatus[status],
        tags={SLOT_TAG: slot_text(slot)},
        remote_job_origin=RemoteJobOrigin(REPOSITORY_ORIGIN, "tick"),
    )


def fail(instance: dg.DagsterInstance, slot: datetime, error: Exception) -> str:
    result = failing_job(error).execute_in_process(
        instance=instance, tags={SLOT_TAG: slot_text(slot)}, raise_on_error=False
    )
    assert not result.success
    return result.run_id


def knowledge(instance: dg.DagsterInstance, now: datetime = NOW) -> Knowledge:
    return read_knowledge(instance, SLOTS, lambda: now)


def cause_of(instance: dg.DagsterInstance, slot: datetime, now: datetime | None = None) -> Cause:
    known = knowledge(instance, now or datetime.now(UTC))
    row = classify(SlotFacts(slot), known, began=FIRST - SLOT, now=NOW)
    assert row.why is not None
    return row.why.cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            ExchangeUnavailableError("no answer", kind="timeout", endpoint="leaderboard", advice="wait"),
            Cause.EXCHANGE_FAILED,
        ),
        (WarehouseUnavailableError("no answer"), Cause.WAREHOUSE_FAILED),
        (KeyError("wallet"), Cause.STEP_FAILED),
        (dg.Failure("nothing was written for x: rows", allow_retries=False), Cause.CONTRACT_BROKEN),
    ],
    ids=lambda value: getattr(value, "value", type(value).__name__),
)
def test_a_failed_step_is_read_with_the_error_behind_it(
    instance: dg.DagsterInstance, error: Exception, cause: Cause
) -> None:
    run_id = fail(instance, FIRST, error)
    found = knowledge(instance).runs[FIRST]
    assert (found.run_id, found.outcome, found.failure, found.step) == (
        run_id,
        "failed",
        "step",
        "leaderboard",
    )
    assert any(word in (found.error or "") for word in ("no answer", "wallet", "rows"))
    assert cause_of(instance, FIRST) is cause


def test_a_run_without_a_failed_step_was_killed_timed_out_canceled_or_never_started(
    instance: dg.DagsterInstance,
) -> None:
    killed, timed_out, canceled, stillborn, waiting, silent = (
        requested(instance, slot, "STARTED") for slot in SLOTS
    )
    instance.report_run_failed(killed, "Detected run worker status FAILED. Marking run as failed.")
    instance.report_run_canceling(timed_out, "Canceling due to exceeding maximum runtime of 900 seconds.")
    instance.report_run_canceled(timed_out)
    instance.report_run_canceling(canceled)
    instance.report_run_canceled(canceled)
    reason = JobFailureData(error=None, failure_reason=RunFailureReason.START_TIMEOUT)
    instance.report_run_failed(stillborn, "Run timed out", reason)
    assert [cause_of(instance, slot) for slot in SLOTS[:5]] == [
        Cause.RUN_KILLED,
        Cause.RUN_TIMED_OUT,
        Cause.RUN_CANCELED,
        Cause.RUN_NOT_STARTED,
        Cause.RUN_UNFINISHED,
    ]
    assert "Marking run as failed" in (knowledge(instance).runs[SLOTS[0]].error or "")
    assert waiting.run_id != silent.run_id
    dead = datetime.now(UTC) + timedelta(seconds=MAX_RUNTIME_SECONDS + 300)
    assert cause_of(instance, SLOTS[5], dead) is Cause.RUN_KILLED


def test_a_queued_run_is_never_dead(instance: dg.DagsterInstance) -> None:
    requested(instance, FIRST, "QUEUED")
    assert cause_of(instance, FIRST, NOW + timedelta(days=1)) is Cause.RUN_UNFINISHED


def test_ticks_are_read_with_what_they_say(instance: dg.DagsterInstance) -> None:
    state = switch_schedule(instance, on_since=FIRST - timedelta(days=1))
    answers = (
        dg.SkipReason("tick r is still STARTED; slot x"),
        ValueError("boom"),
        None,
        dg.RunRequest("key"),
    )
    for slot, answer in zip(SLOTS, answers, strict=False):
        store_tick(instance, state, slot, answer)
    known = knowledge(instance)
    assert [(tick.outcome, tick.detail) for tick in known.ticks.values()] == [
        ("skipped", "tick r is still STARTED; slot x"),
        ("failed", "boom"),
        ("begun", None),
        ("requested", "run gone"),
    ]
    assert list(known.ticks) == SLOTS[:4]
    assert [cause_of(instance, slot) for slot in SLOTS] == [
        Cause.PREVIOUS_UNFINISHED,
        Cause.SCHEDULE_ERROR,
        Cause.SCHEDULER_DOWN,
        Cause.UNKNOWN,
        Cause.SCHEDULER_DOWN,
        Cause.SCHEDULER_DOWN,
    ]


def test_the_schedules_state_tells_off_from_down(instance: dg.DagsterInstance) -> None:
    assert cause_of(instance, FIRST) is Cause.SCHEDULE_OFF, "no daemon ever saw it"
    switch_schedule(instance, on_since=SLOTS[2])
    assert cause_of(instance, FIRST) is Cause.SCHEDULE_OFF, "on since later"
    assert cause_of(instance, SLOTS[2]) is Cause.SCHEDULER_DOWN
    assert knowledge(instance).on_since == SLOTS[2]


def test_a_stopped_schedule_is_off(instance: dg.DagsterInstance) -> None:
    switch_schedule(instance, on_since=FIRST, on=False)
    assert knowledge(instance).on_since is None
    assert cause_of(instance, SLOTS[1]) is Cause.SCHEDULE_OFF


def test_what_may_be_purged_comes_from_the_instances_retention(instance: dg.DagsterInstance) -> None:
    known = knowledge(instance)
    assert known.skips_kept_since == NOW - timedelta(days=7)
    assert known.ticks_kept_since == NOW - timedelta(days=30)
    with dg.instance_for_test() as keeps_all:
        known = knowledge(keeps_all)
    assert (known.skips_kept_since, known.ticks_kept_since) == (None, None)


def test_an_instance_in_memory_knows_runs_only() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fail(instance, FIRST, KeyError("x"))
        assert cause_of(instance, FIRST) is Cause.STEP_FAILED
        assert cause_of(instance, SLOTS[1]) is Cause.SCHEDULE_OFF


def test_runs_of_many_slots_are_found(instance: dg.DagsterInstance) -> None:
    many = [FIRST - step * SLOT for step in range(1200, -1, -1)]
    requested(instance, many[0])
    requested(instance, many[-1])
    known = read_knowledge(instance, many, lambda: datetime.now(UTC))
    assert list(known.runs) == [many[0], many[-1]]
