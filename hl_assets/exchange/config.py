"""Hosts, limits and patience of the exchange client: the only place that names them.

Belongs here: defaults for mainnet and testnet and the price list of requests. Does not belong here: reading environment
variables (the package's settings do that and build an `ExchangeConfig`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

from hl_assets import __version__

MAINNET_INFO_URL = "https://api.hyperliquid.xyz"
MAINNET_STATS_URL = "https://stats-data.hyperliquid.xyz/Mainnet"
TESTNET_INFO_URL = "https://api.hyperliquid-testnet.xyz"
TESTNET_STATS_URL = "https://stats-data.hyperliquid.xyz/Testnet"

WEIGHT_PER_MINUTE = 1_200
"""Aggregated weight of all REST requests per IP address and minute. Source: as `INFO_WEIGHTS`."""

DEFAULT_INFO_WEIGHT = 20
INFO_WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        "l2Book": 2,
        "allMids": 2,
        "clearinghouseState": 2,
        "orderStatus": 2,
        "spotClearinghouseState": 2,
        "exchangeStatus": 2,
        "userRole": 60,
        "portfolio": DEFAULT_INFO_WEIGHT,
        "vaultDetails": DEFAULT_INFO_WEIGHT,
        "metaAndAssetCtxs": DEFAULT_INFO_WEIGHT,
        "userFees": DEFAULT_INFO_WEIGHT,
        "userRateLimit": DEFAULT_INFO_WEIGHT,
        "userVaultEquities": DEFAULT_INFO_WEIGHT,
        "subAccounts": DEFAULT_INFO_WEIGHT,
    }
)
"""Weight of one info request by its type; every type not named costs `DEFAULT_INFO_WEIGHT`.

Requests that return lists of fills, funding or ledger entries cost more by the number of items returned, and are not
listed. Source: Hyperliquid documentation, for-developers/api/rate-limits-and-user-limits.
"""


def info_weight(request_type: str) -> int:
    """Returns what one info request of this type costs of the per-minute budget."""
    return INFO_WEIGHTS.get(request_type, DEFAULT_INFO_WEIGHT)


@dataclass(frozen=True)
class Egress:
    """One address from which requests leave.

    Attributes:
        name: Names the address's limiter state; processes that share the address use the same name.
        proxy: Forwarding proxy, http(s)://[user:password@]host:port; None leaves directly. Never shown: it may hold a password.
    """

    name: str
    proxy: str | None = field(default=None, repr=False)


def parse_proxies(text: str, prefix: str) -> tuple[Egress, ...]:
    """Egress addresses of a comma-separated list of proxies; `direct` stands for this machine's own address.

    An address is named after `prefix`, and for a proxy a digest of its user, host and port: the same in every process,
    whatever the order. The password has no part in it.

    Raises:
        ValueError: An entry is no http(s) address, or occurs twice. It is named by its place, because it may hold a password.
    """
    found: list[Egress] = []
    for place, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        if entry == "direct":
            egress = Egress(prefix)
        else:
            _refuse_bad_proxy(entry, place)
            parts = urlsplit(entry)
            identity = f"{parts.username or ''}@{parts.hostname}:{parts.port}"
            egress = Egress(f"{prefix}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}", entry)
        if egress.name in {other.name for other in found}:
            raise ValueError(f"proxy {place} of the list occurs twice: two budgets would share one address")
        found.append(egress)
    return tuple(found)


def _refuse_bad_proxy(entry: str, place: int) -> None:
    try:
        parts = urlsplit(entry)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(
            f"proxy {place} of the list is not an address like http://user:password@host:port, nor `direct`"
        )


@dataclass(frozen=True, kw_only=True)
class ExchangeConfig:
    """Everything the client needs to know; the defaults are mainnet.

    Attributes:
        info_url: Host of the info endpoint; `/info` is appended.
        stats_url: Folder of the bulk files; `/leaderboard` and `/vaults` are appended.
        weight_per_minute: Budget of an egress address. Give less than 1,200 when something else shares the address.
        concurrency: Info requests in flight at once per egress address.
        connect_timeout_seconds: Patience for a connection.
        info_read_timeout_seconds: Longest silence while an info answer is read.
        leaderboard_read_timeout_seconds: Longest silence while a bulk file (leaderboard, vaults) is read; it takes minutes at
            bad times.
        info_deadline_seconds: Longest time one wallet's fetch may take with its waiting and retries; None is for ever.
        leaderboard_deadline_seconds: The same for the leaderboard; below the ten minutes of a tick.
        vaults_deadline_seconds: The same for the list of vaults, which may be missing for a while.
        info_max_bytes: Largest info answer accepted, decompressed.
        leaderboard_max_bytes: Largest bulk file accepted, decompressed (the leaderboard: about 40 MB in October 2026, growing
            by 6 % a month; the vaults: 14 MB).
        max_attempts: Requests per fetch, the first included.
        backoff_base_seconds: Full jitter: before attempt n + 1 the client waits uniform(0, min(max, base * 2**(n-1))).
        backoff_max_seconds: Ceiling of that wait.
        retry_after_max_seconds: A Retry-After above this is taken for a mistake and ignored.
        throttle_base_seconds: First pause of all workers after a 429; doubled while the 429s go on.
        throttle_max_seconds: Longest such pause.
        user_agent: Sent with every request.
        limiter_state_dir: Folder shared by all processes of this egress address; None budgets this process alone.
        egress: Name of the egress address; processes behind different addresses use different names.
        egresses: Several egress addresses, each with `weight_per_minute` and `concurrency` of its own; empty: only `egress`.
        egress_cooldown_seconds: How long an egress address by which no connection came about is used last.
        limiter_window_seconds: The exchange's window. Only tests shorten it.
        limiter_slack_seconds: Added to the window for the way to the exchange, see `WeightBudget`.
    """

    info_url: str = MAINNET_INFO_URL
    stats_url: str = MAINNET_STATS_URL
    weight_per_minute: int = WEIGHT_PER_MINUTE
    concurrency: int = 8
    connect_timeout_seconds: float = 10.0
    info_read_timeout_seconds: float = 30.0
    leaderboard_read_timeout_seconds: float = 300.0
    info_deadline_seconds: float | None = 300.0
    leaderboard_deadline_seconds: float | None = 480.0
    vaults_deadline_seconds: float | None = 120.0
    info_max_bytes: int = 8 * 1024 * 1024
    leaderboard_max_bytes: int = 100 * 1024 * 1024
    max_attempts: int = 6
    backoff_base_seconds: float = 1.0
    backoff_max_seconds: float = 60.0
    retry_after_max_seconds: float = 120.0
    throttle_base_seconds: float = 5.0
    throttle_max_seconds: float = 60.0
    user_agent: str = f"hl-assets/{__version__}"
    limiter_state_dir: Path | None = None
    egress: str = "default"
    egresses: tuple[Egress, ...] = ()
    egress_cooldown_seconds: float = 30.0
    limiter_window_seconds: float = 60.0
    limiter_slack_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in ("info_url", "stats_url"):
            url = str(getattr(self, name))
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise ValueError(f"{name} must be an http(s) address, got {url!r}")
        for name in (
            "egress_cooldown_seconds",
            "limiter_slack_seconds",
            "backoff_base_seconds",
            "throttle_base_seconds",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        for name, value in self._limits().items():
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value!r}")

    def _limits(self) -> dict[str, Any]:
        names = (
            "weight_per_minute",
            "concurrency",
            "connect_timeout_seconds",
            "info_read_timeout_seconds",
            "leaderboard_read_timeout_seconds",
            "info_deadline_seconds",
            "leaderboard_deadline_seconds",
            "vaults_deadline_seconds",
            "info_max_bytes",
            "leaderboard_max_bytes",
            "max_attempts",
            "backoff_max_seconds",
            "retry_after_max_seconds",
            "throttle_max_seconds",
            "limiter_window_seconds",
        )
        return {name: getattr(self, name) for name in names}

    @property
    def ways_out(self) -> tuple[Egress, ...]:
        """The egress addresses, at least one."""
        return self.egresses or (Egress(self.egress),)

    @property
    def info_endpoint(self) -> str:
        """Complete address of the info endpoint (`POST`)."""
        return f"{self.info_url.rstrip('/')}/info"

    @property
    def leaderboard_url(self) -> str:
        """Complete address of the leaderboard file."""
        return f"{self.stats_url.rstrip('/')}/leaderboard"

    @property
    def vaults_url(self) -> str:
        """Complete address of the list of vaults."""
        return f"{self.stats_url.rstrip('/')}/vaults"

    @classmethod
    def testnet(cls, **changes: Any) -> Self:
        """Returns the configuration for testnet, with any other field changed by keyword."""
        return cls(**{"info_url": TESTNET_INFO_URL, "stats_url": TESTNET_STATS_URL, **changes})
