"""A schedule's state and ticks in a Dagster instance, stored as Dagster's own scheduler stores them.

Belongs here: what tests of coverage share. Does not belong here: evaluating schedules (`test_schedules`).
"""

from datetime import datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from hl_assets.schedules import TICK_SCHEDULE

_LOCATION = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="hl_assets.definitions"))
REPOSITORY_ORIGIN = RemoteRepositoryOrigin(_LOCATION, "__repository__")
_ORIGIN = RemoteInstigatorOrigin(REPOSITORY_ORIGIN, TICK_SCHEDULE)


def switch_schedule(instance: dg.DagsterInstance, *, on_since: datetime, on: bool = True) -> InstigatorState:
    """Store that the schedule of ticks is on since an instant, or is off again."""
    state = InstigatorState(
        _ORIGIN,
        InstigatorType.SCHEDULE,
        InstigatorStatus.RUNNING if on else InstigatorStatus.STOPPED,
        ScheduleInstigatorData("*/10 * * * *", on_since.timestamp()),
    )
    instance.add_instigator_state(state)
    return state


def store_tick(
    instance: dg.DagsterInstance,
    state: InstigatorState,
    slot: datetime,
    answer: "dg.RunRequest | dg.SkipReason | Exception | None",
) -> None:
    """Store the tick of a slot with what evaluating the schedule answered; None: it never ended."""
    tick = instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=TICK_SCHEDULE,
            instigator_type=InstigatorType.SCHEDULE,
            status=TickStatus.STARTED,
            timestamp=slot.timestamp(),
            selector_id=state.selector_id,
        )
    )
    if isinstance(answer, dg.SkipReason):
        tick = tick.with_status(TickStatus.SKIPPED).with_reason(answer.skip_message or "")
    elif isinstance(answer, dg.RunRequest):
        tick = tick.with_status(TickStatus.SUCCESS).with_run_info(run_id="gone", run_key=answer.run_key)
    elif isinstance(answer, Exception):
        cause = SerializableErrorInfo(str(answer), [], type(answer).__name__)
        error = SerializableErrorInfo(
            "Error occurred during the execution", [], "DagsterUserCode", cause=cause
        )
        tick = tick.with_status(TickStatus.FAILURE, error=error)
    instance.update_tick(tick)
