"""When the exchange samples an account and which samples each window still shows: the thinning of history.

Samples sit on a 20-minute grid with the wallet's own phase and under 150 ms of jitter. Which grid points a window shows
follows levels that depend on the wallet and the grid point alone, never on "now"; so windows share timestamps exactly,
and a later fetch shows the same points, thinned. All levels are fine samples:

    fine     every 120 or 140 min (8 steps a block of 53 grid points)     day; week's newer part
    coarse   every second fine sample, 240-280 min                        week's older part
    third    every fourth fine sample, 520 or 540 min                     month's last week
    block    every eighth fine sample, 17.7 h                             allTime's last week
    daily    the fine sample nearest a daily mark                         month's and allTime's days 30..7
    weekly   every 7th daily one, every 14th once 180 days old            allTime

An account older than two years has no daily tail in allTime but one sample every 9 days, as recorded for an old vault.
Every window but the first also keeps the last sample at or before its start. The moving last point (the instant of the
request) is not a sample and is added by the caller.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, HOUR_MS, MINUTE_MS, HashArray, IntArray
from hl_assets.exchange.sandbox.randomness import words
from hl_assets.exchange.sandbox.source import SPAN_MS

GRID_MS = 20 * MINUTE_MS
JITTER_MS = 150
SYNTHETIC_LEAD_MS = HOUR_MS
"""The zero point that opens allTime lies exactly this long before the first real sample."""

_BLOCK = 53
_IN_BLOCK = 8
_DAY_STEPS = DAY_MS // GRID_MS
_WEEK_FINE_MS = round(4.2 * DAY_MS)
_TAIL_MS = 30 * DAY_MS
_FORTNIGHT_AGE_MS = 180 * DAY_MS
_OLD_ACCOUNT_MS = 731 * DAY_MS
_OLD_TAIL_DAYS = 9
_BUSY_STEPS = 2


def _patterns() -> IntArray:
    """Offsets of the fine samples in a block: steps of 6 and 7 grid points, each half of a block nearly even."""
    halves = {
        sevens: [half for half in product((6, 7), repeat=4) if half.count(7) == sevens] for sevens in (2, 3)
    }
    blocks = [
        first + second for sevens in (2, 3) for first, second in product(halves[sevens], halves[5 - sevens])
    ]
    return np.array([[0, *np.cumsum(block)[:-1]] for block in blocks], dtype=np.int64)


_PATTERNS = _patterns()


@dataclass(frozen=True, slots=True)
class Sampler:
    """The sampling grid of one wallet.

    Args:
        origin_ms: Start of the grid, equal for all wallets.
        phase_ms: The wallet's offset on the grid.
        jitter_key: Stream of the jitter.
        pattern_key: Stream of the steps' order.
        first: Grid point of the first real sample.
        busy: Sampled at every flow: the day window shows a point every 40 minutes.
    """

    origin_ms: int
    phase_ms: int
    jitter_key: HashArray
    pattern_key: HashArray
    first: int
    busy: bool = False

    def instants(self, points: IntArray) -> IntArray:
        """Instants of grid points, ms."""
        jitter = words(self.jitter_key, points) % np.uint64(JITTER_MS)
        return self.origin_ms + self.phase_ms + points * GRID_MS + jitter.astype(np.int64)

    def starting(self, first: int) -> Self:
        """The same grid with another first real sample."""
        return replace(self, first=first)

    def point_after(self, instant_ms: int) -> int:
        """The first grid point whose nominal instant is not before the given one."""
        return -((self.origin_ms + self.phase_ms - instant_ms) // GRID_MS)

    def windows(self, now_ms: int) -> dict[str, IntArray]:
        """Sample instants each window shows at `now_ms`, ascending and before it; empty without a sample yet."""
        fine, rank = self._fine(now_ms - SPAN_MS["week"] - 6 * HOUR_MS, now_ms)
        when = self.instants(fine)
        daily = self._nearest(self._days(now_ms - SPAN_MS["month"] - 3 * DAY_MS, now_ms - SPAN_MS["week"]))
        daily = daily[self.instants(daily) <= now_ms - SPAN_MS["week"]]
        third = fine[(rank % 4 == 0) & (when > now_ms - SPAN_MS["week"])]
        shown = {
            "day": self._day(fine, now_ms),
            "week": fine[(rank % 2 == 0) | (when > now_ms - _WEEK_FINE_MS)],
            "month": np.concatenate([daily, third]),
        }
        windows = {name: self._from(points, now_ms - SPAN_MS[name], now_ms) for name, points in shown.items()}
        block = fine[(rank == 0) & (when > now_ms - SPAN_MS["week"])]
        windows["allTime"] = self._from(self._all_time(daily, block, now_ms), None, now_ms)
        return windows

    def _day(self, fine: IntArray, now_ms: int) -> IntArray:
        if not self.busy:
            return fine
        newest = self.point_after(now_ms)
        flows = np.arange(newest - _DAY_STEPS, newest, dtype=np.int64)
        return np.concatenate([fine, flows[flows % _BUSY_STEPS == 0]])

    def _all_time(self, daily: IntArray, block: IntArray, now_ms: int) -> IntArray:
        """Old samples weekly or fortnightly, then the daily tail, or the sparse one of old accounts."""
        born_day = self._day_of(self.first)
        old_days = np.arange(
            born_day, self._day_of(self.point_after(now_ms - _TAIL_MS)) + 1, 7, dtype=np.int64
        )
        old = self._nearest(old_days)
        when = self.instants(old)
        weekly = (old_days - born_day) % 14 == 0
        old = old[(when <= now_ms - _TAIL_MS) & (weekly | (when > now_ms - _FORTNIGHT_AGE_MS))]
        if now_ms - int(self.instants(np.array([self.first]))[0]) > _OLD_ACCOUNT_MS:
            tail = np.arange(
                self._day_of(self.point_after(now_ms - _TAIL_MS)), self._day_of(self.point_after(now_ms))
            )
            return np.concatenate([old, self._nearest(tail[(tail - born_day) % _OLD_TAIL_DAYS == 0])])
        return np.concatenate([old, daily[self.instants(daily) > now_ms - _TAIL_MS], block])

    def _from(self, points: IntArray, cut_ms: int | None, now_ms: int) -> IntArray:
        """Instants of the points after the first sample, from the last one at or before the cut on."""
        real = np.unique(np.append(points[points > self.first], self.first))
        when = self.instants(real)
        when = when[when < now_ms]
        if cut_ms is None:
            return when
        return when[max(int(np.searchsorted(when, cut_ms, side="right")) - 1, 0) :]

    def _fine(self, start_ms: int, end_ms: int) -> tuple[IntArray, IntArray]:
        """Fine samples of all blocks that touch the span, and their rank in the block."""
        blocks = np.arange(
            self.point_after(start_ms) // _BLOCK, self.point_after(end_ms) // _BLOCK + 1, dtype=np.int64
        )
        points = blocks[:, None] * _BLOCK + self._offsets(blocks)
        return points.ravel(), np.tile(np.arange(_IN_BLOCK, dtype=np.int64), blocks.size)

    def _days(self, start_ms: int, end_ms: int) -> IntArray:
        """Numbers of the daily marks in the span."""
        return np.arange(
            self._day_of(self.point_after(start_ms)) + 1,
            self._day_of(self.point_after(end_ms)) + 1,
            dtype=np.int64,
        )

    def _day_of(self, point: int) -> int:
        return point // _DAY_STEPS

    def _nearest(self, days: IntArray) -> IntArray:
        """The fine sample nearest each daily mark."""
        marks = days * _DAY_STEPS
        blocks = marks // _BLOCK
        near = np.concatenate(
            [self._offsets(blocks), np.full((days.size, 1), _BLOCK, dtype=np.int64)], axis=1
        )
        best = np.abs(near - (marks % _BLOCK)[:, None]).argmin(axis=1)
        return np.asarray(blocks * _BLOCK + near[np.arange(days.size), best], dtype=np.int64)

    def _offsets(self, blocks: IntArray) -> IntArray:
        choice = words(self.pattern_key, blocks) % np.uint64(len(_PATTERNS))
        return _PATTERNS[choice.astype(np.int64)]
