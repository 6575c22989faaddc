"""Dagster's SQLite storage with connections that are kept."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, asset, materialize

from hl_assets.sqlite_storage import EventLogStorage, KeptEngines, RunStorage
from hl_assets_tests.conftest import REPOSITORY


@asset
def number() -> int:
    return 7


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    with DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def test_the_platform_uses_it_and_dagster_reads_what_it_wrote(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    assert isinstance(instance.event_log_storage, EventLogStorage)
    assert isinstance(instance.run_storage, RunStorage)
    run = materialize([number], instance=instance)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "dagster.yaml").write_text(f"storage:\n  sqlite:\n    base_dir: {tmp_path}\n")
    with DagsterInstance.from_config(str(tmp_path / "plain")) as dagsters_own:
        assert dagsters_own.get_run_by_id(run.run_id) is not None
        written = instance.all_logs(run.run_id)
        assert [entry.message for entry in dagsters_own.all_logs(run.run_id)] == [
            entry.message for entry in written
        ]
        assert len(written) > 5


def test_other_threads_read_while_a_run_writes(instance: DagsterInstance) -> None:
    first = materialize([number], instance=instance).run_id
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(len(instance.all_logs(first)))
            instance.get_runs()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    runs = {first, *(materialize([number], instance=instance).run_id for _ in range(3))}
    done.set()
    for thread in threads:
        thread.join(timeout=30)
    assert len(seen) > 4
    assert len(set(seen)) == 1
    assert {run.run_id for run in instance.get_runs()} == runs


def test_only_so_many_files_stay_open(tmp_path: Path) -> None:
    engines = KeptEngines(kept=2)
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a", "b", "c")]
    first = engines.engine(urls[0])
    assert engines.engine(urls[0]) is first
    engines.engine(urls[1])
    engines.engine(urls[2])
    again = engines.engine(urls[0])
    assert again is not first, "the one that was not used longest was let go"


def test_disposing_folds_the_logs_into_the_files(instance: DagsterInstance, tmp_path: Path) -> None:
    run = materialize([number], instance=instance).run_id
    instance.dispose()
    assert not list((tmp_path / "history").rglob("*-wal"))
    with sqlite3.connect(tmp_path / "history" / "runs" / f"{run}.db") as file:
        assert file.execute("SELECT count(*) FROM event_logs").fetchone()[0] > 5
