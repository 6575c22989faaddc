"""Dagster's SQLite storage, with connections that are kept.

Belongs here: how Dagster's SQLite files are opened. Does not belong here: which storage is used (`instance`), what is kept in it
(`maintenance.dagster_runs`).

Dagster makes a SQLAlchemy engine for each statement it runs on SQLite: the statement is compiled again, and closing the only
connection has SQLite fold its log into the file. A tick makes about 550 of them. Kept, a run of a day takes a quarter to a
third less time (`python -m benchmarks tick`). Files, tables and what is written to them are Dagster's own: it can be
pointed at them without this module.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

_BUSY_SECONDS = 60
_KEPT_FILES = 4
"""Each run's events are in a file of their own; a daemon looks into many. Few, because a process that is killed leaves SQLite's
log of each behind, 4 MB that only the next use of that file folds in."""


class KeptEngines:
    """Engines by file, the most recently used ones; safe to share between threads.

    An engine that is let go while a connection of it is in use closes that connection when it comes back.
    """

    def __init__(self, kept: int = _KEPT_FILES) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._engines: OrderedDict[str, Engine] = OrderedDict()

    def engine(self, url: str) -> Engine:
        """The engine of a SQLite file, by SQLAlchemy's URL."""
        with self._lock:
            found = self._engines.pop(url, None) or _open(url)
            self._engines[url] = found
            gone = self._engines.popitem(last=False)[1] if len(self._engines) > self._kept else None
        if gone is not None:
            gone.dispose()
        return found

    def close(self) -> None:
        """Close all of them; the next use opens again."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), OrderedDict()
        for engine in engines:
            engine.dispose()


def _open(url: str) -> Engine:
    # A connection is used by one thread at a time, but not always by the same one.
    arguments = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
    return create_engine(url, poolclass=QueuePool, max_overflow=-1, connect_args=arguments)


class RunStorage(SqliteRunStorage):
    """Dagster's runs in SQLite."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = KeptEngines()
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction of its own."""
        with self._engines.engine(self._conn_string).connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        self._engines.close()


class EventLogStorage(SqliteEventLogStorage):
    """Dagster's events in SQLite: a file per run, and an index."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = KeptEngines()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:  # as Dagster does: one connection at a time
            engine = self._engines.engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        self._engines.close()


class SqliteStorage(DagsterSqliteStorage):
    """Dagster's `DagsterSqliteStorage` with the two storages above."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Not the parent's, which would open Dagster's own storages first.
        DagsterStorage.__init__(self)  # type: ignore[no-untyped-call, arg-type]
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = RunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = EventLogStorage(_event_logs_directory(base_dir))
        self._schedule_storage = SqliteScheduleStorage.from_local(_schedule_directory(base_dir))

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Configuration: Dagster's, `base_dir`."""
        return DagsterSqliteStorage.config_type()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SqliteStorage":
        """Open the storage."""
        return cls.from_local(inst_data=inst_data, **config_value)
