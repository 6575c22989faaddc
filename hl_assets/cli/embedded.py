"""`hl-assets warehouse`: the embedded ClickHouse by hand.

Belongs here: what the three commands say. Does not belong here: the server (`hl_assets.warehouse.embedded`).
"""

import sys
from pathlib import Path

from hl_assets.cli.errors import CommandError
from hl_assets.settings import Settings
from hl_assets.warehouse.embedded import process


def start() -> None:
    """Start it and say where it is."""
    settings = Settings()
    url = process.ensure_running(_folder(settings), idle_stop_seconds=settings.embedded_idle_seconds)
    _say(
        f"embedded ClickHouse at {url} (HTTP interface; user default, no password); data in {_folder(settings)}"
    )


def stop() -> None:
    """Stop it."""
    folder = _folder(Settings())
    _say("stopped" if process.stop(folder) else f"no embedded ClickHouse runs on {folder}")


def status() -> None:
    """Say whether it runs."""
    folder = _folder(Settings())
    state = process.status(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    place = f"{folder} ({size / 1e6:,.1f} MB)"
    _say(
        f"not running; data in {place}"
        if state is None
        else f"running, pid {state.pid}, {state.url}; data in {place}"
    )


def _folder(settings: Settings) -> Path:
    if settings.clickhouse_url is not None:
        raise CommandError(
            "CLICKHOUSE_URL names a server, so the embedded ClickHouse is not used; unset it first"
        )
    return settings.home.resolve() / "clickhouse"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
