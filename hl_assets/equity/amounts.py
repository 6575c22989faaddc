"""When two USD amounts are the same: the one tolerance used wherever values of the exchange are compared.

Nothing but that comparison belongs here.
"""

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray

_RESOLUTION_USD = 1e-6
_RELATIVE = 8.0 * float(np.finfo(np.float64).eps)


def usd_tolerance(*series: FloatArray) -> float:
    """Difference in USD up to which two amounts of these series are the same.

    1e-6 USD, the exchange's own resolution, or 8 units in the last place of the largest amount where doubles are
    coarser than that (from about 5e8 USD). Measured on a recorded 160-million-USD vault: offsets of the same pair of
    windows differ by at most 7.5e-9 USD, account values at shared timestamps by nothing.
    """
    largest = max((float(np.abs(values).max()) for values in series if len(values)), default=0.0)
    return max(_RESOLUTION_USD, _RELATIVE * largest)


def differ_usd(left: FloatArray, right: FloatArray) -> BoolArray:
    """Where two arrays of amounts differ by more than the tolerance of the larger one of each pair."""
    differs: BoolArray = np.abs(left - right) > tolerance_of(np.maximum(np.abs(left), np.abs(right)))
    return differs


def tolerance_of(magnitude: FloatArray) -> FloatArray:
    """`usd_tolerance` for each of the given magnitudes."""
    tolerance: FloatArray = np.maximum(_RESOLUTION_USD, _RELATIVE * magnitude)
    return tolerance
