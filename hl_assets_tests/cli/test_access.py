"""`hl-assets access`: what it sends, in which order, and that no password gets out."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hl_assets.cli.access import run_access
from hl_assets.cli.errors import CommandError
from hl_assets.warehouse.access import HIDDEN
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets_tests.warehouse.restricted_server import serving_as

PASSWORDS = {
    "clickhouse_writer_password": "a writer's password",
    "clickhouse_api_password": "an API's password",
}
MANAGING = ("CREATE", "ALTER", "GRANT")


class _Front(ThreadingHTTPServer):
    """A server that stores users, as far as a client can tell: those statements it notes, the others the engine answers."""

    def __init__(self, engine: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        self.noted: list[tuple[str, dict[str, list[str]]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Front

    def do_POST(self) -> None:
        query = urlsplit(self.path).query
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body.decode().startswith(MANAGING):
            self.server.noted.append((body.decode(), parse_qs(query)))
            self._answer(200, b"", {})
        else:
            answer = httpx.post(f"{self.server.engine}/?{query}", content=body, trust_env=False)
            self._answer(answer.status_code, answer.content, dict(answer.headers))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.startswith("x-clickhouse") or name == "content-type":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def front(embedded_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Front]:
    monkeypatch.chdir(tmp_path)
    with _Front(ensure_running(embedded_server)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_roles_and_users_are_made_and_passwords_are_neither_sent_nor_said(
    front: _Front, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"http://admin:secret@127.0.0.1:{front.server_port}"
    run_access({"clickhouse_url": address, "source": "live", **PASSWORDS}, dry_run=False)
    statements = [sql for sql, _ in front.noted]
    made = [sql.split("`")[1] for sql in statements if sql.startswith("CREATE")]
    assert made == [
        "hl_assets_migrator_role",
        "hl_assets_writer_role", "hl_assets_writer",
        "hl_assets_reader_role", "hl_assets_reader_limits", "hl_assets_reader_limits",
        "hl_assets_api_role", "hl_assets_api_limits", "hl_assets_api_limits", "hl_assets_api",
    ]  # fmt: skip
    # In a database that is always there: ours may be made later.
    assert {parameters["database"][0] for _, parameters in front.noted} == {"system"}
    said = capsys.readouterr().out
    assert "hl_assets_writer_role: user hl_assets_writer" in said
    assert "no user: CLICKHOUSE_READER_PASSWORD is not set" in said
    for text in (*statements, said):
        assert not any(password in text for password in (*PASSWORDS.values(), "secret"))
    digests = {sql.split("'")[1] for sql in statements if "sha256_hash" in sql}
    assert len(digests) == 2
    run_access({"clickhouse_url": address, "source": "live", **PASSWORDS}, dry_run=False)
    again = {sql.split("'")[1] for sql, _ in front.noted if "sha256_hash" in sql}
    assert len(again) == 4, "every time another salt"


def test_a_dry_run_contacts_nobody_and_shows_no_digest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_access({"clickhouse_url": "http://admin@127.0.0.1:1", **PASSWORDS}, dry_run=True)
    said = capsys.readouterr().out
    assert said.count(f"SALT '{HIDDEN}'") == 4
    assert not any(password in said for password in PASSWORDS.values())
    assert "-- hl_assets_sandbox_api_role: user hl_assets_api" in said


def test_the_embedded_clickhouse_has_no_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="set CLICKHOUSE_URL"):
        run_access({"home": tmp_path, "clickhouse_writer_password": "a writer's password"}, dry_run=False)


def test_without_passwords_there_is_one_user_and_nothing_is_done(
    front: _Front, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"http://admin@127.0.0.1:{front.server_port}"
    run_access({"clickhouse_url": address}, dry_run=False)
    assert front.noted == []
    assert "nothing done" in capsys.readouterr().out
    run_access({"clickhouse_url": address}, dry_run=True)
    assert "GRANT SELECT ON" in capsys.readouterr().out


def test_a_user_who_may_not_manage_users_is_told_so(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="must be allowed to manage users"):
        run_access({"clickhouse_url": str(warehouse.endpoint), **PASSWORDS}, dry_run=False)


def test_a_server_that_stores_no_users_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "server"
    folder.mkdir()
    with (
        serving_as(None, tmp_path / "home", folder) as url,
        pytest.raises(CommandError, match="stores no users"),
    ):
        run_access({"clickhouse_url": url, **PASSWORDS}, dry_run=False)
