"""Join the windows of one portfolio response into one curve per scope.

The exchange returns the same series at four resolutions, each with its PnL counted from the window's own start. At a
timestamp two windows share exactly, the PnL offset between them is known; there and only there they are joined. A
value is never matched to its nearest neighbour in time.

Belongs here: joining windows of one wallet, once, at ingest; the rule of joining is `hl_assets.equity.segments`. Nothing is dropped for being small (the funding floor
applies when returns are computed) and nothing is computed from the points here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hl_assets.equity.amounts import usd_tolerance
from hl_assets.equity.flags import PointFlag, StitchFlag
from hl_assets.equity.ragged import FloatArray, IntArray
from hl_assets.equity.segments import Segment, join_all
from hl_assets.equity.windows import CleanWindow, PortfolioLike, clean_window

SCOPES = ("all", "perp")
_ANCHORS = ("allTime", "perpAllTime")
# From the longest window to the finest one: each is joined to what the longer ones have built.
_ORDER = ("allTime", "month", "week", "day")


@dataclass(frozen=True, slots=True, eq=False)
class StitchedPoints:
    """One scope's points of one wallet: segment after segment, strictly rising in time inside each.

    Attributes:
        wallet: lower-case address.
        scope: `all` (spot, perp and vaults) or `perp`.
        ts_ms: int64[k], UTC milliseconds.
        account_value: float64[k], USD.
        pnl: float64[k], USD. In segment 0 counted from the account's beginning; in another segment from the start of
            that segment's longest window, so that only differences inside the segment mean anything.
        segment: int16[k], index into `segments`. 0 is the curve anchored on allTime; windows that share no timestamp
            with it have 1, 2, ...
        segments: name of each segment: "" for segment 0, else its longest window.
        point_flags: uint16[k], `PointFlag` bits.
        flags: what stitching met, for the whole scope.
        n_unpaired: timestamps left out for want of an account value or a PnL.
        n_duplicates: identical repeats left out inside windows.
        n_contradictions: points left out because their timestamp already had a different value.
        rejected: names of the windows that were not used at all.
    """

    wallet: str
    scope: str
    ts_ms: IntArray
    account_value: FloatArray
    pnl: FloatArray
    segment: npt.NDArray[np.int16]
    segments: tuple[str, ...]
    point_flags: npt.NDArray[np.uint16]
    flags: StitchFlag
    n_unpaired: int
    n_duplicates: int
    n_contradictions: int
    rejected: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ts_ms)

    def anchored(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """`(ts_ms, account_value, pnl)` of segment 0: one PnL baseline, so returns may be computed from it."""
        keep = self.segment == 0
        return self.ts_ms[keep], self.account_value[keep], self.pnl[keep]


@dataclass(frozen=True, slots=True, eq=False)
class StitchedPortfolio:
    """Both scopes of one wallet, each with the points the exchange gave for it and no other's."""

    wallet: str
    all: StitchedPoints
    perp: StitchedPoints

    def curve(self, scope: str) -> StitchedPoints:
        """The points to compute a scope from.

        For `perp` these are the points of `all`, flagged `FELL_BACK_TO_ALL`, when the perp baseline was faulty.

        Raises:
            ValueError: unknown scope.
        """
        if scope not in SCOPES:
            raise ValueError(f"unknown scope {scope!r}; known: {', '.join(SCOPES)}")
        if scope == "all":
            return self.all
        if self.perp.flags & StitchFlag.PERP_BASELINE_FAULT:
            flags = self.all.flags | StitchFlag.PERP_BASELINE_FAULT | StitchFlag.FELL_BACK_TO_ALL
            return replace(self.all, scope="perp", flags=flags, rejected=self.perp.rejected)
        return self.perp


def stitch_portfolio(portfolio: PortfolioLike) -> StitchedPortfolio:
    """Stitch both scopes of a portfolio response.

    Args:
        portfolio: the parsed response; windows it lacks count as empty.

    Raises:
        EquityInputError: a series' timestamps and values differ in number, or a value is not finite.
    """
    windows = {name: clean_window(window) for name, window in portfolio.windows.items()}
    everything = _stitch(portfolio.wallet, "all", [windows[name] for name in _ORDER if name in windows], ())
    perp_names = [name for name in map(_perp_name, _ORDER) if name in windows]
    rejected = tuple(name for name in perp_names if has_baseline_fault(windows[name], everything))
    perp_windows = [windows[name] for name in perp_names if name not in rejected]
    return StitchedPortfolio(
        wallet=portfolio.wallet,
        all=everything,
        perp=_stitch(portfolio.wallet, "perp", perp_windows, rejected),
    )


def has_baseline_fault(perp: CleanWindow, everything: StitchedPoints) -> bool:
    """Whether a perp window books the whole opening balance as PnL (a known fault of old accounts).

    The fault's mark is a zero first point followed by one whose PnL equals its account value. An account may really
    look like that (everything it owns was earned), so scope `all` must disagree: at the same timestamp its PnL is
    another; or, with no point at that timestamp, it already held money before, which was then moved and not earned.
    """
    if len(perp) < 2 or perp.account_value[0] != 0.0 or perp.pnl[0] != 0.0:
        return False
    ts, value, pnl = int(perp.ts_ms[1]), float(perp.account_value[1]), float(perp.pnl[1])
    tolerance = usd_tolerance(perp.account_value[1:2], perp.pnl[1:2])
    if value <= 0 or abs(value - pnl) > tolerance:
        return False
    all_ts, all_value, all_pnl = everything.anchored()
    at = int(np.searchsorted(all_ts, ts))
    if at < len(all_ts) and int(all_ts[at]) == ts:
        return bool(abs(all_pnl[at] - pnl) > tolerance)
    return bool((all_value[:at] > 0).any())


def _stitch(
    wallet: str, scope: str, windows: Sequence[CleanWindow], rejected: tuple[str, ...]
) -> StitchedPoints:
    windows = _without_synthetic_start(windows)
    flags = StitchFlag.PERP_BASELINE_FAULT if rejected else StitchFlag(0)
    for window in windows:
        flags |= window.flags
    n_contradictions = sum(window.n_contradictions for window in windows)
    pending = [window for window in windows if len(window)]
    names: list[str] = [""]
    parts: list[Segment] = []
    if pending and pending[0].name in _ANCHORS:
        names.clear()  # the anchored segment takes the empty name itself
    elif pending:
        flags |= StitchFlag.NO_ANCHOR
    while pending:
        flags |= StitchFlag.UNSTITCHED_WINDOW if parts else StitchFlag(0)
        names.append("" if pending[0].name in _ANCHORS else pending[0].name)
        parts.append(Segment.of(pending[0]))
        pending, met, contradicted = join_all(parts[-1], pending[1:])
        flags |= met
        n_contradictions += contradicted
    ts_ms, account_value, pnl, segment, point_flags = _columns(parts, first_number=len(names) - len(parts))
    return StitchedPoints(
        wallet=wallet,
        scope=scope,
        ts_ms=ts_ms,
        account_value=account_value,
        pnl=pnl,
        segment=segment,
        segments=tuple(names),
        point_flags=point_flags,
        flags=flags,
        n_unpaired=sum(window.n_unpaired for window in windows),
        n_duplicates=sum(window.n_duplicates for window in windows),
        n_contradictions=n_contradictions,
        rejected=rejected,
    )


def _without_synthetic_start(windows: Sequence[CleanWindow]) -> list[CleanWindow]:
    """The windows without the made-up point: known from allTime, and left out wherever it is repeated."""
    anchors = [window for window in windows if window.name in _ANCHORS]
    if not anchors or not anchors[0].starts_synthetic:
        return list(windows)
    made_up = int(anchors[0].ts_ms[0])
    return [
        window.without_first() if window.starts_synthetic and int(window.ts_ms[0]) == made_up else window
        for window in windows
    ]


def _columns(
    parts: Sequence[Segment], *, first_number: int
) -> tuple[IntArray, FloatArray, FloatArray, npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Timestamps, account values, PnL, segment numbers and flags of all segments, one after another."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int16), np.empty(0, np.uint16)
    lengths = [len(part.ts_ms) for part in parts]
    segment = np.repeat(np.arange(first_number, first_number + len(parts)), lengths).astype(np.int16)
    contradicted = np.concatenate([part.contradicted for part in parts])
    point_flags = (segment > 0) * int(PointFlag.UNSTITCHED) + contradicted * int(PointFlag.CONTRADICTED)
    return (
        np.concatenate([part.ts_ms for part in parts]),
        np.concatenate([part.account_value for part in parts]),
        np.concatenate([part.pnl for part in parts]),
        segment,
        point_flags.astype(np.uint16),
    )


def _perp_name(name: str) -> str:
    return "perp" + name[0].upper() + name[1:]
