"""One `dagster.yaml` for SQLite and PostgreSQL."""

import json
import shutil
import uuid
from pathlib import Path

import pytest
from dagster import DagsterInstance, asset, materialize
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster_shared.serdes import serialize_value

from hl_assets.instance import PlatformInstance, StorageError, with_driver
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment.postgres import PASSWORD, Postgres


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home with the repository's `dagster.yaml`, and nothing set."""
    for name in ("DAGSTER_POSTGRES_URL", "DAGSTER_POSTGRES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path)
    return tmp_path


@asset
def number() -> int:
    return 7


def materializations(instance: DagsterInstance) -> int:
    return len(instance.fetch_materializations(number.key, limit=10).records)


def test_without_a_url_the_runs_are_in_sqlite_beside_the_file(home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance, PlatformInstance)
        assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
        assert materialize([number], instance=instance).success
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1, (
            "the file's other entries count"
        )
    assert (home / "history" / "runs.db").exists()


def test_with_a_url_they_are_in_postgresql(
    home: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"d{uuid.uuid4().hex[:8]}"
    (home / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres.create_database(database))
    monkeypatch.setenv("DAGSTER_POSTGRES_PASSWORD_FILE", str(home / "password"))
    with DagsterInstance.from_config(str(home)) as instance:
        assert materialize([number], instance=instance).success
        described = serialize_value(instance.get_ref())
    assert int(postgres.query("SELECT count(*) FROM runs WHERE status = 'SUCCESS'", database)) == 1
    assert not (home / "history").exists(), "nothing beside it"

    # What Dagster hands to the processes it starts leads to the same storage and holds no secret.
    assert PASSWORD not in described
    assert "s3same" not in described
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(home))) as again:
        assert materializations(again) == 1


def test_an_explicit_storage_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with (home / "dagster.yaml").open("a") as file:
        file.write(f"\nstorage:\n  sqlite:\n    base_dir: {json.dumps(str(home / 'own'))}\n")
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
    assert (home / "own" / "history" / "runs.db").exists()


def test_a_process_without_the_url_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    described = InstanceRef.from_dir(str(home))
    monkeypatch.delenv("DAGSTER_POSTGRES_URL")
    with pytest.raises(StorageError, match="DAGSTER_POSTGRES_URL is not set in this process"):
        DagsterInstance.from_ref(described)


def test_the_driver_is_named() -> None:
    assert with_driver("postgresql://d:x@db:5432/dagster?sslmode=require") == (
        "postgresql+psycopg2://d:x@db:5432/dagster?sslmode=require"
    )
