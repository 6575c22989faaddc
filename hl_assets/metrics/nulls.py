"""Null with a reason: a column of figures in which every missing one says why it is missing.

Belongs here: the reasons and the column type. When a figure is null is decided by the module that defines the figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from hl_assets.equity.ragged import BoolArray, FloatArray


class NullReason(IntEnum):
    """Why a figure is null. `PRESENT` means that it is not."""

    PRESENT = 0
    NO_POINTS = 1
    NEVER_FUNDED = 2
    TOO_FEW_POINTS = 3
    SPAN_UNDER_90_DAYS = 4
    SPAN_OF_90_DAYS_OR_MORE = 5
    NO_DRAWDOWN = 6
    NO_PNL_FALL = 7
    UNKNOWN_RETURN = 8
    NOT_FINITE = 9
    TOO_FEW_DAILY_STEPS = 10
    TOO_FEW_NEGATIVE_DAYS = 11
    NO_VARIATION = 12
    NO_GAIN = 13
    SHARPE_NOT_POSITIVE = 14
    NOT_ELIGIBLE = 15
    TOO_FEW_WALLETS = 16
    NO_SKILL_DISPERSION = 17

    @property
    def label(self) -> str:
        """Published name."""
        return self.name.lower()

    @property
    def meaning(self) -> str:
        """What it tells a reader."""
        return _MEANINGS[self]


_MEANINGS = {
    NullReason.PRESENT: "the figure is present",
    NullReason.NO_POINTS: "no point of the curve is dated at or before the instant",
    NullReason.NEVER_FUNDED: "the account value never reached the funding floor",
    NullReason.TOO_FEW_POINTS: "fewer points than the figure needs",
    NullReason.SPAN_UNDER_90_DAYS: "less than 90 days of performance: annualising would be misleading",
    NullReason.SPAN_OF_90_DAYS_OR_MORE: "only shown for spans under 90 days; see cagr",
    NullReason.NO_DRAWDOWN: "the index never fell: untested, no ratio to a drawdown exists",
    NullReason.NO_PNL_FALL: "cumulative PnL never fell: no ratio to a fall exists",
    NullReason.UNKNOWN_RETURN: "account value below zero without a loss that explains it: the index is unknown",
    NullReason.NOT_FINITE: "beyond what a number can hold",
    NullReason.TOO_FEW_DAILY_STEPS: "fewer daily steps than the figure needs: points are too few or too far apart",
    NullReason.TOO_FEW_NEGATIVE_DAYS: "fewer than 5 losing days: the downside is untested",
    NullReason.NO_VARIATION: "daily returns do not vary: nothing to divide by",
    NullReason.NO_GAIN: "the days together gained nothing: no share of a gain exists",
    NullReason.SHARPE_NOT_POSITIVE: "the Sharpe ratio is not above 0: no record is long enough to prove that it is",
    NullReason.NOT_ELIGIBLE: "the wallet is not compared with others: its data are insufficient",
    NullReason.TOO_FEW_WALLETS: "too few wallets with a Sharpe ratio to compare with",
    NullReason.NO_SKILL_DISPERSION: "differences between the wallets' Sharpe ratios are no larger than noise",
}

ReasonArray = npt.NDArray[np.uint8]


def labels_by_row(reasons: Mapping[str, ReasonArray]) -> list[dict[str, str]]:
    """Per row: name of each null figure -> why. Rows with the same nulls share one dictionary.

    Args:
        reasons: `NullReason` codes of each figure, all of one length.
    """
    codes = np.column_stack(list(reasons.values()))
    shared: dict[bytes, dict[str, str]] = {}
    result = []
    for row in codes:
        pattern = row.tobytes()
        if pattern not in shared:
            labelled = zip(reasons, row.tolist(), strict=True)
            shared[pattern] = {name: NullReason(code).label for name, code in labelled if code}
        result.append(shared[pattern])
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One figure of many wallets.

    Attributes:
        values: float64[n], NaN where null.
        reasons: uint8[n], `NullReason`; 0 exactly where the value is present.
    """

    values: FloatArray
    reasons: ReasonArray

    @classmethod
    def of(cls, values: FloatArray, *nulls: tuple[BoolArray, NullReason]) -> "Column":
        """A column null where any condition holds, with the reason of the first one that does.

        Args:
            values: the figures; whatever stands where a condition holds is discarded.
            *nulls: conditions and their reasons, strongest first.

        Raises:
            ValueError: a value is NaN and no condition says why.
        """
        reasons = np.zeros(len(values), dtype=np.uint8)
        present = np.ones(len(values), dtype=np.bool_)
        for condition, reason in nulls:
            if condition.any():  # most conditions hold nowhere
                reasons[condition & present] = reason
                present &= ~condition
        odd = present & ~np.isfinite(values)
        if odd.any():
            unexplained = int(np.count_nonzero(np.isnan(values[odd])))
            if unexplained:
                raise ValueError(f"{unexplained} values are NaN without a reason")
            reasons[odd] = NullReason.NOT_FINITE
            present &= ~odd
        return cls(np.where(present, values, np.nan), reasons)

    @property
    def null(self) -> BoolArray:
        """bool[n], where the figure is missing."""
        missing: BoolArray = self.reasons != NullReason.PRESENT
        return missing

    def because(self, reason: NullReason) -> tuple[BoolArray, NullReason]:
        """Where this column is null for that reason, as a condition for a column derived from it."""
        return self.reasons == reason, reason

    def inherited(self) -> list[tuple[BoolArray, NullReason]]:
        """Conditions that make a derived column null wherever this one is, for the same reasons."""
        return [
            self.because(NullReason(code)) for code in np.unique(self.reasons) if code != NullReason.PRESENT
        ]
