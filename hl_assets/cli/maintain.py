"""`hl-assets maintain`: what the maintenance job does, now and at a terminal.

Belongs here: its order, progress and summary. Does not belong here: the work (`hl_assets.maintenance`).
"""

from collections import Counter
from collections.abc import Callable, Iterator

from dagster import AssetCheckKey, DagsterInstance
from rich.table import Table

from hl_assets import __version__
from hl_assets.cli.console import make_console
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.maintenance.dagster_runs import RunsDeleted
from hl_assets.maintenance.job import (
    WRITE_POOL,
    MaintenanceInterruptedError,
    deadline,
    held_lines,
    holders_of_the_pool,
    prune_runs,
    run_in_the_pool,
)
from hl_assets.maintenance.upkeep import ExpiryPlan, Swept, plan_expiry, sweep_tables, withdraw_expired
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.slices import Provenance

console = make_console()

_SECONDS = 3600.0


def run_maintain(values: dict[str, object], *, dry_run: bool) -> int:
    """Withdraw, sweep and delete old runs; returns the exit status: 1 if the hour was not enough.

    Args:
        values: Settings that were given, by field name.
        dry_run: Only say what would be done.

    Raises:
        CommandError: The run that was to withdraw was ended from outside.
    """
    settings = Settings.load(**values)
    resource = WarehouseResource.from_settings(settings)
    time_left = deadline(_SECONDS)
    run_id = f"maintain-{slot_text(settings.now())}"
    with (
        progress_bar(console, "Maintaining"),
        resource.open(run_id, "maintenance") as session,
        DagsterInstance.from_config(str(prepare_dagster_home(settings))) as instance,
    ):
        provenance = Provenance(run_id, __version__, settings.origin)

        def withdraw() -> tuple[ExpiryPlan, int]:
            found = _plan(session, settings)
            return found, withdraw_expired(session.publisher, found, provenance, time_left)

        if dry_run:
            plan, withdrawn = _plan(session, settings), 0
        else:
            _say_who_is_waited_for(instance)
            plan, withdrawn = _in_the_pool(instance, withdraw)
        swept = sweep_tables(session.publisher, time_left, dry_run=dry_run)
        runs = prune_runs(instance, _check_keys(settings), settings, time_left, dry_run=dry_run)
    complete = swept.finished and runs.finished and (dry_run or withdrawn == len(plan.expiry.removable))
    for line in _summary(settings, plan, swept, runs, dry_run=dry_run):
        console.print(line, highlight=False, soft_wrap=True)
    if not complete:
        console.print("The hour is over; run it again for the rest.", style="yellow")
    return 0 if complete else 1


def _in_the_pool(
    instance: DagsterInstance, withdraw: Callable[[], tuple[ExpiryPlan, int]]
) -> tuple[ExpiryPlan, int]:
    try:
        return run_in_the_pool(instance, withdraw, 2 * _SECONDS)
    except MaintenanceInterruptedError as error:
        raise CommandError(str(error)) from error


def _plan(session: WarehouseSession, settings: Settings) -> ExpiryPlan:
    return plan_expiry(session.store, settings.retention_rules, settings.now())


def _say_who_is_waited_for(instance: DagsterInstance) -> None:
    holders = holders_of_the_pool(instance)
    if holders:
        console.print(
            f"Waiting for the pool {WRITE_POOL}, which {', '.join(holders)} holds: nothing is withdrawn while slots are derived.",
            highlight=False,
            soft_wrap=True,
        )


def _check_keys(settings: Settings) -> list[AssetCheckKey]:
    from hl_assets.definitions import build_defs  # noqa: PLC0415 - takes seconds, and other steps come first

    return list(build_defs(settings).resolve_asset_graph().asset_check_keys)


def _summary(
    settings: Settings, plan: ExpiryPlan, swept: Swept, runs: RunsDeleted, *, dry_run: bool
) -> Iterator[str | Table]:
    verb = "would be" if dry_run else "were"
    if not settings.retention_rules:
        yield "RETENTION is not set: every slot stays for ever."
    elif plan.expired:
        yield _expired_table(plan)
        yield from held_lines(plan)
    else:
        yield "No slice has expired."
    if plan.expiry.removable:
        yield (
            f"{len(plan.expiry.removable)} slices {verb} withdrawn; their rows leave the disk with a sweep at least a minute "
            "later, which the daily job does."
        )
    rows = ", ".join(f"{count:,} of {table}" for table, count in swept.rows.items()) or "none"
    yield f"Rows that nobody can see any more: {rows}; they {verb} deleted."
    yield (
        f"Dagster: {runs.deleted} runs older than {settings.dagster_run_retention_days} days {verb} deleted, {runs.kept} stay "
        "because a partition or check still shows them."
        if settings.dagster_run_retention_days
        else "Dagster's runs stay: DAGSTER_RUN_RETENTION_DAYS is 0."
    )


def _expired_table(plan: ExpiryPlan) -> Table:
    table = Table("table", "expired slots", "may go", "rows", box=None, header_style="bold")
    expired = Counter(name for name, _ in plan.expired)
    for name, count in expired.items():
        table.add_row(name, f"{count:,}", f"{len(plan.of_table(name)):,}", f"{plan.rows(name):,}")
    return table
