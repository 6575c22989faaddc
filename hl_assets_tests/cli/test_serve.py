"""`hl-assets serve` as a process: it serves, refuses a taken port, stops cleanly, and needs no Dagster."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from hl_assets.cli.serve import READY_PREFIX
from hl_assets_tests.conftest import REPOSITORY

_SERVE = [sys.executable, "-m", "hl_assets.cli", "serve", "--port"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, how: signal.Signals) -> None:
    # A warehouse that is not there is enough to see the API answer.
    process = subprocess.Popen(
        [*_SERVE, "0"],
        cwd=tmp_path,
        env=environment(CLICKHOUSE_URL="http://127.0.0.1:1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY_PREFIX), process.communicate()
        url = line.removeprefix(READY_PREFIX).split()[0]
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "GET /healthz 200" in errors
    assert "Traceback" not in errors


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*_SERVE, str(port)], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_serving_reads_needs_no_dagster() -> None:
    program = "import sys, hl_assets.cli.serve; sys.exit('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), check=False)
    assert done.returncode == 0
