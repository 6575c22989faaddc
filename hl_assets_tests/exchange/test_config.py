from typing import Any

import pytest

from hl_assets.exchange.config import INFO_WEIGHTS, ExchangeConfig, info_weight


def test_defaults_are_mainnet_with_the_documented_limit() -> None:
    config = ExchangeConfig()
    assert config.info_endpoint == "https://api.hyperliquid.xyz/info"
    assert config.leaderboard_url == "https://stats-data.hyperliquid.xyz/Mainnet/leaderboard"
    assert config.weight_per_minute == 1200
    assert config.leaderboard_max_bytes >= 100 * 2**20


def test_testnet_differs_in_hosts_only() -> None:
    config = ExchangeConfig.testnet(concurrency=3)
    assert config.info_endpoint == "https://api.hyperliquid-testnet.xyz/info"
    assert config.leaderboard_url == "https://stats-data.hyperliquid.xyz/Testnet/leaderboard"
    assert config.concurrency == 3


@pytest.mark.parametrize(
    ("request_type", "weight"),
    [
        ("portfolio", 20),
        ("clearinghouseState", 2),
        ("userRole", 60),
        ("vaultDetails", 20),
        ("not yet invented", 20),
    ],
)
def test_weights_of_info_requests(request_type: str, weight: int) -> None:
    assert info_weight(request_type) == weight


def test_the_price_list_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        INFO_WEIGHTS["portfolio"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    "change",
    [
        {"info_url": "api.hyperliquid.xyz"},
        {"stats_url": "ftp://stats-data.hyperliquid.xyz"},
        {"concurrency": 0},
        {"max_attempts": 0},
        {"weight_per_minute": -1},
        {"info_deadline_seconds": 0.0},
        {"backoff_base_seconds": -1.0},
        {"leaderboard_max_bytes": 0},
        {"connect_timeout_seconds": float("nan")},
    ],
)
def test_a_useless_value_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ExchangeConfig(**change)
