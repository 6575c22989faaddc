"""The foreground server as the command line starts it: a process of its own."""

import signal
import subprocess
import sys

import httpx

PROGRAM = """
import logging, sys
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, run_sandbox
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
config = SandboxConfig(wallets=20, clock=ClockSetting.parse("2026-06-01T00:00Z"))
run_sandbox(config, on_ready=lambda url: (print(url), sys.stdout.flush()))
"""


def test_it_answers_when_it_says_so_and_stops_on_a_signal():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/sandbox/clock").json()["now"] == "2026-06-01T00:00:00.000Z"
        assert httpx.get(f"{url}/Mainnet/leaderboard").json()["leaderboardRows"]
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=10)
    finally:
        process.kill()
    assert rest == ""
    assert log.count("local exchange ready at") == 1
    assert "Traceback" not in log
