"""What a backfill has to do, day by day: rebuild observed slots, reconstruct unobserved ones, or nothing.

Belongs here: planning from what is published. Does not belong here: running a day (`cli.backfill`, or Dagster's own backfills
of the jobs `rebuild` and `reconstruct`), deriving a slot (`assets.reconcile`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hl_assets.assets import ai_grades, equity_curves, tracked_wallets, wallet_metrics, wallet_scores
from hl_assets.assets.derivation import Lineage
from hl_assets.assets.quarantine import read_quarantine
from hl_assets.assets.reconcile import Effort, slot_tasks, stale_slots
from hl_assets.assets.reconstructed_cohorts import unobserved_slots
from hl_assets.jobs import DERIVED_ASSETS, RECONSTRUCTED_ASSETS, rebuild_job, reconstruct_job
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.slots import day_bounds, day_of
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest, Publication

LINEAGES: Mapping[str, Lineage] = {
    "tracked_wallets": tracked_wallets.LINEAGE,
    "equity_curves": equity_curves.LINEAGE,
    "wallet_metrics": wallet_metrics.LINEAGE,
    "ai_grades": ai_grades.LINEAGE,
    "wallet_scores": wallet_scores.LINEAGE,
}
"""Asset -> its tables."""
BACKFILLED_ASSETS = tuple(dict.fromkeys((RECONSTRUCTED_ASSETS[0], *DERIVED_ASSETS)))

_OLDEST_POINT_SQL = "SELECT min(ts) FROM portfolio_points HAVING count() > 0"


@dataclass(frozen=True)
class Step:
    """One run of one day.

    Attributes:
        job: Name of the job.
        assets: Assets of it that are materialised.
    """

    job: str
    assets: tuple[str, ...]


@dataclass(frozen=True)
class DayPlan:
    """What there is to do for a day.

    Attributes:
        day: UTC day.
        observed: Slots that were observed.
        reconstructed: Slots that are reconstructed, or are to be.
        steps: Runs it takes; none if the day is up to date or impossible.
        impossible: Why nothing can be done; None if something can be.
    """

    day: date
    observed: int
    reconstructed: int
    steps: tuple[Step, ...] = ()
    impossible: str | None = None


@dataclass(frozen=True)
class BackfillRequest:
    """What is asked for.

    Attributes:
        first: First UTC day.
        last: Last UTC day.
        every: Grain of what is reconstructed.
        assets: Assets, in the order of the flow.
        full_refresh: Whether what is up to date is made again too.
    """

    first: date
    last: date
    every: timedelta
    assets: Sequence[str]
    full_refresh: bool

    @property
    def days(self) -> list[date]:
        """Every day, oldest first: a slot's trend reads the days before."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def plan_backfill(store: Warehouse, request: BackfillRequest, now: datetime) -> list[DayPlan]:
    """What there is to do, day by day, oldest first; quarantined slots are tried again.

    Args:
        store: The warehouse; its tables exist.
        request: What is asked for.
        now: The present moment.
    """
    lineages = {name: LINEAGES[name] for name in request.assets if name in LINEAGES}
    tables = {t for lineage in lineages.values() for t in (*lineage.sources, *lineage.tables)}
    manifest = Manifest(store)
    bounds = day_bounds(request.first)[0], day_bounds(request.last)[1]
    published = manifest.committed_together({*tables, PORTFOLIO_FETCHES, RECONSTRUCTED_COHORTS}, *bounds)
    by_day = _by_day(published)
    oldest = store.read_rows(_OLDEST_POINT_SQL)
    begins = day_of(oldest[0][0]) if oldest else None
    planner = _Planner(request, lineages, begins, now, _stale_by_day(store, lineages, published, request))
    return [planner.plan(day, by_day.get(day, {})) for day in request.days]


def _by_day(
    published: Mapping[str, Mapping[datetime, Publication]],
) -> dict[date, dict[str, set[datetime]]]:
    """Day -> table -> its published slots."""
    found: dict[date, dict[str, set[datetime]]] = {}
    for table, slots in published.items():
        for slot in slots:
            found.setdefault(day_of(slot), {}).setdefault(table, set()).add(slot)
    return found


def _stale_by_day(
    store: Warehouse,
    lineages: Mapping[str, Lineage],
    published: Mapping[str, Mapping[datetime, Publication]],
    request: BackfillRequest,
) -> dict[str, set[date]]:
    """Asset -> days with slots that are not derived from what is published now."""
    effort = Effort(full_refresh=request.full_refresh, retry_quarantined=True)
    stale: dict[str, set[date]] = {}
    for name, lineage in lineages.items():
        tasks = slot_tasks(lineage, published)
        if lineage.newest_only:
            newest = {day_of(slot): slot for slot in sorted(tasks)}
            tasks = {slot: tasks[slot] for slot in newest.values()}
        slots = stale_slots(lineage, tasks, published, effort, read_quarantine(store, lineage.target))
        stale[name] = {day_of(slot) for slot in slots}
    return stale


@dataclass(frozen=True)
class _Planner:
    """Plans days one by one.

    Attributes:
        request: What is asked for.
        lineages: Derived assets that are asked for.
        begins: Day of the oldest stored point; None if there is none.
        now: The present moment.
        stale: Asset -> days with stale slots.
    """

    request: BackfillRequest
    lineages: Mapping[str, Lineage]
    begins: date | None
    now: datetime
    stale: Mapping[str, set[date]]

    def plan(self, day: date, slots: Mapping[str, set[datetime]]) -> DayPlan:
        observed = slots.get(PORTFOLIO_FETCHES.name, set())
        chosen = slots.get(RECONSTRUCTED_COHORTS.name, set())
        due = unobserved_slots(day, self.request.every, observed, self.now)
        if not observed and not chosen:
            why = self._impossible(day, due)
            if why is not None:
                return DayPlan(day, 0, 0, impossible=why)
        wants_cohorts = self.request.full_refresh or not set(due) <= chosen
        steps = [
            *self._steps(rebuild_job.name, DERIVED_ASSETS, day, wanted=bool(observed), more=False),
            *self._steps(
                reconstruct_job.name,
                RECONSTRUCTED_ASSETS,
                day,
                wanted=bool(due or chosen - observed),
                more=wants_cohorts and bool(due),
            ),
        ]
        return DayPlan(day, len(observed), len({*due, *chosen} - observed), tuple(steps))

    def _steps(self, job: str, of_job: Sequence[str], day: date, *, wanted: bool, more: bool) -> list[Step]:
        """The run of a job, unless what is asked for of it is up to date."""
        assets = tuple(name for name in of_job if name in self.request.assets)
        stale = any(day in self.stale[name] for name in assets if name in self.stale)
        return [Step(job, assets)] if assets and wanted and (stale or more) else []

    def _impossible(self, day: date, due: Sequence[datetime]) -> str | None:
        if self.begins is None:
            return "nothing is stored: no portfolio was ever fetched or imported"
        if day < self.begins:
            return f"no stored point is older than {self.begins}"
        if not due:
            return "no slot of it is over for an hour yet"
        return None
