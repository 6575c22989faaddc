import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.ragged import (
    SegmentScan,
    check_offsets,
    offsets_of,
    segment_count,
    segment_first,
    segment_last,
    segment_of,
    segment_reduce,
)

numbers = st.floats(-1e6, 1e6)
segments = st.lists(st.lists(numbers, max_size=40), max_size=12)


def flat(parts):
    return (
        np.array([value for part in parts for value in part], dtype=np.float64),
        offsets_of(np.array([len(part) for part in parts], dtype=np.int64)),
    )


@given(segments)
def test_reductions_equal_a_loop_over_segments(parts):
    values, offsets = flat(parts)
    assert segment_reduce(np.minimum, values, offsets, empty=np.nan).tolist() == pytest.approx(
        [min(part) if part else np.nan for part in parts], nan_ok=True
    )
    assert segment_reduce(np.add, values, offsets, empty=0.0) == pytest.approx(
        [sum(part) for part in parts], abs=1e-6
    )
    assert segment_count(values > 0, offsets).tolist() == [sum(value > 0 for value in part) for part in parts]
    assert segment_last(values, offsets) == pytest.approx(
        [part[-1] if part else np.nan for part in parts], nan_ok=True
    )
    assert segment_first(values, offsets) == pytest.approx(
        [part[0] if part else np.nan for part in parts], nan_ok=True
    )


@given(segments)
def test_running_values_equal_numpy_on_each_segment_to_the_bit(parts):
    values, offsets = flat(parts)
    scan = SegmentScan(offsets)
    for ufunc in (np.maximum, np.multiply, np.add):
        expected = np.concatenate(
            [ufunc.accumulate(np.array(part)) for part in parts if part] or [np.empty(0)]
        )
        with np.errstate(over="ignore", invalid="ignore"):
            assert np.array_equal(scan.accumulate(ufunc, values), expected, equal_nan=True)


def test_running_values_of_very_different_lengths():
    lengths = np.array([0, 1, 5_000, 2, 0, 300, 17, 1], dtype=np.int64)
    offsets = offsets_of(lengths)
    values = np.random.default_rng(3).normal(size=int(offsets[-1]))
    got = SegmentScan(offsets).accumulate(np.maximum, values)
    for begin, end in itertools.pairwise(offsets):
        assert np.array_equal(got[begin:end], np.maximum.accumulate(values[begin:end]))


def test_a_segment_s_result_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(5)
    part = rng.normal(1.0, 0.1, 333)
    alone, alone_offsets = flat([part])
    among, among_offsets = flat([rng.normal(size=9), part, rng.normal(size=2_000), []])
    for reduce in (np.add, np.minimum):
        assert (
            segment_reduce(reduce, alone, alone_offsets, empty=0.0)[0]
            == segment_reduce(reduce, among, among_offsets, empty=0.0)[1]
        )
    product = SegmentScan(among_offsets).accumulate(np.multiply, among)[9 : 9 + 333]
    assert np.array_equal(product, SegmentScan(alone_offsets).accumulate(np.multiply, alone))


def test_segment_of_skips_empty_segments():
    offsets = np.array([0, 0, 3, 3, 5], dtype=np.int64)
    assert segment_of(np.arange(5), offsets).tolist() == [1, 1, 1, 3, 3]


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 4, 3], [[0, 3]]])
def test_offsets_that_do_not_cut_the_array_are_refused(offsets):
    with pytest.raises(EquityInputError, match="offsets"):
        check_offsets(np.array(offsets, dtype=np.int64), 3)
