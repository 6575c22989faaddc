"""Asset `reconstructed_cohorts`: the slots of a past day that nobody observed, and the wallets they can be made of.

Belongs here: which slots of a day are reconstructed, whom from, and what to say when there is nothing. Does not belong here:
metrics, grades and scores of such a slot: the derived assets make them as they make those of any other (`assets.reconcile`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import dagster as dg
import pandas as pd

from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.summaries import median
from hl_assets.assets.verdict import Verdict, blocking_results, judge, refusal
from hl_assets.assets.window import LATE_FETCH, partition_day
from hl_assets.checks.results import NON_EMPTY, ROW_COUNT_DRIFT, drift_result, non_empty_result
from hl_assets.failures import classified_failures
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.contract import RECONSTRUCTED
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, day_bounds, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Publication
from hl_assets.warehouse.slices import Slice, Withdrawal

STEPS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "10m": SLOT}
"""The grains that a day can be reconstructed at; each divides it."""

# A wallet that no slot at or after this one answered for is left out: how it went on after its last answer is unknown.
_COHORT_SQL = """
SELECT wallet, confirmed_by, newest_point, n_points
FROM (
    SELECT wallet, min(as_of) AS confirmed_by
    FROM portfolio_fetches
    WHERE status = 'ok' AND as_of >= {slot:DateTime('UTC')} AND as_of <= {known_through:DateTime('UTC')}
    GROUP BY wallet
) AS answered
INNER JOIN (
    SELECT wallet, max(ts) AS newest_point, uniqExact(ts) AS n_points
    FROM portfolio_points
    WHERE scope = 'all' AND ts <= {slot:DateTime('UTC')} AND as_of <= {known_through:DateTime('UTC')}
    GROUP BY wallet
) AS points USING (wallet)
ORDER BY wallet
"""
_REACH_SQL = """
SELECT count(), min(ts), (SELECT max(as_of) FROM portfolio_fetches WHERE status = 'ok')
FROM portfolio_points WHERE scope = 'all'
"""


class ReconstructionConfig(dg.Config):
    """Run configuration of `reconstructed_cohorts`."""

    every: Literal["1d", "1h", "10m"] = "1d"
    """Grain: a slot at the beginning of each such stretch of the day in which nothing was observed."""

    full_refresh: bool = False
    """Choose the wallets of slots that are reconstructed already again, from what is stored by now."""


@slot_asset(
    RECONSTRUCTED_COHORTS,
    layer="bookkeeping",
    grain="wallet_x_slot",
    group="history",
    owner="data-platform",
    deps=["portfolio_histories"],
    coverage=False,
    description=(
        "The slots of a past day that nobody observed, and the wallets that later answers tell about. From them metrics, "
        "grades and scores of that time are derived with points dated at or before the slot, marked `reconstructed` and never "
        "pooled with observed slots. Survivors only: whoever was gone before anything was stored is not among them. No tick "
        "runs this; `hl-assets backfill` and the job `reconstruct` do."
    ),
)
def reconstructed_cohorts(
    context: dg.AssetExecutionContext,
    config: ReconstructionConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Fix the wallets of the day's slots that were not observed."""
    started = time.perf_counter()
    with classified_failures(), warehouse.open_run(context.run, "reconstructed_cohorts") as session:
        plan = _plan(session, partition_day(context), config, settings.now())
        cohorts = {slot: _cohort(session.store, slot, plan) for slot in plan.wanted}
        found = {slot: frame for slot, frame in cohorts.items() if not frame.empty}
        if not (found or plan.kept or plan.observed):
            raise dg.Failure(_nothing(session.store, plan), allow_retries=False)
        verdicts = [judge([(RECONSTRUCTED_COHORTS, frame)]) for frame in found.values()]
        refused = [verdict.summary for verdict in verdicts if not verdict.publishable]
        if refused:
            yield from _check_results(session, settings, verdicts, plan, found)
            raise refusal(refused[0], [slot_text(slot) for slot in found])
        _publish(session, found, plan)
        newest = max([*plan.kept, *found], default=day_bounds(plan.day)[0])
        rows = session.store.read_table(RECONSTRUCTED_COHORTS, as_of=newest)
        yield dg.MaterializeResult(
            check_results=list(_check_results(session, settings, verdicts, plan, found)),
            metadata=slot_metadata(
                RECONSTRUCTED_COHORTS,
                slot=newest,
                frame=rows,
                rows_of_day=session.rows_of_day(RECONSTRUCTED_COHORTS, plan.day),
                seconds=time.perf_counter() - started,
                extra=_facts(plan, found, rows),
            ),
        )


@dataclass(frozen=True)
class _Plan:
    """What a run is to do.

    Attributes:
        day: UTC day.
        every: Grain.
        wanted: Slots to choose wallets for, oldest first.
        kept: Slots of the day whose wallets are chosen already and stay.
        obsolete: Slots that were observed after all (imported later, say).
        observed: How many slots of the day were observed.
        known_through: Newest slot with answers; None if there is none.
    """

    day: date
    every: str
    wanted: Sequence[datetime]
    kept: Sequence[datetime]
    obsolete: Sequence[datetime]
    observed: int
    known_through: Publication | None


def _plan(session: WarehouseSession, day: date, config: ReconstructionConfig, now: datetime) -> _Plan:
    observed = set(session.manifest.committed_on(PORTFOLIO_FETCHES, day))
    chosen = session.manifest.committed_on(RECONSTRUCTED_COHORTS, day)
    due = unobserved_slots(day, STEPS[config.every], observed, now)
    wanted = due if config.full_refresh else [slot for slot in due if slot not in chosen]
    return _Plan(
        day=day,
        every=config.every,
        wanted=wanted,
        kept=[slot for slot in chosen if slot not in {*observed, *wanted}],
        obsolete=[slot for slot in chosen if slot in observed],
        observed=len(observed),
        known_through=session.manifest.latest_slot(PORTFOLIO_POINTS),
    )


def unobserved_slots(
    day: date, every: timedelta, observed: AbstractSet[datetime], now: datetime
) -> list[datetime]:
    """The slots at the beginnings of a day's stretches in which nothing was observed, oldest first.

    A slot counts once portfolios can no longer be fetched for it: until then it may still be observed.

    Args:
        day: UTC day.
        every: Length of a stretch; divides the day.
        observed: Observed slots.
        now: The present moment.
    """
    begin, end = day_bounds(day)
    stretches = [begin + every * number for number in range((end - begin) // every)]
    return [
        start
        for start in stretches
        if start + LATE_FETCH <= now and not any(start <= slot < start + every for slot in observed)
    ]


def _cohort(store: Warehouse, slot: datetime, plan: _Plan) -> pd.DataFrame:
    """The wallets that a slot can be made of; none if no later answer tells about it."""
    if plan.known_through is None:
        return RECONSTRUCTED_COHORTS.empty()
    bound = {"slot": slot, "known_through": plan.known_through.as_of}
    rows = store.read_frame(_COHORT_SQL, bound)
    confirmed = pd.to_datetime(rows["confirmed_by"], utc=True)
    columns: dict[str, Any] = {
        "as_of": pd.Series([slot] * len(rows), dtype="datetime64[s, UTC]"),
        "wallet": rows["wallet"],
        "every": plan.every,
        "known_through": pd.Series([plan.known_through.as_of] * len(rows), dtype="datetime64[s, UTC]"),
        "confirmed_by": rows["confirmed_by"],
        "hindsight_days": (confirmed - pd.Timestamp(slot)).dt.total_seconds() / 86_400,
        "newest_point": rows["newest_point"],
        "n_points": rows["n_points"],
        "origin": RECONSTRUCTED,
    }
    return RECONSTRUCTED_COHORTS.conform(pd.DataFrame(columns, index=range(len(rows))))


def _publish(session: WarehouseSession, found: Mapping[datetime, pd.DataFrame], plan: _Plan) -> None:
    inputs = {} if plan.known_through is None else {PORTFOLIO_POINTS.name: plan.known_through.version}
    session.publisher.publish(
        [Slice(RECONSTRUCTED_COHORTS, slot, frame) for slot, frame in found.items()],
        session.provenance(RECONSTRUCTED, inputs),
        withdraw=[Withdrawal(RECONSTRUCTED_COHORTS, slot) for slot in plan.obsolete],
    )


def _check_results(
    session: WarehouseSession,
    settings: Settings,
    verdicts: Sequence[Verdict],
    plan: _Plan,
    found: Mapping[datetime, pd.DataFrame],
) -> Iterator[dg.AssetCheckResult]:
    """Verdicts on what this run chose; a day that was observed needs nothing."""
    yield from blocking_results(verdicts)
    if not found:
        facts = {"slots_kept": len(plan.kept), "slots_observed": plan.observed}
        yield dg.AssetCheckResult(check_name=NON_EMPTY, passed=True, metadata=facts)
        yield dg.AssetCheckResult(check_name=ROW_COUNT_DRIFT, passed=True, metadata=facts)
        return
    newest = max(found)
    yield non_empty_result(RECONSTRUCTED_COHORTS, len(found[newest]))
    yield drift_result(
        RECONSTRUCTED_COHORTS,
        len(found[newest]),
        session.rows_before(RECONSTRUCTED_COHORTS, newest),
        settings.max_row_count_drift,
    )


def _nothing(store: Warehouse, plan: _Plan) -> str:
    """Why nothing can be reconstructed, and what is missing."""
    begin, _ = day_bounds(plan.day)
    points, oldest, newest_answer = store.read_rows(_REACH_SQL)[0]
    if not points:
        return (
            f"{plan.day} cannot be reconstructed: no portfolio point is stored. Run a tick first (hl-assets run), or import "
            "a panel (hl-assets import FILE)"
        )
    if not plan.wanted:
        return f"{plan.day} cannot be reconstructed yet: none of its slots is over for an hour, so they may still be observed"
    if oldest > plan.wanted[-1]:
        return (
            f"{plan.day} cannot be reconstructed: the oldest stored point is dated {slot_text(oldest)}. Begin there, or "
            "import older histories (hl-assets import FILE)"
        )
    return (
        f"{plan.day} cannot be reconstructed: no wallet with a point before {slot_text(plan.wanted[-1])} was fetched at or "
        f"after it (the newest answers are of {slot_text(newest_answer) if newest_answer else 'no slot'}), and how histories "
        f"went on after {slot_text(begin)} is unknown. Fetch again first (hl-assets run)"
    )


def _facts(plan: _Plan, found: Mapping[datetime, pd.DataFrame], rows: pd.DataFrame) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "every": plan.every,
        "slots_reconstructed": len(found),
        "slots_kept": len(plan.kept),
        "slots_observed": plan.observed,
        "slots_without_histories": len(plan.wanted) - len(found),
    }
    if rows.empty:
        return facts
    return facts | {
        "known_through": slot_text(rows["known_through"].max().to_pydatetime()),
        "median_hindsight_days": median(rows["hindsight_days"]),
        "survivorship": (
            f"{len(rows)} wallets that were fetched at or after the slot. Who had left the board before anything was stored is "
            "not among them: what they have in common includes having survived"
        ),
    }
