"""The running local exchange without its HTTP routes: source, clock, limiter, faults, counters and cached bodies."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable

from hl_assets.exchange.sandbox.arrays import MINUTE_MS
from hl_assets.exchange.sandbox.clock import ClockSetting, VirtualClock, iso, to_ms
from hl_assets.exchange.sandbox.config import SandboxConfig
from hl_assets.exchange.sandbox.errors import InstantOutOfRangeError
from hl_assets.exchange.sandbox.faults import FaultPlan
from hl_assets.exchange.sandbox.panel import RecordedPanel
from hl_assets.exchange.sandbox.population import SimulatedPopulation
from hl_assets.exchange.sandbox.ratelimit import WeightLimiter
from hl_assets.exchange.sandbox.recording import read_recording
from hl_assets.exchange.sandbox.source import Source, Vault
from hl_assets.exchange.sandbox.windows import zero_portfolio
from hl_assets.exchange.sandbox.wire import (
    leaderboard_body,
    portfolio_body,
    vault_details_body,
    vaults_body,
)

_KEPT_BODIES = 2


class RefreshedBody:
    """A body made once per refresh instant, by whichever thread asks first; the others wait for it."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._bodies: OrderedDict[int, bytes] = OrderedDict()

    def at(self, refreshed_ms: int) -> bytes:
        """The body of one refresh instant."""
        with self._lock:
            if refreshed_ms not in self._bodies:
                self._bodies[refreshed_ms] = self._make(refreshed_ms)
                while len(self._bodies) > _KEPT_BODIES:
                    self._bodies.popitem(last=False)
            return self._bodies[refreshed_ms]


class Venue:
    """Everything a request needs.

    Args:
        config: Settings.
        source: Where accounts come from; by default what the settings name.
    """

    def __init__(self, config: SandboxConfig, source: Source | None = None) -> None:
        self.config = config
        self.source = source or _source(config)
        self.clock = VirtualClock(config.clock or _default_clock(self.source))
        self.now_ms()
        self.limiter = WeightLimiter(config.weight_limit)
        self.faults = FaultPlan(config.faults, config.seed)
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._leaderboard = RefreshedBody(self._make_leaderboard)
        self._vaults = RefreshedBody(self._make_vaults)

    def now_ms(self) -> int:
        """Virtual now.

        Raises:
            InstantOutOfRangeError: The clock shows an instant the source cannot answer.
        """
        return self._inside(self.clock.now_ms())

    def set_clock(self, setting: ClockSetting) -> None:
        """Set the virtual clock.

        Raises:
            InstantOutOfRangeError: The instant is one the source cannot answer; the clock stays as it was.
        """
        if setting.at_ms is not None:
            self._inside(setting.at_ms)
        self.clock.set(setting)

    def advance_clock(self, seconds: float) -> None:
        """Move the virtual clock; refused like `set_clock`."""
        self._inside(self.clock.now_ms() + round(seconds * 1000))
        self.clock.advance(seconds)

    def refreshed_ms(self, now_ms: int) -> int:
        """The last refresh of the bulk bodies."""
        period = self.config.refresh_minutes * MINUTE_MS
        return now_ms - now_ms % period

    def leaderboard(self, now_ms: int) -> bytes:
        """Body of the leaderboard; the same bytes between two refreshes."""
        return self._leaderboard.at(self.refreshed_ms(now_ms))

    def vaults(self, now_ms: int) -> bytes:
        """Body of the vaults list; the same bytes between two refreshes."""
        return self._vaults.at(self.refreshed_ms(now_ms))

    def portfolio(self, wallet: str, now_ms: int) -> bytes:
        """Body of a portfolio answer."""
        return portfolio_body(self.source.portfolio_at(wallet, now_ms) or zero_portfolio(now_ms))

    def vault_details(self, address: str, now_ms: int) -> bytes:
        """Body of a vaultDetails answer."""
        found: Vault | None = next(
            (vault for vault in self.source.vaults_at(now_ms) if vault.address == address), None
        )
        return vault_details_body(found, self.source.portfolio_at(address, now_ms))

    def report(self) -> dict[str, object]:
        """Counters since the start or the last reset."""
        return {
            "requests": dict(self.requests),
            "statuses": dict(self.statuses),
            "http_429": self.statuses.get("429", 0),
            "weight": self.limiter.report(),
            "faults": self.faults.report(),
        }

    def reset_counters(self) -> None:
        """Forget all counted requests and the weight they used."""
        self.requests.clear()
        self.statuses.clear()
        self.limiter.reset()

    def _make_leaderboard(self, refreshed_ms: int) -> bytes:
        return leaderboard_body(
            self.source.board_at(self._not_before_span(refreshed_ms)), indented=self.config.indented
        )

    def _make_vaults(self, refreshed_ms: int) -> bytes:
        return vaults_body(self.source.vaults_at(self._not_before_span(refreshed_ms)))

    def _not_before_span(self, refreshed_ms: int) -> int:
        return max(refreshed_ms, self.source.span_ms()[0])

    def _inside(self, instant_ms: int) -> int:
        first, end = self.source.span_ms()
        if not first <= instant_ms < end:
            raise InstantOutOfRangeError(
                f"the virtual clock shows {iso(instant_ms)}, but this source answers from {iso(first)} "
                f"to {iso(end)} only; set the clock inside it or choose another epoch"
            )
        return instant_ms


def _source(config: SandboxConfig) -> Source:
    if config.recording is None:
        return SimulatedPopulation(config.wallets, config.seed, to_ms(config.epoch))
    return RecordedPanel(read_recording(config.recording), config.thin_recording)


def _default_clock(source: Source) -> ClockSetting:
    if isinstance(source, RecordedPanel):
        return ClockSetting("frozen", source.newest_ms)
    return ClockSetting()
