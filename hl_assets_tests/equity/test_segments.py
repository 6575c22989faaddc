"""Stored segments join the curve when, and only when, exactly shared timestamps connect them with it."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.segments import Segment, join_stored
from hl_assets_tests.equity.builders import DAY_MS, START_MS

A, B, C = ("0x" + letter * 40 for letter in "abc")


def segment(days, values, pnl):
    ts = np.array([START_MS + int(day * DAY_MS) for day in days], dtype=np.int64)
    return Segment(ts, np.array(values, float), np.array(pnl, float), np.zeros(len(ts), np.bool_))


def curve_of(*wallets):
    """Anchored curves of (days, values, PnL) triples."""
    return RaggedCurves.from_groups(
        [A, B, C][: len(wallets)],
        [(START_MS + DAY_MS * np.array(days), values, pnl) for days, values, pnl in wallets],
    )


def days_of(curves, row=0):
    points = slice(curves.offsets[row], curves.offsets[row + 1])
    return ((curves.ts_ms[points] - START_MS) / DAY_MS).tolist()


ANCHORED = ([0, 10, 20], [100.0, 120.0, 130.0], [0.0, 20.0, 30.0])


class TestByHand:
    def test_a_shared_timestamp_gives_the_offset(self):
        joined = join_stored(curve_of(ANCHORED), {A: [segment([10, 12], [120, 125], [3, 8])]})
        assert days_of(joined) == [0, 10, 12, 20]
        assert joined.account_value.tolist() == [100, 120, 125, 130]
        assert joined.pnl.tolist() == [0, 20, 25, 30]
        assert joined.contradictions.tolist() == [0]

    def test_what_shares_nothing_stays_out(self):
        curves = curve_of(ANCHORED)
        joined = join_stored(curves, {A: [segment([9.99, 12], [120, 125], [3, 8])]})
        assert joined.ts_ms.tolist() == curves.ts_ms.tolist()

    def test_what_disagrees_on_the_offset_stays_out(self):
        joined = join_stored(
            curve_of(ANCHORED), {A: [segment([10, 12, 20], [120, 125, 130], [0, 5, 10.00001])]}
        )
        assert days_of(joined) == [0, 10, 20]

    def test_one_segment_may_be_the_bridge_of_another(self):
        far, bridge = segment([1, 2], [101, 102], [0, 1]), segment([2, 10], [102, 120], [50, 68])
        for order in ([far, bridge], [bridge, far]):
            joined = join_stored(curve_of(ANCHORED), {A: order})
            assert days_of(joined) == [0, 1, 2, 10, 20]
            assert joined.pnl.tolist() == [0, 1, 2, 20, 30]

    def test_the_curves_own_value_counts_and_another_is_a_contradiction(self):
        joined = join_stored(curve_of(ANCHORED), {A: [segment([10, 12], [121, 125], [0, 5])]})
        assert joined.account_value.tolist() == [100, 120, 125, 130]
        assert joined.contradictions.tolist() == [1]

    def test_only_the_wallets_with_segments_change(self):
        curves = curve_of(ANCHORED, ([], [], []), ([0, 1], [50.0, 60.0], [0.0, 10.0]))
        joined = join_stored(
            curves, {A: [segment([20, 21], [130, 131], [0, 1])], B: [segment([3], [70], [0])], C: []}
        )
        assert joined.lengths.tolist() == [4, 0, 2]
        assert days_of(joined, 2) == [0, 1]
        assert joined.pnl.tolist() == [0, 20, 30, 31, 0, 10]
        assert join_stored(curves, {}) is curves

    def test_a_wallet_without_a_curve_is_refused(self):
        with pytest.raises(EquityInputError, match=B):
            join_stored(curve_of(ANCHORED), {B: [segment([3], [70], [0])]})


def reachable(anchored, pieces):
    """Instants connected with the anchored ones over shared instants, found by plain search."""
    found, waiting = set(anchored), list(pieces)
    while any(found & set(piece) for piece in waiting):
        for piece in [each for each in waiting if found & set(each)]:
            found |= set(piece)
            waiting.remove(piece)
    return sorted(found)


@given(
    n=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
    n_pieces=st.integers(0, 6),
    share=st.floats(0.02, 0.4),
)
def test_pieces_of_one_series_come_back_as_that_series_as_far_as_they_are_connected(n, seed, n_pieces, share):
    rng = np.random.default_rng(seed)
    ts = START_MS + np.cumsum(rng.integers(1, DAY_MS, n))
    values, pnl = rng.uniform(0, 1e7, n), np.round(rng.normal(0, 1e6, n), 6)
    subsets = [
        np.sort(rng.choice(n, max(1, rng.binomial(n, share)), replace=False)) for _ in range(n_pieces + 1)
    ]
    anchored, *pieces = subsets
    segments = [
        Segment(ts[each], values[each], pnl[each] - pnl[each[0]], np.zeros(len(each), np.bool_))
        for each in pieces
    ]
    curves = RaggedCurves.from_groups([A], [(ts[anchored], values[anchored], pnl[anchored])])
    joined = join_stored(curves, {A: segments})
    expected = reachable(anchored.tolist(), [piece.tolist() for piece in pieces])
    assert joined.ts_ms.tolist() == ts[expected].tolist()
    assert joined.account_value.tolist() == values[expected].tolist()
    assert np.abs(joined.pnl - pnl[expected]).max() < 1e-6
    assert joined.contradictions.tolist() == [0]


def test_a_chain_of_a_thousand_answers_joined_at_its_newest_end_takes_no_quadratic_time():
    chain = [segment([k / 100, (k + 1) / 100], [100 + k, 101 + k], [0, 1]) for k in range(1_000)]
    curves = curve_of(([10, 11], [1_100.0, 1_200.0], [5_000.0, 5_100.0]))
    begin = time.perf_counter()
    joined = join_stored(curves, {A: chain})
    assert time.perf_counter() - begin < 5.0
    assert joined.n_points == 1_002
    assert joined.pnl[:1_001].tolist() == [4_000.0 + k for k in range(1_001)]
