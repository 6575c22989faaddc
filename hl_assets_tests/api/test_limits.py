"""The rate limit: what a client may do, and who a client is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.api.limits import TokenBuckets, client_of, parse_networks


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(60, 3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now += 0.9
    assert buckets.take("a") == 1
    clock.now += 0.1
    assert buckets.take("a") == 0
    assert buckets.take("a") == 1
    assert buckets.take("b") == 0, "another client has a bucket of its own"


def test_the_wait_is_long_enough() -> None:
    clock = Clock()
    buckets = TokenBuckets(7, 1, clock=clock)
    assert buckets.take("a") == 0
    wait = buckets.take("a")
    assert wait == 9
    clock.now += wait
    assert buckets.take("a") == 0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.integers(1, 20), st.integers(1, 600))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], burst: int, per_minute: int) -> None:
    clock = Clock()
    buckets = TokenBuckets(per_minute, burst, clock=clock)
    allowed = 0
    for pause in pauses:
        clock.now += pause
        allowed += buckets.take("a") == 0
    assert allowed <= burst + sum(pauses) * per_minute / 60 + 1e-6


def test_no_limit() -> None:
    buckets = TokenBuckets(0, 1)
    assert {buckets.take("a") for _ in range(1_000)} == {0}
    assert len(buckets) == 0


def test_clients_are_forgotten_before_memory_is_full() -> None:
    buckets = TokenBuckets(60, 1, clock=Clock(), most_clients=100)
    for number in range(1_000):
        buckets.take(str(number))
    assert len(buckets) == 100


PROXIES = parse_networks("10.0.0.0/8, 127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger's word counts nothing
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),  # made up, client, inner proxy
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["<script>, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.1, nonsense"], "10.1.2.3"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        (None, ["198.51.100.1"], "unknown"),
        ("testclient", [], "unknown"),
    ],
)
def test_who_asks(peer: str | None, forwarded: list[str], client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert client_of("127.0.0.1", ["198.51.100.1"], ()) == "127.0.0.1"
