"""Several egress addresses: local proxies that answer in the exchange's place, so each request shows by which way it came."""

import base64
import logging
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hl_assets.exchange.client import HyperliquidClient
from hl_assets.exchange.config import Egress, ExchangeConfig, parse_proxies
from hl_assets.exchange.rate_limit import WeightBudget
from hl_assets.resources.exchange import Exchange
from hl_assets.settings import Settings
from hl_assets_tests.exchange.bodies import address, encoded, leaderboard_document, portfolio_document
from hl_assets_tests.exchange.scripted_server import Handler, Received, Reply, ScriptedServer, running

PORTFOLIO = encoded(portfolio_document())
WALLETS = [address(number) for number in range(1, 11)]
EXCHANGE = "http://exchange.invalid"
"""Nobody can be reached under this name: what is answered came by a proxy."""


def answer(_: Received) -> Reply:
    return Reply(PORTFOLIO)


def proxied(servers: list[ScriptedServer], folder: Path | None = None, **changes: Any) -> ExchangeConfig:
    quick: dict[str, Any] = {
        "info_url": EXCHANGE,
        "stats_url": f"{EXCHANGE}/Mainnet",
        "backoff_base_seconds": 0.01,
        "throttle_base_seconds": 30.0,
        "info_read_timeout_seconds": 1.0,
        "limiter_state_dir": folder,
        "egresses": tuple(Egress(f"way{i}", server.url) for i, server in enumerate(servers)),
    }
    return ExchangeConfig(**(quick | changes))


def proxies(stack: ExitStack, *handlers: Handler) -> list[ScriptedServer]:
    return [stack.enter_context(running(handler)) for handler in handlers]


def limiter_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.sqlite3"))


async def fetch(config: ExchangeConfig, wallets: list[str] = WALLETS) -> set[str]:
    async with HyperliquidClient(config) as client:
        return {outcome.status for outcome in await client.portfolios(wallets, deadline_seconds=20)}


async def test_requests_are_spread_by_free_weight_and_each_way_keeps_its_own_budget(tmp_path: Path) -> None:
    """Ten requests fit into two budgets of five, and into neither alone without waiting a minute."""
    with ExitStack() as stack:
        servers = proxies(stack, answer, answer)
        assert await fetch(proxied(servers, tmp_path, weight_per_minute=100)) == {"ok"}
        assert [server.count for server in servers] == [5, 5]
        assert {request.path for server in servers for request in server.requests} == {f"{EXCHANGE}/info"}
    assert limiter_files(tmp_path) == ["weight-way0.sqlite3", "weight-way1.sqlite3"]


async def test_a_way_whose_budget_others_have_spent_is_used_last(tmp_path: Path) -> None:
    async with WeightBudget(200, tmp_path, egress="way0") as other_process:
        await other_process.acquire(140)
        with ExitStack() as stack:
            servers = proxies(stack, answer, answer)
            config = proxied(servers, tmp_path, weight_per_minute=200)
            async with HyperliquidClient(config) as client:
                assert await client.weight_within(0) == 260
            assert await fetch(config) == {"ok"}
            assert servers[0].count < servers[1].count
            assert sum(server.count for server in servers) == 10


async def test_a_proxy_that_is_down_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = Egress("down", f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}")
    with running(answer) as server, caplog.at_level(logging.INFO):
        config = proxied([server], concurrency=2)
        async with HyperliquidClient(
            ExchangeConfig(**{**vars(config), "egresses": (down, *config.egresses)})
        ) as client:
            outcomes = await client.portfolios(WALLETS, deadline_seconds=20)
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert server.count == len(WALLETS)
    assert sum(outcome.attempts - 1 for outcome in outcomes) <= config.concurrency * 2
    assert "egress address down" in caplog.text
    assert "secret" not in caplog.text + repr(outcomes)


async def test_a_429_pauses_only_the_way_it_came_by() -> None:
    with ExitStack() as stack:
        servers = proxies(stack, lambda _: Reply(b"null", status=429), answer)
        config = proxied(servers, concurrency=1, throttle_max_seconds=60.0)
        assert await fetch(config) == {"ok"}
        assert servers[0].count == 1
        assert servers[1].count == len(WALLETS)


async def test_the_board_comes_by_a_proxy_too_and_says_who_asks() -> None:
    board = encoded(leaderboard_document())
    with running(lambda _: Reply(board)) as server:
        proxy = server.url.replace("http://", "http://user:secret@")
        async with HyperliquidClient(proxied([], egresses=(Egress("one", proxy),))) as client:
            await client.leaderboard()
    [request] = server.requests
    assert request.path == f"{EXCHANGE}/Mainnet/leaderboard"
    assert request.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'user:secret').decode()}"


def test_proxies_are_named_by_user_host_and_port() -> None:
    first, direct, second = parse_proxies("http://u:secret@a:80, direct ,https://v:secret@a:80", "live")
    assert (direct.name, direct.proxy) == ("live", None)
    assert first.name != second.name
    assert parse_proxies("http://u:changed@a:80", "live")[0].name == first.name
    assert parse_proxies("http://u:secret@a:80", "sandbox")[0].name != first.name
    assert "secret" not in repr((first, direct, second))
    assert first.proxy == "http://u:secret@a:80"


@pytest.mark.parametrize(
    "text",
    ["", "direct,", "socks5://a:1", "http://secret@a", "secret", "http://u:secret@a:port", "direct,direct"],
)
def test_a_list_that_cannot_be_used_is_refused_without_showing_it(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"proxy \d of the list") as refusal:
        parse_proxies(text, "live")
    assert "secret" not in str(refusal.value)
    if text:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EGRESS_PROXIES", text)
        with pytest.raises(ValidationError, match="EGRESS_PROXIES: proxy") as error:
            Settings()
        assert "secret" not in str(error.value)


def test_settings_give_the_exchange_its_ways_out(tmp_path: Path) -> None:
    given = Settings.load(home=tmp_path, egress_proxies="http://u:secret@a:80,direct")
    exchange = Exchange.from_settings(given)
    assert [egress.proxy for egress in exchange.config.ways_out] == ["http://u:secret@a:80", None]
    assert ":secret@" not in repr(given) + repr(exchange)
    alone = Exchange.from_settings(Settings.load(home=tmp_path)).config
    assert alone.ways_out == (Egress(alone.egress),)


def test_the_weight_of_all_ways_is_what_a_slot_may_spend(tmp_path: Path) -> None:
    given = Settings.load(home=tmp_path, weight_per_minute=100, egress_proxies="http://a:80,direct")
    assert Exchange.from_settings(given).weight_within(0) == 200
