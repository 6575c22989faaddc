"""kill -9 of the run between any two steps, and of the embedded server: after a restart the slot is whole again."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.embedded.process import ensure_running, status, stop
from hl_assets.warehouse.publish import Publisher
from hl_assets_tests.pipeline.conftest import FirstTick, Platform

# Steps of publishing after which the run is killed, and the table whose publication it is.
KILLS = [
    pytest.param("_insert_rows", "leaderboard_rows", marks=pytest.mark.soak),
    pytest.param("_commit", "leaderboard_rows", marks=pytest.mark.soak),
    pytest.param("_insert_rows", "portfolio_points", marks=pytest.mark.soak),
    ("_commit", "portfolio_points"),
    pytest.param("_insert_rows", "wallet_metrics", marks=pytest.mark.soak),
    pytest.param("_commit", "wallet_metrics", marks=pytest.mark.soak),
    pytest.param("_commit", "ai_grades", marks=pytest.mark.soak),
    ("_insert_rows", "wallet_scores"),
]
VOLATILE = {"portfolio_fetches": ["elapsed_seconds"]}


def kill_after(step: str, table: str) -> None:
    """Have this process killed right after a step of publishing a table."""
    original: Callable[..., Any] = getattr(Publisher, step)

    def killing(self: Publisher, prepared: Any, *rest: Any) -> Any:
        result = original(self, prepared, *rest)
        if any(one.contract.name == table for one in prepared):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(Publisher, step, killing)


def killed_tick(platform: Platform, step: str, table: str) -> None:
    kill_after(step, table)
    platform.tick()


@pytest.mark.parametrize(("step", "table"), KILLS, ids=lambda value: value.strip("_"))
def test_a_killed_run_leaves_whole_slices_and_the_next_run_completes(
    first_tick: FirstTick, platform: Platform, step: str, table: str
) -> None:
    child = multiprocessing.get_context("fork").Process(target=killed_tick, args=(platform, step, table))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    halfway = platform.read_published()
    assert platform.tick().success
    healed = platform.read()
    for name, frame in halfway.items():
        assert len(frame) in {0, len(healed[name])}, f"{name} was half published"
    for name, frame in first_tick.tables.items():
        ignored = VOLATILE.get(name, [])
        assert healed[name].drop(columns=ignored).equals(frame.drop(columns=ignored)), name


def test_the_embedded_server_killed_during_a_tick_comes_back(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "clickhouse"
    ensure_running(home)
    platform.warehouse = WarehouseConfig(home=home, database="killed")
    original = Publisher._insert_rows
    kills: list[int] = []

    def kill_server_first(self: Publisher, prepared: Any, *rest: Any) -> Any:
        if not kills and any(one.contract.name == "portfolio_points" for one in prepared):
            running = status(home)
            assert running is not None
            kills.append(running.pid)
            os.kill(running.pid, signal.SIGKILL)
        return original(self, prepared, *rest)

    monkeypatch.setattr(Publisher, "_insert_rows", kill_server_first)
    try:
        result = platform.tick()
        assert kills
        assert result.success
        tables = platform.read()
        assert len(tables["wallet_scores"]) == len(tables["portfolio_fetches"]) == 12
    finally:
        stop(home)
