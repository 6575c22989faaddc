"""`CurveShape`: the facts about points that the metric modules share.

Belongs here: counts, first and last points and the newest life of each wallet, and the null conditions that follow from
them. No metric belongs here.
"""

from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import NullReason

MS_PER_HOUR = 3_600_000.0
MS_PER_DAY = 86_400_000.0
MS_PER_YEAR = 31_557_600_000.0
"""A year of 365.25 days."""


@dataclass(frozen=True, slots=True, eq=False)
class CurveShape:
    """Per wallet, where its points lie.

    Attributes:
        n_given: int64[n_wallets], points given, unfunded leading ones included.
        n_points: int64[n_wallets], points of the funded curve.
        first: int64[k], position of the first point of each non-empty curve.
        last: int64[k], position of the last point of each non-empty curve.
        life_start: int64[k], position at which the newest life of each non-empty curve starts.
        filled: bool[n_wallets], which curves are not empty (k of them).
    """

    n_given: IntArray
    n_points: IntArray
    first: IntArray
    last: IntArray
    life_start: IntArray
    filled: BoolArray

    @classmethod
    def of(cls, steps: Steps) -> "CurveShape":
        """The shape of the curves whose returns are given."""
        offsets = steps.curves.offsets
        n_points = steps.curves.lengths
        filled = n_points > 0
        newest_life = np.cumsum(steps.n_lives)[filled] - 1
        return cls(
            n_given=n_points + steps.lead,
            n_points=n_points,
            first=offsets[:-1][filled],
            last=offsets[1:][filled] - 1,
            life_start=steps.life_offsets[newest_life],
            filled=filled,
        )

    @property
    def life_points(self) -> IntArray:
        """int64[n_wallets], points of the newest life."""
        points = np.zeros(len(self.filled), dtype=np.int64)
        points[self.filled] = self.last - self.life_start + 1
        return points

    def spread(self, values: FloatArray) -> FloatArray:
        """Values of the non-empty curves at their place among all wallets, NaN elsewhere."""
        result = np.full(len(self.filled), np.nan)
        result[self.filled] = values
        return result

    def absent(self) -> list[tuple[BoolArray, NullReason]]:
        """Null conditions of every figure that needs at least one funded point."""
        return [
            (self.n_given == 0, NullReason.NO_POINTS),
            (self.n_points == 0, NullReason.NEVER_FUNDED),
        ]

    def fewer_than(self, n: int, points: IntArray | None = None) -> list[tuple[BoolArray, NullReason]]:
        """Null conditions of every figure that needs `n` points (of the whole curve unless others are given)."""
        counted = self.n_points if points is None else points
        return [*self.absent(), (counted < n, NullReason.TOO_FEW_POINTS)]
