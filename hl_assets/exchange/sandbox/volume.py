"""Cumulative trading volume of simulated wallets at any instant. Volume moves no money here.

Wallets trade in spells; inside a spell volume grows evenly. Traders begin with one long spell of at least 10 million
USD: it is what puts an account with little money on the board.
"""

import numpy as np

from hl_assets.exchange.sandbox.arrays import CENTS, DAY_MS, FloatArray, IntArray, whole
from hl_assets.exchange.sandbox.ledger import in_ruin
from hl_assets.exchange.sandbox.path import Horizon
from hl_assets.exchange.sandbox.randomness import Stream, normals, stream_keys
from hl_assets.exchange.sandbox.segments import latest_rows, renewals, row_instants, row_keys, running_sums
from hl_assets.exchange.sandbox.traits import Traits

_CHUNK_WALLETS = 8_192


class VolumeLedger:
    """Trading spells of all wallets."""

    def __init__(self, traits: Traits, horizon: Horizon) -> None:
        self._horizon = horizon
        self._born = traits.born_ms
        self._initial = np.rint(traits.initial_volume * CENTS)
        self._initial_ms = traits.initial_days * DAY_MS
        chunks = range(0, traits.keys.size, _CHUNK_WALLETS)
        parts = [self._rows(traits, first, min(first + _CHUNK_WALLETS, traits.keys.size)) for first in chunks]
        self._keys, self._length, self._volume, self._before = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )

    @property
    def rows(self) -> int:
        """Number of spells held."""
        return int(self._keys.size)

    def at(self, wallets: IntArray, instants_ms: IntArray) -> IntArray:
        """All-time volume in cents at pairs of wallet number and instant, shape (n,)."""
        grown = np.clip((instants_ms - self._born[wallets]) / self._initial_ms[wallets], 0.0, 1.0)
        first = whole(self._initial[wallets] * grown)
        if self._keys.size == 0:
            return first
        inside = np.clip(instants_ms, self._horizon.origin_ms, self._horizon.end_ms - 1)
        rows, found = latest_rows(self._keys, wallets, row_keys(wallets, inside, self._horizon.origin_ms))
        elapsed = inside - row_instants(self._keys[rows], self._horizon.origin_ms)
        part = np.minimum(elapsed / np.maximum(self._length[rows], 1), 1.0)
        spent = self._before[rows] + whole(self._volume[rows] * part)
        return first + np.where(found, spent, 0)

    def _rows(
        self, traits: Traits, first: int, last: int
    ) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
        """Key, length (ms), volume (cents) and volume before of each spell of one chunk."""
        wallets = np.arange(first, last, dtype=np.int64)
        keys = traits.keys[wallets]
        begin = traits.born_ms[wallets] + whole(self._initial_ms[wallets])
        who, start, end = renewals(
            keys,
            Stream.SPELL_GAPS,
            traits.spell_gap[wallets],
            begin,
            np.minimum(traits.exit_ms[wallets], self._horizon.end_ms),
            length=(Stream.SPELL_LENGTHS, traits.spell_length[wallets]),
        )
        alive = ~in_ruin(traits, wallets[who], start)
        who, start, end = who[alive], start[alive], end[alive]
        typical = traits.spell_volume[wallets[who]]
        noise = normals(stream_keys(keys, Stream.SPELL_VOLUMES)[who], start)
        volume = whole(typical * np.exp(noise) * CENTS)
        row = row_keys(wallets[who], start, self._horizon.origin_ms)
        before = running_sums(volume, who) - volume
        return row, (end - start).astype(np.float32), volume.astype(np.float64), before
