"""The connection to ClickHouse: one client for a process, safe to use from many threads.

Belongs here: opening the client, running statements with comment and retry, creating tables, reading frames. Does not
belong here: SQL of the tables (`ddl`) and of reading them (`selecting`), migrations (`upgrade`), publishing (`publish`), the
manifest (`manifest`), starting the embedded server (`embedded.process`).

Every call carries a `log_comment` (JSON) with what its `Warehouse` was told about run and asset, so that
`system.query_log` joins to Dagster's runs. Values are bound as parameters; names come from contracts and constants.
Retries happen here, only for failures that heal by themselves, and never for inserts: a repeated insert would store
its rows twice (`publish` repeats them under a new version instead).
"""

import copy
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import clickhouse_connect
import pandas as pd
import tenacity
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.poolmanager import PoolManager

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.config import DEFAULT_DATABASE, Endpoint, WarehouseConfig, parse_clickhouse_url
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets.warehouse.errors import (
    SchemaMismatchError,
    WarehouseError,
    WarehouseQueryError,
    WarehouseUnavailableError,
    is_transient,
)
from hl_assets.warehouse.frames import as_contract, bindable, tidy, without_rows
from hl_assets.warehouse.selecting import select_rows

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_UNKNOWN_DATABASE = 81
_UNKNOWN_TABLE = 60
_NOT_ALLOWED = 497
_POOL_SIZE = 32
_PORTION = 2_000
_CREATION_LOCK = threading.Lock()
_CLUSTER_SETTINGS = {
    # An insert is answered when every shard has its rows, not when they are queued to be sent.
    "distributed_foreground_insert": 1,
    # A slice is published after its rows: whoever sees the manifest's line must see the rows, on whichever replica. So inserts wait
    # for most replicas, and a replica that lacks one of them refuses to answer instead of answering without it.
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    "select_sequential_consistency": 1,
    # Subqueries over tables of wallets are asked once, of all shards.
    "distributed_product_mode": "global",
}
"""https://clickhouse.com/docs/operations/settings/settings names each of them."""


class _Link:
    """The client, opened when first needed and opened again when an embedded server has come back elsewhere."""

    def __init__(self, config: WarehouseConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._pool = get_pool_manager(maxsize=_POOL_SIZE) if config.url is None else None
        self.endpoint = parse_clickhouse_url(config.url) if config.url is not None else None

    @property
    def embedded(self) -> bool:
        return self.config.url is None

    def client(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def renew(self, failed: Client) -> None:
        """Forget a client that lost an embedded server; the next call starts or finds the server again."""
        with self._lock:
            if self._client is failed:
                self._client = None

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._pool is not None:
                self._pool.clear()

    def _open(self) -> Client:
        config = self.config
        if self.embedded and config.home is not None:
            url = ensure_running(config.home, idle_stop_seconds=config.idle_stop_seconds)
            self.endpoint = parse_clickhouse_url(url)
        if self.endpoint is None:
            raise WarehouseError("the warehouse has no address")  # config guarantees url or home
        return _open_client(self.endpoint, config, self._pool)


def _open_client(endpoint: Endpoint, config: WarehouseConfig, pool: PoolManager | None) -> Client:
    """Open the client; with a pool of its own it ignores proxies of the environment (loopback must not use one)."""
    compress = pool is None if config.compress is None else config.compress
    try:
        client: Client = clickhouse_connect.get_client(
            interface="https" if endpoint.secure else "http",
            host=endpoint.host,
            port=endpoint.port,
            username=endpoint.username,
            password=endpoint.password,
            compress="lz4" if compress else False,
            connect_timeout=int(config.connect_timeout_seconds) or 1,
            send_receive_timeout=int(config.query_timeout_seconds) or 1,
            verify=endpoint.verify,
            ca_cert=endpoint.ca_cert,
            server_host_name=endpoint.server_host_name,
            autogenerate_session_id=False,  # sessions forbid concurrent queries
            tz_mode="aware",
            show_clickhouse_errors="scrub",
            pool_mgr=pool,
        )
    except ClickHouseError as error:
        raise _typed(error, endpoint) from error
    return client


def _typed(error: Exception, endpoint: Endpoint | None) -> WarehouseError:
    """clickhouse-connect's error as ours."""
    code = getattr(error, "code", None)
    name = getattr(error, "name", None)
    text = str(error)
    if code is None and isinstance(error, OperationalError):
        hint = f"; {endpoint.hint}" if endpoint else ""
        return WarehouseUnavailableError(
            f"no answer from ClickHouse at {endpoint}: {text}{hint}", unreachable=True
        )
    if is_transient(code, text):
        return WarehouseUnavailableError(f"ClickHouse at {endpoint} is overloaded or restarting: {text}")
    advice = {
        _UNKNOWN_DATABASE: "; nothing has been published there yet (`ensure_tables` creates the database)",
        _NOT_ALLOWED: "; run `hl-assets migrate` and `hl-assets access` as a user who may make tables and users",
        _UNKNOWN_TABLE: "; if it is one of this project's tables, `ensure_tables` creates it",
    }.get(code or 0, "")
    return WarehouseQueryError(f"{text}{advice}", code=code, name=name)


class Warehouse:
    """ClickHouse as this project uses it. Safe to share between threads.

    Args:
        config: Where the server is. Nothing is contacted before the first statement.
        comment: What every statement's `log_comment` says; run id and asset, usually.

    Raises:
        ClickHouseUrlError: The configured URL cannot be used.
    """

    def __init__(self, config: WarehouseConfig, *, comment: Mapping[str, str] | None = None) -> None:
        self._link = _Link(config)
        self._comment = dict(comment or {})
        self._config = config
        endpoint = self._link.endpoint
        self.database = config.database or (endpoint.database if endpoint else None) or DEFAULT_DATABASE
        ddl.identifier(self.database)
        self.layout = ddl.Layout(config.cluster, self.database) if config.cluster else ddl.ONE_SERVER

    def __repr__(self) -> str:
        where = self._link.endpoint or f"embedded in {self._config.home}"
        return f"Warehouse({where}, database={self.database!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; an embedded server keeps running."""
        self._link.close()

    def with_comment(self, **comment: str) -> "Warehouse":
        """The same connection with more said in `log_comment`, such as `run_id=...`, `asset=...`."""
        other = copy.copy(self)
        other._comment = {**self._comment, **comment}  # noqa: SLF001 - our own copy
        return other

    @property
    def endpoint(self) -> Endpoint:
        """The server's address (an embedded server is started if necessary)."""
        self._link.client()
        if self._link.endpoint is None:
            raise WarehouseError("the warehouse has no address")
        return self._link.endpoint

    @property
    def server_version(self) -> str:
        """ClickHouse's version."""
        return str(self._link.client().server_version)

    # Reading

    def read_frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Run a query.

        Args:
            sql: One statement that returns rows, with placeholders `{name:Type}`. Write `{t:DateTime('UTC')}` for
                instants.
            parameters: Values of the placeholders; datetimes must be timezone-aware.

        Returns:
            Instants timezone-aware, text as `object` with None, unknown floats as NaN, nullable integers as pandas'
            nullable integers. A query without rows still returns its columns with these types.

        Raises:
            WarehouseQueryError: ClickHouse refused the statement.
            WarehouseUnavailableError: No answer, also after retries.
            WarehouseError: A naive datetime among the parameters.
        """
        bound = bindable(parameters)
        frame = self._query_df(sql, bound)
        if len(frame.columns):
            return tidy(frame)
        header = self._repeatedly(
            lambda client: client.raw_query(
                sql, parameters=bound, settings=self._settings(client), fmt="TabSeparatedWithNamesAndTypes"
            )
        )
        return without_rows(header.decode())

    def read_frame_of(
        self, sql: str, name: str, values: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Run a query about many things, such as wallets, in as many portions as ClickHouse's limits ask for.

        ClickHouse refuses a query parameter of more than 128 kB. Each portion is a query of its own, so the statement may group
        and order within the values, not over all of them.

        Args:
            sql: As for `read_frame`, with a placeholder `{name:Array(String)}`.
            name: That placeholder's name.
            values: What it is to hold, in the order in which rows are wanted.
            parameters: The other placeholders' values.

        Returns:
            The rows of all portions, as `read_frame` returns them. Raises as it does.
        """
        portions = [values[first : first + _PORTION] for first in range(0, len(values), _PORTION)] or [values]
        frames = [self.read_frame(sql, {**(parameters or {}), name: list(portion)}) for portion in portions]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def read_rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query that returns few rows; values as Python objects, datetimes timezone-aware."""
        bound = bindable(parameters)
        result = self._repeatedly(
            lambda client: client.query(sql, parameters=bound, settings=self._settings(client))
        )
        return [tuple(row) for row in result.result_rows]

    def read_bytes(self, sql: str, parameters: Mapping[str, Any] | None = None, *, output: str) -> bytes:
        """Run a query and hand over ClickHouse's own encoding of the answer, held in memory: ask for bounded ones.

        Args:
            sql: One statement that returns rows, without a FORMAT clause.
            parameters: Values of the placeholders; datetimes must be timezone-aware.
            output: ClickHouse's name of the format, e.g. `ArrowStream`.

        Raises:
            WarehouseError: See `read_frame`.
        """
        bound = bindable(parameters)
        return self._repeatedly(
            lambda client: client.raw_query(sql, bound, settings=self._settings(client), fmt=output)
        )

    def read_table(
        self,
        contract: TableContract,
        *,
        as_of: datetime | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        where: Mapping[str, Any] | None = None,
        columns: Sequence[str] | None = None,
        order_by: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Read published rows of a table, with the contract's dtypes.

        Args:
            contract: The table.
            as_of: Only this slot.
            start: Only slots at or after this one.
            end: Only slots before this one.
            where: Column -> the value it must have, or a list of values.
            columns: Columns wanted; None = all.
            order_by: Columns to sort by; a leading `-` sorts downwards. None = the contract's sorting key.
            limit: At most so many rows.

        Raises:
            ValueError: A column the contract does not have.
            WarehouseError: See `read_frame`.
        """
        sql, parameters = select_rows(
            contract,
            as_of=as_of,
            start=start,
            end=end,
            where=where,
            columns=columns,
            order_by=order_by,
            limit=limit,
        )
        frame = self._query_df(sql, bindable(parameters))
        return as_contract(contract, tidy(frame), columns or contract.column_names)

    # Writing

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing and may be repeated without harm (DDL, DELETE).

        Raises:
            WarehouseQueryError: ClickHouse refused it.
            WarehouseUnavailableError: No answer, also after retries.
        """
        bound = bindable(parameters)
        self._repeatedly(
            lambda client: client.command(sql, parameters=bound, settings=self._settings(client))
        )

    def insert_once(self, table: str, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
        """Insert rows, without retry; for `publish`, which knows how to repeat it.

        Args:
            table: Table name from a contract or constant.
            frame: Rows; its columns are `types`' keys.
            types: Column -> ClickHouse type.

        Raises:
            WarehouseUnavailableError: No answer; the rows may or may not be stored.
            WarehouseQueryError: ClickHouse refused them.
        """
        client = self._link.client()
        try:
            client.insert_df(
                ddl.identifier(table),
                frame,
                column_names=list(types),
                column_type_names=list(types.values()),
                settings=self._settings(client),
            )
        except (ClickHouseError, OSError) as error:
            raise self._failed(client, error) from error

    def ensure_tables(self, contracts: Iterable[TableContract]) -> None:
        """Create the database, the manifest and each contract's tables and views, as far as they are missing.

        Costs two small queries when there is nothing to do. Views, comments and codecs follow their contract by
        themselves; a stored table whose columns or keys differ is never changed here (`upgrade`).

        Raises:
            SchemaMismatchError: A stored table has other columns or keys than its contract; lists the differences.
        """
        wanted = list(contracts)
        with _CREATION_LOCK:
            stored = self.stored_objects(schema_changes.object_names(wanted, self.layout))
            changes = schema_changes.plan_changes(wanted, stored, self.layout)
            if changes.differences:
                raise SchemaMismatchError(
                    _mismatch_message(self.database, changes.differences), changes.differences
                )
            if not stored and changes.statements:
                self._command_anywhere(ddl.create_database(self.database, self.layout))
            for statement in changes.statements:
                self.command(statement)

    def drop_database(self) -> None:
        """Drop the whole database. For tests and for starting over; nothing asks again."""
        name = ddl.identifier(self.database)
        self._command_anywhere(f"DROP DATABASE IF EXISTS {name}{self.layout.on_cluster} SYNC")

    # How statements are run

    def _query_df(self, sql: str, bound: dict[str, Any]) -> pd.DataFrame:
        return self._repeatedly(
            lambda client: client.query_df(
                sql, parameters=bound, settings=self._settings(client), use_extended_dtypes=True
            )
        )

    def _settings(self, client: Client, *, database: bool = True) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "async_insert": 0,
            "log_comment": json.dumps(self._comment, sort_keys=True),
            "max_execution_time": self._config.query_timeout_seconds,
        }
        # An insert equal to an earlier, deleted one must not be taken for its repetition (ClickHouse#61565).
        if "deduplicate_insert" in client.server_settings:
            settings["deduplicate_insert"] = "disable"
        if self.layout.cluster is not None:
            settings |= _CLUSTER_SETTINGS
        return settings | {"database": self.database} if database else settings

    def _repeatedly(self, call: Callable[[Client], _T]) -> _T:
        """Run a repeatable call, again if it failed in a way that heals."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._config.attempts),
            wait=tenacity.wait_exponential(multiplier=0.1, max=5) + tenacity.wait_random(0, 0.1),
            retry=tenacity.retry_if_exception_type(WarehouseUnavailableError),
            before_sleep=tenacity.before_sleep_log(logger, logging.WARNING),
            reraise=True,
        )
        result: _T = retrying(self._once, call)
        return result

    def _once(self, call: Callable[[Client], _T]) -> _T:
        client = self._link.client()
        try:
            return call(client)
        except (ClickHouseError, OSError) as error:
            raise self._failed(client, error) from error

    def _failed(self, client: Client, error: Exception) -> WarehouseError:
        typed = _typed(error, self._link.endpoint)
        if self._link.embedded and isinstance(typed, WarehouseUnavailableError) and typed.unreachable:
            self._link.renew(client)
        return typed

    def _command_anywhere(self, sql: str) -> None:
        """A statement outside the database, which may not exist yet."""
        self._repeatedly(lambda client: client.command(sql, settings=self._settings(client, database=False)))

    def stored_objects(self, names: Sequence[str]) -> dict[str, schema_changes.StoredTable]:
        """What `system.tables` and `system.columns` say of the named objects; works without the database too."""
        bound = {"database": self.database, "names": list(names)}
        tables_sql = (
            "SELECT name, engine, comment, sorting_key, partition_key FROM system.tables "
            "WHERE database = {database:String} AND name IN {names:Array(String)}"
        )
        columns_sql = (
            "SELECT table, name, type, comment, compression_codec FROM system.columns "
            "WHERE database = {database:String} AND table IN {names:Array(String)} ORDER BY table, position"
        )

        def rows(sql: str) -> Sequence[Sequence[Any]]:
            return self._repeatedly(
                lambda client: client.query(sql, bound, settings=self._settings(client, database=False))
            ).result_rows

        tables = rows(tables_sql)
        if not tables:
            return {}
        columns: dict[str, dict[str, tuple[str, str]]] = {}
        codecs: dict[str, dict[str, str]] = {}
        for table, name, kind, comment, codec in rows(columns_sql):
            columns.setdefault(table, {})[name] = (kind, comment)
            codecs.setdefault(table, {})[name] = codec
        return {
            name: schema_changes.StoredTable(
                engine, comment, sorting_key, partition_key, columns.get(name, {}), codecs.get(name, {})
            )
            for name, engine, comment, sorting_key, partition_key in tables
        }


def _mismatch_message(database: str, differences: Sequence[str]) -> str:
    lines = "\n  ".join(differences)
    return (
        f"stored tables in database {database!r} do not fit this version's contracts:\n  {lines}\n"
        "If they were made by an older version, run `hl-assets migrate`. What it names as well, alter by hand, or use another "
        "database (or another folder for the embedded ClickHouse) and publish again."
    )
