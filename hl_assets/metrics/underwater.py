"""How long and how deep: time spent below the index's running maximum.

Belongs here: drawdown weighted by time. Its depth and episodes belong in `hl_assets.metrics.drawdown`.

Sampling is irregular, so every step counts by its duration, with the drawdown at its end:

    ulcer_index        sqrt(sum of duration x drawdown^2 / sum of duration)
    time_under_water   duration of steps that end below the running maximum / duration of all steps

Both cover the whole curve, all lives, like the other figures of drawdown. The time from the end of a life to the
refunding that starts the next one is no step and does not count. On uniform points `ulcer_index` is the root mean
square of the drawdowns of all returns (P. Martin, B. McCann, The Investor's Guide to Fidelity Funds, 1989), as a fraction.
"""

import numpy as np

from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import FloatArray, segment_count, segment_reduce
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import MS_PER_HOUR, CurveShape


def under_water(steps: Steps, shape: CurveShape, fall: FloatArray) -> dict[str, Column]:
    """`ulcer_index` and `time_under_water`.

    Args:
        steps: the returns.
        shape: their shape.
        fall: float64[n], as `drawdown.drawdown_series` gives it.
    """
    offsets = steps.curves.offsets
    hours = np.zeros(steps.curves.n_points)
    np.subtract(steps.curves.ts_ms[1:], steps.curves.ts_ms[:-1], out=hours[1:], casting="unsafe")
    hours /= MS_PER_HOUR
    hours[steps.flagged(StepFlag.START)] = 0.0

    def weighted(values: FloatArray) -> FloatArray:
        return segment_reduce(np.add, hours * values, offsets, empty=np.nan) / elapsed

    elapsed = segment_reduce(np.add, hours, offsets, empty=np.nan)
    unknown = segment_count(np.isnan(fall), offsets) > 0
    nulls = (
        *shape.fewer_than(2),
        (unknown, NullReason.UNKNOWN_RETURN),
        (elapsed == 0.0, NullReason.TOO_FEW_POINTS),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ulcer = np.sqrt(weighted(fall * fall))
        share = weighted((fall < 0.0).astype(np.float64))
    return {
        "ulcer_index": Column.of(ulcer, *nulls),
        "time_under_water": Column.of(share, *nulls),
    }
