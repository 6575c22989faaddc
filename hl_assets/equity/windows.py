"""One window of a portfolio response, cleaned: account value and PnL paired, sorted and free of repeats.

Belongs here: what concerns a single window. How windows are joined is `hl_assets.equity.stitch`. How the response is
parsed is the exchange package's business: this module takes anything of the right shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hl_assets.equity.amounts import usd_tolerance
from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.flags import StitchFlag
from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray

SYNTHETIC_LEAD_MS = 3_600_000
"""The exchange starts allTime with a made-up 0/0 point exactly this long before the first real sample."""


class WindowLike(Protocol):
    """One of the eight windows of a portfolio response (`hl_assets.exchange.payloads.PortfolioWindow`)."""

    @property
    def name(self) -> str:
        """`day`, `week`, `month`, `allTime` or the same with `perp` in front."""

    @property
    def ts_ms(self) -> IntArray:
        """int64[k], UTC milliseconds of the account values."""

    @property
    def account_value(self) -> FloatArray:
        """float64[k], USD."""

    @property
    def pnl_ts_ms(self) -> IntArray:
        """int64[m], UTC milliseconds of the PnL values."""

    @property
    def pnl(self) -> FloatArray:
        """float64[m], USD since the window's own start."""


class PortfolioLike(Protocol):
    """A wallet's portfolio response (`hl_assets.exchange.payloads.Portfolio`)."""

    @property
    def wallet(self) -> str:
        """Lower-case address."""

    @property
    def windows(self) -> Mapping[Any, WindowLike]:
        """The windows by name."""


@dataclass(frozen=True, slots=True, eq=False)
class CleanWindow:
    """A window's paired points, strictly rising in time.

    Attributes:
        name: the window's name.
        ts_ms: int64[k].
        account_value: float64[k], USD.
        pnl: float64[k], USD since the window's own start.
        contradicted: bool[k], the exchange gave a second, different value for this timestamp (the first is kept).
        flags: what cleaning met.
        n_unpaired: timestamps left out for want of the other series' value.
        n_duplicates: identical repeats left out.
        n_contradictions: contradictory repeats left out.
    """

    name: str
    ts_ms: IntArray
    account_value: FloatArray
    pnl: FloatArray
    contradicted: BoolArray
    flags: StitchFlag
    n_unpaired: int
    n_duplicates: int
    n_contradictions: int

    def __len__(self) -> int:
        return len(self.ts_ms)

    @property
    def starts_synthetic(self) -> bool:
        """Whether the first point is the exchange's made-up 0/0 one hour before the first real sample."""
        return (
            len(self) > 1
            and self.account_value[0] == 0.0
            and self.pnl[0] == 0.0
            and int(self.ts_ms[1] - self.ts_ms[0]) == SYNTHETIC_LEAD_MS
        )

    def without_first(self) -> "CleanWindow":
        """The window from its second point on, flagged."""
        return CleanWindow(
            self.name,
            self.ts_ms[1:],
            self.account_value[1:],
            self.pnl[1:],
            self.contradicted[1:],
            self.flags | StitchFlag.SYNTHETIC_DROPPED,
            self.n_unpaired,
            self.n_duplicates,
            self.n_contradictions,
        )


def clean_window(window: WindowLike) -> CleanWindow:
    """Pair account value and PnL on equal timestamps, sort, and keep the first value of each timestamp.

    Raises:
        EquityInputError: a series' timestamps and values differ in number, or a value is not finite.
    """
    _check_series(window.name, "account_value", window.ts_ms, window.account_value)
    _check_series(window.name, "pnl", window.pnl_ts_ms, window.pnl)
    if np.array_equal(window.ts_ms, window.pnl_ts_ms) and _rises(window.ts_ms):
        return CleanWindow(
            name=window.name,
            ts_ms=window.ts_ms,
            account_value=window.account_value,
            pnl=window.pnl,
            contradicted=np.zeros(len(window.ts_ms), dtype=np.bool_),
            flags=StitchFlag(0),
            n_unpaired=0,
            n_duplicates=0,
            n_contradictions=0,
        )
    return _paired(window)


def _paired(window: WindowLike) -> CleanWindow:
    """The general case: repeats, disorder, or timestamps that only one of the two series has."""
    tolerance = usd_tolerance(window.account_value, window.pnl)
    value_ts, values, value_bad, value_repeats = _first_per_timestamp(
        window.ts_ms, window.account_value, tolerance
    )
    pnl_ts, pnl, pnl_bad, pnl_repeats = _first_per_timestamp(window.pnl_ts_ms, window.pnl, tolerance)
    ts, in_values, in_pnl = np.intersect1d(value_ts, pnl_ts, assume_unique=True, return_indices=True)
    contradictory = np.union1d(value_bad, pnl_bad)
    n_unpaired = len(value_ts) + len(pnl_ts) - 2 * len(ts)
    n_duplicates = max(value_repeats, pnl_repeats)
    flags = StitchFlag(0)
    for met, flag in (
        (n_unpaired, StitchFlag.UNPAIRED),
        (n_duplicates, StitchFlag.DUPLICATE),
        (len(contradictory), StitchFlag.CONTRADICTION),
    ):
        flags |= flag if met else StitchFlag(0)
    return CleanWindow(
        name=window.name,
        ts_ms=ts,
        account_value=values[in_values],
        pnl=pnl[in_pnl],
        contradicted=np.isin(ts, contradictory),
        flags=flags,
        n_unpaired=n_unpaired,
        n_duplicates=n_duplicates,
        n_contradictions=len(contradictory),
    )


def _rises(ts_ms: IntArray) -> bool:
    return bool((ts_ms[1:] > ts_ms[:-1]).all())


def _check_series(window: str, column: str, ts_ms: IntArray, values: FloatArray) -> None:
    if len(ts_ms) != len(values):
        raise EquityInputError(
            f"window {window}: {len(ts_ms)} timestamps but {len(values)} values of {column}"
        )
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.flatnonzero(~finite)[0])
        raise EquityInputError(
            f"window {window}: {column} at {int(ts_ms[at])} ms is {values[at]}; points must be finite"
        )


def _first_per_timestamp(
    ts_ms: IntArray, values: FloatArray, tolerance: float
) -> tuple[IntArray, FloatArray, IntArray, int]:
    """Sorted points with unique timestamps, the contradicted timestamps, and the number of identical repeats."""
    if _rises(ts_ms):
        return ts_ms, values, np.empty(0, dtype=np.int64), 0
    order = np.argsort(ts_ms, kind="stable")
    ts_ms, values = ts_ms[order], values[order]
    unique, first, inverse = np.unique(ts_ms, return_index=True, return_inverse=True)
    differs = np.abs(values - values[first][inverse]) > tolerance
    repeated = len(ts_ms) - len(unique)
    return unique, values[first], np.unique(ts_ms[differs]), repeated - int(differs.sum())
