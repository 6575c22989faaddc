"""Stored points as the domain's curves, as of a slot.

Belongs here: which stored points a slot may see. Does not belong here: what is computed from them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.segments import Segment, join_stored
from hl_assets.warehouse.connection import Warehouse

# Of contradicting points the one seen first counts, so rows come in the order in which slots saw them.
_VISIBLE = """wallet IN {wallets:Array(String)} AND scope = {scope:String}
    AND as_of <= {seen_until:DateTime('UTC')} AND ts <= {slot:DateTime('UTC')}
    AND ({known_at:Nullable(DateTime64(3, 'UTC'))} IS NULL
         OR observed_at <= {known_at:Nullable(DateTime64(3, 'UTC'))})"""
_POINTS_SQL = f"""
SELECT wallet, toUnixTimestamp64Milli(ts) AS ts_ms, account_value, pnl
FROM portfolio_points
WHERE {_VISIBLE} AND segment = ''
ORDER BY wallet, ts, as_of
"""  # noqa: S608 - a constant of this module
# Mostly none. Rows come as for the curves themselves: of contradicting points the one seen first counts.
_LOOSE_SQL = f"""
SELECT wallet, segment, toUnixTimestamp64Milli(ts) AS ts_ms, account_value, pnl
FROM portfolio_points
WHERE {_VISIBLE} AND segment != ''
ORDER BY wallet, segment, ts, as_of
"""  # noqa: S608


def read_curves(
    store: Warehouse,
    wallets: Sequence[str],
    scope: str,
    slot: datetime,
    *,
    seen_until: datetime | None = None,
    known_at: datetime | None = None,
) -> RaggedCurves:
    """The curves of wallets as of a slot: points dated at or before it, seen by it or by an earlier slot.

    Points stored as a segment of their own belong to the curve as soon as points seen by the slot connect them with it.

    A slot's own fetch ends some seconds after the slot began, and its points dated before the slot count. Strictly what
    had been seen by an instant is asked for with `known_at`.

    Args:
        store: The warehouse.
        wallets: Curves wanted, in order; without a point a curve is empty.
        scope: all or perp.
        slot: The slot.
        seen_until: For a slot that is reconstructed: points that a later slot was the first to see do not count.
        known_at: Only points whose answer had arrived by then.
    """
    visible: dict[str, Any] = {
        "scope": scope,
        "slot": slot,
        "seen_until": seen_until or slot,
        "known_at": known_at,
    }
    points = store.read_frame_of(_POINTS_SQL, "wallets", sorted(wallets), visible)
    curves = RaggedCurves.from_columns(
        points["wallet"].to_numpy(object),
        points["ts_ms"],
        points["account_value"],
        points["pnl"],
        wallets=wallets,
    )
    return join_stored(curves, _segments(store, wallets, visible))


def _segments(store: Warehouse, wallets: Sequence[str], visible: dict[str, Any]) -> dict[str, list[Segment]]:
    """Per wallet the visible points that are not anchored, one segment per PnL baseline."""
    found: dict[str, list[Segment]] = {}
    loose = store.read_frame_of(_LOOSE_SQL, "wallets", sorted(wallets), visible)
    for (wallet, _), rows in loose.groupby(["wallet", "segment"]):
        repeats = rows["ts_ms"].duplicated()
        first = rows[~repeats]
        segment = Segment(
            first["ts_ms"].to_numpy(np.int64),
            first["account_value"].to_numpy(np.float64),
            first["pnl"].to_numpy(np.float64),
            first["ts_ms"].isin(rows.loc[repeats, "ts_ms"]).to_numpy(np.bool_),
        )
        found.setdefault(str(wallet), []).append(segment)
    return found
