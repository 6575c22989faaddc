"""Database users with least privilege: roles, grants, limits and quotas, as SQL for a ClickHouse server.

Belongs here: pure functions from contracts to the privileges that each role needs, and from those to statements. Does not belong
here: running them (`hl_assets.cli.access`), the tables (`ddl`), which tables the API reads (`hl_assets.api.reads`).

There are four roles in each database, and one user for each on the server:

- `migrator` makes and changes tables and views, and nothing outside the database;
- `writer` takes the ticks: it selects, inserts, and deletes what nobody can see (`publish`). It cannot create, alter or drop;
- `reader` is for people: it selects, within limits;
- `api` selects what the REST API serves, column by column where a table holds more, within tighter limits and a quota.

What ClickHouse asks for, with where it says so
- A view is read with the privileges of whoever reads it (`SQL SECURITY INVOKER`, the default of normal views), so a role has
  SELECT on the view and on everything below it. docs: sql-reference/statements/create/view, `default_normal_view_sql_security`.
  Definer's rights would hide the stored rows, which hold nothing that the views do not hold or held, at the price of a user that
  must never be dropped.
- Lightweight DELETE and APPLY DELETED MASK need ALTER DELETE. docs: sql-reference/statements/delete, "Delete permissions".
- `system.tables`, `columns` and `settings` are open to everybody and show a user what it may see; other system tables need SELECT
  (`always_accessible_tables` in ClickHouse's ContextAccess.cpp; docs: `select_from_system_db_requires_grant`).
- `readonly = 2` lets a query change settings but not `readonly`; 1 would refuse the `log_comment` and time limit that every statement
  carries. A limit of 0 is no limit, so each has a least value, too. docs: operations/settings/permissions-for-queries and
  constraints-on-settings.
- `sha256_hash` with a salt is the digest of password and salt, one after the other (`checkPasswordSHA256` in Authentication.cpp).
- GRANT ... WITH REPLACE OPTION replaces what the role was granted in one step, so statements may be repeated, and a role loses
  what a later version does not need. docs: sql-reference/statements/grant.

Every statement may be repeated. None drops anything.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl
from hl_assets.warehouse.schema_changes import object_names

HIDDEN = "<hidden>"
"""Stands for digest and salt of a password where a statement is shown."""

_NO_CONTRACTS = {ddl.PUBLICATIONS, ddl.MIGRATIONS}

Reads = Mapping[str, tuple[str, ...] | None]
"""Table -> the columns that are read of it; None = all of them."""

_MIGRATES = (
    "SELECT",
    "INSERT",
    "ALTER",
    "CREATE DATABASE",
    "CREATE TABLE",
    "CREATE VIEW",
    "DROP TABLE",
    "DROP VIEW",
    "TRUNCATE",
    "OPTIMIZE",
)
_QUERY_BYTES = 1_500_000_000
_USER_BYTES = 2_000_000_000
"""Half of what the server of docker-compose.yml has: readers never leave the writer without memory."""
_READER_SECONDS = 300
_READER_QUERIES = 8
_READER_QUERIES_PER_HOUR = 10_000
_API_SECONDS = 60
"""Every API_QUERY_TIMEOUT_SECONDS up to this may be set without running `hl-assets access` again."""
_API_RESULT_ROWS = 1_000_000
_API_ROWS_READ = 1_000_000_000
_API_QUERIES_PER_MINUTE = 30_000
_PROCESSES = 2
"""Processes of the API that may keep all their threads busy before the quota ends it."""


class Role(StrEnum):
    """Who uses the database."""

    MIGRATOR = "migrator"
    WRITER = "writer"
    READER = "reader"
    API = "api"


@dataclass(frozen=True)
class Grant:
    """Privileges on one object.

    Attributes:
        privileges: As SQL, e.g. `SELECT(a, b)`.
        target: The object as SQL: a table of a database, a database (`.*`) or everything (`*.*`).
    """

    privileges: str
    target: str

    @property
    def sql(self) -> str:
        """As an element of GRANT."""
        return f"{self.privileges} ON {self.target}"


@dataclass(frozen=True)
class Limit:
    """A setting that a role's queries begin with.

    Attributes:
        setting: ClickHouse's name of it.
        value: Its value.
        least: Smallest value that a query may ask for instead; None = a query may ask for no other value at all.
        most: Largest such value.
    """

    setting: str
    value: int
    least: int | None = None
    most: int | None = None

    @property
    def sql(self) -> str:
        """As an element of SETTINGS."""
        bounds = "CONST" if self.least is None else f"MIN {self.least} MAX {self.most}"
        return f"{self.setting} = {self.value} {bounds}"


@dataclass(frozen=True)
class Interval:
    """What a quota allows within an interval.

    Attributes:
        unit: minute or hour.
        most: Resource -> most of it.
    """

    unit: str
    most: Mapping[str, int]

    @property
    def sql(self) -> str:
        """As an element of a quota."""
        amounts = ", ".join(f"{name} = {amount}" for name, amount in self.most.items())
        return f"FOR INTERVAL 1 {self.unit} MAX {amounts}"


@dataclass(frozen=True)
class Access:
    """What a role may do.

    Attributes:
        role: The role.
        grants: Its privileges, all of them.
        limits: Settings of its queries; none = the server's.
        quota: What it may use up; counted for each user by itself. None = anything.
    """

    role: Role
    grants: tuple[Grant, ...]
    limits: tuple[Limit, ...] = ()
    quota: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class Statement:
    """A statement and how it may be shown."""

    sql: str
    shown: str


@dataclass(frozen=True)
class Identity:
    """How the server recognises a user's password.

    Attributes:
        digest: SHA-256 of password and salt, hexadecimal.
        salt: The salt.
    """

    digest: str
    salt: str

    def __repr__(self) -> str:
        return f"Identity({HIDDEN})"


@dataclass(frozen=True)
class Load:
    """How the API queries, from its settings.

    Attributes:
        threads: Queries that one process runs at once.
        query_seconds: Longest query.
    """

    threads: int
    query_seconds: float


def identity(password: str, salt: str) -> Identity:
    """What the server is told of a password; see the module's docstring."""
    return Identity(hashlib.sha256((password + salt).encode()).hexdigest(), salt)


def user_name(role: Role) -> str:
    """The server's user of a role, whatever the database."""
    return f"hl_assets_{role.value}"


def role_name(database: str, role: Role) -> str:
    """A role's name. It must not be a user's: GRANT would take it for the user."""
    return f"{database}_{role.value}_role"


def limits_name(database: str, role: Role) -> str:
    """Name of a role's settings profile and quota."""
    return f"{database}_{role.value}_limits"


def access_of_roles(
    contracts: Iterable[TableContract],
    database: str,
    served: Reads,
    load: Load,
    layout: ddl.Layout = ddl.ONE_SERVER,
) -> dict[Role, Access]:
    """What each role may do in a database.

    Args:
        contracts: Every table.
        database: Their database.
        served: What the API reads (`hl_assets.api.reads`).
        load: How it reads.
        layout: Where the tables are.
    """
    tables = list(contracts)
    everything = [Grant("SELECT", _table(database, name)) for name in object_names(tables, layout)]
    return {
        Role.MIGRATOR: Access(Role.MIGRATOR, _migrator_grants(database, layout)),
        Role.WRITER: Access(Role.WRITER, (*everything, *_writer_grants(tables, database, layout))),
        Role.READER: Access(Role.READER, tuple(everything), _reader_limits(), _reader_quota()),
        Role.API: Access(
            Role.API,
            tuple(_api_grants(tables, database, served, layout)),
            _api_limits(load),
            _api_quota(load),
        ),
    }


def _table(database: str, name: str) -> str:
    return f"{ddl.identifier(database)}.{ddl.identifier(name)}"


def _migrator_grants(database: str, layout: ddl.Layout) -> tuple[Grant, ...]:
    own = Grant(", ".join(_MIGRATES), f"{ddl.identifier(database)}.*")
    return (own, *_cluster_grants(layout))


def _cluster_grants(layout: ddl.Layout) -> tuple[Grant, ...]:
    """ON CLUSTER needs CLUSTER; Distributed tables and `cluster()` are sources of the kind REMOTE. Both are for everything or nothing."""
    return (Grant("CLUSTER, REMOTE", "*.*"),) if layout.cluster else ()


def _writer_grants(tables: Sequence[TableContract], database: str, layout: ddl.Layout) -> list[Grant]:
    # A shard may ask whether the user himself may insert into its own table (`secret` in remote_servers).
    stored = [ddl.PUBLICATIONS, *(name for one in tables for name in ddl.create_stored_tables(one, layout))]
    slices = [layout.held_table(contract) for contract in tables if contract.storage == "slices"]
    return [
        *(Grant("INSERT", _table(database, name)) for name in stored),
        *(Grant("ALTER DELETE", _table(database, name)) for name in slices),
        Grant("SELECT", "system.parts"),  # `Publisher.compact`
        *_cluster_grants(layout),
    ]


def _api_grants(
    tables: Sequence[TableContract], database: str, served: Reads, layout: ddl.Layout
) -> list[Grant]:
    grants = [Grant("SELECT", _table(database, ddl.PUBLICATIONS))]
    for contract in tables:
        if contract.name not in served:
            continue
        columns = served[contract.name]
        what = "SELECT" if columns is None else f"SELECT({', '.join(map(ddl.identifier, columns))})"
        names = [name for name in object_names([contract], layout) if name not in _NO_CONTRACTS]
        grants += [Grant(what, _table(database, name)) for name in names]
    return grants


def _bounded(setting: str, value: int) -> Limit:
    """A limit that a query may lower, but neither lift (0) nor raise."""
    return Limit(setting, value, 1, value)


def _reader_limits() -> tuple[Limit, ...]:
    return (
        Limit("readonly", 2),
        _bounded("max_memory_usage", _QUERY_BYTES),
        Limit("max_memory_usage_for_user", _USER_BYTES),
        _bounded("max_execution_time", _READER_SECONDS),
        Limit("max_concurrent_queries_for_user", _READER_QUERIES),
    )


def _reader_quota() -> tuple[Interval, ...]:
    return (Interval("hour", {"queries": _READER_QUERIES_PER_HOUR, "execution_time": 3_600}),)


def _api_limits(load: Load) -> tuple[Limit, ...]:
    seconds = math.ceil(load.query_seconds)
    return (
        Limit("readonly", 2),
        _bounded("max_memory_usage", _QUERY_BYTES),
        Limit("max_memory_usage_for_user", _USER_BYTES),
        Limit("max_execution_time", seconds, 1, max(_API_SECONDS, seconds)),
        _bounded("max_result_rows", _API_RESULT_ROWS),
        _bounded("max_rows_to_read", _API_ROWS_READ),
        Limit("max_concurrent_queries_for_user", 2 * _PROCESSES * load.threads),
    )


def _api_quota(load: Load) -> tuple[Interval, ...]:
    """A fuse, not a rate limit, which the API has for each client: it takes all threads of all processes, always busy."""
    busy = 60 * _PROCESSES * load.threads
    return (
        Interval("minute", {"queries": _API_QUERIES_PER_MINUTE, "execution_time": busy}),
        Interval("hour", {"execution_time": 30 * busy}),
    )


def access_statements(
    access: Iterable[Access],
    database: str,
    identities: Mapping[Role, Identity],
    *,
    cluster: str | None = None,
) -> list[Statement]:
    """The statements that make roles, limits and users, in order.

    Args:
        access: What each role may do.
        database: In which database.
        identities: Passwords of the users to make; a role without one gets no user of ours.
        cluster: Cluster on whose servers they are made; None = on the one that is asked.
    """
    on = f" ON CLUSTER {ddl.identifier(cluster)}" if cluster else ""
    statements = []
    for one in access:
        statements += [_plain(sql) for sql in _role_sql(one, database, on)]
        if one.role in identities:
            statements += _user_statements(one.role, database, identities[one.role], on)
    return statements


def _plain(sql: str) -> Statement:
    return Statement(sql, sql)


def _role_sql(access: Access, database: str, on: str) -> list[str]:
    role = ddl.identifier(role_name(database, access.role))
    limits = ddl.identifier(limits_name(database, access.role))
    grants = ", ".join(grant.sql for grant in access.grants)
    statements = [
        f"CREATE ROLE IF NOT EXISTS {role}{on}",
        f"GRANT{on} {grants} TO {role} WITH REPLACE OPTION",
    ]
    if access.limits:
        settings = ", ".join(limit.sql for limit in access.limits)
        statements += [
            f"CREATE SETTINGS PROFILE IF NOT EXISTS {limits}{on}",
            f"ALTER SETTINGS PROFILE {limits}{on} SETTINGS {settings} TO {role}",
        ]
    if access.quota:
        intervals = ", ".join(interval.sql for interval in access.quota)
        statements += [
            f"CREATE QUOTA IF NOT EXISTS {limits}{on}",
            f"ALTER QUOTA {limits}{on} KEYED BY user_name {intervals} TO {role}",
        ]
    return statements


def _user_statements(role: Role, database: str, who: Identity, on: str) -> list[Statement]:
    """The user with this password: made, or told the password if it is there."""
    user = ddl.identifier(user_name(role))

    def identified(digest: str, salt: str) -> str:
        return f"IDENTIFIED WITH sha256_hash BY {ddl.text_literal(digest)} SALT {ddl.text_literal(salt)}"

    secret, shown = identified(who.digest, who.salt), identified(HIDDEN, HIDDEN)
    return [
        *(
            Statement(f"{verb} {user}{on} {secret}", f"{verb} {user}{on} {shown}")
            for verb in ("CREATE USER IF NOT EXISTS", "ALTER USER")
        ),
        _plain(f"GRANT{on} {ddl.identifier(role_name(database, role))} TO {user}"),
    ]
