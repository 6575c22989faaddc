"""Stored points as the domain's curves, as of a slot.

Belongs here: which stored points a slot may see. Does not belong here: what is computed from them.
"""

from collections.abc import Sequence
from datetime import datetime

from hl_assets.equity.curves import RaggedCurves
from hl_assets.warehouse.connection import Warehouse

# Of contradicting points the one seen first counts, so rows come in the order in which slots saw them.
_POINTS_SQL = """
SELECT wallet, toUnixTimestamp64Milli(ts) AS ts_ms, account_value, pnl
FROM portfolio_points
WHERE wallet IN {wallets:Array(String)} AND scope = {scope:String} AND segment = ''
    AND as_of <= {slot:DateTime('UTC')} AND ts <= {slot:DateTime('UTC')}
    AND ({known_at:Nullable(DateTime64(3, 'UTC'))} IS NULL
         OR observed_at <= {known_at:Nullable(DateTime64(3, 'UTC'))})
ORDER BY wallet, ts, as_of
"""


def read_curves(
    store: Warehouse, wallets: Sequence[str], scope: str, slot: datetime, *, known_at: datetime | None = None
) -> RaggedCurves:
    """The curves of wallets as of a slot: points dated at or before it, seen by it or by an earlier slot.

    A slot's own fetch ends some seconds after the slot began, and its points dated before the slot count. Strictly what
    had been seen by an instant is asked for with `known_at`.

    Args:
        store: The warehouse.
        wallets: Curves wanted, in order; without a point a curve is empty.
        scope: all or perp.
        slot: The slot.
        known_at: Only points whose answer had arrived by then.
    """
    points = store.read_frame(
        _POINTS_SQL, {"wallets": list(wallets), "scope": scope, "slot": slot, "known_at": known_at}
    )
    return RaggedCurves.from_columns(
        points["wallet"].to_numpy(object),
        points["ts_ms"],
        points["account_value"],
        points["pnl"],
        wallets=wallets,
    )
