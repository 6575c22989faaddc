"""The running local exchange without its HTTP routes: source, clock, limiter, faults, counters and cached bodies."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from hl_assets.exchange.sandbox.arrays import MINUTE_MS
from hl_assets.exchange.sandbox.capture import Capture
from hl_assets.exchange.sandbox.clock import ClockSetting, VirtualClock, iso, to_ms
from hl_assets.exchange.sandbox.config import SandboxConfig
from hl_assets.exchange.sandbox.errors import InstantOutOfRangeError
from hl_assets.exchange.sandbox.faults import FaultPlan
from hl_assets.exchange.sandbox.panel import RecordedPanel
from hl_assets.exchange.sandbox.population import SimulatedPopulation
from hl_assets.exchange.sandbox.ratelimit import WeightLimiter
from hl_assets.exchange.sandbox.recording import read_recording
from hl_assets.exchange.sandbox.source import Source, Timeline, Vault
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


class Bodies(Protocol):
    """What is sent at an instant, as bytes.

    Raises:
        NotRecordedError: A capture does not hold it.
    """

    def leaderboard(self, now_ms: int) -> bytes:
        """Body of the leaderboard; the same bytes between two refreshes."""

    def last_modified(self, now_ms: int) -> datetime | None:
        """`Last-Modified` of the bulk bodies; None where it is unknown."""

    def vaults(self, now_ms: int) -> bytes:
        """Body of the vaults list; the same bytes between two refreshes."""

    def portfolio(self, wallet: str, now_ms: int) -> bytes:
        """Body of a portfolio answer."""

    def vault_details(self, address: str, now_ms: int) -> bytes:
        """Body of a vaultDetails answer."""


class ComputedBodies:
    """Bodies made from a source's numbers.

    Args:
        source: The accounts.
        config: How often bulk bodies are refreshed, and their layout.
    """

    def __init__(self, source: Source, config: SandboxConfig) -> None:
        self._source, self._config = source, config
        self._leaderboard = RefreshedBody(self._make_leaderboard)
        self._vaults = RefreshedBody(self._make_vaults)

    def leaderboard(self, now_ms: int) -> bytes:
        """Body of the leaderboard; the same bytes between two refreshes."""
        return self._leaderboard.at(self._refreshed_ms(now_ms))

    def last_modified(self, now_ms: int) -> datetime:
        """The last refresh of the bulk bodies."""
        return datetime.fromtimestamp(self._refreshed_ms(now_ms) / 1000, UTC)

    def vaults(self, now_ms: int) -> bytes:
        """Body of the vaults list; the same bytes between two refreshes."""
        return self._vaults.at(self._refreshed_ms(now_ms))

    def portfolio(self, wallet: str, now_ms: int) -> bytes:
        """Body of a portfolio answer."""
        return portfolio_body(self._source.portfolio_at(wallet, now_ms) or zero_portfolio(now_ms))

    def vault_details(self, address: str, now_ms: int) -> bytes:
        """Body of a vaultDetails answer."""
        found: Vault | None = next(
            (vault for vault in self._source.vaults_at(now_ms) if vault.address == address), None
        )
        return vault_details_body(found, self._source.portfolio_at(address, now_ms))

    def _refreshed_ms(self, now_ms: int) -> int:
        period = self._config.refresh_minutes * MINUTE_MS
        return now_ms - now_ms % period

    def _make_leaderboard(self, refreshed_ms: int) -> bytes:
        return leaderboard_body(
            self._source.board_at(self._not_before_span(refreshed_ms)), indented=self._config.indented
        )

    def _make_vaults(self, refreshed_ms: int) -> bytes:
        return vaults_body(self._source.vaults_at(self._not_before_span(refreshed_ms)))

    def _not_before_span(self, refreshed_ms: int) -> int:
        return max(refreshed_ms, self._source.span_ms()[0])


class Venue:
    """Everything a request needs.

    Args:
        config: Settings.
        source: Where accounts come from; by default what the settings name.
    """

    def __init__(self, config: SandboxConfig, source: Source | None = None) -> None:
        self.config = config
        self.source, self.bodies = _opened(config, source)
        self.clock = VirtualClock(config.clock or _default_clock(self.source))
        self.now_ms()
        self.limiter = WeightLimiter(config.weight_limit)
        self.faults = FaultPlan(config.faults, config.seed)
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

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

    def _inside(self, instant_ms: int) -> int:
        first, end = self.source.span_ms()
        if not first <= instant_ms < end:
            raise InstantOutOfRangeError(
                f"the virtual clock shows {iso(instant_ms)}, but this source answers from {iso(first)} "
                f"to {iso(end)} only; set the clock inside it or choose another epoch"
            )
        return instant_ms


def _opened(config: SandboxConfig, given: Source | None) -> tuple[Timeline, Bodies]:
    """What is served: the source given, or what the settings name."""
    if given is None and config.recording is not None and config.recording.is_dir():
        capture = Capture(config.recording)
        return capture, capture
    source = given or _source(config)
    return source, ComputedBodies(source, config)


def _source(config: SandboxConfig) -> Source:
    if config.recording is None:
        return SimulatedPopulation(config.wallets, config.seed, to_ms(config.epoch))
    return RecordedPanel(read_recording(config.recording), config.thin_recording)


def _default_clock(source: Timeline) -> ClockSetting:
    if isinstance(source, RecordedPanel | Capture):
        return ClockSetting("frozen", source.newest_ms)
    return ClockSetting()
