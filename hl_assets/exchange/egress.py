"""The ways out to the exchange: one per egress address, each with its own budget, connections and pauses.

Belongs here: opening them, and choosing the one that a request leaves by. Does not belong here: sending (`fetching`), how a
budget is kept (`rate_limit`), which proxies there are (`config`).

The exchange limits weight per IP address, so every address has its own limiter state; a request takes the way on which it
may leave first, of equals the one with the most free weight. A way on which no connection came about is set aside for a while, and
repeated requests take another.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache

import httpx

from hl_assets.exchange.config import Egress, ExchangeConfig
from hl_assets.exchange.rate_limit import Grant, WeightBudget
from hl_assets.exchange.retrying import Throttle

logger = logging.getLogger(__name__)

_LOOPBACK = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class WayOut:
    """One egress address, within one event loop.

    Args:
        config: Limits and patience.
        egress: The address's name and its proxy.
    """

    def __init__(self, config: ExchangeConfig, egress: Egress) -> None:
        self.name = egress.name
        self.budget = WeightBudget(
            config.weight_per_minute,
            config.limiter_state_dir,
            egress=egress.name,
            window_seconds=config.limiter_window_seconds,
            slack_seconds=config.limiter_slack_seconds,
        )
        self.throttle = Throttle(config.throttle_base_seconds, config.throttle_max_seconds)
        # A request that has its permission must leave at once, so no more may hold one than there are connections.
        self.connections = asyncio.Semaphore(config.concurrency)
        self.set_aside_until = 0.0
        self._config = config
        self._proxy = egress.proxy
        self._http: httpx.AsyncClient | None = None
        self._chosen_weight = 0

    @property
    def http(self) -> httpx.AsyncClient:
        """The connection pool.

        Raises:
            RuntimeError: It is not open.
        """
        if self._http is None:
            raise RuntimeError(
                "the client is not open: use it as `async with HyperliquidClient(...) as client`"
            )
        return self._http

    async def open(self) -> None:
        """Makes the connection pool; connections are opened by the first requests.

        A configured proxy carries everything; proxies of the environment are not used for the local machine.
        """
        connections = self._config.concurrency + 1  # unweighted calls have their own
        self._http = httpx.AsyncClient(
            headers={"user-agent": self._config.user_agent, "accept": "application/json"},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            proxy=self._proxy,
            mounts=_LOOPBACK if self._proxy is None else None,
            verify=_tls_context(),
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Closes connections and the budget's file."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        self.budget.close()

    def set_aside(self) -> None:
        """No connection came about: other ways go first for a while."""
        now = time.monotonic()
        if now >= self.set_aside_until:
            logger.warning("no connection by egress address %s: others go first for a while", self.name)
        self.set_aside_until = now + self._config.egress_cooldown_seconds

    async def outlook(self, weight: int) -> tuple[bool, float, int]:
        """What to expect of this way, smaller is better: set aside, seconds until a request may leave, minus free weight.

        Requests that chose this way and have no permission yet go first.
        """
        wait, free = await self.budget.outlook(self._chosen_weight + weight)
        return time.monotonic() < self.set_aside_until, wait, self._chosen_weight - free

    @asynccontextmanager
    async def permission(self, weight: int) -> AsyncIterator[Grant]:
        """A connection and the permission to use it now; waits for both.

        Raises:
            WeightAboveBudgetError: The budget does not hold one request.
        """
        self._chosen_weight += weight
        waiting = True
        try:
            async with self.connections:
                grant = await self.budget.acquire(weight)
                self._chosen_weight -= weight
                waiting = False
                yield grant
        finally:
            if waiting:
                self._chosen_weight -= weight


async def best_way(ways: Sequence[WayOut], weight: int) -> WayOut:
    """The way on which a request of this weight leaves first; of equals the one with the most free weight."""
    if len(ways) == 1:
        return ways[0]
    outlooks = [await way.outlook(weight) for way in ways]
    return ways[min(range(len(ways)), key=outlooks.__getitem__)]


@cache
def _tls_context() -> ssl.SSLContext:
    """Loading the trusted certificates takes 40 ms of processor time: once per process."""
    return httpx.create_ssl_context()
