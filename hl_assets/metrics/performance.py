"""What was earned: return on investment and compound growth, on the flow-adjusted index.

Belongs here: figures of growth. Their window is the newest life of the wallet: from the first funded point, or from the
refunding after the last wipe-out. An index that reached 0 can never rise again, so an ROI across a wipe-out would read
-100 % for ever and say nothing about what the wallet did since; the loss is not forgotten but stays in `max_drawdown`
(-1), `avg_drawdown`, `n_wipeouts` and every ratio to a drawdown. A full withdrawal starts no new window.
"""

import numpy as np

from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import MS_PER_DAY, MS_PER_YEAR, CurveShape

MIN_CAGR_DAYS = 90.0
"""Spans shorter than this are not annualised for ranking."""


def performance(steps: Steps, shape: CurveShape) -> dict[str, Column]:
    """`roi`, `cagr`, `cagr_short`, `performance_span_days`, `performance_start_ms`.

    Years are elapsed seconds / 31,557,600, never a number of points: sampling is irregular.
    """
    ts = steps.curves.ts_ms
    index_end = shape.spread(steps.index[shape.last])
    start_ms = shape.spread(ts[shape.life_start].astype(np.float64))
    span_ms = shape.spread((ts[shape.last] - ts[shape.life_start]).astype(np.float64))
    span_days = span_ms / MS_PER_DAY
    roi = Column.of(
        index_end - 1.0,
        *shape.fewer_than(2, shape.life_points),
        (np.isnan(index_end), NullReason.UNKNOWN_RETURN),
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        annual = index_end ** (MS_PER_YEAR / span_ms) - 1.0
    short = span_days < MIN_CAGR_DAYS
    return {
        "roi": roi,
        "cagr": Column.of(annual, *roi.inherited(), (short, NullReason.SPAN_UNDER_90_DAYS)),
        "cagr_short": Column.of(annual, *roi.inherited(), (~short, NullReason.SPAN_OF_90_DAYS_OR_MORE)),
        "performance_span_days": Column.of(span_days, *shape.absent()),
        "performance_start_ms": Column.of(start_ms, *shape.absent()),
    }
