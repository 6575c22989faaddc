"""The cohort of a slot: which wallets its derived tables cover, how old their data are, and which points it may see.

Belongs here: the rule that an answer of an earlier slot still counts, and reading what a reconstruction fixed. Does not belong
here: reading points (`assets.curves`), choosing a reconstruction's wallets (`assets.reconstructed_cohorts`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from hl_assets.assets.derivation import SlotTask
from hl_assets.assets.window import LATE_FETCH
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
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


@dataclass(frozen=True)
class Cohort:
    """The wallets that a slot covers.

    Attributes:
        frame: wallet, flags of its newest answer, data_age_hours (float64); ordered by wallet.
        seen_until: Points that a later slot was the first to see do not count.
    """

    frame: pd.DataFrame
    seen_until: datetime

    @property
    def wallets(self) -> list[str]:
        """Addresses, ascending."""
        return list(self.frame["wallet"])

    @property
    def data_age_hours(self) -> "pd.Series[Any]":
        """How old each wallet's data are at the slot's beginning."""
        return self.frame["data_age_hours"]


def read_cohort(store: Warehouse, task: SlotTask, max_age_hours: float | None) -> Cohort:
    """The wallets that a slot covers.

    A slot that was observed covers what it fetched itself, and wallets that an earlier slot fetched at most `max_age_hours` ago.
    Their newest points are what is known; a failed attempt does not end that. Later answers never count. A reconstructed slot
    covers the wallets that its reconstruction fixed, with the points that were stored by then.

    Args:
        store: The warehouse.
        task: The slot.
        max_age_hours: Age of the newest answer at the beginning of a slot that was observed; None: only its own answers.
    """
    return (
        _reconstructed(store, task.slot)
        if task.is_reconstructed
        else _observed(store, task.slot, max_age_hours)
    )


def _observed(store: Warehouse, slot: datetime, max_age_hours: float | None) -> Cohort:
    hours = max_age_hours or 0.0
    since = slot if max_age_hours is None else slot - timedelta(hours=hours) - LATE_FETCH
    frame = store.read_frame(_COVERED_SQL, {"slot": slot, "since": since, "hours": hours})
    return Cohort(frame, seen_until=slot)


def _reconstructed(store: Warehouse, slot: datetime) -> Cohort:
    rows = store.read_table(RECONSTRUCTED_COHORTS, as_of=slot).sort_values("wallet", ignore_index=True)
    age = (rows["as_of"] - rows["newest_point"]).dt.total_seconds() / 3600
    frame = pd.DataFrame(
        {"wallet": rows["wallet"], "flags": [[] for _ in range(len(rows))], "data_age_hours": age}
    )
    return Cohort(frame, seen_until=rows["known_through"].max().to_pydatetime())
