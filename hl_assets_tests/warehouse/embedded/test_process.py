"""Starting, sharing, refusing and stopping the server of a data folder, with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import clickhouse_connect
import pytest

from hl_assets.warehouse.embedded import process
from hl_assets.warehouse.embedded.process import ensure_running, status, stop
from hl_assets.warehouse.embedded.state import Home, ServerState
from hl_assets.warehouse.errors import EmbeddedServerError

REPOSITORY = Path(__file__).resolve().parents[3]


def start(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the server in the foreground until it ends."""
    command = [sys.executable, "-m", "hl_assets.warehouse.embedded", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z" if Path("/proc").is_dir() else True


def test_life_of_a_server(tmp_path: Path) -> None:
    home = tmp_path / "a folder é"
    assert status(home) is None
    assert stop(home) is False
    with ThreadPoolExecutor(4) as pool:  # everybody who asks at the same time gets the same server
        urls = set(pool.map(lambda _: ensure_running(home), range(4)))
    assert len(urls) == 1
    served = status(home)
    assert served is not None
    assert {served.url} == urls
    assert served.version.startswith("2")
    assert (home.stat().st_mode & 0o077) == 0
    client = clickhouse_connect.get_client(dsn=served.url)
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO t VALUES (1), (2)")

    refused = start("--home", str(home))  # a second start is refused and says who is there
    assert refused.returncode == 1
    assert f"already served by process {served.pid}" in refused.stderr
    assert str(home) in refused.stderr

    os.kill(served.pid, signal.SIGKILL)  # its state file is stale now
    again = ensure_running(home)
    assert again == served.url, "the same port again, so that open clients find it"
    survivor = status(home)
    assert survivor is not None
    assert survivor.pid != served.pid
    assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(1,), (2,)]

    assert stop(home) is True
    assert not is_alive(survivor.pid)
    assert status(home) is None
    assert "stopped" in (home / "server.log").read_text()
    assert stop(home) is False


def test_running_statement_finishes_before_the_server_stops(tmp_path: Path) -> None:
    url = ensure_running(tmp_path)
    client = clickhouse_connect.get_client(dsn=url)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.query, "SELECT sleep(1), 'done'")
        time.sleep(0.3)
        assert stop(tmp_path)
        assert slow.result().result_rows == [(0, "done")]


def test_stopping_does_not_wait_for_a_server_that_somebody_starts_meanwhile(tmp_path: Path) -> None:
    ensure_running(tmp_path)
    before = status(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stop, tmp_path, timeout_seconds=60)
        while not stopping.done():
            with suppress(EmbeddedServerError):  # the old one may go between being found and answering
                ensure_running(tmp_path)
        assert stopping.result()
    after = status(tmp_path)
    assert before is not None
    assert after is None or after.instance != before.instance
    stop(tmp_path)


def test_idle_server_stops_by_itself(tmp_path: Path) -> None:
    ensure_running(tmp_path, idle_stop_seconds=0.5)
    served = status(tmp_path)
    assert served is not None
    deadline = time.monotonic() + 20
    while is_alive(served.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status(tmp_path) is None
    assert process._children.pop(tmp_path.resolve()).wait() == 0
    assert "no request for 0.5 s" in (tmp_path / "server.log").read_text()


def test_server_that_cannot_start_shows_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the engine's folder belongs")
    with pytest.raises(EmbeddedServerError, match=r"exited with code 1[\s\S]*data") as caught:
        ensure_running(tmp_path)
    assert "server.log" in str(caught.value)


def test_taken_port_is_named(tmp_path: Path, embedded_server: Path) -> None:
    served = status(embedded_server)
    assert served is not None
    refused = start("--home", str(tmp_path), "--port", str(served.port))
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{served.port}" in refused.stderr


def test_folder_name_chdb_cannot_open_is_refused(tmp_path: Path) -> None:
    refused = start("--home", str(tmp_path / "what?now"))
    assert refused.returncode == 1
    assert "'?' in its path" in refused.stderr


def test_somebody_else_on_the_port_of_a_stale_state_is_not_taken_for_ours(
    tmp_path: Path, embedded_server: Path
) -> None:
    other = status(embedded_server)
    assert other is not None
    Home(tmp_path).write_state(ServerState(other.pid, other.port, "another instance", "", ""))
    assert status(tmp_path) is None
    assert stop(tmp_path) is False  # and nobody is killed for a pid in a stale file
    assert status(embedded_server) == other
    assert process._answering(Home(tmp_path)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_damaged_state_is_no_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert Home(tmp_path).read_state() is None


def test_state_survives_writing_and_reading(tmp_path: Path) -> None:
    state = ServerState(1, 2, "x", "now", "26")
    Home(tmp_path).write_state(state)
    assert Home(tmp_path).read_state() == state
    assert json.loads((tmp_path / "server.json").read_text())["port"] == 2


def test_waiting_for_a_starter_that_hangs_ends(tmp_path: Path) -> None:
    with (
        Home(tmp_path).start_lock(),
        pytest.raises(EmbeddedServerError, match="another process has been starting"),
    ):
        ensure_running(tmp_path, timeout_seconds=0.2)


def test_log_tail_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("\n".join(f"line {number}" for number in range(100_000)))
    tail = Home(tmp_path).tail(lines=5)
    assert tail.splitlines()[1:] == [f"line {number}" for number in range(99_995, 100_000)]
    assert "no log" in Home(tmp_path / "nowhere").tail()
