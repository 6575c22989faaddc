"""The money of simulated wallets: deposits, withdrawals, jumps, wipe-outs, funding again and leaving.

Between two events an account's value moves with the wallet's index alone, so value = exp(level + X(t)) where X is the
continuous log index and `level` changes at events only. The events of the whole span are made once, independent of any
"now"; an instant then needs one row look-up and one evaluation of X:

    AV(t) = exp(level + X(t))         PnL(t) = AV(t) - net deposits(t)         I(t) = exp(index_level + X(t))

Flows are relative to equity: after flow k the account holds exp(q_k) times what its first deposit alone would be worth,
q_k drawn around 0, so that repeated flows do not drift away. Jumps carry a fifth of the variance. Not here: trading volume (`volume.py`) and what is published (`population.py`).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hl_assets.exchange.sandbox.arrays import (
    YEAR_MS,
    BoolArray,
    FloatArray,
    HashArray,
    IntArray,
    micro,
)
from hl_assets.exchange.sandbox.path import Horizon, brownian
from hl_assets.exchange.sandbox.randomness import Stream, laplaces, stream_keys
from hl_assets.exchange.sandbox.segments import latest_rows, renewals, row_keys, running_sums
from hl_assets.exchange.sandbox.traits import Traits

JUMPS_A_YEAR = 4.0
JUMP_VARIANCE_SHARE = 0.2
_CHUNK_WALLETS = 8_192
_NOTHING = -np.inf


class Event(IntEnum):
    """Kinds of ledger rows."""

    FUND = 0
    FLOW = 1
    JUMP = 2
    WIPE = 3
    LEAVE = 4


@dataclass(frozen=True, slots=True)
class State:
    """Accounts at queried instants, one element per query."""

    account_value: IntArray  # micro-dollars
    net_deposits: IntArray  # micro-dollars since birth
    index: FloatArray  # 1.0 at the start of the epoch, 0 after a wipe-out
    epoch: IntArray  # 0 before birth

    @property
    def pnl(self) -> IntArray:
        """Cumulative profit in micro-dollars since birth."""
        return self.account_value - self.net_deposits


class LogIndex:
    """X(t): drift and Brownian part of each wallet's log performance index; still after `stop_ms`."""

    def __init__(self, traits: Traits, horizon: Horizon) -> None:
        self.horizon = horizon
        self._keys = stream_keys(traits.keys, Stream.PATH)
        self._drift = traits.drift
        self._volatility = traits.volatility * np.sqrt(1.0 - JUMP_VARIANCE_SHARE)
        self._stop_ms = traits.stop_ms

    def at(self, wallets: IntArray, instants_ms: IntArray) -> FloatArray:
        """Values at pairs of wallet number and instant, shape (n,)."""
        moments = np.minimum(instants_ms, self._stop_ms[wallets])
        years = (moments - self.horizon.origin_ms) / YEAR_MS
        motion = brownian(self.horizon, self._keys[wallets], moments)
        grown = self._drift[wallets] * years + self._volatility[wallets] * motion
        return np.asarray(grown, dtype=np.float64)


class Ledger:
    """All events of all wallets, and the state of any wallet at any instant of the span."""

    def __init__(self, traits: Traits, horizon: Horizon) -> None:
        self._horizon = horizon
        self._index = LogIndex(traits, horizon)
        chunks = range(0, traits.keys.size, _CHUNK_WALLETS)
        parts = [self._rows(traits, first, min(first + _CHUNK_WALLETS, traits.keys.size)) for first in chunks]
        self._keys, self._level, self._index_level, self._net, self._epoch = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )

    @property
    def rows(self) -> int:
        """Number of events held."""
        return int(self._keys.size)

    def at(self, wallets: IntArray, instants_ms: IntArray) -> State:
        """State at pairs of wallet number and instant, shape (n,); before birth everything is 0."""
        rows, born = self._find(wallets, instants_ms)
        log_index = np.full(wallets.shape, _NOTHING)
        log_index[born] = self._index.at(wallets[born], instants_ms[born])
        return State(
            account_value=micro(np.exp(self._level[rows] + log_index)),
            net_deposits=np.where(born, self._net[rows], 0),
            index=np.exp(self._index_level[rows] + log_index),
            epoch=np.where(born, self._epoch[rows], 0),
        )

    def largest_net_deposits(self, wallets: IntArray, start_ms: IntArray, end_ms: IntArray) -> IntArray:
        """Highest level net deposits reach in (start, end], counted from the start; at least 0. Micro-dollars."""
        first, had = self._find(wallets, start_ms)
        last, has = self._find(wallets, end_ms)
        begin = np.where(had, first + 1, self._first_rows(wallets))
        base = np.where(had, self._net[first], 0)
        highest = np.zeros(wallets.shape, dtype=np.int64)
        moved = np.flatnonzero(has & (begin <= last))
        if moved.size:
            # In row order, so that the spans between two wallets' rows, which reduceat also visits, stay short.
            moved = moved[np.argsort(begin[moved])]
            edges = np.stack([begin[moved], last[moved] + 1], axis=1).ravel()
            padded = np.append(self._net, np.iinfo(np.int64).min)
            highest[moved] = np.maximum.reduceat(padded, edges)[::2] - base[moved]
        return np.maximum(highest, 0)

    def _find(self, wallets: IntArray, instants_ms: IntArray) -> tuple[IntArray, BoolArray]:
        inside = np.clip(instants_ms, self._horizon.origin_ms, self._horizon.end_ms - 1)
        return latest_rows(self._keys, wallets, row_keys(wallets, inside, self._horizon.origin_ms))

    def _first_rows(self, wallets: IntArray) -> IntArray:
        return np.searchsorted(
            self._keys,
            row_keys(wallets, np.full_like(wallets, self._horizon.origin_ms), self._horizon.origin_ms),
        )

    def _rows(
        self, traits: Traits, first: int, last: int
    ) -> tuple[IntArray, FloatArray, FloatArray, IntArray, IntArray]:
        """Rows of one chunk of wallets, in order of wallet and time."""
        owners, instants, kinds, payload = _events(traits, first, last, self._horizon.end_ms)
        keys = row_keys(owners, instants, self._horizon.origin_ms)
        order = np.argsort(keys, kind="stable")
        owners, instants, kinds, payload = owners[order], instants[order], kinds[order], payload[order]
        log_index = self._index.at(owners, instants)
        level, index_level, epoch = _levels(owners, kinds, payload, log_index)
        net = _net_deposits(owners, kinds, level, log_index, traits.paid_in)
        return keys[order], level, index_level, net, epoch


def _events(
    traits: Traits, first: int, last: int, end_ms: int
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Owner, instant, kind and payload of every event of wallets first..last, unsorted."""
    wallets = np.arange(first, last, dtype=np.int64)
    parts = [
        (wallets, traits.born_ms[wallets], Event.FUND, np.log(traits.capital[wallets])),
        *_moves(traits, wallets, end_ms),
        (wallets, traits.exit_ms[wallets], Event.LEAVE, _log(traits.residual[wallets])),
    ]
    for turn in range(traits.wipe_ms.shape[1]):
        parts.append((wallets, traits.wipe_ms[wallets, turn], Event.WIPE, np.zeros(wallets.size)))
        parts.append(
            (wallets, traits.refund_ms[wallets, turn], Event.FUND, np.log(traits.refund_size[wallets, turn]))
        )
    owners = np.concatenate([part[0] for part in parts])
    instants = np.concatenate([part[1] for part in parts])
    kinds = np.concatenate([np.full(part[0].size, int(part[2]), dtype=np.int64) for part in parts])
    payload = np.concatenate([part[3] for part in parts])
    keep = instants < end_ms
    return owners[keep], instants[keep], kinds[keep], payload[keep]


def _moves(
    traits: Traits, wallets: IntArray, end_ms: int
) -> list[tuple[IntArray, IntArray, Event, FloatArray]]:
    """Flows and jumps of living accounts."""
    keys, born = traits.keys[wallets], traits.born_ms[wallets]
    until = np.minimum(traits.exit_ms[wallets], end_ms)
    jump_gap = np.full(keys.shape, 365.25 / JUMPS_A_YEAR)
    jump_size = traits.volatility * np.sqrt(JUMP_VARIANCE_SHARE / JUMPS_A_YEAR)
    moves = []
    for kind, gap, times, sizes, scale in (
        (Event.FLOW, traits.flow_gap[wallets], Stream.FLOW_TIMES, Stream.FLOW_SIZES, traits.flow_spread),
        (Event.JUMP, jump_gap, Stream.JUMP_TIMES, Stream.JUMP_SIZES, jump_size),
    ):
        who, when, _ = renewals(keys, times, gap, born, until)
        payload = scale[wallets[who]] * _sizes(keys, who, when, sizes)
        alive = ~in_ruin(traits, wallets[who], when)
        moves.append((wallets[who][alive], when[alive], kind, payload[alive]))
    return moves


def _sizes(keys: HashArray, who: IntArray, when: IntArray, stream: Stream) -> FloatArray:
    """Laplace numbers addressed by the event's own instant."""
    return np.clip(laplaces(stream_keys(keys, stream)[who], when), -6.0, 6.0)


def in_ruin(traits: Traits, wallets: IntArray, instants_ms: IntArray) -> BoolArray:
    """Whether the account is wiped out and not yet funded again."""
    after = instants_ms[:, None] >= traits.wipe_ms[wallets]
    before = instants_ms[:, None] < traits.refund_ms[wallets]
    return np.asarray((after & before).any(axis=1), dtype=np.bool_)


def _levels(
    owners: IntArray, kinds: IntArray, payload: FloatArray, log_index: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Level of log value and of the log index after each row, and the row's epoch."""
    rows = np.arange(owners.size, dtype=np.int64)
    start = np.maximum.accumulate(np.where(kinds == Event.FUND, rows, 0))
    wiped = np.maximum.accumulate(np.where(kinds == Event.WIPE, rows, -1)) > start
    flow = np.maximum.accumulate(np.where(kinds == Event.FLOW, rows, -1))
    jumps = np.cumsum(np.where(kinds == Event.JUMP, payload, 0.0))
    index_level = np.where(wiped, _NOTHING, jumps - jumps[start] - log_index[start])
    level = index_level + payload[start] + np.where(flow > start, payload[np.maximum(flow, 0)], 0.0)
    leave = np.flatnonzero(kinds == Event.LEAVE)
    before = level[leave] + log_index[leave]
    level[leave] = np.minimum(payload[leave], before + np.log(0.9)) - log_index[leave]
    epoch = running_sums(np.asarray(kinds == Event.FUND, dtype=np.int64), owners)
    return level, index_level, epoch


def _net_deposits(
    owners: IntArray, kinds: IntArray, level: FloatArray, log_index: FloatArray, paid_in: FloatArray
) -> IntArray:
    """Cumulative net deposits after each row, micro-dollars; jumps and wipe-outs move none."""
    newcomer = np.diff(owners, prepend=-1) != 0
    previous = np.where(newcomer, _NOTHING, np.roll(level, 1))
    flow = micro(np.exp(level + log_index)) - micro(np.exp(previous + log_index))
    flow = np.where((kinds == Event.JUMP) | (kinds == Event.WIPE), 0, flow)
    gift = newcomer & (micro(paid_in[owners]) < flow)
    flow = np.where(gift, micro(paid_in[owners]), flow)
    return running_sums(flow, owners)


def _log(values: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values), dtype=np.float64)
