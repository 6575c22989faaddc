"""Populations and a server shared by the sandbox's tests; all read-only but the server's clock and faults."""

from collections.abc import Iterator

import httpx
import pytest

from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.exchange.sandbox.population import SimulatedPopulation
from hl_assets_tests.exchange.sandbox.instants import EPOCH_MS, SERVED_AT


@pytest.fixture(scope="session")
def population() -> SimulatedPopulation:
    return SimulatedPopulation(wallets=5_000, seed=7, epoch_ms=EPOCH_MS)


@pytest.fixture(scope="session")
def small_population() -> SimulatedPopulation:
    return SimulatedPopulation(wallets=100, seed=7, epoch_ms=EPOCH_MS)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[SandboxServer]:
    config = SandboxConfig(wallets=300, clock=ClockSetting.frozen(SERVED_AT), weight_limit=None)
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def server(shared_server: SandboxServer) -> SandboxServer:
    """The module's server, its clock, faults and counters as at the start."""
    shared_server.venue.set_clock(ClockSetting.frozen(SERVED_AT))
    shared_server.venue.faults.clear()
    shared_server.venue.reset_counters()
    return shared_server


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as session:
        yield session
