"""`hl-assets dev`: everything comes up together, and Ctrl-C takes everything down."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hl_assets.warehouse.embedded.process import status
from hl_assets_tests.conftest import bare_environment

_LINEAGE = "{ assetNodes { assetKey { path } groupName } }"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer within {seconds:g} s")


def wait_until_said(log: Path, text: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


@dataclass(frozen=True)
class Dev:
    """A running `hl-assets dev`."""

    process: "subprocess.Popen[bytes]"
    ui: str
    exchange: str
    api: str
    clickhouse: Path
    log: Path

    def stop(self, how: signal.Signals) -> str:
        """Send a signal, see that it ends well and that nothing of it is left; returns what it printed."""
        self.process.send_signal(how)
        assert self.process.wait(60) == 0, self.log.read_text()
        assert status(self.clickhouse) is None
        assert not answers(f"{self.exchange}/sandbox/clock")
        assert not answers(f"{self.ui}/server_info")
        assert not answers(f"{self.api}/healthz")
        return self.log.read_text()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    """`hl-assets dev` on a small sandbox, just started."""
    ui, exchange, api = free_port(), free_port(), free_port()
    log = tmp_path / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hl_assets.cli", "dev", "--port", str(ui)],
            cwd=tmp_path,
            env=bare_environment(SANDBOX_PORT=str(exchange), SANDBOX_WALLETS="200", API_PORT=str(api)),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    home = tmp_path / ".hl_assets" / "clickhouse"
    yield Dev(
        process,
        f"http://127.0.0.1:{ui}",
        f"http://127.0.0.1:{exchange}",
        f"http://127.0.0.1:{api}",
        home,
        log,
    )
    process.kill()
    process.wait()


@pytest.mark.slow
def test_everything_starts_and_stops_together(dev: Dev) -> None:
    """Stopped as a service manager does it."""
    wait_for(f"{dev.ui}/server_info", 90)
    nodes = httpx.post(f"{dev.ui}/graphql", json={"query": _LINEAGE}, trust_env=False).json()
    assert len(nodes["data"]["assetNodes"]) == 10
    assert answers(f"{dev.exchange}/sandbox/clock")
    wait_for(f"{dev.api}/healthz", 30)
    assert status(dev.clickhouse) is not None
    text = dev.stop(signal.SIGTERM)
    assert "Dagster UI" in text
    assert "Traceback" not in text


def test_ctrl_c_while_dagster_is_starting_stops_everything(dev: Dev) -> None:
    wait_until_said(dev.log, "Ctrl-C stops everything", 60)
    assert answers(f"{dev.exchange}/sandbox/clock")
    assert status(dev.clickhouse) is not None
    assert "stopping" in dev.stop(signal.SIGINT)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "hl_assets.cli", "dev", "--port", str(port)],
            cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was started"
