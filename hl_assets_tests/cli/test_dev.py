"""`hl-assets dev`: everything comes up together, and Ctrl-C takes everything down."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from hl_assets.warehouse.embedded.process import status

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
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer within {seconds:g} s")


def answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_everything_starts_and_stops_together(tmp_path: Path, how: signal.Signals) -> None:
    ui, exchange = free_port(), free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "SANDBOX_PORT": str(exchange),
        "SANDBOX_WALLETS": "200",
    }
    log = tmp_path / "dev.log"
    with log.open("wb") as output:
        dev = subprocess.Popen(
            [sys.executable, "-m", "hl_assets.cli", "dev", "--port", str(ui)],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{ui}/server_info", 90)
            nodes = httpx.post(
                f"http://127.0.0.1:{ui}/graphql", json={"query": _LINEAGE}, trust_env=False
            ).json()
            assert len(nodes["data"]["assetNodes"]) == 7
            assert answers(f"http://127.0.0.1:{exchange}/sandbox/clock")
            assert status(tmp_path / ".hl_assets" / "clickhouse") is not None
            dev.send_signal(how)
            assert dev.wait(60) == 0, log.read_text()
        finally:
            dev.kill()
    assert status(tmp_path / ".hl_assets" / "clickhouse") is None
    assert not answers(f"http://127.0.0.1:{exchange}/sandbox/clock")
    assert not answers(f"http://127.0.0.1:{ui}/server_info")
    text = log.read_text()
    assert "Dagster UI" in text
    assert "Traceback" not in text


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "hl_assets.cli", "dev", "--port", str(port)],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was started"
