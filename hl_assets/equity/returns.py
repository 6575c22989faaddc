"""Flow-adjusted returns: what trading earned in each step, whatever was deposited or withdrawn meanwhile.

Belongs here: the return of a step, epochs and wipe-outs, and the index, for many wallets at once. Ratios over the
index belong in `hl_assets.metrics`.

For a step from point i-1 to i, with account value AV and cumulative PnL P in USD:

    F    = dAV - dP                 net deposit (+) or withdrawal (-);  |F| < max(1 USD, 1e-6 AV) counts as 0
    base = AV[i-1] + max(F, 0)      the capital at work
    r    = dP / base                base below the funding floor: r = 0, flag NO_BASE

r >= -1 whenever AV[i] >= 0, because AV[i-1] + F + dP = AV[i] >= 0. r is cut at +10 (flag CLIPPED).

Epochs and lives. An *epoch* is a funded period: AV <= 0 ends it, the next point at or above the funding floor starts
another. How it ended matters. If trading lost everything (r = -1) the index is 0 for good, and a refunding starts a
new *life*: the index begins again at 1.0. If the owner withdrew everything, that is a flow and changes no ratio: the
index goes on, so nobody sheds a record by withdrawing and coming back.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray, SegmentScan, segment_of


@dataclass(frozen=True, slots=True)
class ReturnRules:
    """Thresholds of the return of a step.

    Attributes:
        funding_floor: USD. Points before the account value first reaches it are left out; a step with less capital at
            work has return 0, flagged.
        flow_noise_usd: flows smaller than this are 0 ...
        flow_noise_share: ... or smaller than this share of the account value.
        max_step_return: ceiling of one step's return, as a fraction.
        flow_dominated_share: from this |F| / base on a step is flagged.
    """

    funding_floor: float = 10.0
    flow_noise_usd: float = 1.0
    flow_noise_share: float = 1e-6
    max_step_return: float = 10.0
    flow_dominated_share: float = 0.5

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Returns and index of many wallets, one entry per funded point; entry i describes the step that ends at point i.

    Attributes:
        curves: the points used: each wallet's from its first funded one on (`RaggedCurves`, possibly empty curves).
        lead: int64[n_wallets], unfunded points left out before the first funded one. Entry j of wallet w belongs to
            point `lead[w] + j` of the curve given.
        pnl_change: float64[n], USD; NaN at a wallet's first point, where no step ends.
        flow: float64[n], USD, 0 if below the noise threshold; NaN at a wallet's first point.
        base: float64[n], capital at work in USD; NaN at a wallet's first point.
        r: float64[n], return of the step as a fraction; NaN at the start of a life and where it is unknown.
        index: float64[n], product of (1 + r), 1.0 at the start of each life; NaN from an unknown return on.
        flags: uint16[n], `StepFlag` bits.
        epoch: int32[n], number of the funded period inside the wallet, from 1.
        life_offsets: int64[n_lives + 1], the points of each life; lives never cross wallets.
        n_lives: int64[n_wallets], 0 for an empty curve.
        life_scan: running products and maxima inside lives.
        rules: the thresholds used.
    """

    curves: RaggedCurves
    lead: IntArray
    pnl_change: FloatArray
    flow: FloatArray
    base: FloatArray
    r: FloatArray
    index: FloatArray
    flags: npt.NDArray[np.uint16]
    epoch: npt.NDArray[np.int32]
    life_offsets: IntArray
    n_lives: IntArray
    life_scan: SegmentScan
    rules: ReturnRules

    def flagged(self, flag: StepFlag) -> BoolArray:
        """bool[n], which entries carry any of the given bits."""
        marked: BoolArray = (self.flags & np.uint16(flag)) != 0
        return marked


def flow_adjusted_returns(curves: RaggedCurves, rules: ReturnRules | None = None) -> Steps:
    """Returns, index and flags of every step of every wallet.

    Args:
        curves: points sorted by time and unique per wallet, as `RaggedCurves.from_columns` leaves them.
        rules: thresholds; default `ReturnRules()`.

    Returns:
        Flat arrays over the funded points. See the module's docstring for the definitions.
    """
    rules = rules or ReturnRules()
    funded, lead = _without_unfunded_lead(curves, rules.funding_floor)
    first = funded.offsets[:-1][funded.lengths > 0]
    values = funded.account_value
    pnl_change = _change(funded.pnl, first)
    flow = _flow(values, pnl_change, first, rules)
    base = _previous(values, first)
    base += np.maximum(flow, 0.0)
    r, flags = _step_returns(values, pnl_change, flow, base, rules)

    wiped = (flags & np.uint16(StepFlag.WIPED_OUT)) != 0
    ended = (flags & np.uint16(StepFlag.EPOCH_END)) != 0
    holds = (values >= rules.funding_floor) & ~wiped
    refunded = _first_after(ended, holds, funded.offsets)
    reborn = _first_after(wiped, holds, funded.offsets)

    starts = np.union1d(first, reborn)
    flags[starts] |= np.uint16(StepFlag.START)
    life_offsets = np.append(starts, funded.n_points)
    growth = r + 1.0
    growth[starts] = 1.0
    life_scan = SegmentScan(life_offsets)
    index = life_scan.accumulate(np.multiply, growth)
    r[starts] = np.nan
    for column in (pnl_change, flow, base):
        column[first] = np.nan
    return Steps(
        curves=funded,
        lead=lead,
        pnl_change=pnl_change,
        flow=flow,
        base=base,
        r=r,
        index=index,
        flags=flags,
        epoch=_epochs(refunded, funded.offsets),
        life_offsets=life_offsets,
        n_lives=np.diff(np.searchsorted(starts, funded.offsets)).astype(np.int64),
        life_scan=life_scan,
        rules=rules,
    )


def _without_unfunded_lead(curves: RaggedCurves, floor: float) -> tuple[RaggedCurves, IntArray]:
    """The curves from the first point at or above the floor on, and how many points that leaves out per wallet."""
    reached = np.append(np.flatnonzero(curves.account_value >= floor), curves.n_points)
    start = reached[np.searchsorted(reached, curves.offsets[:-1])]
    start = np.minimum(start, curves.offsets[1:])
    lead = start - curves.offsets[:-1]
    if not lead.any():
        return curves, lead
    keep = np.ones(curves.n_points, dtype=np.bool_)
    shortened = np.flatnonzero(lead)
    # Positions of all left-out points without a loop over wallets: a running count inside each run of them.
    runs = lead[shortened]
    within = np.arange(int(runs.sum())) - np.repeat(np.cumsum(runs) - runs, runs)
    keep[np.repeat(curves.offsets[:-1][shortened], runs) + within] = False
    return curves.where(keep), lead


def _previous(values: FloatArray, first: IntArray) -> FloatArray:
    """The value one point earlier; at a wallet's first point the value itself."""
    previous = np.empty_like(values)
    previous[1:] = values[:-1]
    previous[first] = values[first]
    return previous


def _change(values: FloatArray, first: IntArray) -> FloatArray:
    """The change since the point before; 0 at a wallet's first point."""
    change = np.empty_like(values)
    np.subtract(values[1:], values[:-1], out=change[1:])
    change[first] = 0.0
    return change


def _flow(values: FloatArray, pnl_change: FloatArray, first: IntArray, rules: ReturnRules) -> FloatArray:
    flow = _change(values, first)
    flow -= pnl_change
    magnitude = np.abs(values)
    noise = np.maximum(magnitude, _previous(magnitude, first))
    noise *= rules.flow_noise_share
    np.maximum(noise, rules.flow_noise_usd, out=noise)
    flow[np.abs(flow) < noise] = 0.0
    return flow


def _step_returns(
    values: FloatArray, pnl_change: FloatArray, flow: FloatArray, base: FloatArray, rules: ReturnRules
) -> tuple[FloatArray, npt.NDArray[np.uint16]]:
    """Return and flags of each step; a wallet's first point counts as a step in which nothing happened."""
    no_base = base < rules.funding_floor
    r = np.zeros_like(base)
    np.divide(pnl_change, base, out=r, where=~no_base)
    empty = values <= 0.0
    negative = values < 0.0
    # Below -1 are only rounding, flows below the noise threshold, and losses beyond the equity: all of it is gone.
    unknown = negative & (flow < 0.0) & (r > -1.0) & ~no_base
    lost_all = (empty & (flow >= 0.0) & ~no_base) | (r < -1.0)
    r[lost_all] = -1.0
    r[unknown] = np.nan
    clipped = r > rules.max_step_return
    r[clipped] = rules.max_step_return
    dominated = (np.abs(flow) >= rules.flow_dominated_share * base) & ~no_base
    wiped = r == -1.0
    flags = np.zeros(len(r), dtype=np.uint16)
    for marked, flag in (
        (no_base, StepFlag.NO_BASE),
        (flow != 0.0, StepFlag.FLOW),
        (dominated, StepFlag.FLOW_DOMINATED),
        (clipped, StepFlag.CLIPPED),
        (negative, StepFlag.NEGATIVE_EQUITY),
        (unknown, StepFlag.UNKNOWN_RETURN),
        (empty | wiped, StepFlag.EPOCH_END),
        (wiped, StepFlag.WIPED_OUT),
    ):
        flags |= marked.astype(np.uint16) * np.uint16(flag)
    return r, flags


def _first_after(ends: BoolArray, holds: BoolArray, offsets: IntArray) -> IntArray:
    """Positions of the first holding point after each end, inside the same wallet."""
    if not ends.any():
        return np.empty(0, dtype=np.int64)
    events = np.flatnonzero(ends | holds)
    is_end = ends[events]
    after = np.flatnonzero(is_end[:-1] & ~is_end[1:])
    same_wallet = segment_of(events[after], offsets) == segment_of(events[after + 1], offsets)
    found: IntArray = events[after + 1][same_wallet]
    return found


def _epochs(refunded: IntArray, offsets: IntArray) -> npt.NDArray[np.int32]:
    """Number of each point's epoch inside its wallet, from 1."""
    epoch = np.ones(int(offsets[-1]), dtype=np.int32)
    if len(refunded):
        steps_up = np.zeros(len(epoch) + 1, dtype=np.int32)
        steps_up[refunded + 1] = 1
        running = np.cumsum(steps_up, dtype=np.int32)
        epoch += running[1:] - np.repeat(running[offsets[:-1]], np.diff(offsets))
    return epoch
