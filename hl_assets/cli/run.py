"""`hl-assets run`: materialise one slot through Dagster and print the ranked traders with timings.

Belongs here: putting the pieces of one run together and showing what happened. Does not belong here: the steps
themselves (`hl_assets.assets`).
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table

from hl_assets.cli import local_exchange
from hl_assets.cli.console import harmless, make_console
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.cli.logs import log_of_run
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.cli.run_results import failed_checks, failures
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant, slot_of, slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from dagster import DagsterEvent, ExecuteInProcessResult

console = make_console()

LIVE_HINT = "for the live exchange: hl-assets run --source live"


def run_slot(values: dict[str, object], as_of: str | None, rows: int, *, verbose: bool) -> int:
    """Run one slot; returns the exit status: 0 materialised, 1 failed.

    Raises:
        CommandError: The options contradict each other, or a local process did not start.
    """
    settings = Settings.load(**values)
    slot = None if as_of is None else slot_of(parse_instant(as_of))
    _refuse_past_of_live(settings, slot)
    console.print(_first_line(settings), highlight=False, soft_wrap=True)
    started = time.perf_counter()
    with ExitStack() as stack:
        if settings.source != "live":
            process = local_exchange.start_process(settings, slot)
            stack.callback(local_exchange.stop, process)
            import dagster  # noqa: F401, PLC0415 - takes seconds, while the exchange gets ready

            exchange = stack.enter_context(local_exchange.running(process))
            if settings.source == "recorded" and slot is None:
                slot = slot_of(exchange.now())
            values = {**values, **exchange.settings_values(settings), "clock": slot}
        settings = Settings.load(**values)
        slot = slot or slot_of(settings.now())
        outcome = _execute(settings, slot, verbose=verbose)
        return _report(outcome, settings, rows, time.perf_counter() - started)


def _first_line(settings: Settings) -> str:
    if settings.source == "live":
        return f"Source: the live exchange at {settings.info_url}."
    if settings.source == "recorded":
        return f"Source: the recording {settings.recording}, replayed by a local exchange ({LIVE_HINT})."
    return f"Source: the sandbox, {settings.sandbox_wallets:,} simulated wallets ({LIVE_HINT})."


def _refuse_past_of_live(settings: Settings, slot: datetime | None) -> None:
    if settings.source == "live" and slot is not None and slot != slot_of(settings.now()):
        raise CommandError(
            f"--as-of {slot_text(slot)}: the live exchange only knows the present, and the present cannot be taken for the "
            "past. Leave --as-of out, or use --source sandbox or recorded"
        )


@dataclass(frozen=True)
class _Outcome:
    """What a run did."""

    slot: datetime
    result: "ExecuteInProcessResult"
    step_seconds: dict[str, float]
    seconds: float
    warehouse: WarehouseConfig


def _execute(settings: Settings, slot: datetime, *, verbose: bool) -> _Outcome:
    from dagster import DagsterInstance  # noqa: PLC0415 - takes seconds; other commands do without

    from hl_assets.definitions import build_defs  # noqa: PLC0415
    from hl_assets.jobs import console_log  # noqa: PLC0415
    from hl_assets.partitions import SLOT_TAG, partition_key  # noqa: PLC0415
    from hl_assets.resources.warehouse import warehouse_config  # noqa: PLC0415

    level = log_of_run(settings, verbose=verbose)
    job = build_defs(settings).resolve_job_def("tick")
    with DagsterInstance.from_config(str(prepare_dagster_home(settings))) as instance, progress_bar(console):
        started = time.perf_counter()
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition_key(slot),
            tags={SLOT_TAG: slot_text(slot)},
            # What failed is printed at the end; the log is for those who ask for it.
            run_config=console_log(level),
            raise_on_error=False,
        )
        seconds = time.perf_counter() - started
        stats = instance.get_run_step_stats(result.run_id)
        step_seconds = {
            step.step_key: step.end_time - step.start_time
            for step in sorted(stats, key=lambda step: step.start_time or 0)
            if step.start_time is not None and step.end_time is not None
        }
        return _Outcome(slot, result, step_seconds, seconds, warehouse_config(settings))


def _report(outcome: _Outcome, settings: Settings, rows: int, total_seconds: float) -> int:
    from hl_assets.cli.ranking import ranking_table, read_ranking  # noqa: PLC0415

    if outcome.result.success:
        with Warehouse(outcome.warehouse, comment={"command": "hl-assets run"}) as store:
            ranking = read_ranking(store, outcome.slot, rows)
        console.print(ranking_table(ranking, settings.source, console.width))
    console.print(_steps_table(outcome))
    for line in (*failures(outcome.result), *failed_checks(outcome.result)):
        console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)
    verdict = "materialised" if outcome.result.success else "FAILED"
    console.print(
        f"Slot {slot_text(outcome.slot)} {verdict} in {outcome.seconds:.1f} s ({total_seconds:.1f} s with start-up); "
        f"{_next_steps(settings)}",
        highlight=False,
        soft_wrap=True,
    )
    return 0 if outcome.result.success else 1


def _next_steps(settings: Settings) -> str:
    """What to do next."""
    source = "" if settings.source == "sandbox" else f" --source {settings.source}"
    return f"next: hl-assets top{source}, hl-assets wallet ADDRESS{source}, hl-assets dev"


def _steps_table(outcome: _Outcome) -> Table:
    table = Table(title="Steps", title_justify="left", header_style="bold")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("checks")
    for step, seconds in outcome.step_seconds.items():
        materialised = outcome.result.asset_materializations_for_node(step)
        rows = str(materialised[0].metadata["rows"].value) if materialised else "-"
        table.add_row(step, f"{seconds:.2f}", rows, _checks_summary(outcome.result, step))
    return table


def _checks_summary(result: "ExecuteInProcessResult", step: str) -> str:
    """Which checks of a step did not pass, or how many there were."""
    evaluations = [
        event.asset_check_evaluation_data for event in result.all_events if _is_check_of(event, step)
    ]
    failed = [f"{e.check_name} ({e.severity.value.lower()})" for e in evaluations if not e.passed]
    return ", ".join(failed) if failed else f"{len(evaluations)} passed"


def _is_check_of(event: "DagsterEvent", step: str) -> bool:
    return event.step_key == step and event.event_type_value == "ASSET_CHECK_EVALUATION"
