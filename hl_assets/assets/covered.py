"""Which wallets a slot's derived tables cover, and how old their data are.

Belongs here: the rule that an answer of an earlier slot still counts. Does not belong here: reading points
(`assets.curves`).
"""

from datetime import datetime, timedelta

import pandas as pd

from hl_assets.assets.window import LATE_FETCH
from hl_assets.warehouse.connection import Warehouse

# An answer may have come later than its slot, so the slots looked at begin a little before the age allowed.
_COVERED_SQL = """
SELECT wallet, newest.2 AS flags,
    greatest(0, dateDiff('millisecond', newest.3, toDateTime64({slot:DateTime('UTC')}, 3, 'UTC'))) / 3600000
        AS data_age_hours
FROM (
    SELECT wallet, max(as_of) AS fetched_in, argMax((status, flags, observed_at), as_of) AS newest
    FROM portfolio_fetches
    WHERE as_of >= {since:DateTime('UTC')} AND as_of <= {slot:DateTime('UTC')} AND status != 'failed'
    GROUP BY wallet
)
WHERE newest.1 = 'ok' AND (fetched_in = {slot:DateTime('UTC')} OR data_age_hours <= {hours:Float64})
ORDER BY wallet
"""


def covered_wallets(store: Warehouse, slot: datetime, max_age_hours: float | None) -> pd.DataFrame:
    """The wallets that a slot covers: wallet, flags of its newest answer, data_age_hours; ordered by wallet.

    A slot covers what it fetched itself, and wallets that an earlier slot fetched at most `max_age_hours` ago. Their
    newest points are what is known; a failed attempt does not end that. Later answers never count.

    Args:
        store: The warehouse.
        slot: The slot.
        max_age_hours: Age of the newest answer at the slot's beginning; None: only the slot's own answers.
    """
    hours = max_age_hours or 0.0
    since = slot if max_age_hours is None else slot - timedelta(hours=hours) - LATE_FETCH
    return store.read_frame(_COVERED_SQL, {"slot": slot, "since": since, "hours": hours})
