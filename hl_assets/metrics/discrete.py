"""Discrete scores of percentiles, and the caps no score may break.

Belongs here: the step from percentile to 20/40/60/80/100 and the two caps, which the rule grader, the check of any
grader's answer and the ranking share. Weights and ranks belong in `hl_assets.scoring`.
"""

import numpy as np

from hl_assets.equity.ragged import FloatArray
from hl_assets.metrics.catalog import SCORED_METRICS

DISCRETE_SCORES = (20.0, 40.0, 60.0, 80.0, 100.0)
QUINTILE_EDGES = (0.2, 0.4, 0.6, 0.8)
"""An edge belongs to the better quintile: a percentile of exactly 0.8 scores 100."""

CAP = 60.0
PERCENTILE_CAP = 0.6
"""What a capped metric's percentile counts for at most where percentiles are averaged: the upper end of the cap's quintile."""
DRAWDOWN_CAP_ABOVE = -0.05
"""A max_drawdown above this (shallower than 5 %) is untested in volatility: its drawdown scores are capped."""
CAGR_CAP_ABOVE = 5.0
"""A cagr above this (500 % a year) is not sustainable: its score is capped."""
DRAWDOWN_SCORES = ("max_drawdown", "avg_drawdown")


def discrete_scores(percentiles: FloatArray) -> FloatArray:
    """Quintile score of each percentile: [0, 0.2) 20, [0.2, 0.4) 40, [0.4, 0.6) 60, [0.6, 0.8) 80, [0.8, 1] 100.

    Args:
        percentiles: any shape, in [0, 1]; NaN is absent.

    Returns:
        Same shape; NaN where the percentile is absent.

    Raises:
        ValueError: a percentile outside [0, 1].
    """
    if ((percentiles < 0.0) | (percentiles > 1.0)).any():
        raise ValueError("percentiles must lie between 0 and 1")
    quintile = np.searchsorted(QUINTILE_EDGES, percentiles, side="right")
    scores = np.asarray(DISCRETE_SCORES)[np.minimum(quintile, len(DISCRETE_SCORES) - 1)]
    return np.where(np.isnan(percentiles), np.nan, scores)


def rule_scores(percentiles: FloatArray, metrics: FloatArray) -> FloatArray:
    """The scores code gives: quintiles of the percentiles, capped, null where the metric is.

    Args:
        percentiles: float64[n, 6] in the order of `SCORED_METRICS`; NaN is absent.
        metrics: float64[n, 6].
    """
    return capped_scores(discrete_scores(percentiles), metrics)


def capped_scores(scores: FloatArray, metrics: FloatArray) -> FloatArray:
    """Scores with both caps applied and none left where the metric itself is null.

    Args:
        scores: float64[n, 6] in the order of `SCORED_METRICS`; NaN is absent.
        metrics: float64[n, 6], the metrics the scores are of.

    Returns:
        float64[n, 6], a new array.

    Raises:
        ValueError: the shapes differ or do not have six columns.
    """
    return _capped(scores, metrics, CAP)


def capped_percentiles(percentiles: FloatArray, metrics: FloatArray) -> FloatArray:
    """Percentiles in which a metric that is capped counts at most `PERCENTILE_CAP`; none where the metric itself is null.

    Args:
        percentiles: float64[n, 6] in the order of `SCORED_METRICS`; NaN is absent.
        metrics: float64[n, 6].

    Raises:
        ValueError: the shapes differ or do not have six columns.
    """
    return _capped(percentiles, metrics, PERCENTILE_CAP)


def _capped(values: FloatArray, metrics: FloatArray, cap: float) -> FloatArray:
    """The values with both caps applied, NaN where the metric is null; a new array."""
    if values.shape != metrics.shape or values.ndim != 2 or values.shape[1] != len(SCORED_METRICS):
        raise ValueError(
            f"scores {values.shape} and metrics {metrics.shape} must both be (n, {len(SCORED_METRICS)})"
        )
    capped = np.where(np.isnan(metrics), np.nan, values)
    untested = metrics[:, SCORED_METRICS.index("max_drawdown")] > DRAWDOWN_CAP_ABOVE
    for name in DRAWDOWN_SCORES:
        column = SCORED_METRICS.index(name)
        capped[untested, column] = np.minimum(capped[untested, column], cap)
    cagr = SCORED_METRICS.index("cagr")
    unsustainable = metrics[:, cagr] > CAGR_CAP_ABOVE
    capped[unsustainable, cagr] = np.minimum(capped[unsustainable, cagr], cap)
    return capped
