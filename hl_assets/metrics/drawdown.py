"""What was risked: falls of the flow-adjusted index below its running maximum.

Belongs here: drawdowns of the index, their episodes, and the ratios of growth to drawdown. They cover the whole curve,
all lives of the wallet, each with a running maximum that starts at 1.0.
"""

import numpy as np

from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import FloatArray, IntArray, segment_count, segment_of, segment_reduce
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import CurveShape

ROUNDING = 1e-9
"""Falls shallower than this (0.0000001 %) are rounding of amounts and of the index's product, not drawdowns."""


def drawdown_series(steps: Steps) -> FloatArray:
    """Drawdown at each point: index / running maximum - 1 inside its life; <= 0, NaN where the index is unknown."""
    fall = steps.index / steps.life_scan.accumulate(np.maximum, steps.index)
    fall -= 1.0
    fall[fall > -ROUNDING] = 0.0
    return fall


def episode_lows(fall: FloatArray, offsets: IntArray) -> tuple[FloatArray, IntArray]:
    """The low of each drawdown episode and the wallet it belongs to.

    An episode is an unbroken run of points below the running maximum; the last one may still be open. Lives start at
    their maximum, so no episode crosses from one life, or one wallet, into the next.

    Args:
        fall: float64[n], as `drawdown_series` gives it.
        offsets: int64[n_wallets + 1].

    Returns:
        float64[n_episodes] lows (< 0) and int64[n_episodes] wallet numbers, in order of time per wallet.
    """
    below = np.flatnonzero(fall < 0.0)
    if not len(below):
        return np.empty(0), np.empty(0, dtype=np.int64)
    begins = np.flatnonzero(np.concatenate([[True], below[1:] != below[:-1] + 1]))
    lows = np.minimum.reduceat(fall[below], begins)
    return lows, segment_of(below[begins], offsets)


def drawdowns(steps: Steps, shape: CurveShape, fall: FloatArray) -> dict[str, Column]:
    """`max_drawdown`, `avg_drawdown`, `n_drawdowns`.

    A wallet that was ever wiped out has `max_drawdown` -1, whatever else is unknown about it. Without an episode
    `avg_drawdown` is 0 (and the wallet is flagged untested).

    Args:
        steps: the returns.
        shape: their shape.
        fall: float64[n], as `drawdown_series` gives it.
    """
    offsets = steps.curves.offsets
    n_wallets = len(offsets) - 1
    lows, wallet = episode_lows(fall, offsets)
    n_episodes = np.bincount(wallet, minlength=n_wallets)
    sums = np.bincount(wallet, weights=lows, minlength=n_wallets)
    unknown = segment_count(np.isnan(fall), offsets) > 0
    wiped_out = segment_count(steps.flagged(StepFlag.WIPED_OUT), offsets) > 0
    deepest = segment_reduce(np.fmin, fall, offsets, empty=np.nan)
    deepest[wiped_out] = -1.0
    too_few = shape.fewer_than(2)
    return {
        "max_drawdown": Column.of(deepest, *too_few, (unknown & ~wiped_out, NullReason.UNKNOWN_RETURN)),
        "avg_drawdown": Column.of(
            sums / np.maximum(n_episodes, 1), *too_few, (unknown, NullReason.UNKNOWN_RETURN)
        ),
        "n_drawdowns": Column.of(n_episodes.astype(np.float64)),
    }


def drawdown_ratios(performance: dict[str, Column], drawdown: dict[str, Column]) -> dict[str, Column]:
    """`calmar_ratio` and `recovery_factor`: growth per unit of the deepest drawdown; null for an untested wallet."""
    deepest = drawdown["max_drawdown"]
    return {
        "calmar_ratio": _per_drawdown(performance["cagr"], deepest),
        "recovery_factor": _per_drawdown(performance["roi"], deepest),
    }


def _per_drawdown(growth: Column, deepest: Column) -> Column:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = growth.values / np.abs(deepest.values)
    return Column.of(
        ratio, *growth.inherited(), *deepest.inherited(), (deepest.values == 0.0, NullReason.NO_DRAWDOWN)
    )
