import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.arrays import YEAR_MS
from hl_assets.exchange.sandbox.errors import InstantOutOfRangeError
from hl_assets.exchange.sandbox.path import Horizon, brownian
from hl_assets.exchange.sandbox.randomness import wallet_keys

HORIZON = Horizon(origin_ms=1_000_000_000_000)
KEYS = wallet_keys(3, np.arange(4_000, dtype=np.uint64))


def many(instant: int) -> np.ndarray:
    return brownian(HORIZON, KEYS, np.full(KEYS.shape, instant, dtype=np.int64))


def test_starts_at_zero():
    assert np.all(many(HORIZON.origin_ms) == 0)


@pytest.mark.parametrize("days", [1, 30, 700, 1900])
def test_variance_grows_with_time(days: int):
    values = many(HORIZON.origin_ms + days * 86_400_000)
    expected = days * 86_400_000 / YEAR_MS
    assert abs(values.mean()) < 4 * np.sqrt(expected / KEYS.size)
    assert values.var() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("step", [320_000, 20 * 60_000, 86_400_000])
def test_increments_have_the_variance_of_their_length_and_are_uncorrelated(step: int):
    start = HORIZON.origin_ms + 400 * 86_400_000
    first, second = many(start + step) - many(start), many(start + 2 * step) - many(start + step)
    assert first.var() == pytest.approx(step / YEAR_MS, rel=0.15)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.07


@settings(deadline=None)
@given(st.lists(st.integers(HORIZON.origin_ms, HORIZON.end_ms - 1), min_size=1, max_size=20))
def test_a_value_does_not_depend_on_what_else_is_asked(instants: list[int]):
    together = brownian(HORIZON, KEYS[:1], np.array(instants, dtype=np.int64))
    alone = [brownian(HORIZON, KEYS[:1], np.array([instant], dtype=np.int64))[0] for instant in instants]
    assert together.tolist() == alone


def test_is_continuous_across_cells():
    edge = HORIZON.origin_ms + HORIZON.cell_ms * 2**18
    around = brownian(HORIZON, KEYS[:1], np.array([edge - 1, edge, edge + 1], dtype=np.int64))
    assert np.abs(np.diff(around)).max() < 1e-4


@pytest.mark.parametrize("instant", [HORIZON.origin_ms - 1, HORIZON.end_ms])
def test_an_instant_outside_the_horizon_is_refused(instant: int):
    with pytest.raises(InstantOutOfRangeError, match=str(instant)):
        many(instant)
