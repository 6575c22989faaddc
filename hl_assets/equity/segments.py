"""Segments: series with one PnL baseline each, and joining them where they share a timestamp exactly.

At a timestamp two segments share, the offset between their PnL is known; there and only there they are joined. A value is
never matched to its nearest neighbour in time.

Belongs here: the rule of joining, and joining stored segments to the curves they were unconnected with when they were
stored. The windows of one answer are joined by `hl_assets.equity.stitch`; which rows are stored is not decided here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from hl_assets.equity.amounts import usd_tolerance
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.flags import StitchFlag
from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray, offsets_of


class PnlSeries(Protocol):
    """Points strictly rising in time whose PnL counts from one baseline."""

    @property
    def ts_ms(self) -> IntArray:
        """int64[k], UTC milliseconds."""

    @property
    def account_value(self) -> FloatArray:
        """float64[k], USD."""

    @property
    def pnl(self) -> FloatArray:
        """float64[k], USD since the series' own baseline."""

    @property
    def contradicted(self) -> BoolArray:
        """bool[k], a second, different value was given for this timestamp."""


_Series = TypeVar("_Series", bound=PnlSeries)


@dataclass(slots=True, eq=False)
class Segment:
    """A curve under construction: the series joined so far, on one PnL baseline (shapes as in `PnlSeries`)."""

    ts_ms: IntArray
    account_value: FloatArray
    pnl: FloatArray
    contradicted: BoolArray

    @classmethod
    def of(cls, series: PnlSeries) -> "Segment":
        """A segment of one series; it never writes to the series' arrays."""
        return cls(series.ts_ms, series.account_value, series.pnl, series.contradicted)

    def join(self, series: PnlSeries) -> tuple[StitchFlag, int] | None:
        """Add a series' new points, or None if nothing is shared; flags say what was met.

        Returns:
            Flags and the number of contradicted timestamps. With `INCONSISTENT_OFFSET` nothing was added.
        """
        _, here, there = np.intersect1d(self.ts_ms, series.ts_ms, assume_unique=True, return_indices=True)
        if not len(here):
            return None
        offsets = self.pnl[here] - series.pnl[there]
        values, other_values = self.account_value[here], series.account_value[there]
        tolerance = usd_tolerance(values, other_values, self.pnl[here], series.pnl[there])
        if float(offsets.max() - offsets.min()) > tolerance:
            return StitchFlag.INCONSISTENT_OFFSET, 0
        differs = np.abs(values - other_values) > tolerance
        self.contradicted = self.contradicted.copy()
        self.contradicted[here[differs]] = True
        new = np.ones(len(series.ts_ms), dtype=np.bool_)
        new[there] = False
        ts_ms = np.concatenate([self.ts_ms, series.ts_ms[new]])
        order = np.argsort(ts_ms, kind="stable")
        self.ts_ms = ts_ms[order]
        self.account_value = np.concatenate([self.account_value, series.account_value[new]])[order]
        self.pnl = np.concatenate([self.pnl, series.pnl[new] + offsets[0]])[order]
        self.contradicted = np.concatenate([self.contradicted, series.contradicted[new]])[order]
        n_differs = int(differs.sum())
        return StitchFlag.CONTRADICTION if n_differs else StitchFlag(0), n_differs


def join_all(segment: Segment, series: Sequence[_Series]) -> tuple[list[_Series], StitchFlag, int]:
    """Join to a segment what can be joined; a series joined late may be the bridge for one that shared nothing before.

    Returns:
        The series that could not be joined, what was met, and the number of contradicted timestamps.
    """
    left, met, n_contradictions = list(series), StitchFlag(0), 0
    progress = True
    while progress:
        progress = False
        waiting = []
        for each in left:
            joined = segment.join(each)
            if joined is None or joined[0] & StitchFlag.INCONSISTENT_OFFSET:
                met |= StitchFlag(0) if joined is None else joined[0]
                waiting.append(each)
                continue
            met |= joined[0]
            n_contradictions += joined[1]
            progress = True
        left = waiting
    return left, met, n_contradictions


def join_stored(curves: RaggedCurves, stored: Mapping[str, Sequence[PnlSeries]]) -> RaggedCurves:
    """The curves with every stored segment that, directly or over others, shares a timestamp with them.

    At a shared timestamp the curve's own value counts, and another one is a contradiction. What shares nothing, or
    disagrees on the offset, is left out: its PnL has no known relation to the curve's.

    Args:
        curves: anchored curves.
        stored: per wallet of `curves` its segments, those stored first in front. Wallets without any need no entry.

    Raises:
        EquityInputError: a wallet that is not among the curves.
    """
    unknown = sorted(set(stored) - set(curves.wallets))
    if unknown:
        raise EquityInputError(f"segments belong to wallet {unknown[0]}, which is not among the curves")
    rows = [row for row, wallet in enumerate(curves.wallets) if stored.get(wallet)]
    if not rows:
        return curves
    lengths, contradictions = curves.lengths, curves.contradictions.copy()
    # Only the wallets with segments are touched; everything between them is copied as it stands.
    parts: list[tuple[IntArray, FloatArray, FloatArray]] = []
    copied = 0
    for row in rows:
        begin, end = int(curves.offsets[row]), int(curves.offsets[row + 1])
        points = slice(begin, end)
        curve = Segment(
            curves.ts_ms[points],
            curves.account_value[points],
            curves.pnl[points],
            np.zeros(end - begin, dtype=np.bool_),
        )
        join_all(curve, list(_connected(stored[curves.wallets[row]])))
        between = slice(copied, begin)
        parts.append((curves.ts_ms[between], curves.account_value[between], curves.pnl[between]))
        parts.append((curve.ts_ms, curve.account_value, curve.pnl))
        lengths[row], copied = len(curve.ts_ms), end
        contradictions[row] += int(curve.contradicted.sum())
    parts.append((curves.ts_ms[copied:], curves.account_value[copied:], curves.pnl[copied:]))
    return RaggedCurves(
        curves.wallets,
        np.concatenate([ts_ms for ts_ms, _, _ in parts]),
        np.concatenate([account_value for _, account_value, _ in parts]),
        np.concatenate([pnl for _, _, pnl in parts]),
        offsets_of(lengths),
        contradictions,
    )


def _connected(series: Sequence[PnlSeries]) -> Iterator[Segment]:
    """The series joined among themselves: a chain of hundreds becomes one segment in one pass, in the order given."""
    left = list(series)
    while left:
        segment = Segment.of(left[0])
        left, _, _ = join_all(segment, left[1:])
        yield segment
