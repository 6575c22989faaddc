"""The list of vaults: what is fetched, read exactly, and refused by path and value."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from hl_assets.exchange.client import HyperliquidClient
from hl_assets.exchange.config import ExchangeConfig
from hl_assets.exchange.errors import PayloadShapeError
from hl_assets.exchange.payloads import parse_vaults
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets_tests.exchange.bodies import address, encoded
from hl_assets_tests.exchange.scripted_server import Reply, running

NOW = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
DOCUMENT: list[dict[str, Any]] = [
    {
        "apr": 0.1,
        "pnls": [["day", ["0.0", "1.5"]]],
        "summary": {
            "name": "Hyperliquidity Provider (HLP)",
            "vaultAddress": "0x" + "AB" * 20,
            "leader": address(9),
            "tvl": "355000000.25",
            "isClosed": False,
            "relationship": {"type": "parent", "data": {"childAddresses": [address(2)]}},
            "createTimeMillis": 1_683_000_000_000,
        },
    },
    {
        "apr": 0,
        "pnls": [],
        "summary": {
            "name": "\ud800\x1b[31m",
            "vaultAddress": address(2),
            "leader": address(9),
            "tvl": "0.0",
            "isClosed": True,
            "relationship": {"type": "child"},
            "createTimeMillis": 1_683_000_000_001,
        },
    },
]


def test_every_field_is_read() -> None:
    listed = parse_vaults(encoded(DOCUMENT))
    assert listed.wallets == ["0x" + "ab" * 20, address(2)]
    assert listed.leaders == [address(9)] * 2
    assert listed.tvl.tolist() == [355000000.25, 0.0]
    assert listed.is_closed == [False, True]
    assert listed.relationships == ["parent", "child"]
    assert listed.created_ms.tolist() == [1_683_000_000_000, 1_683_000_000_001]
    assert listed.names == ["Hyperliquidity Provider (HLP)", "\ufffd\x1b[31m"], (
        "storable, otherwise untouched"
    )
    assert len(parse_vaults(b"[]")) == 0


@pytest.mark.parametrize(
    ("field", "value", "path", "found"),
    [
        ("vaultAddress", "0x12", "$[1].summary.vaultAddress", "'0x12'"),
        ("vaultAddress", "0x" + "aB" * 20, "$[1].summary.vaultAddress", "'0xabab"),
        ("tvl", 5.5, "$[1].summary.tvl", "5.5"),
        ("tvl", "9" * 400, "$[1].summary.tvl", "'9999"),
        ("isClosed", "no", "$[1].summary.isClosed", "'no'"),
        ("relationship", {"type": "sibling"}, "$[1].summary.relationship.type", "'sibling'"),
        ("createTimeMillis", 1_683_000_000, "$[1].summary.createTimeMillis", "1683000000"),
        ("name", ["secret"], "$[1].summary.name", "a list"),
    ],
)
def test_a_changed_shape_is_refused_by_path_and_value(field: str, value: Any, path: str, found: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document[1]["summary"][field] = value
    with pytest.raises(PayloadShapeError) as caught:
        parse_vaults(encoded(document))
    assert caught.value.path == path
    assert caught.value.value.startswith(found)
    assert caught.value.endpoint == "vaults"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("field", list(DOCUMENT[0]["summary"]))
def test_a_missing_field_is_named(field: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    del document[0]["summary"][field]
    with pytest.raises(PayloadShapeError) as caught:
        parse_vaults(encoded(document))
    assert caught.value.path == f"$[0].summary.{field}"


async def test_the_list_is_fetched_without_paying_weight_and_retried() -> None:
    body = encoded(DOCUMENT)
    with running(lambda request: Reply(b"", status=503) if request.index == 0 else Reply(body)) as server:
        config = ExchangeConfig(stats_url=f"{server.url}/Mainnet", backoff_base_seconds=0.01)
        async with HyperliquidClient(config, clock=lambda: NOW) as client:
            response = await client.vaults()
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/Mainnet/vaults")] * 2
    assert (response.weight, response.attempts, response.body, response.observed_at) == (0, 2, body, NOW)
    assert len(response.vaults) == 2


async def test_the_sandboxes_list_is_read() -> None:
    with SandboxServer(SandboxConfig(wallets=200, seed=11, clock=ClockSetting.frozen(NOW))) as server:
        async with HyperliquidClient(ExchangeConfig(stats_url=server.stats_url), clock=lambda: NOW) as client:
            listed = (await client.vaults()).vaults
    expected = server.venue.source.vaults_at(int(NOW.timestamp() * 1000))
    assert listed.wallets == [vault.address for vault in expected]
    assert {"parent", "child", "normal"} >= set(listed.relationships)
