"""Asset `tracked_wallets`: the wallets that stay followed after they leave the top or the board, and their status.

Belongs here: who is tracked, and the status that board and curve give. Does not belong here: facts about curves (`equity`),
the requests of people (`assets.watching`), fetching.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from hl_assets.assets.curves import read_curves
from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.watching import read_watched
from hl_assets.checks.results import Coverage
from hl_assets.equity.activity import Activity, wallet_activity
from hl_assets.equity.ragged import BoolArray
from hl_assets.equity.returns import ReturnRules
from hl_assets.exchange.planner import MOVE_FLOOR_USD, MOVE_SHARE
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.tracking import TRACKED_STATUSES, TRACKED_WALLETS
from hl_assets.settings import Settings
from hl_assets.slots import slot_of
from hl_assets.warehouse.connection import Warehouse

LINEAGE = Lineage(target=TRACKED_WALLETS, upstream=(PORTFOLIO_FETCHES, PORTFOLIO_POINTS))

DORMANT_DAYS = 7.0
"""A wallet that has not moved in so many days before its newest point is dormant."""

_TOP_SQL = """
SELECT wallet, min(as_of) AS since, max(as_of) AS last_in_top
FROM portfolio_fetches
WHERE as_of > {begin:DateTime('UTC')} AND as_of <= {slot:DateTime('UTC')} AND startsWith(selected_by, 'top:')
GROUP BY wallet
"""
_BOARDS_SQL = """
SELECT wallet, max(as_of) AS last_on_board
FROM leaderboard_rows
WHERE as_of > {begin:DateTime('UTC')} AND as_of <= {slot:DateTime('UTC')} AND wallet IN {wallets:Array(String)}
GROUP BY wallet
"""
_BOARD_OF_SLOT_SQL = "SELECT board_as_of FROM leaderboard_snapshots WHERE as_of = {slot:DateTime('UTC')}"


@slot_asset(
    TRACKED_WALLETS,
    layer="derived",
    grain="wallet_x_slot",
    group="exchange",
    owner="data-platform",
    deps=["portfolio_histories"],
    kinds=frozenset({"python", "numpy", "clickhouse"}),
    description=(
        "Every wallet that was in the top within TRACK_DAYS or is watched by hand, with its status as of the slot: active, "
        "off the board, dormant or wiped out. With FETCH_PLAN=board they stay fetched, so losers do not vanish from history."
    ),
)
def tracked_wallets(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Derive the tracked wallets of the day's stale slots."""
    derivation = Derivation(LINEAGE, derive=lambda store, task: derive_tracked(store, task, settings))
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_tracked(store: Warehouse, task: SlotTask, settings: Settings) -> Derived:
    """The tracked wallets of a slot."""
    slot = task.slot
    members = _members(store, slot, settings)
    wallets = list(members.index)
    activity = wallet_activity(
        read_curves(store, wallets, "all", slot),
        ReturnRules(funding_floor=settings.funding_floor_usd),
        move_share=MOVE_SHARE,
        move_floor_usd=MOVE_FLOOR_USD,
    )
    frame = _rows(store, task, members, activity, settings)
    counts = frame["status"].value_counts()
    pointless = list(frame.loc[frame["last_point"].isna(), "wallet"])
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=len(frame) - len(pointless),
            wanted=len(frame),
            what="wallets with a stored point / tracked wallets",
            missing=[(wallet, "no point stored") for wallet in pointless],
        ),
        metadata={
            **{f"wallets_{status}": int(counts.get(status, 0)) for status in TRACKED_STATUSES},
            "wallets_watched": int(frame["watched"].sum()),
        },
    )


def _members(store: Warehouse, slot: datetime, settings: Settings) -> pd.DataFrame:
    """since, last_in_top and watched by wallet, in order of address."""
    bound = {"begin": slot - timedelta(days=settings.track_days), "slot": slot}
    top = store.read_frame(_TOP_SQL, bound).set_index("wallet")
    watched = read_watched(store, slot).set_index("wallet")["newest_at"].map(slot_of)
    members = top.join(watched.rename("watched_since"), how="outer").sort_index()
    for name in ("since", "last_in_top", "watched_since"):
        members[name] = pd.to_datetime(members[name], utc=True)
    return pd.DataFrame(
        {
            "since": members[["since", "watched_since"]].min(axis=1),
            "last_in_top": members["last_in_top"],
            "watched": members["watched_since"].notna(),
        }
    )


def _rows(
    store: Warehouse, task: SlotTask, members: pd.DataFrame, activity: Activity, settings: Settings
) -> pd.DataFrame:
    slot = task.slot
    bound = {"begin": slot - timedelta(days=settings.track_days), "slot": slot}
    shown = store.read_frame_of(_BOARDS_SQL, "wallets", list(members.index), bound).set_index("wallet")
    last_on_board = pd.to_datetime(shown["last_on_board"].reindex(members.index), utc=True)
    board = store.read_rows(_BOARD_OF_SLOT_SQL, {"slot": slot})
    on_board = (last_on_board == board[0][0]).to_numpy(np.bool_) if board else None
    status, reason = tracked_status(activity, on_board, funding_floor=settings.funding_floor_usd)
    columns: dict[str, Any] = {
        "as_of": pd.Timestamp(slot),
        "wallet": members.index,
        "watched": members["watched"].to_numpy(),
        "since": members["since"].array,
        "last_in_top": members["last_in_top"].array,
        "status": status,
        "reason": reason,
        "last_on_board": last_on_board.array,
        "last_moved": pd.to_datetime(activity.moved_ms, unit="ms", utc=True),
        "last_point": pd.to_datetime(activity.last_ms, unit="ms", utc=True),
        "account_value": activity.account_value,
        "origin": task.origin,
    }
    return TRACKED_WALLETS.conform(pd.DataFrame(columns, index=range(len(members))))


def tracked_status(
    activity: Activity, on_board: BoolArray | None, *, funding_floor: float
) -> tuple[list[str], list[str]]:
    """Status and reason of each wallet; the first that holds of lost, emptied, at rest, off the board.

    Without a board (None; an imported slot has none) the curve alone decides.

    Rest is measured up to the newest point, so data that grow old make nobody dormant.
    """
    rest_days = (activity.last_ms - activity.moved_ms) / 86_400_000
    no_points = np.isnan(activity.last_ms)
    cases = [
        (activity.wiped_out, "wiped_out", "lost_everything"),
        (activity.account_value < funding_floor, "dormant", "emptied"),
        (~no_points & ~(rest_days < DORMANT_DAYS), "dormant", "no_move"),
    ]
    if on_board is None:
        cases.append((~no_points, "active", "no_board"))
        on_board = np.zeros(len(no_points), dtype=np.bool_)
    cases += [
        (no_points & on_board, "active", "no_points"),
        (no_points, "off_board", "no_points"),
        (~on_board, "off_board", "left_board"),
    ]
    conditions = [condition for condition, _, _ in cases]
    statuses = np.select(conditions, [status for _, status, _ in cases], "active")
    reasons = np.select(conditions, [reason for _, _, reason in cases], "on_board")
    return statuses.tolist(), reasons.tolist()
