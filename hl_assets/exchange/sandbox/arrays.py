"""Array types and units shared by the sandbox's modules. No computation lives here.

Money is kept in whole micro-dollars and volume in whole cents, both int64: differences of integers are exact, so windows
of one series stitch exactly and flows equal dAV - dPnL to the last digit. Instants are milliseconds since 1970, UTC.
"""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
HashArray = npt.NDArray[np.uint64]

MICRO = 1_000_000
CENTS = 100

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
YEAR_MS = 31_557_600_000
"""A year of 365.25 days, as everywhere in this project."""


def whole(values: FloatArray) -> IntArray:
    """The nearest whole numbers."""
    return np.asarray(np.rint(values), dtype=np.int64)


def micro(dollars: FloatArray) -> IntArray:
    """US dollars to whole micro-dollars."""
    return whole(dollars * MICRO)
