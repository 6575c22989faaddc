"""What a source of accounts must answer, whatever it is made from, and the shapes it answers in.

`server.py` knows only this. Here are no numbers of its own: the simulated population and the recorded panel fill them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hl_assets.exchange.sandbox.arrays import BoolArray, FloatArray, IntArray

BOARD_WINDOWS = ("day", "week", "month", "allTime")
"""Windows of a leaderboard row, and of a vault's sparklines, in the exchange's order."""

PORTFOLIO_WINDOWS = (*BOARD_WINDOWS, "perpDay", "perpWeek", "perpMonth", "perpAllTime")
"""Windows of a portfolio answer, in the exchange's order."""

SPAN_MS = {"day": 86_400_000, "week": 7 * 86_400_000, "month": 30 * 86_400_000}
"""Length of the bounded windows; allTime reaches back to an account's first sample."""


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard's rows at one instant, in the exchange's order. Columns follow `BOARD_WINDOWS`."""

    addresses: Sequence[str]
    names: Sequence[str | None]
    account_value: IntArray  # (rows,) micro-dollars
    pnl: IntArray  # (rows, 4) micro-dollars
    roi: FloatArray  # (rows, 4) fractions
    volume: IntArray  # (rows, 4) cents


@dataclass(frozen=True, slots=True)
class WindowSeries:
    """One window of a portfolio as published: PnL already rebased to 0 at the window's own start."""

    instants: IntArray  # (points,) ms
    account_value: IntArray  # (points,) micro-dollars
    pnl: IntArray  # (points,) micro-dollars
    volume: int  # cents


Portfolio = Mapping[str, WindowSeries]
"""Windows by name; all of `PORTFOLIO_WINDOWS`."""


@dataclass(frozen=True, slots=True)
class Vault:
    """One entry of the vaults list."""

    name: str
    address: str
    leader: str
    tvl: int  # micro-dollars
    is_closed: bool
    relationship: Mapping[str, object]
    created_ms: int
    apr: float
    pnls: Mapping[str, IntArray] = field(default_factory=dict)  # per board window, micro-dollars from 0


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened to a simulated wallet: for tests of estimators, never served as exchange data."""

    wallet: str
    archetype: str
    skill: float  # annual Sharpe ratio: drift over total volatility of the log index
    drift: float  # a year
    volatility: float  # a year, jumps included
    born_ms: int
    traits: Mapping[str, object]
    instants: IntArray  # (points,) ms
    index: FloatArray  # (points,) 1.0 at the start of each epoch, 0 after a wipe-out
    epoch: IntArray  # (points,) 1, 2, ... counts fundings after wipe-outs; 0 before birth
    funded: BoolArray  # (points,) account value above 0


class Timeline(Protocol):
    """When a local exchange can be asked, and what is known about the truth behind its answers."""

    def span_ms(self) -> tuple[int, int]:
        """First instant that can be asked, and the first that cannot any more."""

    def truth_at(self, wallet: str, now_ms: int, instants_ms: IntArray | None) -> Truth:
        """The true index at the instants, or at those the portfolio publishes at `now_ms`.

        Raises:
            NoTruthError: Nothing is known about the wallet beyond what the exchange says.
        """

    def truth_summaries(self) -> Sequence[Mapping[str, object]]:
        """Address, skill and traits of every wallet; empty where none is known."""


class Source(Timeline, Protocol):
    """Accounts of an exchange at any instant of a span. Answers depend on the arguments alone."""

    def wallets_at(self, now_ms: int) -> Sequence[str]:
        """Addresses on the leaderboard at `now_ms`, in its order."""

    def board_at(self, now_ms: int) -> Board:
        """The leaderboard computed at `now_ms` (the server asks at refresh instants only)."""

    def portfolio_at(self, wallet: str, now_ms: int) -> Portfolio | None:
        """The portfolio windows of a wallet as asked at `now_ms`; None for an address never used until then."""

    def vaults_at(self, now_ms: int) -> Sequence[Vault]:
        """The vaults that exist at `now_ms`."""
