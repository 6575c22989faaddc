"""The client of Hyperliquid's public data API: leaderboard, list of vaults and portfolios.

Belongs here: which requests there are and what is handed back for them. Does not belong here: carrying a request out
(`fetching`), shapes (`payloads`), storing anything.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Self, TypeVar

from hl_assets.exchange.addresses import normalize_address
from hl_assets.exchange.config import ExchangeConfig, info_weight
from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.fetching import Call, Fetcher, Tally
from hl_assets.exchange.payloads import parse_leaderboard, parse_portfolio, parse_vaults
from hl_assets.exchange.responses import (
    LeaderboardResponse,
    PortfolioOutcome,
    PortfolioResponse,
    VaultsResponse,
)

_T = TypeVar("_T")


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


class HyperliquidClient:
    """Asynchronous client; use it as `async with HyperliquidClient(config) as client:`, within one event loop.

    Without configured proxies those of the environment are honoured as httpx does, but never for the local machine.

    Args:
        config: Hosts, limits and patience.
        clock: What time it is, timezone-aware; stamps `observed_at`. With a local exchange on a virtual clock, give that
            clock. Waiting and deadlines use the machine's monotonic clock.
    """

    def __init__(
        self, config: ExchangeConfig | None = None, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.config = config or ExchangeConfig()
        self._fetcher = Fetcher(self.config, clock)

    async def __aenter__(self) -> Self:
        await self._fetcher.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._fetcher.close()

    async def leaderboard(self) -> LeaderboardResponse:
        """Fetches and parses the leaderboard. It comes from a file server and does not draw on the budget of weight.

        Raises:
            ExchangeUnavailableError: Retries or deadline are spent.
            ExchangeRejectedError: The request was refused for good, or the body is over `leaderboard_max_bytes`.
            PayloadShapeError: The payload's shape has changed.
        """
        tally = Tally(time.monotonic())
        call = self._bulk_call("leaderboard", self.config.leaderboard_url, parse_leaderboard)
        answer = await self._fetcher.fetch(call, tally, self.config.leaderboard_deadline_seconds)
        return LeaderboardResponse(
            leaderboard=answer.parsed, elapsed_seconds=tally.elapsed_seconds, **answer.circumstances
        )

    async def vaults(self) -> VaultsResponse:
        """Fetches and parses the list of vaults, which comes from the same file server. Raises as `leaderboard`."""
        tally = Tally(time.monotonic())
        call = self._bulk_call("vaults", self.config.vaults_url, parse_vaults)
        answer = await self._fetcher.fetch(call, tally, self.config.vaults_deadline_seconds)
        return VaultsResponse(
            vaults=answer.parsed, elapsed_seconds=tally.elapsed_seconds, **answer.circumstances
        )

    def _bulk_call(self, endpoint: str, url: str, parse: Callable[[bytes], _T]) -> Call[_T]:
        return Call(
            endpoint=endpoint,
            wallet=None,
            method="GET",
            url=url,
            payload=None,
            weight=0,
            read_timeout_seconds=self.config.leaderboard_read_timeout_seconds,
            max_bytes=self.config.leaderboard_max_bytes,
            parse=parse,
            parse_in_thread=True,
        )

    async def portfolio(self, wallet: str) -> PortfolioResponse:
        """Fetches and parses one wallet's portfolio (weight 20 per attempt).

        Raises:
            InvalidAddressError: `wallet` is no address; nothing was sent.
            ExchangeUnavailableError: Retries or deadline are spent.
            ExchangeRejectedError: The request was refused for good.
            PayloadShapeError: The payload's shape has changed.
            WeightAboveBudgetError: The configured budget does not hold one request.
        """
        tally = Tally(time.monotonic())
        return await self._portfolio(normalize_address(wallet), tally, self.config.info_deadline_seconds)

    async def portfolios(
        self,
        wallets: Iterable[str],
        *,
        on_result: Callable[[PortfolioOutcome], None] | None = None,
        deadline_seconds: float | None = None,
    ) -> list[PortfolioOutcome]:
        """Fetches many portfolios, `concurrency` at a time per egress address; one wallet's failure is its outcome and stops no other.

        Args:
            wallets: Addresses; one given twice is fetched once.
            on_result: Called on the event loop with each outcome as it comes, in order of completion.
            deadline_seconds: When this much time has passed, requests under way are given up and wallets not yet begun
                are not asked: their outcomes carry an error of kind `deadline`. None waits for all.

        Returns:
            One outcome per distinct wallet, in the order given. All are held in memory with their bodies (about 30 KB
            each): give very long lists in portions.

        Raises:
            InvalidAddressError: One of `wallets` is no address; nothing was sent.
            WeightAboveBudgetError: The configured budget does not hold one request.
        """
        distinct = list(dict.fromkeys(normalize_address(wallet) for wallet in wallets))
        ends_at = None if deadline_seconds is None else time.monotonic() + deadline_seconds
        outcomes: dict[str, PortfolioOutcome] = {}
        waiting = iter(distinct)

        async def work() -> None:
            for wallet in waiting:
                outcome = await self._outcome(wallet, ends_at)
                outcomes[wallet] = outcome
                if on_result is not None:
                    on_result(outcome)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.config.concurrency * len(self.config.ways_out), len(distinct))):
                    workers.create_task(work())
        except BaseExceptionGroup as group:  # a mistake of ours, not of the exchange: show it as it is
            raise group.exceptions[0] from None
        return [outcomes[wallet] for wallet in distinct]

    async def weight_within(self, seconds: float) -> int:
        """The weight that could still be spent from now until then, after what all processes have spent and reserved.

        Raises:
            RateLimitStateError: The budget's shared file is unusable.
        """
        return await self._fetcher.weight_within(seconds)

    async def _outcome(self, wallet: str, ends_at: float | None) -> PortfolioOutcome:
        tally = Tally(time.monotonic())
        response: PortfolioResponse | None = None
        error: ExchangeError | None = None
        limits = [self.config.info_deadline_seconds, None if ends_at is None else ends_at - tally.started]
        try:
            response = await self._portfolio(
                wallet, tally, min((limit for limit in limits if limit is not None), default=None)
            )
        except ExchangeError as failure:
            error = failure
        return PortfolioOutcome(
            wallet=wallet,
            response=response,
            error=error,
            attempts=tally.attempts,
            weight=tally.weight,
            observed_at=self._fetcher.now() if response is None else response.observed_at,
            latency_seconds=None if response is None else response.latency_seconds,
            elapsed_seconds=tally.elapsed_seconds,
        )

    async def _portfolio(
        self, wallet: str, tally: Tally, deadline_seconds: float | None
    ) -> PortfolioResponse:
        config = self.config
        call = Call(
            endpoint="portfolio",
            wallet=wallet,
            method="POST",
            url=config.info_endpoint,
            payload={"type": "portfolio", "user": wallet},
            weight=info_weight("portfolio"),
            read_timeout_seconds=config.info_read_timeout_seconds,
            max_bytes=config.info_max_bytes,
            parse=partial(parse_portfolio, wallet=wallet),
            parse_in_thread=False,
        )
        answer = await self._fetcher.fetch(call, tally, deadline_seconds)
        return PortfolioResponse(
            wallet=wallet,
            portfolio=answer.parsed,
            elapsed_seconds=tally.elapsed_seconds,
            **answer.circumstances,
        )
