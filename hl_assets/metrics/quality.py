"""How good the data behind the figures are: number, span and spacing of points, and shares of doubtful steps.

Belongs here: data quality of the whole curve. Whether it suffices is decided by `hl_assets.metrics.eligibility` and by
the graders, not here.
"""

import numpy as np

from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import FloatArray, segment_count, segment_reduce
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column
from hl_assets.metrics.shape import MS_PER_DAY, MS_PER_HOUR, CurveShape

UNIFORM_CV_PERCENT = 5.0
DOUBTFUL = StepFlag.FLOW_DOMINATED | StepFlag.CLIPPED | StepFlag.NO_BASE | StepFlag.UNKNOWN_RETURN
"""A step with none of these flags is clean."""


def sampling(steps: Steps, shape: CurveShape) -> dict[str, Column]:
    """`data_points`, `data_span_days`, the interval figures, `first_ts_ms`, `last_ts_ms`."""
    ts, offsets = steps.curves.ts_ms, steps.curves.offsets
    first_ms = shape.spread(ts[shape.first].astype(np.float64))
    last_ms = shape.spread(ts[shape.last].astype(np.float64))
    n_intervals = np.maximum(shape.n_points - 1, 1)
    hours = _interval_hours(steps, shape)
    mean = (last_ms - first_ms) / MS_PER_HOUR / n_intervals
    spread = hours - np.repeat(mean, shape.n_points)
    spread[shape.first] = 0.0
    variance = segment_reduce(np.add, spread * spread, offsets, empty=np.nan) / n_intervals
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = 100.0 * np.sqrt(variance) / mean
    two, three = shape.fewer_than(2), shape.fewer_than(3)
    return {
        "data_points": Column.of(shape.n_points.astype(np.float64)),
        "data_span_days": Column.of((last_ms - first_ms) / MS_PER_DAY, *shape.absent()),
        "avg_interval_hours": Column.of(mean, *two),
        # One interval has no variation to speak of.
        "interval_cv_percent": Column.of(cv, *three),
        "is_uniform": Column.of((cv < UNIFORM_CV_PERCENT).astype(np.float64), *three),
        "largest_gap_hours": Column.of(segment_reduce(np.maximum, hours, offsets, empty=np.nan), *two),
        "first_ts_ms": Column.of(first_ms, *shape.absent()),
        "last_ts_ms": Column.of(last_ms, *shape.absent()),
    }


def step_shares(steps: Steps, shape: CurveShape) -> dict[str, Column]:
    """Shares of flow-dominated, clipped, base-less and clean steps; counts of epochs, wipe-outs, unknowns, contradictions."""
    offsets = steps.curves.offsets
    n_steps = np.maximum(shape.n_points - 1, 1)

    def share(flag: StepFlag) -> Column:
        return Column.of(segment_count(steps.flagged(flag), offsets) / n_steps, *shape.fewer_than(2))

    def count(flag: StepFlag) -> Column:
        return Column.of(segment_count(steps.flagged(flag), offsets).astype(np.float64))

    doubtful = segment_count(steps.flagged(DOUBTFUL), offsets)
    epochs = segment_reduce(np.maximum, steps.epoch.astype(np.float64), offsets, empty=0.0)
    return {
        "share_flow_dominated": share(StepFlag.FLOW_DOMINATED),
        "share_clipped": share(StepFlag.CLIPPED),
        "share_no_base": share(StepFlag.NO_BASE),
        "share_clean_steps": Column.of(1.0 - doubtful / n_steps, *shape.fewer_than(2)),
        "n_epochs": Column.of(epochs),
        "n_wipeouts": count(StepFlag.WIPED_OUT),
        "n_unknown_returns": count(StepFlag.UNKNOWN_RETURN),
        "n_contradictions": Column.of(steps.curves.contradictions.astype(np.float64)),
    }


def _interval_hours(steps: Steps, shape: CurveShape) -> FloatArray:
    """Hours since the point before; 0 at a wallet's first point."""
    ts = steps.curves.ts_ms
    hours = np.empty(len(ts))
    np.subtract(ts[1:], ts[:-1], out=hours[1:], casting="unsafe")
    hours[shape.first] = 0.0
    hours /= MS_PER_HOUR
    return hours
