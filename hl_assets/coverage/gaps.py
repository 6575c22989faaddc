"""Gaps and shares of a history of slots.

Belongs here: pure functions on rows of `slot_coverage`. Does not belong here: reading them, printing them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from hl_assets.coverage.vocabulary import COVERED, GAP_ADVICE, Cause, Status
from hl_assets.slots import SLOT, SLOTS_PER_DAY, slot_text

STATUSES = tuple(Status)


@dataclass(frozen=True)
class Gap:
    """Adjacent slots that are not covered, for one cause.

    Attributes:
        first: First slot.
        last: Last slot.
        slots: How many.
        status: Their status.
        cause: Their cause; None if unknown to the table.
        detail: What is known of the first of them.
    """

    first: datetime
    last: datetime
    slots: int
    status: str
    cause: str | None
    detail: str | None

    @property
    def text(self) -> str:
        """E.g. `2026-11-20 13:10 to 14:00 (6 slots): scheduler_down`."""
        same_day = self.first.date() == self.last.date()
        until = "" if self.slots == 1 else f" to {self.last:{'%H:%M' if same_day else '%Y-%m-%d %H:%M'}}"
        unit = "slot" if self.slots == 1 else "slots"
        status = "" if self.status == Status.MISSING else f"{self.status}, "
        return f"{self.first:%Y-%m-%d %H:%M}{until} ({self.slots:,} {unit}): {status}{self.cause}"

    @property
    def reconstruction(self) -> str:
        """How to fill it with reconstructed scores."""
        return GAP_ADVICE.format(first=slot_text(self.first), last=slot_text(self.last))


@dataclass(frozen=True)
class Share:
    """How many slots are covered.

    Attributes:
        covered: Live, unchanged and reconstructed ones.
        slots: All that count: those before the platform began to observe do not, unless covered.
    """

    covered: int
    slots: int

    @property
    def share(self) -> float | None:
        """The share; None if there is no slot."""
        return self.covered / self.slots if self.slots else None


def is_covered(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows are covered; bool[n]."""
    return rows["status"].isin([str(status) for status in COVERED]).to_numpy(np.bool_)


def counting(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that count in shares and gaps: without those before the platform began to observe, unless covered."""
    return rows[is_covered(rows) | (rows["cause"] != str(Cause.BEFORE_OBSERVATION)).to_numpy(np.bool_)]


def covered_share(rows: pd.DataFrame, since: datetime | None = None) -> Share:
    """The share of covered slots.

    Args:
        rows: Columns as_of, status and cause of `slot_coverage`.
        since: Only slots at or after this instant.
    """
    chosen = counting(rows if since is None else rows[rows["as_of"] >= pd.Timestamp(since)])
    return Share(int(is_covered(chosen).sum()), len(chosen))


def find_gaps(rows: pd.DataFrame) -> list[Gap]:
    """Adjacent uncovered slots with one status and cause, oldest first; those before observation began are no gaps.

    Args:
        rows: Columns as_of (ascending), status, cause and cause_detail of `slot_coverage`.
    """
    counted = counting(rows)
    lost = counted[~is_covered(counted)]
    return [
        Gap(
            first=part["as_of"].iloc[0].to_pydatetime(),
            last=part["as_of"].iloc[-1].to_pydatetime(),
            slots=len(part),
            status=str(part["status"].iloc[0]),
            cause=part["cause"].iloc[0],
            detail=part["cause_detail"].iloc[0],
        )
        for part in _runs(lost, ["status", "cause"])
    ]


def longest_gap(rows: pd.DataFrame) -> Gap | None:
    """The longest stretch of adjacent uncovered slots, whatever their causes; its first slot's cause stands for it."""
    counted = counting(rows)
    parts = _runs(counted[~is_covered(counted)], [])
    if not parts:
        return None
    longest = max(parts, key=len)
    causes = " and ".join(longest["cause"].fillna("unknown").drop_duplicates())
    first, last = longest["as_of"].iloc[0].to_pydatetime(), longest["as_of"].iloc[-1].to_pydatetime()
    return Gap(first, last, len(longest), Status.MISSING, causes, longest["cause_detail"].iloc[0])


def _runs(rows: pd.DataFrame, alike: Sequence[str]) -> list[pd.DataFrame]:
    """The rows cut where a slot does not follow the one before, or differs in one of the columns."""
    if rows.empty:
        return []
    breaks = (rows["as_of"].diff() != pd.Timedelta(SLOT)).to_numpy(np.bool_)
    for name in alike:
        values = rows[name].fillna("").to_numpy(object)
        breaks[1:] |= values[1:] != values[:-1]
    starts = np.flatnonzero(breaks)
    ends = [*starts[1:], len(rows)]
    return [rows.iloc[begin:end] for begin, end in zip(starts, ends, strict=True)]


def status_grid(rows: pd.DataFrame, first: date, last: date) -> npt.NDArray[np.int8]:
    """Statuses as a picture: a row per UTC day, a column per slot.

    Args:
        rows: Columns as_of and status.
        first: First day.
        last: Last day.

    Returns:
        int8[days, 144]: index into `STATUSES`; -1 where there is no row.
    """
    days = (last - first).days + 1
    grid = np.full(days * SLOTS_PER_DAY, -1, dtype=np.int8)
    place = ((rows["as_of"] - pd.Timestamp(first, tz="UTC")) // pd.Timedelta(SLOT)).to_numpy(np.int64)
    codes = pd.Categorical(rows["status"], categories=[str(status) for status in STATUSES]).codes
    inside = (place >= 0) & (place < len(grid))
    grid[place[inside]] = codes[inside]
    return grid.reshape(days, SLOTS_PER_DAY)


SPANS: tuple[tuple[str, timedelta | None], ...] = (
    ("24 h", timedelta(days=1)),
    ("7 d", timedelta(days=7)),
    ("30 d", timedelta(days=30)),
    ("since the start", None),
)
"""The spans that shares are told over, ending at the present."""
