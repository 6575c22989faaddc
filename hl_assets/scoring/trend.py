"""Trend: where a wallet's score has been going, from its stored scores of the last days.

Belongs here: thinning, the slope, its direction, the change of rank. Does not belong here: reading stored scores, choosing
the slots.

The slope is Theil and Sen's: the median of the slopes between all pairs of scores, which one odd score cannot move.
Scores are thinned first to at most one, the newest, per 6 hours of age counted back from the slot (ages 0 to under 6 h,
6 to under 12 h, ...), so a day of 144 slots costs 6 pairs instead of 10,296, and 7 days 406. Of the thinned scores the
slope is exact: no pair is sampled or left out. It is not the slope of all 1,008 scores of the week; a move that is over
within 6 hours may be missed.

H. Theil, A rank-invariant method of linear and polynomial regression analysis, 1950; P. K. Sen, Estimates of the
regression coefficient based on Kendall's tau, JASA 63, 1968.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from hl_assets.equity.ragged import FloatArray, IntArray

THIN_SECONDS = 6 * 3600
DAY_SECONDS = 86_400
SLOPE_DAYS = 7.0
"""Slopes are per 7 days, whatever the window."""
STABLE_WITHIN = 2.0
"""Points per 7 days up to which a score is stable."""
MIN_POINTS = 4
MIN_SPAN_DAYS = 3.0
RANK_REFERENCE_DAYS = 1.0
"""How much older the slot must at least be that ranks are compared with."""
_PAIRS_AT_ONCE = 2_000_000


class Direction(StrEnum):
    """Where a score is going."""

    UP = "up"
    DOWN = "down"
    STABLE = "stable"


class TrendReason(IntEnum):
    """Why there is no trend, or no change of rank. `PRESENT` means that there is."""

    PRESENT = 0
    NOT_ELIGIBLE = 1
    TOO_FEW_SCORES = 2
    SPAN_UNDER_3_DAYS = 3
    NO_SLOT_A_DAY_AGO = 4
    NOT_RANKED_THEN = 5

    @property
    def label(self) -> str:
        """Published name."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """The trend of each wallet.

    Attributes:
        slope: float64[n], points per 7 days; NaN where there is none.
        direction: object[n], value of a `Direction` or None.
        points: int64[n], thinned scores in the window, the current one included; 0 without a current score.
        span_days: float64[n], from the oldest of them to now; NaN without a current score.
        reasons: uint8[n], `TrendReason`; 0 exactly where there is a slope.
    """

    slope: FloatArray
    direction: npt.NDArray[np.object_]
    points: IntArray
    span_days: FloatArray
    reasons: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class StoredScores:
    """Earlier scores of many wallets, in any order.

    Attributes:
        wallet: int64[m], whose score it is: a position among the wallets that are scored now.
        ts_s: int64[m], when, seconds since 1970.
        score: float64[m]; NaN is none. All of the scoring configuration that scores now.

    Raises:
        ValueError: the lengths differ.
    """

    wallet: IntArray
    ts_s: IntArray
    score: FloatArray

    def __post_init__(self) -> None:
        if not len(self.wallet) == len(self.ts_s) == len(self.score):
            raise ValueError(
                f"{len(self.wallet)} wallets, {len(self.ts_s)} instants and {len(self.score)} scores do not fit"
            )


def score_trend(
    current: FloatArray, now_s: int, stored: StoredScores, *, window_days: float = SLOPE_DAYS
) -> Trend:
    """Theil-Sen slope of each wallet's scores over the window.

    Args:
        current: float64[n], each wallet's score now; NaN if it has none.
        now_s: the slot, seconds since 1970.
        stored: scores of earlier slots.
        window_days: scores older than this do not count; one of exactly this age does.

    Raises:
        ValueError: the window is not positive, a stored score is not older than `now_s`, or belongs to no wallet of
            `current`.
    """
    if not window_days > 0:
        raise ValueError(f"the window must be positive, got {window_days} days")
    if len(stored.wallet) and not 0 <= stored.wallet.min() <= stored.wallet.max() < len(current):
        raise ValueError(f"a stored score belongs to no wallet of the {len(current)} scored now")
    if len(stored.ts_s) and stored.ts_s.max() >= now_s:
        raise ValueError("a stored score is not older than the slot it would be compared with")
    ages, scores = _thinned(current, now_s, stored, window_days)
    present = ~np.isnan(scores)
    points = present.sum(axis=1).astype(np.int64)
    oldest = np.max(np.where(present, ages, -1.0), axis=1) / DAY_SECONDS
    reasons = np.select(
        [np.isnan(current), points < MIN_POINTS, oldest < MIN_SPAN_DAYS],
        [TrendReason.NOT_ELIGIBLE, TrendReason.TOO_FEW_SCORES, TrendReason.SPAN_UNDER_3_DAYS],
        default=TrendReason.PRESENT,
    ).astype(np.uint8)
    known = reasons == TrendReason.PRESENT
    slope = np.full(len(current), np.nan)
    slope[known] = _theil_sen(-ages[known], scores[known]) * SLOPE_DAYS * DAY_SECONDS
    return Trend(
        slope=slope,
        direction=directions(slope),
        points=np.where(np.isnan(current), 0, points),
        span_days=np.where(np.isnan(current), np.nan, oldest),
        reasons=reasons,
    )


def directions(slope: FloatArray) -> npt.NDArray[np.object_]:
    """`up` above 2 points per 7 days, `down` below -2, `stable` in between, None where the slope is NaN."""
    words: npt.NDArray[np.object_] = np.full(len(slope), Direction.STABLE.value, dtype=object)
    words[slope > STABLE_WITHIN] = Direction.UP.value
    words[slope < -STABLE_WITHIN] = Direction.DOWN.value
    words[np.isnan(slope)] = None
    return words


def rank_changes(now: FloatArray, then: FloatArray | None) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """How many ranks each wallet has climbed (+) or lost (-), and why it is unknown.

    Args:
        now: float64[n], ranks; NaN is none.
        then: float64[n], ranks of the same wallets in the slot compared with, NaN is none; None if there is no such slot.

    Returns:
        float64[n] of whole numbers, NaN where unknown, and uint8[n], `TrendReason`.
    """
    if then is None:
        reasons = np.where(np.isnan(now), TrendReason.NOT_ELIGIBLE, TrendReason.NO_SLOT_A_DAY_AGO)
        return np.full(len(now), np.nan), reasons.astype(np.uint8)
    reasons = np.select(
        [np.isnan(now), np.isnan(then)],
        [TrendReason.NOT_ELIGIBLE, TrendReason.NOT_RANKED_THEN],
        default=TrendReason.PRESENT,
    )
    return then - now, reasons.astype(np.uint8)


def _thinned(
    current: FloatArray, now_s: int, stored: StoredScores, window_days: float
) -> tuple[FloatArray, FloatArray]:
    """Age in seconds and score of the newest score in each 6 hours of age, both (n, bins); NaN where there is none."""
    bins = int(window_days * DAY_SECONDS // THIN_SECONDS) + 1
    age = now_s - stored.ts_s
    counted = np.flatnonzero((age <= window_days * DAY_SECONDS) & ~np.isnan(stored.score))
    order = counted[np.argsort(-age[counted], kind="stable")]  # the newest of a bin is written last
    ages, scores = np.full((len(current), bins), np.nan), np.full((len(current), bins), np.nan)
    place = (stored.wallet[order], age[order] // THIN_SECONDS)
    ages[place], scores[place] = age[order], stored.score[order]
    ages[:, 0], scores[:, 0] = 0.0, current
    return ages, scores


def _theil_sen(x: FloatArray, y: FloatArray) -> FloatArray:
    """Median slope between all pairs of each row's points, (n, bins) both; NaN is no point. Each row has a pair."""
    first, second = np.triu_indices(x.shape[1], 1)
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(first)))
    medians = np.empty(len(x))
    for at in range(0, len(x), rows):
        part = slice(at, at + rows)
        rise, run = y[part, first] - y[part, second], x[part, first] - x[part, second]
        medians[part] = _row_medians(rise / run)
    return medians


def _row_medians(values: FloatArray) -> FloatArray:
    """Median of the present values of each row; numpy's own takes the rows with NaN one by one."""
    ordered = np.sort(values, axis=1)  # NaN goes last
    n = (~np.isnan(ordered)).sum(axis=1)
    rows = np.arange(len(values))
    median: FloatArray = (ordered[rows, (n - 1) // 2] + ordered[rows, n // 2]) / 2.0
    return median
