"""The exchange as assets see it: fetches that block, the present moment, and where the facts come from.

Belongs here: bridging the asynchronous client into Dagster's synchronous steps. Does not belong here: requests, retries,
shapes (`hl_assets.exchange`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hl_assets.exchange.client import HyperliquidClient
from hl_assets.exchange.config import ExchangeConfig
from hl_assets.exchange.responses import LeaderboardResponse, PortfolioOutcome, VaultsResponse
from hl_assets.settings import Settings


@dataclass(frozen=True)
class Exchange:
    """One exchange: live, recorded or simulated, all over the same HTTP API.

    Attributes:
        config: Hosts, limits and patience.
        origin: `origin` of the rows taken from it.
        now: The present moment on this exchange, UTC.
    """

    config: ExchangeConfig
    origin: str
    now: Callable[[], datetime]

    @classmethod
    def from_settings(cls, settings: Settings) -> "Exchange":
        """The exchange that the settings name; every process of this machine shares one budget of weight."""
        config = ExchangeConfig(
            info_url=settings.info_url,
            stats_url=settings.stats_url,
            weight_per_minute=settings.weight_per_minute,
            concurrency=settings.concurrency,
            max_attempts=settings.max_attempts,
            backoff_base_seconds=settings.backoff_seconds,
            info_read_timeout_seconds=settings.info_timeout_seconds,
            leaderboard_read_timeout_seconds=settings.leaderboard_timeout_seconds,
            limiter_state_dir=settings.home.resolve() / "rate_limit",
            egress=settings.source,
            egresses=settings.egresses,
        )
        return cls(config, settings.origin, settings.now)

    def leaderboard(self) -> LeaderboardResponse:
        """Fetch the leaderboard.

        Raises:
            ExchangeError: What failed, and what to do.
        """

        async def fetch() -> LeaderboardResponse:
            async with HyperliquidClient(self.config, clock=self.now) as client:
                return await client.leaderboard()

        return asyncio.run(fetch())

    def vaults(self) -> VaultsResponse:
        """Fetch the list of vaults.

        Raises:
            ExchangeError: What failed, and what to do.
        """

        async def fetch() -> VaultsResponse:
            async with HyperliquidClient(self.config, clock=self.now) as client:
                return await client.vaults()

        return asyncio.run(fetch())

    def portfolios(
        self,
        wallets: Sequence[str],
        *,
        on_result: Callable[[PortfolioOutcome], None],
        deadline_seconds: float,
    ) -> list[PortfolioOutcome]:
        """Fetch portfolios; one wallet's failure is its outcome and stops no other."""

        async def fetch() -> list[PortfolioOutcome]:
            async with HyperliquidClient(self.config, clock=self.now) as client:
                return await client.portfolios(
                    wallets, on_result=on_result, deadline_seconds=deadline_seconds
                )

        return asyncio.run(fetch())

    def weight_within(self, seconds: float) -> int:
        """The request weight that could still be spent from now until then, with every egress address.

        Raises:
            RateLimitStateError: The shared file of the budget is unusable.
        """

        async def ask() -> int:
            async with HyperliquidClient(self.config, clock=self.now) as client:
                return await client.weight_within(seconds)

        return asyncio.run(ask())
