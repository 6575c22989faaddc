"""Dagster's instance: where runs, events and schedules are kept.

Belongs here: choosing between SQLite and PostgreSQL, so that one `dagster.yaml` serves both. Does not belong here: what
Dagster runs; the other settings of the instance (`dagster.yaml`).

Dagster's own `storage:` entry names one kind of storage, and `env:` in it must be set. So `dagster.yaml` names
`PlatformInstance` instead, which tells Dagster its defaults: with DAGSTER_POSTGRES_URL set, PostgreSQL; else SQLite in
the folder of the `dagster.yaml`, where Dagster itself would have it (`sqlite_storage`). An explicit `storage:` entry still wins.

Dagster hands a description of its instance to every process it starts, in Kubernetes as an argument of a pod. So the
description names `PostgresStorage`, without the URL: each process reads the URL from its own settings.
"""

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._config.config_schema import UserConfigSchema
from dagster._core.instance.ref import InstanceRef, configurable_storage_data
from dagster._core.storage.base_storage import DagsterStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from hl_assets.settings import Settings
from hl_assets.sqlite_storage import SqliteStorage


class StorageError(Exception):
    """Dagster's storage cannot be used; the message says what to do."""


class PlatformInstance(DagsterInstance):
    """Dagster's instance with a default storage that is chosen by DAGSTER_POSTGRES_URL."""

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Entries of `dagster.yaml` beyond Dagster's own: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """What is used where `dagster.yaml` has no entry; called by Dagster while it reads that file.

        Args:
            base_dir: The folder of the `dagster.yaml`.
        """
        defaults = dict(InstanceRef.config_defaults(base_dir))
        in_postgres = Settings().dagster_postgres_address is not None
        ours: dict[str, Any] = (
            _storage(PostgresStorage, {}) if in_postgres else _storage(SqliteStorage, {"base_dir": base_dir})
        )
        keys = ("storage", "run_storage", "event_log_storage", "schedule_storage")
        return defaults | dict(zip(keys, configurable_storage_data({"custom": ours}, {}), strict=True))


def _storage(kind: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """A storage as `dagster.yaml` would name it."""
    return {"module": kind.__module__, "class": kind.__name__, "config": config}


class PostgresStorage(DagsterStorage, ConfigurableClass):
    """The way from Dagster's description of a storage to dagster-postgres, with the URL of the settings."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Configuration in the description: none."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster takes any storage
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage[Any]:
        """Open the storage.

        Raises:
            StorageError: DAGSTER_POSTGRES_URL is unset here, or dagster-postgres is not installed.
        """
        del config_value
        url = Settings().dagster_postgres_address
        if url is None:
            raise StorageError(
                "this instance keeps its runs in PostgreSQL, but DAGSTER_POSTGRES_URL is not set in this process; set it as "
                "for the process that started it"
            )
        try:
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise StorageError(
                "DAGSTER_POSTGRES_URL is set, but dagster-postgres is not installed; run `pip install 'hl_assets[postgres]'`"
            ) from error
        storage: DagsterStorage[Any] = DagsterPostgresStorage(with_driver(url), inst_data=inst_data)
        return storage


def with_driver(url: str) -> str:
    """A PostgreSQL URL that names the driver which dagster-postgres installs.

    SQLAlchemy 2.1 takes `postgresql://` for psycopg 3; dagster-postgres brings psycopg2 (dagster #33958).
    """
    return f"postgresql+psycopg2://{url.partition('://')[2]}"
