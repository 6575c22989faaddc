"""The daily grid: what each UTC day earned, from points that come at any time.

Belongs here: sampling the index once a day, the returns between those samples, and how much of the time they cover. The
figures computed from daily returns belong in `hl_assets.metrics.risk`.

    sample of a day   the last point dated after the day's beginning and at or before its end (a point at 00:00 UTC
                      closes the day before); nothing is interpolated, nothing later is read
    daily step        from the sample of one day to that of the very next day, if they lie 12 to 36 hours apart
    return            index at the later sample / index at the earlier one - 1

A step over a longer gap is left out instead of being counted as one day or spread over several: spreading would invent
calm days and understate volatility, and one entry of a week would overstate it. So weekly data have no daily steps. A day's
sample less than 12 hours after the one before is no full day either. What happened before the end of the first day is in no
step.

`daily_coverage` says which share of the days is known, from the first daily step on: the exchange gives daily points for
the last 30 days only, so older days are missing for everybody, and counting them would punish a record for being long
(measured on simulated traders: 97 % of the best 5 % by adjusted score were then short histories). How many daily steps there
are is in `n_daily_steps` and in the noise of everything computed from them. A last day that is not over does not count as
missing: coverage, and with it trust, would fall at every midnight.

The window is that of roi and cagr, the newest life of the wallet. A wipe-out is a step of -1; the days after it, with
nothing at work, are no steps.
"""

from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray, offsets_of, segment_count
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import MS_PER_HOUR, CurveShape

DAY_MS = 86_400_000
MIN_DAILY_STEPS = 20
"""Daily figures of fewer steps are null."""
SHORTEST_STEP_MS = int(12 * MS_PER_HOUR)
LONGEST_STEP_MS = int(36 * MS_PER_HOUR)


@dataclass(frozen=True, slots=True, eq=False)
class DailyReturns:
    """Daily steps of many wallets; those of wallet `w` are `[offsets[w]:offsets[w + 1]]`, in order of time.

    Attributes:
        r: float64[n_steps], return of each step, >= -1.
        follows: bool[n_steps], whether the step before it, of the same wallet, ended where this one begins.
        offsets: int64[n_wallets + 1].
        n_days: int64[n_wallets], days from the beginning of the first daily step (without one, from the first sample) to
            the last sample, a last one that is not over left out: the steps there could be.
        unknown: bool[n_wallets], whether the index of the newest life is unknown at its end.
    """

    r: FloatArray
    follows: BoolArray
    offsets: IntArray
    n_days: IntArray
    unknown: BoolArray

    @property
    def n_steps(self) -> IntArray:
        """int64[n_wallets], daily steps per wallet."""
        return np.diff(self.offsets)

    def too_few(self, shape: CurveShape) -> list[tuple[BoolArray, NullReason]]:
        """Null conditions of every figure of daily returns."""
        return [
            *shape.fewer_than(2, shape.life_points),
            (self.unknown, NullReason.UNKNOWN_RETURN),
            (self.n_steps < MIN_DAILY_STEPS, NullReason.TOO_FEW_DAILY_STEPS),
        ]


def daily_returns(steps: Steps, shape: CurveShape) -> DailyReturns:
    """The daily steps of every wallet's newest life."""
    curves = steps.curves
    if curves.n_points == 0:
        nothing = np.zeros(curves.n_wallets, dtype=np.int64)
        return DailyReturns(np.empty(0), np.empty(0, np.bool_), offsets_of(nothing), nothing, nothing > 0)
    samples, day, sample_offsets = _samples(steps, shape)
    ts, index = curves.ts_ms[samples], steps.index[samples]

    whole = np.empty(len(samples), dtype=np.bool_)
    elapsed = ts[1:] - ts[:-1]
    np.equal(day[1:] - day[:-1], 1, out=whole[1:])
    whole[1:] &= (elapsed >= SHORTEST_STEP_MS) & (elapsed <= LONGEST_STEP_MS)
    whole[1:] &= (index[:-1] > 0.0) & ~np.isnan(index[1:])
    whole[sample_offsets[:-1][shape.filled]] = False  # a wallet's first sample ends no step

    ends = np.flatnonzero(whole)
    first, last = sample_offsets[:-1][shape.filled], sample_offsets[1:][shape.filled] - 1
    begun = (last > first) & (day[last] - day[last - 1] == 1) & (ts[last] - ts[last - 1] < SHORTEST_STEP_MS)
    n_days = np.zeros(curves.n_wallets, dtype=np.int64)
    n_days[shape.filled] = day[last] - _first_step_day(whole, day, first, last) - begun
    unknown = np.zeros(curves.n_wallets, dtype=np.bool_)
    unknown[shape.filled] = np.isnan(steps.index[shape.last])
    return DailyReturns(
        r=index[ends] / index[ends - 1] - 1.0,
        # The first sample of a wallet ends no step, so a step one sample earlier is the same wallet's.
        follows=whole[ends - 1],
        offsets=offsets_of(segment_count(whole, sample_offsets)),
        n_days=n_days,
        unknown=unknown,
    )


def _first_step_day(whole: BoolArray, day: IntArray, first: IntArray, last: IntArray) -> IntArray:
    """Per wallet the day on which its first daily step begins; the first sample's where it has none."""
    ends = np.append(np.flatnonzero(whole), len(whole))
    earliest = ends[np.searchsorted(ends, first)]
    found = earliest <= last
    return np.where(found, day[np.where(found, earliest, first) - found], day[first])


def daily_quality(daily: DailyReturns, shape: CurveShape) -> dict[str, Column]:
    """`n_daily_steps` and `daily_coverage`, the share of the days that could be daily steps and are."""
    coverage = daily.n_steps / np.maximum(daily.n_days, 1)
    return {
        "n_daily_steps": Column.of(daily.n_steps.astype(np.float64)),
        "daily_coverage": Column.of(
            coverage,
            *shape.fewer_than(2, shape.life_points),
            (daily.n_days == 0, NullReason.TOO_FEW_DAILY_STEPS),
        ),
    }


def _samples(steps: Steps, shape: CurveShape) -> tuple[IntArray, IntArray, IntArray]:
    """Positions and day numbers of the last point of each day of the newest lives, and their offsets per wallet."""
    curves = steps.curves
    day = (curves.ts_ms - 1) // DAY_MS
    last_of_day = np.empty(curves.n_points, dtype=np.bool_)
    np.not_equal(day[1:], day[:-1], out=last_of_day[:-1])
    last_of_day[shape.last] = True
    if not np.array_equal(shape.life_start, shape.first):
        starts = np.repeat(shape.life_start, curves.lengths[shape.filled])
        last_of_day &= np.arange(curves.n_points) >= starts
    samples = np.flatnonzero(last_of_day)
    return samples, day[samples], offsets_of(segment_count(last_of_day, curves.offsets))
