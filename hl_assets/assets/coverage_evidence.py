"""What Dagster knows of slots: their runs, the schedule's ticks, and whether the schedule is on.

Belongs here: reading Dagster's instance into plain values (`coverage.classify`). Does not belong here: concluding anything
from them.

Runs are found by the tag that names their slot, many slots in one query; the events of a run are read only if it failed and
decides its slot. Ticks of a range are one query.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, EventLogEntry, RunRecord, RunsFilter
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from hl_assets.coverage.classify import FailureKind, Knowledge, RunEvidence, TickEvidence, deciding_run
from hl_assets.jobs import ASSETS_IN_ORDER, MAX_RUNTIME_SECONDS
from hl_assets.partitions import SLOT_TAG
from hl_assets.schedules import TICK_SCHEDULE
from hl_assets.slots import SLOT, slot_text

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo

_SLOTS_PER_QUERY = 500
_GRACE = timedelta(minutes=2)
"""How long after the longest run the daemon may take to say that it is over."""

_ENDS = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_CANCELING,
    DagsterEventType.RUN_CANCELED,
}
_TOO_LONG = "maximum runtime"
"""What the run monitor says of a run that it stops because it takes too long."""
_NOT_STARTED = frozenset({"START_TIMEOUT", "JOB_INITIALIZATION_FAILURE"})
_FAILURE_REASON_TAG = "dagster/failure_reason"
_INTERRUPTED = "DagsterExecutionInterruptedError"
"""What a step raises whose process was told to stop."""
_WAITING = frozenset({DagsterRunStatus.QUEUED})
"""Unfinished without being at work: however long it takes, it is not dead."""


def read_knowledge(
    instance: DagsterInstance, slots: Sequence[datetime], wall_clock: Callable[[], datetime]
) -> Knowledge:
    """Everything Dagster knows of slots.

    Args:
        instance: Dagster's instance.
        slots: The slots, ascending.
        wall_clock: Dagster's clock, by which the age of runs and ticks is told, also where the platform's is frozen.
    """
    states = _schedule_states(instance)
    now = wall_clock()
    kept = {
        status: now - timedelta(days=days) if days > 0 else None
        for status, days in instance.get_tick_retention_settings(InstigatorType.SCHEDULE).items()
    }
    all_kept = [kept[TickStatus.SUCCESS], kept[TickStatus.SKIPPED]]
    return Knowledge(
        runs=_read_runs(instance, slots, now),
        ticks=_read_ticks(instance, states, slots),
        schedule_on=any(state.is_running for state in states),
        on_since=min(filter(None, map(_on_since, states)), default=None),
        skips_kept_since=kept[TickStatus.SKIPPED],
        ticks_kept_since=None if None in all_kept else min(filter(None, all_kept)),
    )


def _schedule_states(instance: DagsterInstance) -> list[InstigatorState]:
    """States of the schedule of ticks: one per code location that has had it; none where no daemon ever saw it."""
    if instance.schedule_storage is None:  # an instance in memory
        return []
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return [state for state in states if state.name == TICK_SCHEDULE]


def _on_since(state: InstigatorState) -> datetime | None:
    """When the schedule was switched on; None if it is off."""
    started = getattr(state.instigator_data, "start_timestamp", None)
    return datetime.fromtimestamp(started, UTC) if state.is_running and started else None


def _read_ticks(
    instance: DagsterInstance, states: Sequence[InstigatorState], slots: Sequence[datetime]
) -> dict[datetime, TickEvidence]:
    """Slot -> its tick; a tick's own time is the instant that it was scheduled for."""
    if not slots:
        return {}
    after, before = (slots[0] - SLOT).timestamp(), (slots[-1] + 2 * SLOT).timestamp()
    found = {
        datetime.fromtimestamp(tick.timestamp, UTC): _tick(tick)
        for state in states
        for tick in instance.get_ticks(
            state.instigator_origin_id, state.selector_id, before=before, after=after
        )
    }
    return dict(sorted(found.items()))


def _tick(tick: InstigatorTick) -> TickEvidence:
    if tick.status == TickStatus.SKIPPED:
        return TickEvidence("skipped", tick.skip_reason)
    if tick.status == TickStatus.FAILURE:
        return TickEvidence("failed", None if tick.error is None else _message(tick.error))
    if tick.status == TickStatus.SUCCESS:
        runs = ", ".join(f"run {run_id}" for run_id in tick.run_ids)
        return TickEvidence("requested", runs or None)
    return TickEvidence("begun")


def _read_runs(
    instance: DagsterInstance, slots: Sequence[datetime], now: datetime
) -> dict[datetime, RunEvidence]:
    """Slot -> the run that decides what is said of it."""
    by_text = {slot_text(slot): slot for slot in slots}
    texts = list(by_text)
    found: dict[datetime, list[RunEvidence]] = {}
    for first in range(0, len(texts), _SLOTS_PER_QUERY):
        filters = RunsFilter(tags={SLOT_TAG: texts[first : first + _SLOTS_PER_QUERY]})
        for record in instance.get_run_records(filters):
            slot = by_text[record.dagster_run.tags[SLOT_TAG]]
            found.setdefault(slot, []).append(_run(record, now))
    decided = {slot: deciding_run(runs) for slot, runs in found.items()}
    return {
        slot: _with_failure(instance, run) if run.outcome in {"failed", "canceled"} else run
        for slot, run in decided.items()
        if run is not None
    }


def _run(record: RunRecord, now: datetime) -> RunEvidence:
    """A run by its status alone."""
    run, created = record.dagster_run, record.create_timestamp
    created = created.replace(tzinfo=UTC) if created.tzinfo is None else created.astimezone(UTC)
    if run.status == DagsterRunStatus.SUCCESS:
        return RunEvidence(run.run_id, created, "succeeded")
    if run.status == DagsterRunStatus.CANCELED:
        return RunEvidence(run.run_id, created, "canceled")
    if run.status == DagsterRunStatus.FAILURE:
        reason = run.tags.get(_FAILURE_REASON_TAG)
        return RunEvidence(
            run.run_id, created, "failed", "not_started" if reason in _NOT_STARTED else "killed"
        )
    since = created if record.start_time is None else datetime.fromtimestamp(record.start_time, UTC)
    silent = now - since > timedelta(seconds=MAX_RUNTIME_SECONDS) + _GRACE
    if silent and run.status not in _WAITING:
        said = f"{run.status.value} since {slot_text(since)}, longer than a tick may take"
        return RunEvidence(run.run_id, created, "failed", "killed", error=said)
    return RunEvidence(run.run_id, created, "unfinished", error=f"it is {run.status.value}")


def _with_failure(instance: DagsterInstance, run: RunEvidence) -> RunEvidence:
    """The run with what its events say of its end."""
    events = instance.all_logs(run.run_id, of_type=_ENDS)
    failure: FailureKind | None = run.failure
    if any(_TOO_LONG in text for text in map(_text, events)):
        failure = "timed_out"
    steps = [event for event in events if _type(event) == DagsterEventType.STEP_FAILURE]
    steps.sort(key=_flow_order)
    if not steps:
        said = [_text(event) for event in events if _text(event)]
        return RunEvidence(
            run.run_id, run.created_at, run.outcome, failure, error=said[-1] if said else run.error
        )
    data = steps[0].get_dagster_event().step_failure_data
    described = data.user_failure_data.description if data.user_failure_data is not None else None
    said_by = list(_errors(data.error))
    classes = tuple(error.cls_name for error in said_by if error.cls_name)
    if failure != "timed_out":
        failure = "killed" if _INTERRUPTED in classes else "step"
    return RunEvidence(
        run_id=run.run_id,
        created_at=run.created_at,
        outcome=run.outcome,
        failure=failure,
        step=steps[0].get_dagster_event().step_key,
        error=described or (_message(said_by[-1]) if said_by else None),
        error_classes=classes,
    )


def _type(event: EventLogEntry) -> DagsterEventType:
    return event.get_dagster_event().event_type


def _text(event: EventLogEntry) -> str:
    return event.get_dagster_event().message or ""


def _flow_order(event: EventLogEntry) -> tuple[int, float]:
    """Steps upstream first: what fails downstream may follow from it."""
    step = event.get_dagster_event().step_key
    place = ASSETS_IN_ORDER.index(step) if step in ASSETS_IN_ORDER else len(ASSETS_IN_ORDER)
    return place, event.timestamp


def _errors(error: "SerializableErrorInfo | None") -> "Iterator[SerializableErrorInfo]":
    """An error and those behind it."""
    while error is not None:
        yield error
        error = error.cause


def _message(error: "SerializableErrorInfo") -> str:
    """The innermost error's message."""
    return list(_errors(error))[-1].message.strip()
