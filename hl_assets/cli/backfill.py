"""`hl-assets backfill`: past days rebuilt or reconstructed, one run of Dagster's a day.

Belongs here: options, running the days one after another, continuing what was cut short, progress and summary. Does not belong
here: what a day takes (`assets.backfilling`), the steps themselves.

Days run oldest first in this process, each as a run that Dagster's UI shows, with its own verdict of the checks. What is up to
date is left out, so the same command goes on where it was cut short; a full refresh, which cannot see that from the tables,
goes on with `--resume` from the runs that are tagged with it.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from hl_assets.cli.console import harmless, make_console
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.cli.logs import log_of_run
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.cli.run_results import failures
from hl_assets.progress import Progress, announce
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.settings import Settings
from hl_assets.slots import day_of, parse_instant

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobDefinition

    from hl_assets.assets.backfilling import BackfillRequest, DayPlan, Step

console = make_console()

BACKFILL_TAG = "hl_assets/backfill"
OPTIONS_TAG = "hl_assets/backfill_options"
GRAINS = ("1d", "1h", "10m")
_SHOWN = 20


@dataclass(frozen=True)
class Options:
    """What is asked for, as text: it is kept in the tags of the runs, for `--resume`.

    Attributes:
        first: First UTC day; None only where an earlier backfill is resumed.
        last: Last UTC day; None: today.
        every: Grain of what is reconstructed.
        assets: Assets; empty: all.
        full_refresh: Whether what is up to date is made again too.
        batch: Whether the model is asked in batches.
    """

    first: str | None
    last: str | None
    every: str = "1d"
    assets: Sequence[str] = ()
    full_refresh: bool = False
    batch: bool = False

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(self.__dict__, sort_keys=True)


@dataclass
class _Tally:
    """What came of the days."""

    ran: int = 0
    slots: int = 0
    failed: dict[date, list[str]] = field(default_factory=dict)


def run_backfill(values: dict[str, object], options: Options, *, resume: str | None, dry_run: bool) -> int:
    """Rebuild or reconstruct days; returns the exit status: 0 all of them, 1 some failed or cannot be done.

    Args:
        values: Settings that were given, by field name.
        options: What is asked for.
        resume: Id of a backfill to go on with, as it was asked for then.
        dry_run: Only say what would be done.

    Raises:
        CommandError: Options that cannot be, nothing stored at all, or nothing to resume.
    """
    from dagster import DagsterInstance  # noqa: PLC0415 - takes seconds; other commands do without

    from hl_assets.assets.backfilling import plan_backfill  # noqa: PLC0415

    settings = Settings.load(**values)
    level = log_of_run(settings, verbose=False)
    home = prepare_dagster_home(settings)
    with DagsterInstance.from_config(str(home)) as instance:
        done: set[tuple[date, str]] = set()
        if resume is not None:
            options, done = _resumed(instance, resume)
        request = _request(options, settings)
        options = replace(options, first=request.first.isoformat(), last=request.last.isoformat())
        name = resume or f"{settings.now():%Y%m%dT%H%M%S}-{time.time_ns() % 10_000:04d}"
        with WarehouseResource.from_settings(settings).open("", "backfill") as session:
            plans = plan_backfill(session.store, request, settings.now())
            _say_plan(plans, request)
            if dry_run:
                return 0
            run = _Days(settings, instance, options, name, session, done, level)
            return _run_all(run, [plan for plan in plans if plan.steps], plans)


def _request(options: Options, settings: Settings) -> "BackfillRequest":
    from hl_assets.assets.backfilling import BACKFILLED_ASSETS, BackfillRequest  # noqa: PLC0415
    from hl_assets.assets.reconstructed_cohorts import STEPS  # noqa: PLC0415

    if options.first is None:
        raise CommandError("--from is needed: the first day to backfill, e.g. --from 2026-05-01")
    today = day_of(settings.now())
    first, last = _day(options.first), today if options.last is None else _day(options.last)
    if first > last:
        raise CommandError(f"--from {first} is after --to {last}")
    if first < settings.start_date or last > today:
        raise CommandError(
            f"{first} to {last}: there are partitions from {settings.start_date} (HL_ASSETS_START_DATE) to {today}"
        )
    unknown = [name for name in options.assets if name not in BACKFILLED_ASSETS]
    if unknown:
        raise CommandError(
            f"--assets {', '.join(unknown)}: not a derived asset; there are {', '.join(BACKFILLED_ASSETS)}"
        )
    assets = [name for name in BACKFILLED_ASSETS if not options.assets or name in options.assets]
    return BackfillRequest(first, last, STEPS[options.every], assets, options.full_refresh)


def _day(text: str) -> date:
    instant = parse_instant(text)
    if len(text) != len("2026-05-31"):
        raise CommandError(f"{text!r}: a backfill goes by whole UTC days, e.g. {day_of(instant)}")
    return day_of(instant)


def _resumed(instance: "DagsterInstance", name: str) -> tuple[Options, set[tuple[date, str]]]:
    """What an earlier backfill was asked for, and the days and jobs that it finished."""
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415

    runs = instance.get_runs(RunsFilter(tags={BACKFILL_TAG: name}))
    if not runs:
        raise CommandError(
            f"--resume {name}: Dagster knows no run of such a backfill; start it with --from and --to"
        )
    options = Options(**json.loads(runs[0].tags[OPTIONS_TAG]))
    finished = [run for run in runs if run.status == DagsterRunStatus.SUCCESS]
    return options, {(date.fromisoformat(run.tags["dagster/partition"]), run.job_name) for run in finished}


def _say_plan(plans: Sequence["DayPlan"], request: "BackfillRequest") -> None:
    """What there is to do; nothing stored at all is an error."""
    todo = [plan for plan in plans if plan.steps]
    impossible = [plan for plan in plans if plan.impossible]
    if len(impossible) == len(plans):
        raise CommandError(
            f"nothing between {request.first} and {request.last} can be backfilled: {impossible[-1].impossible}. Fetch first "
            "(hl-assets run), or import a panel or an export (hl-assets import FILE)"
        )
    up_to_date = len(plans) - len(todo) - len(impossible)
    observed = sum(plan.observed for plan in todo)
    reconstructed = sum(plan.reconstructed for plan in todo)
    console.print(
        f"{len(todo)} of {len(plans)} days to do: {observed:,} observed slots to rebuild where stale, {reconstructed:,} to "
        f"reconstruct; {up_to_date} up to date, {len(impossible)} impossible.",
        highlight=False,
        soft_wrap=True,
    )
    for why in dict.fromkeys(plan.impossible for plan in impossible):
        days = [plan.day for plan in impossible if plan.impossible == why]
        console.print(f"  {days[0]} to {days[-1]} ({len(days)} days): {why}", highlight=False, soft_wrap=True)


def _run_all(run: "_Days", todo: Sequence["DayPlan"], plans: Sequence["DayPlan"]) -> int:
    began = time.perf_counter()
    tally = _Tally()
    try:
        with progress_bar(console, "Backfilling"):
            announce(Progress("days", 0, len(todo)))
            for number, plan in enumerate(todo, start=1):
                run.day(plan, tally)
                announce(Progress("days", number, len(todo), len(tally.failed)))
    finally:
        _summary(run, tally, len(todo), time.perf_counter() - began)
    return 1 if tally.failed or any(plan.impossible for plan in plans) else 0


@dataclass
class _Days:
    """Runs the days.

    Attributes:
        settings: The platform's.
        instance: Dagster's.
        options: What is asked for.
        name: Id of the backfill.
        session: The warehouse, for counting.
        done: Days and jobs that an earlier part of it finished.
        log_level: From which level its runs print their log.
    """

    settings: Settings
    instance: "DagsterInstance"
    options: Options
    name: str
    session: WarehouseSession
    done: set[tuple[date, str]]
    log_level: str

    def __post_init__(self) -> None:
        from hl_assets.definitions import build_defs  # noqa: PLC0415

        definitions = build_defs(self.settings)
        self._job: Callable[[str], JobDefinition] = definitions.resolve_job_def

    def day(self, plan: "DayPlan", tally: _Tally) -> None:
        """Run what a day takes; a day that fails does not keep the next ones."""
        for step in plan.steps:
            if (plan.day, step.job) in self.done:
                continue
            troubles = self._run(plan.day, step)
            if troubles:
                tally.failed.setdefault(plan.day, []).extend(troubles)
        tally.ran += 1
        tally.slots += self._slots(plan.day)

    def _run(self, day: date, step: "Step") -> list[str]:
        from dagster import AssetKey  # noqa: PLC0415

        from hl_assets.jobs import console_log  # noqa: PLC0415

        result = self._job(step.job).execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            asset_selection=[AssetKey(name) for name in step.assets],
            tags={BACKFILL_TAG: self.name, OPTIONS_TAG: self.options.to_json()},
            run_config={
                "ops": {name: {"config": self._config(name)} for name in step.assets},
                **console_log(self.log_level),
            },
            raise_on_error=False,
        )
        return [] if result.success else list(failures(result)) or [f"run {result.run_id} failed"]

    def _config(self, asset: str) -> dict[str, Any]:
        refresh = {"full_refresh": self.options.full_refresh}
        if asset == "reconstructed_cohorts":
            return {**refresh, "every": self.options.every}
        more = {"batch": self.options.batch} if asset == "ai_grades" else {}
        return {**refresh, **more, "retry_quarantined": True}

    def _slots(self, day: date) -> int:
        from hl_assets.schemas.scores import WALLET_SCORES  # noqa: PLC0415

        return len(self.session.manifest.committed_on(WALLET_SCORES, day))


def _summary(run: _Days, tally: _Tally, wanted: int, seconds: float) -> None:
    if tally.failed:
        console.print(_failed_table(tally.failed))
    rate = f", {tally.slots / seconds:.2f} slots/s" if tally.slots and seconds > 0 else ""
    console.print(
        f"Backfill {run.name}: {tally.ran} of {wanted} days, {tally.slots:,} slots scored on them, "
        f"{len(tally.failed)} days failed; {seconds:.1f} s{rate}.",
        highlight=False,
        soft_wrap=True,
    )
    for line in _next(run, tally, wanted):
        console.print(line, highlight=False, soft_wrap=True)


def _next(run: _Days, tally: _Tally, wanted: int) -> Iterator[str]:
    source = "" if run.settings.source == "sandbox" else f" --source {run.settings.source}"
    if tally.ran < wanted or tally.failed:
        yield f"Go on with: hl-assets backfill --resume {run.name}{source}"
    elif tally.ran:
        yield f"Next: hl-assets top --as-of {run.options.last}T23:50:00Z{source}"


def _failed_table(failed: dict[date, list[str]]) -> Table:
    table = Table(title="Failed", title_justify="left", header_style="bold")
    table.add_column("day")
    table.add_column("why", overflow="fold")
    for day, troubles in list(failed.items())[:_SHOWN]:
        table.add_row(day.isoformat(), Text(harmless("\n".join(troubles))))
    if len(failed) > _SHOWN:
        table.add_row("...", f"{len(failed) - _SHOWN} more; every run is in Dagster's UI")
    return table
