import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.ratelimit import WeightLimiter, weight_of


class Hands:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("info_type", "weight"),
    [
        ("portfolio", 20),
        ("vaultDetails", 20),
        ("clearinghouseState", 2),
        ("userRole", 60),
        ("nonsense", 20),
        (None, 20),
    ],
)
def test_weights_are_the_documented_ones(info_type: object, weight: int):
    assert weight_of(info_type) == weight


def test_sixty_portfolios_a_minute_and_not_one_more():
    hands = Hands()
    limiter = WeightLimiter(1_200, hands)
    assert [limiter.admit("a", 20) for _ in range(61)] == [True] * 60 + [False]
    hands.seconds += 59.999
    assert not limiter.admit("a", 20)
    hands.seconds += 0.001
    assert limiter.admit("a", 20)
    report = limiter.report()
    assert report["max_in_any_60s"] == 1_200
    assert report["max_offered_in_any_60s"] == 1_240
    assert report["refused_requests"] == 2
    assert report["by_minute"] == [1_200, 20]


def test_clients_have_their_own_budgets():
    limiter = WeightLimiter(20, Hands())
    assert limiter.admit("a", 20)
    assert limiter.admit("b", 20)
    assert not limiter.admit("a", 2)


def test_without_a_limit_everything_passes_and_is_counted():
    limiter = WeightLimiter(None, Hands())
    assert all(limiter.admit("a", 60) for _ in range(100))
    assert limiter.report()["max_in_any_60s"] == 6_000
    limiter.reset()
    assert limiter.report()["total"] == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from([2, 20, 60])), max_size=60))
def test_no_sliding_minute_ever_holds_more_than_the_limit(requests: list[tuple[float, int]]):
    hands = Hands()
    limiter = WeightLimiter(100, hands)
    admitted: list[tuple[float, int]] = []
    for wait, weight in requests:
        hands.seconds += wait
        before = sum(used for moment, used in admitted if moment > hands.seconds - 60)
        allowed = limiter.admit("a", weight)
        assert allowed == (before + weight <= 100)
        if allowed:
            admitted.append((hands.seconds, weight))
    windows = [sum(used for moment, used in admitted if end - 60 < moment <= end) for end, _ in admitted]
    assert limiter.report()["max_in_any_60s"] == max(windows, default=0)
