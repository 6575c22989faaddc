"""Summaries of what is present."""

import warnings

import pandas as pd
import pytest

from hl_assets.assets.summaries import mean, median


@pytest.mark.parametrize("summary", [mean, median])
@pytest.mark.parametrize(
    "nothing",
    [
        pd.Series([], dtype="float64"),
        pd.Series([None, None], dtype=object),
        pd.Series([float("nan")] * 3),
        pd.Series([None], dtype="Float64"),
    ],
)
def test_of_nothing_is_none_and_warns_of_nothing(summary, nothing: pd.Series) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert summary(nothing) is None


def test_unknown_values_do_not_count() -> None:
    values = pd.Series([1.0, float("nan"), 2.0, 9.0])
    assert median(values) == 2.0
    assert mean(values) == 4.0
