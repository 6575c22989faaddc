"""Schedules: a tick every 10 minutes; between ticks the freshness watch and settling the coverage of slots.

Belongs here: when jobs run and with which slot. Does not belong here: what they do.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from hl_assets.coverage.skips import over_reason, unfinished_reason
from hl_assets.jobs import coverage_job, freshness_job, tick_job
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.slots import slot_of, slot_text

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


TICK_SCHEDULE = "every_slot"
LATEST_START = timedelta(minutes=8)
"""A tick evaluated later in its slot is skipped: by the time its run begins, the slot may be over."""


def tick_schedule(status: dg.DefaultScheduleStatus, now: Callable[[], datetime]) -> dg.ScheduleDefinition:
    """The schedule that requests one tick per slot, unless one is still running or the slot is nearly over.

    After a pause Dagster evaluates only the newest tick, and that is right: the present cannot be taken for the past,
    so a missed slot stays missing. A run requested at the end of its slot would start too late to observe it, and
    would keep the next tick from starting.

    Args:
        status: Whether it runs without being switched on.
        now: The present moment.
    """

    @dg.schedule(
        name=TICK_SCHEDULE,
        cron_schedule="*/10 * * * *",
        execution_timezone="UTC",
        job=tick_job,
        default_status=status,
        description="One tick per 10-minute slot (UTC); skipped while a tick is unfinished.",
    )
    def every_slot(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        slot = slot_of(context.scheduled_execution_time)
        if now() >= slot + LATEST_START:
            return dg.SkipReason(over_reason(slot, now()))
        unfinished = context.instance.get_run_records(
            RunsFilter(job_name=tick_job.name, statuses=UNFINISHED), limit=1
        )
        if unfinished:
            run = unfinished[0].dagster_run
            return dg.SkipReason(unfinished_reason(slot, run.run_id, run.status.value))
        return dg.RunRequest(
            run_key=slot_text(slot), partition_key=partition_key(slot), tags={SLOT_TAG: slot_text(slot)}
        )

    return every_slot


def freshness_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """The schedule of the freshness watch, halfway between ticks."""
    return dg.ScheduleDefinition(
        name="watch_freshness",
        cron_schedule="5-59/10 * * * *",
        execution_timezone="UTC",
        job=freshness_job,
        default_status=status,
    )


def coverage_schedule(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """The schedule that settles what became of ended slots, between ticks and whatever became of them."""

    @dg.schedule(
        name="settle_coverage",
        cron_schedule="7-59/10 * * * *",
        execution_timezone="UTC",
        job=coverage_job,
        default_status=status,
        description="Settle the coverage of ended slots, 7 minutes after each tick.",
    )
    def settle_coverage(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        slot = slot_of(context.scheduled_execution_time)
        return dg.RunRequest(run_key=slot_text(slot), partition_key=partition_key(slot))

    return settle_coverage


def maintenance_schedule(status: dg.DefaultScheduleStatus, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The schedule of maintenance: daily, between two ticks, soon after the day whose slots are complete."""
    return dg.ScheduleDefinition(
        name="daily_maintenance",
        cron_schedule="37 0 * * *",
        execution_timezone="UTC",
        job=job,
        default_status=status,
    )
