"""What the client hands back: the parsed payload together with the raw body and the circumstances of the fetch.

Belongs here: records of answers and outcomes. Does not belong here: the payloads' own types (`payloads`), how they are
fetched (`client`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.payloads import Leaderboard, Portfolio, VaultList

FetchStatus = Literal["ok", "empty", "failed"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Response:
    """One successful fetch.

    Attributes:
        body: The body as received, decompressed.
        sha256: Hex digest of `body`.
        observed_at: When the last byte had arrived, by the client's clock, UTC.
        server_date: The answer's `Date` header, UTC; None when absent or unreadable.
        last_modified: The answer's `Last-Modified` header, likewise.
        attempts: Requests sent, the successful one included.
        weight: Request weight paid, by all attempts.
        latency_seconds: From sending the successful request to its last byte.
        elapsed_seconds: The whole fetch: waiting for the budget, failed attempts and pauses included.
    """

    body: bytes = field(repr=False)
    sha256: str
    observed_at: datetime
    server_date: datetime | None
    last_modified: datetime | None
    attempts: int
    weight: int
    latency_seconds: float
    elapsed_seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LeaderboardResponse(Response):
    """The leaderboard as of `observed_at`; the payload carries no time of its own.

    Attributes:
        leaderboard: The parsed body.
    """

    leaderboard: Leaderboard = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class VaultsResponse(Response):
    """The list of vaults as of `observed_at`; the payload carries no time of its own.

    Attributes:
        vaults: The parsed body.
    """

    vaults: VaultList = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortfolioResponse(Response):
    """One wallet's portfolio.

    Attributes:
        wallet: Lower-case address.
        portfolio: The parsed body; empty when the exchange knows no portfolio at this address.
    """

    wallet: str
    portfolio: Portfolio = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortfolioOutcome:
    """What came of one wallet of a batch: a response or an error, never both, never neither.

    Attributes:
        wallet: Lower-case address.
        response: The answer, or None.
        error: Why there is none, or None.
        attempts: Requests sent; 0 when the batch's deadline came first.
        weight: Request weight paid.
        observed_at: When the answer had arrived, or when the fetch was given up; the client's clock, UTC.
        latency_seconds: From sending the successful request to its last byte; None on failure.
        elapsed_seconds: The whole fetch, waiting and retries included.
    """

    wallet: str
    response: PortfolioResponse | None
    error: ExchangeError | None
    attempts: int
    weight: int
    observed_at: datetime
    latency_seconds: float | None
    elapsed_seconds: float

    @property
    def portfolio(self) -> Portfolio | None:
        """The parsed portfolio, or None on failure."""
        return None if self.response is None else self.response.portfolio

    @property
    def status(self) -> FetchStatus:
        """`ok`, `empty` (the exchange knows no portfolio at this address) or `failed`."""
        if self.response is None:
            return "failed"
        return "empty" if self.response.portfolio.is_empty else "ok"
