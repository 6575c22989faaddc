import asyncio
import gzip
import hashlib
import json
import logging
import pickle
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hl_assets.exchange.addresses import InvalidAddressError
from hl_assets.exchange.client import HyperliquidClient
from hl_assets.exchange.config import ExchangeConfig
from hl_assets.exchange.errors import (
    ExchangeError,
    ExchangeRejectedError,
    ExchangeUnavailableError,
    PayloadShapeError,
)
from hl_assets.exchange.rate_limit import WeightAboveBudgetError
from hl_assets.exchange.responses import PortfolioOutcome
from hl_assets_tests.exchange.bodies import address, encoded, leaderboard_document, portfolio_document
from hl_assets_tests.exchange.scripted_server import Handler, Received, Reply, ScriptedServer, running

BOARD = encoded(leaderboard_document())
PORTFOLIO = encoded(portfolio_document())
WALLET = address(7)
NOW = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)


def config(server: ScriptedServer, **changes: Any) -> ExchangeConfig:
    quick = {
        "info_url": server.url,
        "stats_url": f"{server.url}/Mainnet",
        "backoff_base_seconds": 0.01,
        "throttle_base_seconds": 0.05,
        "max_attempts": 4,
        "info_read_timeout_seconds": 0.3,
        "leaderboard_read_timeout_seconds": 0.3,
        "weight_per_minute": 100_000,
    }
    return ExchangeConfig(**(quick | changes))


def client_of(server: ScriptedServer, **changes: Any) -> HyperliquidClient:
    return HyperliquidClient(config(server, **changes), clock=lambda: NOW)


def first(replies: list[Reply], then: Reply) -> Handler:
    """Answers with the replies one by one, and from then on with `then`."""
    return lambda request: replies[request.index] if request.index < len(replies) else then


# --- what goes over the wire and what comes back ---


async def test_a_portfolio_is_asked_for_as_documented_and_returned_with_its_circumstances() -> None:
    last_modified = {
        "last-modified": "Sun, 31 May 2026 11:59:00 GMT",
        "date": "Sun, 31 May 2026 11:59:58 GMT",
    }
    with running(lambda _: Reply(PORTFOLIO, headers=last_modified, delay=0.05)) as server:
        async with client_of(server) as client:
            response = await client.portfolio(WALLET.upper().replace("X", "x"))
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/info")
    assert request.payload == {"type": "portfolio", "user": WALLET}
    assert request.headers["user-agent"].startswith("hl-assets/")
    assert response.wallet == response.portfolio.wallet == WALLET
    assert response.body == PORTFOLIO
    assert response.sha256 == hashlib.sha256(PORTFOLIO).hexdigest()
    assert response.observed_at == NOW
    assert response.server_date == datetime(2026, 5, 31, 11, 59, 58, tzinfo=UTC)
    assert response.last_modified == datetime(2026, 5, 31, 11, 59, tzinfo=UTC)
    assert (response.attempts, response.weight) == (1, 20)
    assert 0.05 <= response.latency_seconds <= response.elapsed_seconds < 1


async def test_the_leaderboard_is_fetched_without_paying_weight() -> None:
    with running(lambda _: Reply(BOARD)) as server:
        async with client_of(server) as client:
            response = await client.leaderboard()
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/Mainnet/leaderboard")
    assert response.weight == 0
    assert response.body == BOARD
    assert response.leaderboard.wallets == [address(1), address(2), address(3)]
    assert response.observed_at == NOW
    assert response.server_date is not None
    assert response.last_modified is None


async def test_recorded_answers_come_through(recorded_data: Path) -> None:
    samples = {
        name: json.loads((recorded_data / "api_samples" / f"{name}.json").read_text())
        for name in ("portfolio", "leaderboard_12rows")
    }
    bodies = {
        "POST": encoded(samples["portfolio"]["response"]),
        "GET": encoded(samples["leaderboard_12rows"]["response"]),
    }
    with running(lambda request: Reply(bodies[request.method])) as server:
        async with client_of(server) as client:
            assert len((await client.leaderboard()).leaderboard) == 12
            portfolio = (await client.portfolio(samples["portfolio"]["request"]["user"])).portfolio
    assert len(portfolio.windows["week"].ts_ms) == 64


async def test_a_compressed_body_is_unpacked() -> None:
    reply = Reply(gzip.compress(BOARD), headers={"content-encoding": "gzip"})
    with running(lambda _: reply) as server:
        async with client_of(server) as client:
            assert (await client.leaderboard()).body == BOARD


async def test_a_proxy_of_the_environment_is_not_asked_for_the_local_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server, max_attempts=1) as client:
            assert (await client.portfolio(WALLET)).attempts == 1


async def test_the_default_clock_is_utc_now() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with HyperliquidClient(config(server)) as client:
            before = datetime.now(UTC)
            response = await client.portfolio(WALLET)
    assert before <= response.observed_at <= datetime.now(UTC)
    assert response.observed_at.tzinfo is UTC


async def test_observed_at_is_taken_when_the_answer_has_arrived() -> None:
    ticks: list[float] = []

    def clock() -> datetime:
        ticks.append(time.monotonic())
        return NOW

    with running(lambda _: Reply(PORTFOLIO, delay_in_body=0.2)) as server:
        async with HyperliquidClient(config(server), clock=clock) as client:
            await client.portfolio(WALLET)
    assert ticks[0] - server.requests[0].at >= 0.2


async def test_a_clock_without_time_zone_is_a_mistake() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with HyperliquidClient(config(server), clock=lambda: datetime(2026, 1, 1)) as client:
            with pytest.raises(ValueError, match="timezone-aware"):
                await client.portfolio(WALLET)


async def test_an_address_without_portfolio_is_an_answer() -> None:
    with running(lambda _: Reply(b"[]")) as server:
        async with client_of(server) as client:
            [outcome] = await client.portfolios([WALLET])
    assert outcome.status == "empty"
    assert outcome.portfolio is not None
    assert outcome.error is None


# --- what heals ---

TRANSIENT: dict[str, tuple[Reply, str, int | None]] = {
    "408": (Reply(status=408), "timeout", 408),
    "429 null": (Reply(b"null", status=429), "rate_limited", 429),
    "429 text": (Reply(b"Too Many Requests", status=429), "rate_limited", 429),
    "429 cut": (Reply(b"null" * 100, status=429, cut=5), "rate_limited", 429),
    "500 null": (Reply(b"null", status=500), "server_error", 500),
    "502 html": (Reply(b"<html>502 Bad Gateway</html>", status=502), "server_error", 502),
    "503 empty": (Reply(status=503), "server_error", 503),
    "200 html": (Reply(b"<html>maintenance</html>"), "invalid_json", 200),
    "200 empty": (Reply(b""), "invalid_json", 200),
    "json cut": (Reply(PORTFOLIO[:200]), "invalid_json", 200),
    "body cut": (Reply(PORTFOLIO, cut=200), "truncated_body", 200),
    "chunked body cut": (Reply(PORTFOLIO, cut=200, chunked=True), "truncated_body", 200),
    "gzip broken": (Reply(b"no gzip", headers={"content-encoding": "gzip"}), "truncated_body", 200),
    "gzip cut": (
        Reply(gzip.compress(PORTFOLIO)[:-30], headers={"content-encoding": "gzip"}),
        "invalid_json",
        200,
    ),
    "no answer": (Reply(drop=True), "transport", None),
    "slow answer": (Reply(PORTFOLIO, delay=0.6), "timeout", None),
    "slow body": (Reply(PORTFOLIO, delay_in_body=0.6), "timeout", 200),
}


@pytest.mark.parametrize(("fault", "kind", "status"), TRANSIENT.values(), ids=TRANSIENT)
async def test_a_transient_fault_is_retried_until_it_heals(
    fault: Reply, kind: str, status: int | None
) -> None:
    with running(first([fault], then=Reply(PORTFOLIO))) as server:
        async with client_of(server) as client:
            response = await client.portfolio(WALLET)
    assert (response.attempts, response.weight) == (2, 40)
    assert not response.portfolio.is_empty


@pytest.mark.parametrize(("fault", "kind", "status"), TRANSIENT.values(), ids=TRANSIENT)
async def test_a_fault_that_stays_is_reported_after_the_last_attempt(
    fault: Reply, kind: str, status: int | None
) -> None:
    with running(lambda _: fault) as server:
        async with client_of(server, max_attempts=2) as client:
            with pytest.raises(ExchangeUnavailableError) as caught:
                await client.portfolio(WALLET)
    assert server.count == 2
    error = caught.value
    assert (error.kind, error.status, error.attempts, error.wallet) == (kind, status, 2, WALLET)
    assert error.transient
    assert WALLET in str(error)
    assert f"{server.url}/info" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_a_refused_connection_is_transient() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    settings = ExchangeConfig(info_url=url, stats_url=url, max_attempts=2, backoff_base_seconds=0.01)
    async with HyperliquidClient(settings) as client:
        for ask in (client.leaderboard, lambda: client.portfolio(WALLET)):
            with pytest.raises(ExchangeUnavailableError) as caught:
                await ask()
            assert (caught.value.kind, caught.value.status, caught.value.attempts) == ("transport", None, 2)


@pytest.mark.parametrize(
    "fault",
    [Reply(BOARD, cut=100), Reply(BOARD[:100]), Reply(b"null", status=500), Reply(BOARD, delay_in_body=0.6)],
    ids=["cut", "json cut", "500", "slow body"],
)
async def test_the_leaderboard_is_retried_too(fault: Reply) -> None:
    with running(first([fault, fault], then=Reply(BOARD))) as server:
        async with client_of(server) as client:
            response = await client.leaderboard()
    assert (response.attempts, response.weight) == (3, 0)


async def test_retry_after_is_waited_for() -> None:
    with running(first([Reply(status=503, headers={"retry-after": "1"})], then=Reply(PORTFOLIO))) as server:
        async with client_of(server) as client:
            await client.portfolio(WALLET)
    assert server.requests[1].at - server.requests[0].at >= 1.0


async def test_an_absurd_retry_after_is_ignored() -> None:
    with running(
        first([Reply(status=503, headers={"retry-after": "86400"})], then=Reply(PORTFOLIO))
    ) as server:
        async with client_of(server) as client:
            await client.portfolio(WALLET)
    assert server.requests[1].at - server.requests[0].at < 1.0


# --- what does not heal ---


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Reply(b"Failed to deserialize the JSON body into the target type", status=422), "rejected"),
        (Reply(b"", status=403), "rejected"),
        (Reply(b"null", status=404), "rejected"),
        (Reply(b"x" * 300, status=422, cut=5), "rejected"),
        (Reply(b"", status=302, headers={"location": "http://127.0.0.1:1/"}), "unexpected_status"),
    ],
    ids=["422", "403", "404", "422 cut", "redirect"],
)
async def test_a_refusal_is_asked_once_and_reported(fault: Reply, kind: str) -> None:
    with running(lambda _: fault) as server:
        async with client_of(server) as client:
            with pytest.raises(ExchangeRejectedError) as caught:
                await client.portfolio(WALLET)
    assert server.count == 1
    assert (caught.value.kind, caught.value.status, caught.value.attempts) == (kind, fault.status, 1)


async def test_a_changed_shape_is_asked_once_and_reported_with_path_and_value() -> None:
    document = portfolio_document()
    document[2][1]["vlm"] = 5
    with running(lambda _: Reply(encoded(document))) as server:
        async with client_of(server) as client:
            with pytest.raises(PayloadShapeError) as caught:
                await client.portfolio(WALLET)
    assert server.count == 1
    error = caught.value
    assert (error.path, error.value, error.status, error.attempts) == ("$[2][1].vlm", "5", 200, 1)


@pytest.mark.parametrize("compress", [False, True])
async def test_a_body_over_the_limit_is_refused_while_it_arrives(compress: bool) -> None:
    body = encoded(leaderboard_document(2000))
    reply = Reply(gzip.compress(body), headers={"content-encoding": "gzip"}) if compress else Reply(body)
    with running(lambda _: reply) as server:
        async with client_of(server, leaderboard_max_bytes=len(body) - 1) as client:
            with pytest.raises(ExchangeRejectedError) as caught:
                await client.leaderboard()
        async with client_of(server, leaderboard_max_bytes=len(body)) as client:
            assert len((await client.leaderboard()).leaderboard) == 2000
    assert caught.value.kind == "too_large"
    assert server.count == 2


async def test_a_bad_address_is_refused_before_anything_is_sent() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server) as client:
            with pytest.raises(InvalidAddressError):
                await client.portfolio("0x12")
            with pytest.raises(InvalidAddressError):
                await client.portfolios([WALLET, "0x12"])
    assert server.count == 0


async def test_a_budget_below_one_request_is_an_error_naming_both() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server, weight_per_minute=19) as client:
            with pytest.raises(WeightAboveBudgetError, match=r"20.*19"):
                await client.portfolio(WALLET)
            with pytest.raises(WeightAboveBudgetError, match=r"20.*19"):
                await client.portfolios([WALLET, address(8)])


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await HyperliquidClient().leaderboard()


# --- deadlines ---


@pytest.mark.parametrize(
    "endless", [Reply(PORTFOLIO, delay=0.25), Reply(b"null", status=500)], ids=["slow", "failing"]
)
async def test_a_deadline_ends_a_fetch(endless: Reply) -> None:
    with running(lambda _: endless) as server:
        async with client_of(
            server, info_deadline_seconds=0.2, max_attempts=1000, backoff_max_seconds=0.02
        ) as client:
            started = time.monotonic()
            with pytest.raises(ExchangeUnavailableError) as caught:
                await client.portfolio(WALLET)
            assert time.monotonic() - started < 0.6
    assert caught.value.kind == "deadline"
    assert caught.value.attempts - server.count in {
        0,
        1,
    }  # the last one may have been given up before it arrived
    assert "within 0.2 s" in str(caught.value)


async def test_a_deadline_counts_waiting_for_the_budget() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server, info_deadline_seconds=0.3, weight_per_minute=20) as client:
            await client.portfolio(WALLET)
            with pytest.raises(ExchangeUnavailableError) as caught:
                await client.portfolio(WALLET)
    assert (caught.value.kind, caught.value.attempts) == ("deadline", 0)
    assert server.count == 1


async def test_the_leaderboard_has_a_deadline_of_its_own() -> None:
    with running(lambda _: Reply(BOARD, delay_in_body=0.25)) as server:
        async with client_of(server, leaderboard_deadline_seconds=0.15) as client:
            with pytest.raises(ExchangeUnavailableError) as caught:
                await client.leaderboard()
    assert caught.value.kind == "deadline"


async def test_a_batch_deadline_gives_every_wallet_an_outcome() -> None:
    wallets = [address(i) for i in range(1, 13)]
    with running(lambda _: Reply(PORTFOLIO, delay=0.2)) as server:
        async with client_of(server, concurrency=2) as client:
            started = time.monotonic()
            outcomes = await client.portfolios(wallets, deadline_seconds=0.5)
            assert time.monotonic() - started < 1.0
    assert [outcome.wallet for outcome in outcomes] == wallets
    statuses = [outcome.status for outcome in outcomes]
    assert statuses.count("ok") == 4
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    assert {outcome.error.kind for outcome in failed if outcome.error} == {"deadline"}
    assert failed[-1].attempts == failed[-1].weight == 0
    assert "not asked" in str(failed[-1].error)


# --- batches ---


def by_wallet(replies: dict[str, Reply], default: Reply) -> Callable[[Received], Reply]:
    return lambda request: replies.get(request.payload["user"], default)


async def test_one_wallets_failure_stops_no_other() -> None:
    wallets = [address(i) for i in range(1, 31)]
    faults = {
        wallets[3]: Reply(b"null", status=500),
        wallets[9]: Reply(b"unknown", status=422),
        wallets[15]: Reply(b'[["day", {}]]'),
        wallets[21]: Reply(drop=True),
        wallets[27]: Reply(b"null"),
    }
    seen: list[PortfolioOutcome] = []
    with running(by_wallet(faults, Reply(PORTFOLIO))) as server:
        async with client_of(server) as client:
            outcomes = await client.portfolios(iter(wallets), on_result=seen.append)
    assert [outcome.wallet for outcome in outcomes] == wallets
    assert sorted(outcome.wallet for outcome in seen) == sorted(wallets)
    kinds = {outcome.wallet: outcome.error.kind for outcome in outcomes if outcome.error}
    assert kinds == {
        wallets[3]: "server_error",
        wallets[9]: "rejected",
        wallets[15]: "payload_shape",
        wallets[21]: "transport",
    }
    assert outcomes[27].status == "empty"
    for outcome in outcomes:
        attempts = 4 if kinds.get(outcome.wallet) in {"server_error", "transport"} else 1
        assert (outcome.attempts, outcome.weight) == (attempts, 20 * attempts)
        assert (outcome.portfolio is None) == (outcome.error is not None) == (outcome.status == "failed")
        assert (outcome.latency_seconds is None) == (outcome.status == "failed")
        assert outcome.observed_at == NOW
        assert outcome.elapsed_seconds > 0
    assert sum(outcome.attempts for outcome in outcomes) == server.count


async def test_a_wallet_given_twice_is_fetched_once() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server) as client:
            outcomes = await client.portfolios(
                [WALLET, address(8), WALLET.replace("7", "7").upper().replace("X", "x")]
            )
    assert [outcome.wallet for outcome in outcomes] == [WALLET, address(8)]
    assert server.count == 2


async def test_no_wallets_are_no_requests() -> None:
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server) as client:
            assert await client.portfolios([]) == []
    assert server.count == 0


async def test_concurrency_is_bounded_for_batches_and_for_single_calls() -> None:
    with running(lambda _: Reply(PORTFOLIO, delay=0.1)) as server:
        async with client_of(server, concurrency=3) as client:
            await client.portfolios([address(i) for i in range(1, 13)])
            await asyncio.gather(*(client.portfolio(address(i)) for i in range(1, 13)))
    arrivals = [request.at for request in server.requests]
    assert max(sum(at <= other < at + 0.09 for other in arrivals) for at in arrivals) == 3


async def test_a_mistake_of_ours_is_no_outcome() -> None:
    class MistakeError(Exception):
        pass

    def broken(_: PortfolioOutcome) -> None:
        raise MistakeError

    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(server) as client:
            with pytest.raises(MistakeError):
                await client.portfolios([address(i) for i in range(1, 20)], on_result=broken)


async def test_cancelling_a_batch_cancels_its_requests() -> None:
    with running(lambda _: Reply(PORTFOLIO, delay=0.2)) as server:
        async with client_of(server, concurrency=2) as client:
            batch = asyncio.create_task(client.portfolios([address(i) for i in range(1, 20)]))
            await asyncio.to_thread(server.wait_for, 2)
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
            await asyncio.sleep(0.4)
    assert server.count == 2


# --- the budget and 429 ---


async def test_every_attempt_pays() -> None:
    """Ten attempts fit a budget of ten; the eleventh waits for the window."""
    with running(lambda _: Reply(b"null", status=500)) as server:
        async with client_of(
            server,
            weight_per_minute=200,
            limiter_window_seconds=0.8,
            limiter_slack_seconds=0.1,
            max_attempts=11,
            backoff_max_seconds=0.02,
        ) as client:
            with pytest.raises(ExchangeUnavailableError):
                await client.portfolio(WALLET)
    arrivals = [request.at for request in server.requests]
    assert len(arrivals) == 11
    assert arrivals[10] - arrivals[0] >= 0.8


async def test_after_a_429_everybody_eases_off() -> None:
    """Workers that were not refused stop asking, too, also those of another client of the same egress address."""
    refused_at: list[float] = []

    def handler(request: Received) -> Reply:
        if request.index == 20:
            refused_at.append(request.at)
            return Reply(b"null", status=429, headers={"retry-after": "1"})
        return Reply(PORTFOLIO, delay=0.02)

    with running(handler) as server:
        async with client_of(server, concurrency=4) as client:
            outcomes = await client.portfolios([address(i) for i in range(1, 61)])
    assert all(outcome.status == "ok" for outcome in outcomes)
    [refused] = refused_at
    in_the_pause = [request for request in server.requests if refused + 0.1 < request.at < refused + 0.99]
    assert in_the_pause == []
    assert server.count == 61


async def test_a_pause_holds_for_other_processes_of_the_egress_address(tmp_path: Path) -> None:
    with running(
        first([Reply(b"null", status=429, headers={"retry-after": "1"})], then=Reply(PORTFOLIO))
    ) as server:
        async with (
            client_of(server, limiter_state_dir=tmp_path, max_attempts=1) as one,
            client_of(server, limiter_state_dir=tmp_path) as two,
        ):
            with pytest.raises(ExchangeUnavailableError):
                await one.portfolio(WALLET)
            await two.portfolio(WALLET)
    assert server.requests[1].at - server.requests[0].at >= 0.99


async def test_a_connection_that_takes_long_moves_the_request_in_the_log(tmp_path: Path) -> None:
    """The budget counts from when the request left, because the exchange does."""
    with running(lambda _: Reply(PORTFOLIO)) as server:
        async with client_of(
            server,
            limiter_state_dir=tmp_path,
            weight_per_minute=20,
            limiter_window_seconds=0.6,
            limiter_slack_seconds=0.1,
        ) as client:
            block = 0.4

            async def stalled(*_: object) -> None:
                time.sleep(block)  # noqa: ASYNC251  (what a busy event loop does between permission and sending)

            http = client._fetcher._ways[0].http
            assert http is not None
            http.event_hooks = {"request": [stalled], "response": []}
            await client.portfolio(WALLET)
            http.event_hooks = {"request": [], "response": []}
            await client.portfolio(WALLET)
    assert server.requests[1].at - server.requests[0].at >= 0.6


# --- discretion ---


async def test_display_names_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    document = leaderboard_document()
    document["leaderboardRows"][0]["displayName"] = "CANARY"
    faulty = leaderboard_document()
    faulty["leaderboardRows"][0]["displayName"] = {"CANARY": 1}
    replies = [Reply(b"null", status=500), Reply(encoded(document)), Reply(encoded(faulty))]
    with caplog.at_level(logging.DEBUG), running(lambda request: replies[request.index]) as server:
        async with client_of(server) as client:
            response = await client.leaderboard()
            with pytest.raises(ExchangeError) as caught:
                await client.leaderboard()
    assert response.leaderboard.display_names[0] == "CANARY"
    assert "attempt 1 failed" in caplog.text
    assert "CANARY" not in caplog.text
    assert "CANARY" not in str(caught.value)
    assert "CANARY" not in repr(response)
