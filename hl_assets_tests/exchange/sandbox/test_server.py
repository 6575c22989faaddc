"""The local exchange over real HTTP: shapes, refusals, limits, faults, clock and control."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from hl_assets.exchange.sandbox import (
    ClockSetting,
    FaultRule,
    SandboxConfig,
    SandboxConfigError,
    SandboxError,
    SandboxServer,
    create_app,
)
from hl_assets.exchange.sandbox.faults import ShapeVariant
from hl_assets.exchange.sandbox.population import SimulatedPopulation
from hl_assets.exchange.sandbox.source import PORTFOLIO_WINDOWS, Board
from hl_assets_tests.exchange.sandbox.instants import EPOCH_MS, NOW_MS, SERVED_AT

UNUSED = "0x" + "9" * 40
UNREADABLE = "Failed to deserialize the JSON body into the target type"


def leaderboard(server: SandboxServer, client: httpx.Client) -> httpx.Response:
    return client.get(f"{server.stats_url}/leaderboard")


def portfolio(server: SandboxServer, client: httpx.Client, wallet: str) -> httpx.Response:
    return client.post(f"{server.info_url}/info", json={"type": "portfolio", "user": wallet})


def a_wallet(server: SandboxServer) -> str:
    return server.venue.source.wallets_at(NOW_MS)[40]


class TestLeaderboard:
    def test_shape(self, server: SandboxServer, client: httpx.Client):
        response = leaderboard(server, client)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        document = response.json()
        assert list(document) == ["leaderboardRows"]
        assert 250 < len(document["leaderboardRows"]) < 320
        for row in document["leaderboardRows"]:
            assert list(row) == ["ethAddress", "accountValue", "windowPerformances", "prize", "displayName"]
            assert [window for window, _ in row["windowPerformances"]] == ["day", "week", "month", "allTime"]
            cells = [
                text
                for _, cell in row["windowPerformances"]
                for text in (cell["pnl"], cell["roi"], cell["vlm"])
            ]
            assert all(
                isinstance(text, str) and float(text) == float(text) for text in [row["accountValue"], *cells]
            )
            assert row["prize"] == 0

    def test_has_the_fields_of_the_recorded_rows(
        self, server: SandboxServer, client: httpx.Client, recorded_data: Path
    ):
        sample = json.loads((recorded_data / "api_samples" / "leaderboard_12rows.json").read_text())[
            "response"
        ]

        def shape(row: dict[str, object]) -> object:
            return [list(row), [[name, list(cell)] for name, cell in row["windowPerformances"]]]

        ours = leaderboard(server, client).json()["leaderboardRows"][0]
        assert shape(ours) == shape(sample["leaderboardRows"][0])

    def test_rows_are_as_large_as_the_real_ones(self, server: SandboxServer, client: httpx.Client):
        body = leaderboard(server, client).content
        names = sum(len(row["displayName"] or "") for row in json.loads(body)["leaderboardRows"])
        assert (len(body) - names) / body.count(b"ethAddress") == pytest.approx(840, rel=0.03)

    def test_is_byte_identical_until_the_hour_and_changes_then(
        self, server: SandboxServer, client: httpx.Client
    ):
        first = leaderboard(server, client)
        server.venue.set_clock(ClockSetting.frozen("2026-06-01T00:59:59.999Z"))
        same = leaderboard(server, client)
        server.venue.set_clock(ClockSetting.frozen("2026-06-01T01:00:00Z"))
        changed = leaderboard(server, client)
        assert same.content == first.content
        assert (
            same.headers["last-modified"] == first.headers["last-modified"] == "Mon, 01 Jun 2026 00:00:00 GMT"
        )
        assert same.headers["date"] == "Mon, 01 Jun 2026 00:59:59 GMT"
        assert changed.content != first.content
        assert changed.headers["last-modified"] == changed.headers["date"] == "Mon, 01 Jun 2026 01:00:00 GMT"

    def test_vaults_shape(self, server: SandboxServer, client: httpx.Client):
        entries = client.get(f"{server.stats_url}/vaults").json()
        assert entries
        for entry in entries:
            assert list(entry) == ["apr", "pnls", "summary"]
            assert isinstance(entry["apr"], float)
            assert [name for name, _ in entry["pnls"]] == ["day", "week", "month", "allTime"]
            assert all(7 <= len(line) <= 15 and line[0] == "0.0" for _, line in entry["pnls"])
            assert isinstance(entry["summary"]["tvl"], str)
            assert entry["summary"]["relationship"]["type"] in {"normal", "parent", "child"}


class TestInfo:
    def test_portfolio_shape(self, server: SandboxServer, client: httpx.Client):
        document = portfolio(server, client, a_wallet(server)).json()
        assert tuple(name for name, _ in document) == PORTFOLIO_WINDOWS
        for name, window in document:
            assert list(window) == ["accountValueHistory", "pnlHistory", "vlm"]
            values, pnl = window["accountValueHistory"], window["pnlHistory"]
            assert [point[0] for point in values] == [point[0] for point in pnl]
            assert values[-1][0] == NOW_MS
            assert all(isinstance(text, str) for _, text in [*values, *pnl])
            assert pnl[0][1] == "0.0", name
            assert isinstance(window["vlm"], str)

    def test_address_case_does_not_matter(self, server: SandboxServer, client: httpx.Client):
        wallet = a_wallet(server)
        upper = "0x" + wallet[2:].upper()
        assert portfolio(server, client, upper).content == portfolio(server, client, wallet).content

    def test_an_unused_address_gets_zero_points(self, server: SandboxServer, client: httpx.Client):
        response = portfolio(server, client, UNUSED)
        assert response.status_code == 200
        for _, window in response.json():
            assert window["vlm"] == "0.0"
            assert {text for _, text in window["accountValueHistory"] + window["pnlHistory"]} == {"0.0"}

    @pytest.mark.parametrize(
        "body",
        [
            b"not json",
            b"[]",
            b"{}",
            b'{"type":"portfolio"}',
            b'{"type":"portfolio","user":"0x12"}',
            b'{"type":"portfolio","user":7}',
            b'{"type":"nonsense","user":"0x9999999999999999999999999999999999999999"}',
            b'{"type":["portfolio"]}',
        ],
    )
    def test_what_cannot_be_deserialised_is_422_text(
        self, server: SandboxServer, client: httpx.Client, body: bytes
    ):
        response = client.post(f"{server.info_url}/info", content=body)
        assert response.status_code == 422
        assert response.headers["content-type"].startswith("text/plain")
        assert response.text == UNREADABLE

    def test_vault_details_and_null_for_no_vault(self, server: SandboxServer, client: httpx.Client):
        def ask(address: str) -> object:
            body = {"type": "vaultDetails", "vaultAddress": address}
            return client.post(f"{server.info_url}/info", json=body).json()

        vaults = server.venue.source.vaults_at(NOW_MS)
        vault, addresses = vaults[0], {entry.address for entry in vaults}
        details = ask(vault.address)
        assert details["name"] == vault.name
        assert len(details["portfolio"]) == 8
        board = server.venue.source.wallets_at(NOW_MS)
        assert ask(next(wallet for wallet in board if wallet not in addresses)) is None

    def test_portfolio_date_is_virtual(self, server: SandboxServer, client: httpx.Client):
        server.venue.set_clock(ClockSetting.frozen("2025-02-03T04:05:06Z"))
        assert portfolio(server, client, UNUSED).headers["date"] == "Mon, 03 Feb 2025 04:05:06 GMT"


class TestLimit:
    def test_the_sixty_first_portfolio_of_a_minute_is_refused_with_null(self, client: httpx.Client):
        with SandboxServer(SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT))) as server:
            statuses = [portfolio(server, client, UNUSED).status_code for _ in range(61)]
            refused = portfolio(server, client, UNUSED)
            assert statuses == [200] * 60 + [429]
            assert refused.status_code == 429
            assert refused.json() is None
            assert "retry-after" not in refused.headers
            assert leaderboard(server, client).status_code == 200
            stats = client.get(f"{server.control_url}/stats").json()
            assert stats["requests"] == {"info:portfolio": 62, "leaderboard": 1}
            assert stats["http_429"] == 2
            assert stats["weight"]["max_in_any_60s"] == 1_200
            assert stats["weight"]["max_offered_in_any_60s"] == 1_240
            assert stats["weight"]["used_last_60s"] == {"127.0.0.1": 1_200}

    def test_a_larger_limit_is_obeyed(self, client: httpx.Client):
        config = SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT), weight_limit=40)
        with SandboxServer(config) as server:
            assert [portfolio(server, client, UNUSED).status_code for _ in range(3)] == [200, 200, 429]


class TestFaults:
    def switch_on(self, server: SandboxServer, **rule: object) -> None:
        server.venue.faults.add(FaultRule(**rule))

    @pytest.mark.parametrize(
        ("kind", "status", "content_type"),
        [
            ("rate_limited", 429, "application/json"),
            ("server_error", 500, "application/json"),
            ("bad_gateway", 502, "text/html"),
            ("rejected", 422, "text/plain"),
        ],
    )
    @pytest.mark.parametrize("endpoint", ["leaderboard", "info"])
    def test_refusals(self, server, client, endpoint, kind, status, content_type):
        self.switch_on(server, endpoint=endpoint, kind=kind, requests=2)
        ask = (
            (lambda: leaderboard(server, client))
            if endpoint == "leaderboard"
            else (lambda: portfolio(server, client, UNUSED))
        )
        first, second, healed = ask(), ask(), ask()
        assert [first.status_code, second.status_code, healed.status_code] == [status, status, 200]
        assert first.headers["content-type"].startswith(content_type)
        if kind == "bad_gateway":
            assert "<html>" in first.text
        elif kind == "rejected":
            assert "deserialize" in first.text
        else:
            assert first.content == b"null"

    @pytest.mark.parametrize("endpoint", ["leaderboard", "vaults", "info"])
    def test_a_truncated_body_promises_more_than_it_sends(self, server, client, endpoint):
        self.switch_on(server, endpoint=endpoint, kind="truncated", requests=1)
        url = f"{server.info_url}/info" if endpoint == "info" else f"{server.stats_url}/{endpoint}"
        body = {"type": "portfolio", "user": UNUSED}
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            client.request("POST" if endpoint == "info" else "GET", url, json=body)
        assert client.get(f"{server.control_url}/stats").json()["statuses"]["cut"] == 1

    @pytest.mark.parametrize("endpoint", ["leaderboard", "vaults", "info"])
    def test_a_garbled_body_is_complete_and_no_json(self, server, client, endpoint):
        url = f"{server.info_url}/info" if endpoint == "info" else f"{server.stats_url}/{endpoint}"
        ask = partial(client.request, "POST" if endpoint == "info" else "GET", url)
        proper = ask(json={"type": "portfolio", "user": UNUSED})
        self.switch_on(server, endpoint=endpoint, kind="garbled", requests=1)
        garbled = ask(json={"type": "portfolio", "user": UNUSED})
        assert (garbled.status_code, len(garbled.content)) == (200, len(proper.content))
        with pytest.raises(json.JSONDecodeError):
            garbled.json()

    def test_a_slow_body_trickles_but_is_whole(self, server, client):
        whole = leaderboard(server, client).content
        self.switch_on(server, endpoint="leaderboard", kind="slow", seconds=0.6, requests=1)
        start = time.perf_counter()
        with client.stream("GET", f"{server.stats_url}/leaderboard") as response:
            pieces = list(response.iter_raw())
        assert time.perf_counter() - start > 0.5
        assert b"".join(pieces) == whole
        assert len(pieces) > 5

    def test_a_stalled_request_is_never_answered(self, server):
        self.switch_on(server, endpoint="info", kind="stalled", requests=1)
        with httpx.Client(timeout=0.3) as impatient, pytest.raises(httpx.ReadTimeout):
            portfolio(server, impatient, UNUSED)

    def test_a_stall_ends_with_a_cut_connection(self, server, client):
        self.switch_on(server, endpoint="info", kind="stalled", seconds=0.2, requests=1)
        with pytest.raises(httpx.RemoteProtocolError):
            portfolio(server, client, UNUSED)

    def test_a_stalled_request_does_not_keep_others_waiting(self, server, client):
        wallet = a_wallet(server)
        self.switch_on(server, endpoint="info", kind="stalled", seconds=3, wallets=(wallet,))
        with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=1) as other:
            waiting = pool.submit(portfolio, server, other, wallet)
            assert portfolio(server, client, UNUSED).status_code == 200
            with pytest.raises(httpx.ReadTimeout):
                waiting.result()

    @pytest.mark.parametrize(
        "variant",
        ["missing_field", "number_instead_of_string", "renamed_window", "extra_row_type", "null_rows"],
    )
    @pytest.mark.parametrize("endpoint", ["leaderboard", "vaults", "info"])
    def test_a_wrong_shape_is_json_that_differs_in_that_way(
        self, server, client, endpoint: str, variant: ShapeVariant
    ):
        wallet = a_wallet(server)

        def ask() -> httpx.Response:
            if endpoint == "info":
                return portfolio(server, client, wallet)
            return client.get(f"{server.stats_url}/{endpoint}")

        proper = ask().json()
        self.switch_on(server, endpoint=endpoint, kind="wrong_shape", variant=variant, requests=1)
        response = ask()
        assert response.status_code == 200
        assert response.headers["content-length"] == str(len(response.content))
        assert response.json() != proper
        assert ask().json() == proper

    def test_wrong_shapes_of_the_portfolio(self, server, client):
        wallet, found = a_wallet(server), {}
        for variant in (
            "missing_field",
            "number_instead_of_string",
            "renamed_window",
            "extra_row_type",
            "null_rows",
        ):
            self.switch_on(server, endpoint="info", kind="wrong_shape", variant=variant, requests=1)
            found[variant] = portfolio(server, client, wallet).json()
        assert "pnlHistory" not in found["missing_field"][2][1]
        assert isinstance(found["number_instead_of_string"][2][1]["accountValueHistory"][0][1], float)
        assert found["renamed_window"][2][0] == "30d"
        assert len(found["extra_row_type"]) == 9
        assert found["null_rows"][2][1]["accountValueHistory"] is None

    def test_an_empty_and_a_shrunk_leaderboard(self, server, client):
        rows = leaderboard(server, client).json()["leaderboardRows"]
        self.switch_on(server, endpoint="leaderboard", kind="empty", requests=1)
        assert leaderboard(server, client).json() == {"leaderboardRows": []}
        self.switch_on(server, endpoint="leaderboard", kind="shrunk", keep=0.25, requests=1)
        assert leaderboard(server, client).json()["leaderboardRows"] == rows[: len(rows) // 4]

    def test_a_wallet_filter_spoils_one_wallet_only(self, server, client):
        wallet = a_wallet(server)
        self.switch_on(server, endpoint="info", kind="server_error", wallets=(wallet,))
        assert portfolio(server, client, wallet).status_code == 500
        assert portfolio(server, client, UNUSED).status_code == 200

    def test_faults_from_the_settings(self, client):
        rule = FaultRule("leaderboard", "server_error", requests=1)
        config = SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT), faults=(rule,))
        with SandboxServer(config) as server:
            assert [leaderboard(server, client).status_code for _ in range(2)] == [500, 200]


class TestControl:
    def test_clock_is_read_set_and_advanced(self, server, client):
        url = f"{server.control_url}/clock"
        shown = client.get(url).json()
        assert (shown["mode"], shown["now_ms"], shown["now"]) == ("frozen", NOW_MS, SERVED_AT)
        moved = client.put(url, json={"advance_seconds": 600}).json()
        assert moved["now_ms"] == NOW_MS + 600_000
        running = client.put(
            url, json={"mode": "running", "at": "2026-01-01T00:00:00Z", "speed": 1000}
        ).json()
        time.sleep(0.02)
        assert client.get(url).json()["now_ms"] > running["now_ms"]
        assert client.put(url, json={"mode": "real"}).json()["mode"] == "real"

    @pytest.mark.parametrize(
        "body",
        [
            {"mode": "frozen"},
            {"mode": "stopped", "at": SERVED_AT},
            {"mode": "frozen", "at": "soon"},
            {"mode": "frozen", "at": 5},
            {"mode": "frozen", "at": "2015-01-01"},
            {"mode": "running", "at": SERVED_AT, "speed": "fast"},
            {"advance_seconds": 1e12},
            ["frozen"],
        ],
    )
    def test_an_unusable_clock_is_refused_and_changes_nothing(self, server, client, body):
        response = client.put(f"{server.control_url}/clock", json=body)
        assert response.status_code == 400
        assert response.json()["error"]
        assert client.get(f"{server.control_url}/clock").json()["now_ms"] == NOW_MS

    def test_faults_are_listed_added_replaced_and_cleared(self, server, client):
        url = f"{server.control_url}/faults"
        added = client.post(url, json={"endpoint": "info", "kind": "server_error", "requests": 1}).json()
        assert [rule["kind"] for rule in added["faults"]] == ["server_error"]
        assert portfolio(server, client, UNUSED).status_code == 500
        assert client.get(url).json()["faults"][0]["fired"] == 1
        replaced = client.put(url, json={"faults": [{"endpoint": "vaults", "kind": "empty"}]}).json()
        assert [rule["endpoint"] for rule in replaced["faults"]] == ["vaults"]
        assert client.delete(url).json() == {"faults": []}
        refused = client.post(url, json={"endpoint": "info", "kind": "fire"})
        assert refused.status_code == 400
        assert "kind" in refused.json()["error"]

    def test_stats_count_and_reset(self, server, client):
        portfolio(server, client, UNUSED)
        client.post(f"{server.info_url}/info", json={"type": "nonsense"})
        stats = client.get(f"{server.control_url}/stats").json()
        assert stats["requests"] == {"info:portfolio": 1, "info:other": 1}
        assert stats["statuses"] == {"200": 1, "422": 1}
        assert stats["weight"]["total"] == 40
        assert client.delete(f"{server.control_url}/stats").json()["requests"] == {}

    def test_truth_of_a_wallet(self, server, client):
        wallet = a_wallet(server)
        truth = client.get(f"{server.control_url}/truth", params={"wallet": wallet}).json()
        published = {
            point[0]
            for _, window in portfolio(server, client, wallet).json()[:4]
            for point in window["pnlHistory"]
        }
        assert {point["ms"] for point in truth["points"]} == published - {min(published)}
        assert truth["skill"] == pytest.approx(truth["drift"] / truth["volatility"])
        times = f"{NOW_MS - 1000},{NOW_MS}"
        asked = client.get(f"{server.control_url}/truth", params={"wallet": wallet, "times": times}).json()
        assert [point["ms"] for point in asked["points"]] == [NOW_MS - 1000, NOW_MS]
        assert client.get(f"{server.control_url}/truth", params={"wallet": UNUSED}).status_code == 404
        assert (
            client.get(f"{server.control_url}/truth", params={"wallet": wallet, "times": "x"}).status_code
            == 400
        )

    def test_skills_of_all_wallets(self, server, client):
        wallets = client.get(f"{server.control_url}/wallets").json()["wallets"]
        assert len(wallets) > 300
        assert {"wallet", "skill", "archetype", "volatility", "born_ms"} == set(wallets[0])

    async def test_control_answers_loopback_only(self):
        app = create_app(SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT)))
        statuses = {}
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.7", "testclient"):
            transport = httpx.ASGITransport(app=app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as session:
                statuses[host] = (await session.get("/sandbox/clock")).status_code
        assert [host for host, status in statuses.items() if status == 200] == [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
        ]
        assert statuses["10.0.0.7"] == statuses["testclient"] == 403


class TestRecording:
    def test_a_tiny_panel_is_served_frozen_at_its_newest_sample(self, tmp_path: Path, client: httpx.Client):
        wallet = "0x" + "ab" * 20
        path = tmp_path / "panel.csv"
        path.write_text(
            f"date,address,account_value,pnl\n2026-03-01,{wallet},100,0\n2026-03-02,{wallet},120,20\n"
        )
        with SandboxServer(SandboxConfig(recording=path)) as server:
            response = leaderboard(server, client)
            assert response.headers["date"] == "Mon, 02 Mar 2026 00:00:00 GMT"
            (row,) = response.json()["leaderboardRows"]
            assert (row["ethAddress"], row["accountValue"], row["displayName"]) == (wallet, "120.0", None)
            assert row["windowPerformances"][0] == ["day", {"pnl": "20.0", "roi": "0.2", "vlm": "0.0"}]
            windows = dict(portfolio(server, client, wallet).json())
            assert windows["day"]["pnlHistory"] == [[1772323200000, "0.0"], [1772409600000, "20.0"]]
            assert windows["allTime"]["accountValueHistory"][0] == [1772323200000 - 3_600_000, "0.0"]
            assert client.get(f"{server.stats_url}/vaults").json() == []
            assert client.get(f"{server.control_url}/truth", params={"wallet": wallet}).status_code == 404

    def test_a_board_with_nobody_present_is_empty(self, tmp_path: Path, client: httpx.Client):
        path = tmp_path / "panel.csv"
        path.write_text(f"date,address,account_value,pnl\n2026-03-01,{UNUSED},100,0\n")
        with SandboxServer(SandboxConfig(recording=path, clock=ClockSetting.frozen("2026-04-01"))) as server:
            assert leaderboard(server, client).json() == {"leaderboardRows": []}


class TestServing:
    def test_building_a_board_does_not_keep_info_waiting(self, client: httpx.Client):
        released = threading.Event()

        class Slow(SimulatedPopulation):
            def board_at(self, now_ms: int) -> Board:
                assert released.wait(20)
                return super().board_at(now_ms)

        config = SandboxConfig(clock=ClockSetting.frozen(SERVED_AT))
        with (
            SandboxServer(config, source=Slow(20, 7, EPOCH_MS)) as server,
            ThreadPoolExecutor(1) as pool,
            httpx.Client(timeout=30) as patient,
        ):
            board = pool.submit(leaderboard, server, patient)
            while client.get(f"{server.control_url}/stats").json()["requests"].get("leaderboard") != 1:
                time.sleep(0.01)
            assert portfolio(server, client, UNUSED).status_code == 200
            assert not board.done()
            released.set()
            assert board.result().status_code == 200

    def test_a_failure_of_its_own_is_logged_and_answered(
        self, client: httpx.Client, caplog: pytest.LogCaptureFixture
    ):
        class Broken(SimulatedPopulation):
            def board_at(self, now_ms: int) -> Board:
                raise ZeroDivisionError("broken on purpose")

        config = SandboxConfig(clock=ClockSetting.frozen(SERVED_AT))
        with SandboxServer(config, source=Broken(20, 7, EPOCH_MS)) as server:
            response = leaderboard(server, client)
            assert response.status_code == 500
            assert "its log says why" in response.text
        assert "failed at GET /Mainnet/leaderboard" in caplog.text
        assert "broken on purpose" in caplog.text

    def test_a_clock_outside_the_answerable_span_is_refused_at_the_start(self):
        config = SandboxConfig(wallets=20, clock=ClockSetting.frozen("2031-01-01"))
        with pytest.raises(SandboxError, match=r"2031-01-01.*2028-05-31"):
            create_app(config)

    def test_a_clock_that_runs_out_of_the_span_says_so(self, client: httpx.Client):
        config = SandboxConfig(wallets=20, clock=ClockSetting.running("2028-05-31T11:59:59Z", 10_000))
        with SandboxServer(config) as server:
            time.sleep(0.05)
            response = portfolio(server, client, UNUSED)
            assert response.status_code == 503
            assert "answers from" in response.text

    def test_a_taken_port_is_named(self, server: SandboxServer):
        port = int(server.url.rsplit(":", 1)[1])
        with (
            pytest.raises(SandboxError, match=f"cannot listen on 127.0.0.1:{port}"),
            SandboxServer(SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT)), port=port),
        ):
            pass

    def test_leaving_the_context_frees_the_port_even_with_a_stalled_request(self, client: httpx.Client):
        rule = FaultRule("info", "stalled")
        config = SandboxConfig(wallets=20, clock=ClockSetting.frozen(SERVED_AT), faults=(rule,))
        with (
            SandboxServer(config) as server,
            httpx.Client(timeout=0.2) as impatient,
            pytest.raises(httpx.ReadTimeout),
        ):
            portfolio(server, impatient, UNUSED)
        with pytest.raises(httpx.ConnectError):
            leaderboard(server, client)

    @pytest.mark.parametrize(
        "settings", [{"weight_limit": -1}, {"refresh_minutes": 0}, {"wallets": 5}, {"epoch": "naive"}]
    )
    def test_unusable_settings_are_refused(self, settings: dict[str, object]):
        if "epoch" in settings:
            settings = {"epoch": SandboxConfig().epoch.replace(tzinfo=None)}
        with pytest.raises(SandboxConfigError, match=next(iter(settings))):
            create_app(SandboxConfig(**settings))
