import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.percentiles import mid_rank_percentiles, percentile_matrix

NAN = float("nan")
values_strategy = st.lists(
    st.one_of(st.just(NAN), st.integers(-5, 5).map(float), st.floats(-1e9, 1e9)), max_size=30
)


def percentiles(values, eligible=None):
    array = np.array(values, dtype=np.float64)
    return mid_rank_percentiles(
        array, np.ones(len(array), np.bool_) if eligible is None else np.array(eligible)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], [0.5]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.3, 0.5, 0.7, 0.9]),
        ([5.0, 1.0, 5.0, 1.0], [0.75, 0.25, 0.75, 0.25]),
        ([2.0, 2.0, 2.0], [0.5, 0.5, 0.5]),
        ([-0.05, NAN, -0.40], [0.75, NAN, 0.25]),  # a shallower drawdown is better
        ([0.0, -0.0], [0.5, 0.5]),
        ([], []),
        ([NAN], [NAN]),
    ],
)
def test_mid_ranks(values, expected):
    assert percentiles(values) == pytest.approx(expected, nan_ok=True)


def test_ineligible_wallets_neither_get_nor_influence_a_percentile():
    assert percentiles([1.0, 2.0, 100.0], [True, True, False]) == pytest.approx(
        [0.25, 0.75, NAN], nan_ok=True
    )
    assert np.isnan(percentiles([np.inf, 1.0], [False, True])[0])


@given(values_strategy)
def test_equals_counting(values):
    present = [value for value in values if value == value]
    expected = [
        (sum(other < value for other in present) + 0.5 * sum(other == value for other in present))
        / len(present)
        if value == value
        else NAN
        for value in values
    ]
    assert percentiles(values) == pytest.approx(expected, nan_ok=True)


@given(values_strategy.filter(lambda values: any(value == value for value in values)))
def test_percentiles_average_one_half_and_follow_the_order(values):
    result = percentiles(values)
    assert np.nanmean(result) == pytest.approx(0.5)
    known = ~np.isnan(result)
    order = np.argsort(np.array(values)[known], kind="stable")
    assert (np.diff(result[known][order]) >= 0).all()


def test_infinity_and_misfitting_shapes_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        percentiles([np.inf])
    with pytest.raises(ValueError, match="equal"):
        mid_rank_percentiles(np.zeros(2), np.ones(3, np.bool_))


def test_each_column_is_ranked_by_itself():
    values = np.array([[1.0, 9.0], [2.0, NAN]])
    expected = np.array([[0.25, 0.5], [0.75, NAN]])
    assert np.array_equal(percentile_matrix(values, np.array([True, True])), expected, equal_nan=True)
