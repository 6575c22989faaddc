"""The local exchange as a process of a command that needs one.

Belongs here: starting it, waiting for it, pointing the settings at it, stopping it. Does not belong here: serving
(`cli.sandbox`).
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx

from hl_assets.cli.errors import CommandError
from hl_assets.cli.sandbox import READY_PREFIX
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant, slot_text

_STOP_SECONDS = 10


class LocalExchange:
    """A running local exchange.

    Attributes:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def now(self) -> datetime:
        """The present moment on it, UTC."""
        return parse_instant(httpx.get(f"{self.url}/sandbox/clock", trust_env=False).json()["now"])

    def settings_values(self, settings: Settings) -> dict[str, Any]:
        """The settings that point at it; its budget of weight is the one it was started with."""
        return {
            "info_url": self.url,
            "stats_url": f"{self.url}/Mainnet",
            "weight_per_minute": settings.sandbox_weight_per_minute,
        }


def start_process(settings: Settings, frozen_at: datetime | None, port: int = 0) -> "subprocess.Popen[str]":
    """Start the exchange that a sandbox or recorded source needs; it gets ready while the caller does other things.

    Raises:
        CommandError: The source is recorded and no recording is given, or it does not exist.
    """
    command = [sys.executable, "-m", "hl_assets.cli", "sandbox", "--port", str(port)]
    command += ["--weight-per-minute", str(settings.sandbox_weight_per_minute)]
    if settings.source == "recorded":
        if settings.recording is None:
            raise CommandError("--source recorded needs --recording PATH (or HL_ASSETS_RECORDING)")
        if not settings.recording.exists():
            raise CommandError(f"the recording {settings.recording} does not exist")
        command += ["--recording", str(settings.recording.resolve())]
    else:
        command += ["--wallets", str(settings.sandbox_wallets), "--seed", str(settings.sandbox_seed)]
    if frozen_at is not None:
        command += ["--clock", slot_text(frozen_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ourselves


@contextmanager
def running(process: "subprocess.Popen[str]") -> Iterator[LocalExchange]:
    """Wait until the exchange answers, and stop it at the end of the block.

    Raises:
        CommandError: It did not come up; the message is its own.
    """
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith(READY_PREFIX):
            _, errors = process.communicate(timeout=_STOP_SECONDS)
            raise CommandError(
                f"the local exchange did not start: {errors.strip() or line.strip() or 'no message'}"
            )
        yield LocalExchange(line.removeprefix(READY_PREFIX).strip())
    finally:
        stop(process)


def stop(process: "subprocess.Popen[str]") -> None:
    """Stop a process cleanly, or by force when it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
