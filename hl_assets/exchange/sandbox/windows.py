"""From one series of samples to the exchange's eight windows: rebasing, the synthetic first point, the perp scope.

Shared by the simulated population and the recorded panel, so both publish windows that stitch exactly. Which samples a
window shows is decided by the callers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, IntArray
from hl_assets.exchange.sandbox.sampling import SYNTHETIC_LEAD_MS
from hl_assets.exchange.sandbox.source import (
    BOARD_WINDOWS,
    PORTFOLIO_WINDOWS,
    SPAN_MS,
    Portfolio,
    WindowSeries,
)

_PERP_NAMES = dict(zip(BOARD_WINDOWS, PORTFOLIO_WINDOWS[len(BOARD_WINDOWS) :], strict=True))
_ZERO_POINTS = 11


@dataclass(frozen=True, slots=True)
class Samples:
    """One account's samples: ascending distinct instants (ms), account value and cumulative PnL (micro-dollars)."""

    instants: IntArray
    account_value: IntArray
    pnl: IntArray

    def scaled(self, share: float) -> Self:
        """The same samples of a constant part of the account."""
        return replace(self, account_value=_part(self.account_value, share), pnl=_part(self.pnl, share))


def scope_windows(samples: Samples, shown: Mapping[str, IntArray], volumes: Mapping[str, int]) -> Portfolio:
    """The four windows of one scope.

    Args:
        samples: Every sample any window shows.
        shown: Instants of each of the `BOARD_WINDOWS`, ascending, all among the samples; never empty.
        volumes: Volume of each window, cents.
    """
    return {name: _window(samples, name, shown[name], volumes[name]) for name in BOARD_WINDOWS}


def as_perp(windows: Portfolio) -> Portfolio:
    """The same windows under the names of the perp scope."""
    return {_PERP_NAMES[name]: window for name, window in windows.items()}


def with_baseline_fault(window: WindowSeries, fault_ms: int) -> WindowSeries:
    """The exchange's fault of old accounts: the perp series begins anew and books the whole balance as PnL.

    The window is returned unchanged where the fault would not show: no two real samples after `fault_ms`, or nothing in
    the account at the first of them.
    """
    later = np.flatnonzero(window.instants > fault_ms)
    if later.size < 2 or window.account_value[later[0]] <= 0 or later[0] == 0:
        return window
    first = later[0]
    offset = window.account_value[first] - window.pnl[first]
    return WindowSeries(
        instants=np.concatenate([[fault_ms], window.instants[first:]]),
        account_value=np.concatenate([[0], window.account_value[first:]]),
        pnl=np.concatenate([[0], window.pnl[first:] + offset]),
        volume=window.volume,
    )


def zero_portfolio(now_ms: int) -> Portfolio:
    """What an address that was never used gets: evenly spaced points of value zero."""
    windows = {}
    for name in BOARD_WINDOWS:
        step = SPAN_MS.get(name, 30 * DAY_MS) // (_ZERO_POINTS - 1)
        instants = now_ms - step * np.arange(_ZERO_POINTS - 1, -1, -1, dtype=np.int64)
        zeros = np.zeros(_ZERO_POINTS, dtype=np.int64)
        windows[name] = WindowSeries(instants, zeros, zeros, 0)
    return {**windows, **as_perp(windows)}


def _window(samples: Samples, name: str, instants: IntArray, volume: int) -> WindowSeries:
    rows = np.searchsorted(samples.instants, instants)
    value, pnl = samples.account_value[rows], samples.pnl[rows]
    if name == "allTime":
        lead = instants[:1] - SYNTHETIC_LEAD_MS
        return WindowSeries(
            np.concatenate([lead, instants]), np.concatenate([[0], value]), np.concatenate([[0], pnl]), volume
        )
    return WindowSeries(instants, value, pnl - pnl[0], volume)


def _part(values: IntArray, share: float) -> IntArray:
    return values if share == 1.0 else np.rint(values * share).astype(np.int64)
