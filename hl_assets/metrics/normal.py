"""The standard normal distribution for arrays.

Belongs here: its distribution function and quantile. What they are used for belongs in `hl_assets.metrics.significance`.

The distribution function is W. J. Cody's rational Chebyshev approximation of erf and erfc (Mathematics of Computation 23,
1969; netlib `specfun`), accurate to a few units in the last place, so scipy need not be installed where metrics are run.
"""

from statistics import NormalDist

import numpy as np

from hl_assets.equity.ragged import FloatArray

_SQRT_HALF = 0.7071067811865476
_ONE_OVER_SQRT_PI = 0.5641895835477563
_SMALL = 0.46875
_LARGE = 4.0

# Coefficients of the three ranges, highest power first.
_ERF_ABOVE = (
    1.85777706184603153e-1,
    3.16112374387056560,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_ERF_BELOW = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
_MIDDLE_ABOVE = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_MIDDLE_BELOW = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
_TAIL_ABOVE = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_TAIL_BELOW = (
    1.0,
    2.56852019228982242,
    1.87295284992346725,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def normal_cdf(x: FloatArray) -> FloatArray:
    """Probability that a standard normal variable is at most `x`: any shape, NaN stays NaN, infinities give 0 and 1."""
    return 0.5 * _erfc(-_SQRT_HALF * x)


def normal_quantile(probability: float) -> float:
    """The value a standard normal variable stays below with the given probability.

    Raises:
        statistics.StatisticsError: a probability that is not strictly between 0 and 1.
    """
    return NormalDist().inv_cdf(probability)


def _erfc(x: FloatArray) -> FloatArray:
    size = np.abs(x)
    # Beyond 27 erfc is below the smallest double: 0 there, and no square overflows.
    size = np.minimum(size, 27.0)
    square = size * size
    small = size <= _SMALL
    inverse_square = 1.0 / np.maximum(square, _SMALL * _SMALL)
    middle = _ratio(_MIDDLE_ABOVE, _MIDDLE_BELOW, size)
    tail = _ONE_OVER_SQRT_PI - inverse_square * _ratio(_TAIL_ABOVE, _TAIL_BELOW, inverse_square)
    tail /= np.maximum(size, _SMALL)
    upper = np.where(size <= _LARGE, middle, tail) * _exp_minus_square(size)
    upper = np.where(x < 0.0, 2.0 - upper, upper)
    return np.where(small, 1.0 - np.copysign(size, x) * _ratio(_ERF_ABOVE, _ERF_BELOW, square), upper)


def _ratio(above: tuple[float, ...], below: tuple[float, ...], x: FloatArray) -> FloatArray:
    return _polynomial(above, x) / _polynomial(below, x)


def _polynomial(coefficients: tuple[float, ...], x: FloatArray) -> FloatArray:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _exp_minus_square(size: FloatArray) -> FloatArray:
    """exp(-size^2) without losing the digits that squaring rounds away (Cody's splitting at sixteenths)."""
    coarse = np.trunc(size * 16.0) / 16.0
    return np.exp(-coarse * coarse) * np.exp(-(size - coarse) * (size + coarse))
