"""Where a wallet stands among others: mid-rank percentiles.

Belongs here: percentiles of any figure among eligible wallets. What they are turned into (discrete scores, words) does
not belong here.
"""

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray


def mid_rank_percentiles(values: FloatArray, eligible: BoolArray) -> FloatArray:
    """Percentile of each value among the eligible, present ones; higher is better.

        percentile = (number of lower values + half the number of equal ones, itself included) / number of values

    So the best of 5 distinct values has 0.9, the worst 0.1, a single one 0.5, and all of a tie the same.

    Args:
        values: float64[n]; NaN is absent.
        eligible: bool[n].

    Returns:
        float64[n] strictly between 0 and 1; NaN for absent values and ineligible wallets.

    Raises:
        ValueError: an eligible value is infinite, or the lengths differ.
    """
    if values.shape != eligible.shape or values.ndim != 1:
        raise ValueError(
            f"values {values.shape} and eligible {eligible.shape} must be one-dimensional and equal"
        )
    counted = eligible & ~np.isnan(values)
    present = values[counted]
    if np.isinf(present).any():
        raise ValueError("an infinite value has no percentile; a figure that cannot be computed must be NaN")
    ordered = np.sort(present)
    lower = np.searchsorted(ordered, present, side="left")
    not_higher = np.searchsorted(ordered, present, side="right")
    result = np.full(len(values), np.nan)
    result[counted] = (lower + not_higher) / (2 * max(len(present), 1))
    return result


def percentile_matrix(values: FloatArray, eligible: BoolArray) -> FloatArray:
    """`mid_rank_percentiles` of each column.

    Args:
        values: float64[n, k].
        eligible: bool[n].
    """
    columns = [mid_rank_percentiles(values[:, k], eligible) for k in range(values.shape[1])]
    return np.column_stack(columns) if columns else np.empty(values.shape)
