import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.randomness import Stream, wallet_keys
from hl_assets.exchange.sandbox.segments import latest_rows, renewals, row_keys, row_owners, running_sums

DAY = 86_400_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1000, 1000)), min_size=1, max_size=40))
def test_running_sums_start_anew_at_each_owner(rows: list[tuple[int, int]]):
    rows.sort(key=lambda row: row[0])
    owners, values = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    expected = [sum(value for owner, value in rows[: i + 1] if owner == rows[i][0]) for i in range(len(rows))]
    assert running_sums(values, owners).tolist() == expected


@settings(deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=30),
    st.integers(0, 4),
    st.integers(0, 60),
)
def test_latest_row_is_the_owners_newest_at_or_before(rows: set[tuple[int, int]], owner: int, instant: int):
    ordered = sorted(rows)
    keys = row_keys(*(np.array(column, dtype=np.int64) for column in zip(*ordered, strict=True)), 0)
    wallet, moment = np.array([owner]), np.array([instant])
    found_row, found = latest_rows(keys, wallet, row_keys(wallet, moment, 0))
    before = [row for row in ordered if row[0] == owner and row[1] <= instant]
    assert bool(found[0]) == bool(before)
    if before:
        assert ordered[found_row[0]] == before[-1]
        assert row_owners(keys[found_row])[0] == owner


def test_renewals_without_length_are_a_poisson_process():
    keys = wallet_keys(1, np.arange(3_000, dtype=np.uint64))
    gap, start = np.full(3_000, 20.0), np.zeros(3_000, dtype=np.int64)
    owners, begin, end = renewals(keys, Stream.FLOW_TIMES, gap, start, start + 400 * DAY)
    counts = np.bincount(owners, minlength=3_000)
    assert np.array_equal(begin, end)
    assert counts.mean() == pytest.approx(20, rel=0.02)
    assert counts.var() == pytest.approx(20, rel=0.1)
    assert begin.min() > 0
    assert begin.max() < 400 * DAY


def test_renewals_with_length_do_not_overlap_and_none_come_from_an_infinite_gap():
    keys = wallet_keys(1, np.arange(2, dtype=np.uint64))
    gap, length = np.array([1.0, np.inf]), np.array([0.5, 0.5])
    start = np.zeros(2, dtype=np.int64)
    owners, begin, end = renewals(
        keys, Stream.SPELL_GAPS, gap, start, start + 100 * DAY, length=(Stream.SPELL_LENGTHS, length)
    )
    assert set(owners.tolist()) == {0}
    assert len(begin) > 40
    assert np.all(begin[1:] >= end[:-1])
