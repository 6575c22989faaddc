"""The ragged layout: many segments of different length in one flat array, cut by offsets.

Belongs here: reductions and running products or maxima inside segments, vectorised over all of them. Segment `s` of a
flat array `x` is `x[offsets[s]:offsets[s + 1]]`; empty segments are allowed. No finance belongs here.

Every function gives a segment the same bits whatever its neighbours are: sums run over the segment's own elements only
and running values go step by step. So a wallet's numbers do not depend on who else is on the board.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hl_assets.equity.errors import EquityInputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Segments are padded to the longest of their group; a group's lengths differ by a quarter at most (or by 8 elements).
_GROUP_GROWTH = 1.25
_GROUP_SLACK = 8


def check_offsets(offsets: IntArray, size: int) -> None:
    """Refuse offsets that do not cut an array of `size` elements into consecutive segments.

    Raises:
        EquityInputError: not one-dimensional, empty, not starting at 0, not ending at `size`, or decreasing.
    """
    if offsets.ndim != 1 or len(offsets) == 0:
        raise EquityInputError(
            f"offsets must be one-dimensional with n_segments + 1 entries, got shape {offsets.shape}"
        )
    if offsets[0] != 0 or offsets[-1] != size or bool(np.any(np.diff(offsets) < 0)):
        raise EquityInputError(
            f"offsets must rise from 0 to the number of elements ({size}); got {offsets[0]} to {offsets[-1]}"
        )


def offsets_of(lengths: IntArray) -> IntArray:
    """Offsets (n + 1) of segments with the given lengths (n)."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def segment_of(positions: IntArray, offsets: IntArray) -> IntArray:
    """Number of the segment each flat position lies in."""
    return np.searchsorted(offsets, positions, side="right").astype(np.int64) - 1


def segment_reduce(ufunc: np.ufunc, values: FloatArray, offsets: IntArray, *, empty: float) -> FloatArray:
    """Reduce each segment with a binary ufunc (`np.add`, `np.minimum`, ...).

    Args:
        ufunc: the reduction.
        values: flat array.
        offsets: n_segments + 1 positions.
        empty: result for a segment without elements.

    Returns:
        One value per segment.
    """
    result = np.full(len(offsets) - 1, empty, dtype=np.float64)
    filled = offsets[1:] > offsets[:-1]
    # Segments without elements take no room, so the filled ones touch: `reduceat` ends each where the next one starts.
    starts = offsets[:-1][filled]
    if len(starts):
        result[filled] = ufunc.reduceat(values, starts)
    return result


def segment_count(marked: BoolArray, offsets: IntArray) -> IntArray:
    """Number of true elements in each segment."""
    # Marks are mostly few: finding them and cutting their positions is several times faster than a running count.
    return np.diff(np.searchsorted(np.flatnonzero(marked), offsets)).astype(np.int64)


def segment_last(values: FloatArray, offsets: IntArray) -> FloatArray:
    """Last element of each segment, NaN for an empty one."""
    return _pick(values, offsets, offsets[1:] - 1)


def segment_first(values: FloatArray, offsets: IntArray) -> FloatArray:
    """First element of each segment, NaN for an empty one."""
    return _pick(values, offsets, offsets[:-1])


def _pick(values: FloatArray, offsets: IntArray, positions: IntArray) -> FloatArray:
    result = np.full(len(offsets) - 1, np.nan)
    filled = offsets[1:] > offsets[:-1]
    result[filled] = values[positions[filled]]
    return result


class SegmentScan:
    """Running products and maxima inside segments.

    numpy accumulates along an axis, not inside the segments of a flat array. Segments of similar length are therefore
    laid side by side in a matrix (time down, segments across), accumulated at once and put back. The placement is
    worked out once per set of offsets and used for every quantity.
    """

    def __init__(self, offsets: IntArray) -> None:
        self.offsets = offsets
        self._size = int(offsets[-1])
        self._blocks = list(_blocks(offsets))

    def accumulate(self, ufunc: np.ufunc, values: FloatArray) -> FloatArray:
        """Running value of `ufunc` (`np.multiply`, `np.maximum`, ...) inside each segment, in the order of `values`."""
        # One spare slot at the end takes what the padding writes.
        result = np.empty(self._size + 1)
        for positions in self._blocks:
            block = values.take(positions, mode="clip")
            ufunc.accumulate(block, axis=0, out=block)
            result[positions] = block
        return result[: self._size]


def _blocks(offsets: IntArray) -> Iterator[IntArray]:
    """Matrices of flat positions (width, n_segments in group); padding points one past the end."""
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    size = int(offsets[-1])
    at = int(np.searchsorted(ordered, 1))
    while at < len(ordered):
        shortest = int(ordered[at])
        longest = max(int(shortest * _GROUP_GROWTH), shortest + _GROUP_SLACK)
        end = int(np.searchsorted(ordered, longest, side="right"))
        rows = order[at:end]
        steps = np.arange(int(ordered[end - 1]), dtype=np.int64)[:, None]
        yield np.where(steps < lengths[rows], offsets[:-1][rows] + steps, size)
        at = end
