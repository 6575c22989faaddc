"""Ticks on request: accepted with the id of a run that exists, one at a time, refused while one is unfinished."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from hl_assets.api.ticks import TickNotStartedError, TickRunningError
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.cli.tick import ProcessTickLauncher, run_tick, unfinished_tick
from hl_assets.jobs import MAX_RUNTIME_SECONDS
from hl_assets.settings import Settings
from hl_assets_tests.conftest import REPOSITORY


@dg.job(name="tick")
def tick_like() -> None:
    """A job of the tick's name that does nothing."""


def test_only_a_young_unfinished_tick_is_in_the_way() -> None:
    with DagsterInstance.ephemeral() as instance:

        def ends(run: dg.DagsterRun) -> bool:
            return unfinished_tick(instance, lambda: datetime.now(UTC)) == run.run_id

        done = instance.create_run_for_job(tick_like, status=DagsterRunStatus.SUCCESS)
        assert not ends(done)
        running = instance.create_run_for_job(tick_like, status=DagsterRunStatus.STARTED)
        assert ends(running)
        later = datetime.now(UTC) + timedelta(seconds=MAX_RUNTIME_SECONDS + 1)
        assert unfinished_tick(instance, lambda: later) is None, "dead: no tick takes that long"


def test_a_tick_is_refused_while_one_is_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values: dict[str, object] = {"home": tmp_path, "info_url": "http://127.0.0.1:1"}
    home = prepare_dagster_home(Settings.load(**values))
    with DagsterInstance.from_config(str(home)) as instance:
        running = instance.create_run_for_job(tick_like, status=DagsterRunStatus.STARTED)
    verdict = tmp_path / "verdict.json"
    with pytest.raises(CommandError, match=running.run_id):
        run_tick(values, verdict)
    assert json.loads(verdict.read_text()) == {"running": running.run_id}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings for a process of this checkout and nothing of the developer's."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name in {"DAGSTER_HOME", "CLICKHOUSE_URL"} or name.startswith(("HL_ASSETS", "SANDBOX", "API_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("HYPERLIQUID_INFO_URL", "http://127.0.0.1:1")  # nobody there: the run fails soon
    monkeypatch.setenv("HYPERLIQUID_STATS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HYPERLIQUID_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("EMBEDDED_IDLE_SECONDS", "2")
    return tmp_path


@pytest.mark.slow
def test_a_launched_tick_is_a_run_and_keeps_others_out(home: Path) -> None:
    settings = Settings.load()
    launcher = ProcessTickLauncher(settings, [])
    started = launcher.start()
    with pytest.raises(TickRunningError) as refused:
        launcher.start()
    assert refused.value.run_id == started.run_id
    with DagsterInstance.from_config(str(prepare_dagster_home(settings))) as instance:
        deadline = time.monotonic() + 60
        while (run := instance.get_run_by_id(started.run_id)) is None or not run.is_finished:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert run.tags["hl_assets/slot"] == started.slot
    launcher.close()


@pytest.mark.slow
def test_a_tick_whose_process_dies_at_once_was_not_started(home: Path) -> None:
    launcher = ProcessTickLauncher(Settings.load(), ["--no-such-option"])
    with pytest.raises(TickNotStartedError, match="logs say why"):
        launcher.start()
    assert "no-such-option" in (home / ".hl_assets" / "logs" / "ticks.log").read_text()
