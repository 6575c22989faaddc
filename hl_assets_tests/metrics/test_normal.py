import math
from statistics import NormalDist, StatisticsError

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.normal import normal_cdf, normal_quantile


def test_equals_scipy_in_the_middle_and_far_in_both_tails():
    x = np.concatenate([np.linspace(-38, 38, 200_001), np.array([0.0, -0.0, 1e-300, -1e-17, 8.3, -8.3])])
    expected = scipy.stats.norm.cdf(x)
    assert np.abs(normal_cdf(x) - expected).max() < 1e-15
    normal_numbers = expected > 1e-300
    relative = np.abs(normal_cdf(x)[normal_numbers] / expected[normal_numbers] - 1)
    assert relative.max() < 1e-12


@given(st.floats(-40, 40))
def test_equals_the_standard_librarys_erfc(x):
    assert normal_cdf(np.array([x]))[0] == pytest.approx(
        0.5 * math.erfc(-x / math.sqrt(2)), rel=1e-12, abs=1e-300
    )


def test_ends_and_missing_values():
    ends = normal_cdf(np.array([-np.inf, np.inf, np.nan, 0.0, 1e200, -1e200]))
    assert ends.tolist() == pytest.approx([0, 1, np.nan, 0.5, 1, 0], nan_ok=True)


@given(st.floats(-8, 8), st.floats(0, 4))
def test_is_monotone_and_symmetric(x, more):
    low, high, mirrored = normal_cdf(np.array([x, x + more, -x]))
    assert low <= high + 2e-16
    assert low + mirrored == pytest.approx(1.0, abs=1e-15)


@given(st.floats(1e-12, 1 - 1e-12))
def test_the_quantile_is_its_inverse(probability):
    assert normal_cdf(np.array([normal_quantile(probability)]))[0] == pytest.approx(probability, rel=1e-9)
    assert normal_quantile(probability) == NormalDist().inv_cdf(probability)


@pytest.mark.parametrize("probability", [0.0, 1.0, -1.0])
def test_no_value_has_probability_zero_or_one(probability):
    with pytest.raises(StatisticsError):
        normal_quantile(probability)
