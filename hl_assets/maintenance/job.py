"""The `maintenance` job: retention, sweeping, and Dagster's own runs; no asset, because it makes no data.

Belongs here: its ops, their time limits and what they report. Does not belong here: the work (`maintenance.upkeep`,
`maintenance.dagster_runs`), when it runs (`hl_assets.schedules`).
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import dagster as dg

from hl_assets.assets.progress_log import progress_logged
from hl_assets.failures import classified_failures
from hl_assets.jobs import MAX_RUNTIME_SECONDS, console_log
from hl_assets.maintenance.dagster_runs import RunsDeleted, delete_old_runs
from hl_assets.maintenance.upkeep import ExpiryPlan, plan_expiry, sweep_tables, withdraw_expired
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.settings import Settings

WRITE_POOL = "clickhouse_write"
"""The pool of derived assets: nothing is derived from a slice while it is being withdrawn."""
STEP_SECONDS = MAX_RUNTIME_SECONDS / 4
"""Each of the three steps ends after so long; what is left goes the next day."""

_T = TypeVar("_T")


class MaintenanceInterruptedError(RuntimeError):
    """The run that was to withdraw slices was ended from outside; nothing was withdrawn."""


def deadline(seconds: float) -> Callable[[], float]:
    """Seconds left of a time limit that begins now."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


@dg.op(pool=WRITE_POOL, description="Withdraw the slices that RETENTION lets go.")
def withdraw_expired_slices(
    context: dg.OpExecutionContext,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> None:
    """Withdraw what expired and nothing published refers to."""
    time_left = deadline(STEP_SECONDS)
    with (
        classified_failures(),
        progress_logged(context.log),
        warehouse.open_run(context.run, context.op.name) as session,
    ):
        plan = plan_expiry(session.store, settings.retention_rules, settings.now())
        done = withdraw_expired(session.publisher, plan, session.provenance(warehouse.origin), time_left)
    context.add_output_metadata(
        {"withdrawn": done, "expired": len(plan.expired), "held": dg.MetadataValue.json(held_lines(plan))}
    )


@dg.op(
    ins={"after": dg.In(dg.Nothing)},
    description="Delete the rows that nobody can see any more, and give their disk space back.",
)
def sweep(context: dg.OpExecutionContext, warehouse: dg.ResourceParam[WarehouseResource]) -> None:
    """Sweep every table that is published in slices."""
    time_left = deadline(STEP_SECONDS)
    with (
        classified_failures(),
        progress_logged(context.log),
        warehouse.open_run(context.run, context.op.name) as session,
    ):
        swept = sweep_tables(session.publisher, time_left)
    context.add_output_metadata(
        {
            "rows": dg.MetadataValue.json(dict(swept.rows)),
            "partitions_compacted": swept.compacted,
            "finished": swept.finished,
        }
    )


def maintenance_job(checks: Iterable[dg.AssetCheckKey]) -> dg.JobDefinition:
    """The job.

    Args:
        checks: Every check of the code location: the runs of their newest evaluations stay.
    """
    known = list(checks)

    @dg.op(
        ins={"after": dg.In(dg.Nothing)},
        description="Delete Dagster's old runs, except those that its UI shows as the present state.",
    )
    def delete_old_dagster_runs(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
        time_left = deadline(STEP_SECONDS)
        with classified_failures(), progress_logged(context.log):
            done = prune_runs(context.instance, known, settings, time_left)
        context.add_output_metadata({"deleted": done.deleted, "kept": done.kept, "finished": done.finished})

    @dg.job(
        name="maintenance",
        executor_def=dg.in_process_executor,
        config=console_log("WARNING"),
        description="Retention of slices and of Dagster's runs, and sweeping; docs/operations.md.",
        tags={"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)},
    )
    def maintenance() -> None:
        delete_old_dagster_runs(after=sweep(after=withdraw_expired_slices()))

    return maintenance


def holders_of_the_pool(instance: dg.DagsterInstance) -> list[str]:
    """Runs that whoever asks for the pool of derived assets waits for now; none if it is free."""
    if WRITE_POOL not in instance.event_log_storage.get_concurrency_keys():
        return []
    info = instance.event_log_storage.get_concurrency_info(WRITE_POOL)
    return (
        sorted({slot.run_id for slot in info.claimed_slots})
        if info.active_slot_count >= info.slot_count
        else []
    )


def run_in_the_pool(instance: dg.DagsterInstance, work: Callable[[], _T], max_seconds: float) -> _T:
    """Do something as a run of Dagster's that holds the pool of derived assets; waits until it is free.

    Args:
        instance: The instance that the platform's other runs are in.
        work: What to do; what it raises is raised.
        max_seconds: After how long Dagster takes the run for stuck, waiting included.
    """
    done: list[_T] = []
    failed: list[Exception] = []

    @dg.op(pool=WRITE_POOL, description="Withdraw the slices that RETENTION lets go.")
    def withdraw_by_hand() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)
            raise

    @dg.job(
        executor_def=dg.in_process_executor,
        config=console_log("CRITICAL"),
        tags={"dagster/max_runtime": str(int(max_seconds))},
    )
    def maintenance_by_hand() -> None:
        withdraw_by_hand()

    result = maintenance_by_hand.execute_in_process(instance=instance, raise_on_error=False)
    if failed:
        raise failed[0]
    if not done:
        raise MaintenanceInterruptedError(
            f"run {result.run_id} ended before it held the pool {WRITE_POOL}; Dagster's log of the run says why. Run it again"
        )
    return done[0]


def prune_runs(
    instance: dg.DagsterInstance,
    checks: Iterable[dg.AssetCheckKey],
    settings: Settings,
    time_left: Callable[[], float],
    *,
    dry_run: bool = False,
) -> RunsDeleted:
    """Delete runs older than DAGSTER_RUN_RETENTION_DAYS; none if that is 0. Dagster dates runs by the real clock."""
    if not settings.dagster_run_retention_days:
        return RunsDeleted(0, 0)
    before = datetime.now(UTC) - timedelta(days=settings.dagster_run_retention_days)
    return delete_old_runs(instance, checks, before, time_left, dry_run=dry_run)


def held_lines(plan: ExpiryPlan) -> list[str]:
    """What stays although it expired, in words."""
    return [
        f"{count} expired slices of {table} stay: {referrer} refers to them and stays"
        for (table, referrer), count in sorted(plan.expiry.held.items())
    ]
