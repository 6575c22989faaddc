"""Everything that can go wrong, as problem details: what was sent, what is stored, what does not answer."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from hl_assets.api.app import create_app
from hl_assets.api.ticks import TickNotStartedError, TickRunningError, TickStarted
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.api.conftest import NOW, WRITE_KEY
from hl_assets_tests.pipeline.conftest import SLOT

MakeApp = Callable[..., FastAPI]
URN = "urn:hl-assets:problem:"


def check_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The answer is a problem of that kind; returns its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert document["type"] == URN + kind
    assert document["status"] == status
    assert document["instance"] == f"urn:hl-assets:request:{answer.headers['x-request-id']}"
    assert document["title"]
    assert document["detail"]
    return document


ENDPOINTS = (
    "/wallets",
    "/v1/leaderboard",
    "/v1/leaderboard/summary",
    "/v1/wallets/0x" + "1" * 40,
    "/v1/wallets/0x" + "1" * 40 + "/equity",
    "/v1/wallets/0x" + "1" * 40 + "/scores",
    "/v1/wallets/0x" + "1" * 40 + "/grades",
    "/v1/runs/2026-05-31T12:10:00Z/funnel",
    "/v1/coverage",
    "/healthz",
    "/readyz",
    "/metrics",
)


# What was sent


@pytest.mark.parametrize("path", ENDPOINTS)
def test_an_unknown_parameter_is_refused_everywhere(api: httpx.Client, path: str) -> None:
    document = check_problem(api.get(path, params={"debug": "1"}), 422, "invalid-parameter")
    assert document["errors"] == [
        {"location": "query", "name": "debug", "message": "there is no such parameter"}
    ]


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/wallets", "top_n", "0"),
        ("/wallets", "top_n", "201"),
        ("/wallets", "top_n", "1.0"),
        ("/wallets", "top_n", " 1"),
        ("/wallets", "top_n", ""),
        ("/wallets", "top_n", "1_0"),
        ("/wallets", "top_n", "٣"),
        ("/wallets", "skip_analysis", "yes"),
        ("/wallets", "skip_analysis", "1"),
        ("/wallets", "save_to_db", "TRUE"),
        ("/v1/leaderboard", "limit", "-1"),
        ("/v1/leaderboard", "min_trust", "nan"),
        ("/v1/leaderboard", "min_trust", "inf"),
        ("/v1/leaderboard", "min_trust", "100.1"),
        ("/v1/leaderboard", "min_trust", "1e400"),
        ("/v1/leaderboard", "min_sample_days", "-1"),
        ("/v1/leaderboard", "sort", "wallet"),
        ("/v1/leaderboard", "sort", "roi; DROP TABLE wallet_scores"),
        ("/v1/leaderboard", "style", "systematic quant"),
        ("/v1/leaderboard", "entity", "vault,traders"),
        ("/v1/leaderboard", "cursor", "nonsense-that-is-long-enough"),
        ("/v1/leaderboard", "as_of", "yesterday"),
        ("/v1/leaderboard", "as_of", "1780229400"),
        ("/v1/leaderboard", "as_of", "2026-02-30"),
        ("/v1/leaderboard", "as_of", "2026-W22-7"),
        ("/v1/leaderboard", "as_of", "0001-01-01T00:00:00+14:00"),
        ("/v1/wallets/0x" + "1" * 40 + "/equity", "step", "1d"),
        ("/v1/wallets/0x" + "1" * 40 + "/scores", "from", "2020-01-01"),
    ],
)
def test_a_bad_value_is_refused_by_name(api: httpx.Client, path: str, name: str, value: str) -> None:
    document = check_problem(api.get(path, params={name: value}), 422, "invalid-parameter")
    assert [error["name"] for error in document["errors"]] == [name]


def test_a_repeated_parameter_is_refused(api: httpx.Client) -> None:
    check_problem(api.get("/wallets?top_n=5&top_n=5"), 422, "invalid-parameter")


def test_a_range_in_the_wrong_order_is_refused(api: httpx.Client, best: str) -> None:
    for page in ("equity", "scores"):
        answer = api.get(f"/v1/wallets/{best}/{page}", params={"from": "2026-05-31", "to": "2026-05-30"})
        check_problem(answer, 422, "invalid-parameter")


def test_a_cursor_of_other_parameters_is_refused(api: httpx.Client) -> None:
    cursor = api.get("/v1/leaderboard?limit=5").json()["page"]["next_cursor"]
    check_problem(api.get("/v1/leaderboard", params={"limit": 6, "cursor": cursor}), 422, "invalid-parameter")


@pytest.mark.parametrize(
    "address", ["0x123", "0x" + "g" * 40, "1" * 42, "0x" + "1" * 41, "0x" + "1" * 40 + "%0A"]
)
def test_what_is_no_address_is_refused(api: httpx.Client, address: str) -> None:
    check_problem(api.get(f"/v1/wallets/{address}"), 422, "invalid-parameter")


@pytest.mark.parametrize("slot", ["2026-05-31T12:11:00Z", "2026-05-31", "x"])
def test_what_is_no_slot_is_refused(api: httpx.Client, slot: str) -> None:
    if slot != "2026-05-31":  # midnight is one, which is not stored
        check_problem(api.get(f"/v1/runs/{slot}/funnel"), 422, "invalid-parameter")
    else:
        check_problem(api.get(f"/v1/runs/{slot}/funnel"), 404, "unknown-slot")


# What is not there


@pytest.mark.parametrize("page", ["", "/equity", "/scores", "/grades"])
def test_an_unknown_wallet(api: httpx.Client, page: str) -> None:
    check_problem(api.get("/v1/wallets/0x" + "1" * 40 + page), 404, "unknown-wallet")


def test_an_unknown_slot(api: httpx.Client) -> None:
    check_problem(api.get("/v1/runs/2026-05-31T11:50:00Z/funnel"), 404, "unknown-slot")
    check_problem(api.get("/v1/leaderboard?as_of=2026-05-31T11:39:59Z"), 404, "unknown-slot")


def test_an_unknown_path_and_method(api: httpx.Client) -> None:
    check_problem(api.get("/v2/leaderboard"), 404, "not-found")
    refused = api.post("/wallets")
    check_problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET"


def test_nothing_is_stored(warehouse: Warehouse) -> None:
    client = TestClient(create_app(Settings.load(clock=NOW), warehouse))
    for path in ("/wallets", "/readyz"):
        answer = client.get(path)
        check_problem(answer, 503, "nothing-stored")
        assert int(answer.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200


# What does not answer


def test_a_warehouse_that_is_down() -> None:
    nowhere = Warehouse(WarehouseConfig(url="http://127.0.0.1:1", attempts=1, connect_timeout_seconds=1))
    client = TestClient(create_app(Settings.load(clock=NOW), nowhere))
    for path in ("/wallets", "/readyz", "/v1/coverage"):
        answer = client.get(path)
        check_problem(answer, 503, "warehouse-down")
        assert int(answer.headers["retry-after"]) > 0
        assert "127.0.0.1" not in answer.text, "where the warehouse is concerns nobody"
    assert client.get("/healthz").status_code == 200
    assert "hl_assets_api_warehouse_up 0.0" in client.get("/metrics").text


@pytest.mark.parametrize(("age_minutes", "stale"), [(29, False), (31, True), (600, True)])
def test_staleness(make_app: MakeApp, age_minutes: int, stale: bool) -> None:
    now = SLOT + timedelta(minutes=age_minutes)
    client = TestClient(make_app(clock=now))
    ready = client.get("/readyz")
    if stale:
        check_problem(ready, 503, "stale")
        assert 60 <= int(ready.headers["retry-after"]) <= 660
    else:
        assert ready.status_code == 200
    assert client.get("/wallets").json()["metadata"]["snapshot"]["stale"] is stale
    asked_then = client.get("/v1/leaderboard", params={"as_of": SLOT.isoformat()}).json()
    assert asked_then["snapshot"]["stale"] is False, "fresh at the instant asked about"
    strict = TestClient(make_app(clock=now, api_refuse_stale=True))
    assert strict.get("/wallets").status_code == (503 if stale else 200)
    assert strict.get("/v1/leaderboard", params={"as_of": SLOT.isoformat()}).status_code == 200


def test_an_unexpected_error_is_a_problem_and_in_the_log(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret detail")

    answer = TestClient(app).get("/broken", headers={"X-Request-ID": "mine"})
    check_problem(answer, 500, "internal")
    assert "secret detail" not in answer.text
    assert any("request mine failed" in record.getMessage() for record in caplog.records)


# Limits


def test_the_rate_limit_says_when_to_come_back(make_app: MakeApp) -> None:
    client = TestClient(make_app(api_rate_per_minute=60, api_rate_burst=3))
    answers = [client.get("/v1/leaderboard?limit=1") for _ in range(5)]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    refused = answers[-1]
    check_problem(refused, 429, "too-many-requests")
    assert int(refused.headers["retry-after"]) == 1
    assert client.get("/healthz").status_code == 200, "monitoring is not limited"
    assert "hl_assets_api_rate_limited_total" in client.get("/metrics").text


def test_every_client_behind_a_trusted_proxy_has_a_limit_of_its_own(make_app: MakeApp) -> None:
    def statuses(**values: Any) -> list[int]:
        app = make_app(api_rate_per_minute=1, api_rate_burst=1, **values)
        client = TestClient(app, client=("10.0.0.1", 4000))
        return [
            client.get("/v1/coverage", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
            for number in range(3)
        ]

    assert statuses(api_trusted_proxies="10.0.0.0/8") == [200, 200, 200]
    assert statuses() == [200, 429, 429], "a stranger's header is not believed"


# Writing


class Launcher:
    """A launcher at the edge: says what it is told to."""

    def __init__(self, result: TickStarted | Exception) -> None:
        self.result = result
        self.calls = 0

    def start(self) -> TickStarted:
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


STARTED = TickStarted(run_id="run-1", slot="2026-05-31T12:10:00Z")


@pytest.mark.parametrize("key", [None, "", "wrong", WRITE_KEY + "x", WRITE_KEY[:-1], "\u00e9" * 20])
def test_a_write_needs_the_key(make_app: MakeApp, key: str | None) -> None:
    launcher = Launcher(STARTED)
    headers = {} if key is None else {"X-API-Key": key.encode()}
    answer = TestClient(make_app(launcher)).get("/wallets?save_to_db=true", headers=headers)
    check_problem(answer, 401, "write-key-needed")
    assert "ApiKey" in answer.headers["www-authenticate"]
    assert launcher.calls == 0


def test_without_a_configured_key_nobody_writes(make_app: MakeApp) -> None:
    launcher = Launcher(STARTED)
    client = TestClient(make_app(launcher, api_write_key=None))
    for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": WRITE_KEY}):
        check_problem(client.get("/wallets?save_to_db=true", headers=headers), 401, "write-key-needed")
    assert launcher.calls == 0


def test_with_the_key_a_tick_is_requested_and_named(make_app: MakeApp) -> None:
    launcher = Launcher(STARTED)
    answer = TestClient(make_app(launcher)).get(
        "/wallets?save_to_db=true&top_n=3", headers={"X-API-Key": WRITE_KEY}
    )
    assert answer.status_code == 200
    assert answer.json()["metadata"]["run"] == {"run_id": "run-1", "slot": "2026-05-31T12:10:00Z"}
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    assert launcher.calls == 1
    assert WRITE_KEY not in answer.text


def test_a_tick_that_runs_is_in_the_way(make_app: MakeApp) -> None:
    client = TestClient(make_app(Launcher(TickRunningError("run-0"))))
    answer = client.get("/wallets?save_to_db=true", headers={"X-API-Key": WRITE_KEY})
    assert check_problem(answer, 409, "tick-running")["run_id"] == "run-0"


@pytest.mark.parametrize(
    "launcher", [None, Launcher(TickNotStartedError("it did not"))], ids=["none", "failing"]
)
def test_a_tick_that_cannot_start(make_app: MakeApp, launcher: Launcher | None) -> None:
    client = TestClient(make_app(launcher))
    answer = client.get("/wallets?save_to_db=true", headers={"X-API-Key": WRITE_KEY})
    check_problem(answer, 503, "tick-not-started")


def test_a_started_tick_is_named_even_if_nothing_is_stored(warehouse: Warehouse) -> None:
    settings = Settings.load(clock=NOW, api_write_key=WRITE_KEY)
    client = TestClient(create_app(settings, warehouse, launcher=Launcher(STARTED)))
    answer = client.get("/wallets?save_to_db=true", headers={"X-API-Key": WRITE_KEY})
    assert check_problem(answer, 503, "nothing-stored")["run_id"] == "run-1"


def test_a_tick_that_starts_slowly_does_not_block_readers(make_app: MakeApp) -> None:
    release = threading.Event()

    class Slow:
        def start(self) -> TickStarted:
            assert release.wait(30)
            return STARTED

    with TestClient(make_app(Slow())) as client:
        writer = threading.Thread(
            target=client.get,
            args=("/wallets?save_to_db=true",),
            kwargs={"headers": {"X-API-Key": WRITE_KEY}},
        )
        writer.start()
        try:
            assert client.get("/v1/leaderboard?limit=1").status_code == 200
            assert writer.is_alive()
        finally:
            release.set()
            writer.join(30)
