"""Ragged per-wallet tables: rows of many wallets in one array, found by wallet and instant.

Shared by the money ledger and the volume ledger. Knows nothing about what the rows mean.
"""

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, BoolArray, FloatArray, HashArray, IntArray
from hl_assets.exchange.sandbox.randomness import Stream, stream_keys, uniforms

_TIME_BITS = 38  # 8.7 years of milliseconds


def row_keys(owners: IntArray, instants_ms: IntArray, origin_ms: int) -> IntArray:
    """One sortable number per (wallet, instant)."""
    return (owners << _TIME_BITS) | (instants_ms - origin_ms)


def row_owners(keys: IntArray) -> IntArray:
    """The wallet of each row key."""
    return keys >> _TIME_BITS


def row_instants(keys: IntArray, origin_ms: int) -> IntArray:
    """The instant of each row key."""
    return (keys & ((1 << _TIME_BITS) - 1)) + origin_ms


def latest_rows(keys: IntArray, owners: IntArray, queries: IntArray) -> tuple[IntArray, BoolArray]:
    """Row of each owner at or before each query key, and whether there is one.

    Rows without a match are returned as 0, to be masked by the caller.
    """
    if keys.size == 0:
        return np.zeros(queries.shape, dtype=np.int64), np.zeros(queries.shape, dtype=np.bool_)
    rows = np.searchsorted(keys, queries, side="right") - 1
    found = (rows >= 0) & (row_owners(keys[np.maximum(rows, 0)]) == owners)
    return np.where(found, rows, 0), found


def ranks(counts: IntArray) -> tuple[IntArray, IntArray]:
    """For groups of the given sizes: owner of each row, and its rank 0, 1, ... inside the group."""
    owners = np.repeat(np.arange(counts.size, dtype=np.int64), counts)
    firsts = np.cumsum(counts) - counts
    return owners, np.arange(owners.size, dtype=np.int64) - firsts[owners]


def running_sums(values: IntArray, owners: IntArray) -> IntArray:
    """Inclusive cumulative sums that start anew at each owner (rows grouped by owner)."""
    total = np.cumsum(values)
    first = np.searchsorted(owners, owners, side="left")
    return np.asarray(total - (total[first] - values[first]), dtype=np.int64)


def renewals(
    keys: HashArray,
    stream: Stream,
    gap_days: FloatArray,
    start_ms: IntArray,
    end_ms: IntArray,
    *,
    length: tuple[Stream, FloatArray] | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Events of a renewal process with exponential gaps: a Poisson process when events take no time.

    Args:
        keys: Wallet keys, shape (wallets,).
        stream: Where the gaps come from.
        gap_days: Mean gap of each wallet; infinite for none.
        start_ms: First instant an event may happen.
        end_ms: Events start before this.
        length: Stream and mean days of the events' own (exponential) durations; None for instants.

    Returns:
        Owner, start and end of each event in ms, grouped by owner and ascending in time.
    """
    mean_length = length[1] if length else np.zeros(keys.shape)
    span = np.maximum(end_ms - start_ms, 0) / DAY_MS
    expected = span / (gap_days + mean_length)
    counts = np.where(expected > 0, np.ceil(expected + 5 * np.sqrt(expected) + 5), 0).astype(np.int64)
    owners, rank = ranks(counts)
    gaps = _exponential(stream_keys(keys, stream)[owners], rank, gap_days[owners])
    if length is None:
        lengths = np.zeros_like(gaps)
    else:
        lengths = _exponential(stream_keys(keys, length[0])[owners], rank, mean_length[owners])
    ends = start_ms[owners] + running_sums(gaps + lengths, owners)
    keep = ends - lengths < end_ms[owners]
    return owners[keep], (ends - lengths)[keep], ends[keep]


def _exponential(keys: HashArray, rank: IntArray, mean_days: FloatArray) -> IntArray:
    """Whole milliseconds, at least 1 (integers, so that sums do not depend on what else is in the array)."""
    return 1 + np.rint(-np.log(uniforms(keys, rank)) * mean_days * DAY_MS).astype(np.int64)
