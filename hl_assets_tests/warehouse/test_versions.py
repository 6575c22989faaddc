"""Versions only grow, whatever the clock does, and two processes do not meet."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from hl_assets.warehouse.versions import ClockVersions

UINT64 = 2**64


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), min_size=1, max_size=30),
    st.integers(0, 65535),
)
def test_strictly_increasing_and_above_the_floor(steps: list[tuple[int, int]], noise: int) -> None:
    clock = iter([now for now, _ in steps])
    source = ClockVersions(lambda: next(clock), lambda _: noise)
    last = 0
    for _, above in steps:
        version = source.next(above)
        assert last < version < UINT64
        assert version > above
        last = version


def test_same_instant_in_two_processes_differs_by_the_random_bits() -> None:
    one = ClockVersions(lambda: 1_000_000_000_000, lambda _: 1)
    other = ClockVersions(lambda: 1_000_000_000_000, lambda _: 2)
    assert one.next(0) != other.next(0)
    floor = 2**60  # both clocks are behind what is published
    assert one.next(floor) != other.next(floor)


def test_threads_never_share_a_version() -> None:
    source = ClockVersions(lambda: 5)
    given_out: list[int] = []
    threads = [
        threading.Thread(target=lambda: given_out.extend(source.next(0) for _ in range(200)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given_out)) == 1600


def test_begun_before_is_above_older_versions_only() -> None:
    now = 10**18
    source = ClockVersions(lambda: now, lambda _: 0)
    hour = 3_600_000_000_000
    older = ClockVersions(lambda: now - 2 * hour, lambda _: 65535).next(0)
    younger = ClockVersions(lambda: now - hour // 2, lambda _: 0).next(0)
    assert older < source.begun_before(3600) < younger
