"""Asset `portfolio_histories`: the histories of the wallets a slot wants, and what came of asking for each.

Belongs here: choosing what is still missing, fetching it, shaping and publishing both tables in one commit. Does not
belong here: requests (`exchange`), stitching (`equity`), which points are new (`assets.points`).
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd
from dagster import DagsterLogManager

from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.fetch_plan import Selection, select_planned, select_stored, select_top
from hl_assets.assets.points import PointCounts, WalletPoints, new_points, read_points
from hl_assets.assets.progress_log import progress_logged
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.verdict import blocking_results, judge, refusal
from hl_assets.assets.window import RunWindow, nothing_stored, run_window
from hl_assets.checks.results import Coverage, coverage_result, drift_result, non_empty_result
from hl_assets.exchange.config import info_weight
from hl_assets.exchange.payloads import PortfolioWindowName
from hl_assets.exchange.planner import PlanRules
from hl_assets.exchange.responses import PortfolioOutcome
from hl_assets.exchange.selection import TopN
from hl_assets.failures import classified_failures
from hl_assets.progress import Progress, announce
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.portfolio import FETCH_STATUSES, PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.slices import Slice

_VOLUMES: dict[PortfolioWindowName, str] = {
    "day": "day_volume",
    "week": "week_volume",
    "month": "month_volume",
    "allTime": "all_time_volume",
}


@slot_asset(
    PORTFOLIO_FETCHES,
    layer="raw",
    grain="wallet_x_slot",
    group="exchange",
    owner="data-platform",
    deps=["leaderboard"],
    description=(
        "Portfolio histories of the slot's top wallets (or of a plan over the whole board, FETCH_PLAN): every point the exchange gave, stored once with the slot that saw "
        "it first, and one row per wanted wallet that says what came of asking. A wallet's failure is a row, not a failed "
        "tick; running a slot again fetches only what is missing or failed."
    ),
)
def portfolio_histories(
    context: dg.AssetExecutionContext,
    exchange: dg.ResourceParam[Exchange],
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Fetch what the slot still misses, and publish outcomes and new points together."""
    started = time.perf_counter()
    with classified_failures(), warehouse.open_run(context.run, "portfolio_histories") as session:
        window = run_window(context, exchange.now())
        wanted = _wanted(session, window, exchange, settings)
        fetched = _fetch_missing(wanted, window, exchange, settings, context.log)
        frames = _frames(session.store, wanted, fetched, exchange.origin)
        verdict = judge([(PORTFOLIO_FETCHES, frames.fetches), (PORTFOLIO_POINTS, frames.points)])
        results = [
            *blocking_results([verdict]),
            non_empty_result(PORTFOLIO_FETCHES, len(frames.fetches)),
            drift_result(
                PORTFOLIO_FETCHES,
                len(frames.fetches),
                session.rows_before(PORTFOLIO_FETCHES, wanted.slot),
                settings.max_row_count_drift,
            ),
            coverage_result(_coverage(frames.fetches), settings.min_coverage),
        ]
        if not verdict.publishable:
            yield from results
            raise refusal(verdict.summary, [slot_text(wanted.slot)])
        if fetched:
            session.publisher.publish(
                [
                    Slice(PORTFOLIO_FETCHES, wanted.slot, frames.fetches),
                    Slice(PORTFOLIO_POINTS, wanted.slot, frames.points),
                ],
                provenance=session.provenance(
                    exchange.origin, {LEADERBOARD_SNAPSHOTS.name: wanted.board_version}
                ),
            )
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                PORTFOLIO_FETCHES,
                slot=wanted.slot,
                frame=frames.fetches,
                preview_of=frames.fetches.sort_values("selection_rank"),
                rows_of_day=session.rows_of_day(PORTFOLIO_FETCHES, window.day),
                seconds=time.perf_counter() - started,
                extra={**_facts(frames.fetches, fetched), **wanted.selection.facts},
            ),
        )


@dataclass(frozen=True)
class _Wanted:
    """The wallets a slot wants, and what is stored for it already."""

    slot: datetime
    selection: Selection
    board_version: int
    stored_fetches: pd.DataFrame
    stored_points: pd.DataFrame

    @property
    def missing(self) -> list[str]:
        """Wanted wallets without an answer, best first."""
        answered = set(self.stored_fetches.loc[self.stored_fetches["status"] != "failed", "wallet"])
        return [wallet for wallet in self.selection.reasons if wallet not in answered]


@dataclass(frozen=True)
class _Frames:
    """What the slot's two tables hold once everything fetched is added."""

    fetches: pd.DataFrame
    points: pd.DataFrame


def _wanted(session: WarehouseSession, window: RunWindow, exchange: Exchange, settings: Settings) -> _Wanted:
    slot = _slot_to_fill(session, window)
    board = session.manifest.committed_on(LEADERBOARD_SNAPSHOTS, window.day).get(slot)
    if board is None:
        raise dg.Failure(
            f"no leaderboard is stored for slot {slot_text(slot)}, so nobody knows whom to fetch: materialise "
            "leaderboard for this slot first (the job `tick` does both)",
            allow_retries=False,
        )
    stored_fetches = session.store.read_table(PORTFOLIO_FETCHES, as_of=slot)
    return _Wanted(
        slot=slot,
        selection=_selection(
            session.store, slot, window, stored_fetches, exchange=exchange, settings=settings
        ),
        board_version=board.version,
        stored_fetches=stored_fetches,
        stored_points=session.store.read_table(PORTFOLIO_POINTS, as_of=slot),
    )


def _selection(
    store: Warehouse,
    slot: datetime,
    window: RunWindow,
    stored: pd.DataFrame,
    *,
    exchange: Exchange,
    settings: Settings,
) -> Selection:
    """Whom the slot asks for. A plan is made once per slot: made again it would want others, with less to spend."""
    if settings.fetch_plan == "board" and not stored.empty:
        return select_stored(stored)
    rule = TopN(settings.top_n, settings.top_window, settings.top_measure)
    board_slot = store.read_table(LEADERBOARD_SNAPSHOTS, as_of=slot)["board_as_of"].iloc[0].to_pydatetime()
    board = store.read_table(LEADERBOARD_ROWS, as_of=board_slot, columns=["wallet", rule.board_column])
    if settings.fetch_plan == "top" or not window.slot_is_recent:
        return select_top(rule, board)
    until_reserve = slot + SLOT - timedelta(seconds=settings.fetch_reserve_seconds) - window.now
    seconds = min(until_reserve.total_seconds(), settings.fetch_deadline_seconds)
    return select_planned(
        store,
        slot,
        window.now,
        board,
        rule=rule,
        rules=PlanRules(
            top_n=settings.top_n,
            fetch_weight=info_weight("portfolio"),
            max_age_hours=settings.fetch_max_age_hours,
        ),
        weight_left=exchange.weight_within(seconds),
    )


def _slot_to_fill(session: WarehouseSession, window: RunWindow) -> datetime:
    """The run's slot; for a past day the newest one stored, which is only judged again."""
    if window.slot is not None:
        return window.slot
    slots = session.manifest.committed_on(PORTFOLIO_FETCHES, window.day)
    if not slots:
        raise nothing_stored(
            window.day,
            PORTFOLIO_FETCHES.name,
            "portfolios of a past slot are not fetched, because they would only repeat what the exchange says today",
        )
    return max(slots)


def _fetch_missing(
    wanted: _Wanted, window: RunWindow, exchange: Exchange, settings: Settings, log: DagsterLogManager
) -> list[PortfolioOutcome]:
    """Ask for the wallets that the slot still misses, if it is recent enough to ask for."""
    missing = wanted.missing
    if not missing:
        return []
    if not window.slot_is_recent:
        if wanted.stored_fetches.empty:
            raise dg.Failure(
                f"slot {slot_text(wanted.slot)} has no portfolios and is too old to fetch them for "
                f"(it is now {slot_text(window.now)})",
                allow_retries=False,
            )
        log.warning(
            f"{len(missing)} wallets of {slot_text(wanted.slot)} stay missing: the slot is too old to fetch"
        )
        return []
    tally = _ProgressTally(len(missing))
    with progress_logged(log):
        return exchange.portfolios(
            missing, on_result=tally.add, deadline_seconds=settings.fetch_deadline_seconds
        )


class _ProgressTally:
    """Announces every outcome."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._failed = total, 0, 0
        announce(Progress("portfolios", 0, total))

    def add(self, outcome: PortfolioOutcome) -> None:
        self._done += 1
        self._failed += outcome.status == "failed"
        announce(Progress("portfolios", self._done, self._total, self._failed))


def _frames(store: Warehouse, wanted: _Wanted, outcomes: Sequence[PortfolioOutcome], origin: str) -> _Frames:
    """The slot's stored rows with the new outcomes and points added; nothing stored is lost."""
    answers = [read_points(outcome) for outcome in outcomes]
    fresh = new_points(store, wanted.slot, answers)
    fetched = pd.DataFrame(
        [
            _fetch_row(wanted, outcome, points, fresh.counts(outcome.wallet), origin)
            for outcome, points in zip(outcomes, answers, strict=True)
        ],
        columns=PORTFOLIO_FETCHES.column_names,
    )
    kept = wanted.stored_fetches[~wanted.stored_fetches["wallet"].isin(fetched["wallet"])]
    return _Frames(
        fetches=PORTFOLIO_FETCHES.conform(_joined(kept, PORTFOLIO_FETCHES.conform(fetched))),
        points=PORTFOLIO_POINTS.conform(_joined(wanted.stored_points, fresh.frame)),
    )


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Both frames' rows; pandas warns about types when one of them is empty."""
    parts = [frame for frame in (first, second) if not frame.empty]
    return pd.concat(parts, ignore_index=True) if parts else second


def _fetch_row(
    wanted: _Wanted, outcome: PortfolioOutcome, points: WalletPoints, counts: PointCounts, origin: str
) -> dict[str, Any]:
    windows = outcome.portfolio.windows if outcome.portfolio is not None else {}
    return {
        "as_of": wanted.slot,
        "wallet": outcome.wallet,
        "selection_rank": wanted.selection.ranks[outcome.wallet],
        "selected_by": wanted.selection.reasons[outcome.wallet],
        "status": "failed" if points.error else outcome.status,
        "error_kind": outcome.error.kind if outcome.error else points.error_kind,
        "error": str(outcome.error) if outcome.error else points.error,
        "attempts": outcome.attempts,
        "weight": outcome.weight,
        "elapsed_seconds": outcome.elapsed_seconds,
        "observed_at": outcome.observed_at,
        "n_points": len(points.frame),
        "n_new_points": counts.new,
        "n_contradictions": counts.contradictions,
        "flags": list(points.flags),
        **{ours: windows[name].volume if name in windows else None for name, ours in _VOLUMES.items()},
        "origin": origin,
    }


def _coverage(fetches: pd.DataFrame) -> Coverage:
    failed = fetches[fetches["status"] == "failed"].sort_values("selection_rank")
    return Coverage(
        done=len(fetches) - len(failed),
        wanted=len(fetches),
        what="answered / wanted wallets",
        missing=list(zip(failed["wallet"], failed["error"].fillna("unknown"), strict=True)),
    )


def _facts(fetches: pd.DataFrame, outcomes: Sequence[PortfolioOutcome]) -> dict[str, Any]:
    counts = fetches["status"].value_counts()
    return {
        **{f"wallets_{status}": int(counts.get(status, 0)) for status in FETCH_STATUSES},
        "fetched_now": len(outcomes),
        "new_points": int(fetches["n_new_points"].sum()),
        "contradictions": int(fetches["n_contradictions"].sum()),
        "weight_spent": sum(outcome.weight for outcome in outcomes),
        "attempts": sum(outcome.attempts for outcome in outcomes),
    }
