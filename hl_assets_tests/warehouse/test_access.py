"""Roles on the real engine: its parser takes every statement, and it enforces what each role may do."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hl_assets.api.queries import read_calls
from hl_assets.api.reads import SERVED
from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.warehouse import ddl
from hl_assets.warehouse.access import (
    HIDDEN,
    Interval,
    Load,
    Role,
    access_of_roles,
    access_statements,
    identity,
    limits_name,
    role_name,
    user_name,
)
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseQueryError
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.schema_changes import object_names
from hl_assets.warehouse.slices import Provenance
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.warehouse.restricted_server import serving_as

DATABASE = "hl_assets_sandbox"
LOAD = Load(threads=8, query_seconds=20.5)
ROLES = access_of_roles(TABLES, DATABASE, SERVED, LOAD)
IDENTITIES = {role: identity(f"password of {role}", "salt") for role in Role}
SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
OPEN_TO_ALL = {"one", "tables", "columns", "databases", "settings", "functions", "formats"}
"""Some of `always_accessible_tables` in ClickHouse's ContextAccess.cpp."""
DENIED, CONSTRAINED, READONLY, OVER_QUOTA, ABSENT = 497, 452, 164, 201, {192, 511, 514, 180, 199}
"""ClickHouse's codes. ABSENT: no such user, role, profile or quota, and no place to store one, which chDB has not."""


def test_the_servers_parser_takes_every_statement(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    for cluster in (None, "all_servers"):
        statements = access_statements(ROLES.values(), DATABASE, IDENTITIES, cluster=cluster)
        for statement in statements:
            [(parsed,)] = warehouse.read_rows(
                "SELECT formatQuerySingleLine({sql:String})", {"sql": statement.sql}
            )
            assert ("ON CLUSTER" in parsed) == (cluster is not None)
            assert parsed.split()[0] == statement.sql.split()[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tables, made by the migrator: it needs no more than its role has."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("migrator")
    with serving_as(ROLES[Role.MIGRATOR], home, folder) as url, opened(url) as store:
        store.ensure_tables(TABLES)
        store.command("ALTER TABLE publications COMMENT COLUMN run_id 'something else'")
        store.command(f"CREATE OR REPLACE VIEW {GRADE_CALLS.name} AS SELECT 1 AS a COMMENT 'an earlier one'")
        store.ensure_tables(TABLES)
        store.command(f"DROP VIEW {GRADE_CALLS.name}")
        store.ensure_tables(TABLES)
        denied(store, "CREATE DATABASE another")
        denied(store, "DROP DATABASE hl_assets_sandbox")
        denied(store, "CREATE USER mine IDENTIFIED BY 'x'")
    return home


def opened(url: str, **options: float) -> Warehouse:
    return Warehouse(WarehouseConfig(url=url, database=DATABASE, attempts=1, **options))  # type: ignore[arg-type]


def refused(store: Warehouse, sql: str, *codes: int) -> None:
    with pytest.raises(WarehouseQueryError) as caught:
        store.command(sql)
    assert caught.value.code in codes, caught.value


def code_of(store: Warehouse, sql: str) -> int | None:
    """The code that a statement is refused with, None if it is not."""
    try:
        store.command(sql)
    except WarehouseQueryError as error:
        return error.code
    return None


def denied(store: Warehouse, sql: str) -> None:
    refused(store, sql, DENIED)


@pytest.fixture
def as_role(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    role: Role = request.param
    with serving_as(ROLES[role], home, tmp_path) as url, opened(url, query_timeout_seconds=20.5) as store:
        yield store


def test_the_server_judges_every_statement_up_to_storing_it(home: Path, tmp_path: Path) -> None:
    """Beyond syntax: settings, units and resources exist. Only that chDB stores no users is left to fail."""
    with serving_as(None, home, tmp_path) as url, opened(url) as store:
        for statement in access_statements(ROLES.values(), DATABASE, IDENTITIES):
            refused(store, statement.sql, *ABSENT)
        refused(store, "CREATE SETTINGS PROFILE x SETTINGS no_such_setting = 1", 115)
        refused(store, "GRANT NO SUCH PRIVILEGE ON a.b TO x", 62)


@pytest.mark.parametrize("as_role", [Role.WRITER], indirect=True)
def test_the_writer_writes_and_changes_no_table(as_role: Warehouse) -> None:
    as_role.ensure_tables(TABLES)  # nothing is missing, so it only reads
    for name in (ddl.PUBLICATIONS, *map(ddl.stored_table, TABLES)):
        as_role.command(
            f"INSERT INTO {ddl.identifier(name)} SELECT * FROM {ddl.identifier(name)} WHERE false"
        )
    publisher = Publisher(as_role, retain_seconds=0)
    for contract in TABLES:
        as_role.read_table(contract, limit=1)
        if contract.storage == "slices":
            publisher.replace_slice(contract, SLOT, contract.empty(), Provenance("run", "test", "simulated"))
            as_role.command(
                f"DELETE FROM {ddl.identifier(ddl.versions_table(contract))} WHERE false SETTINGS lightweight_deletes_sync = 2"
            )
            publisher.compact(contract)
            as_role.command(
                f"ALTER TABLE {ddl.identifier(ddl.versions_table(contract))} APPLY DELETED MASK SETTINGS mutations_sync = 0"
            )
    for sql in (
        "CREATE TABLE mine (a Int8) ENGINE = MergeTree ORDER BY a",
        "DROP TABLE publications",
        "TRUNCATE TABLE publications",
        "DELETE FROM publications WHERE true",
        f"DELETE FROM {ddl.entries_table(GRADE_CALLS)} WHERE true",
        "ALTER TABLE publications ADD COLUMN a Int8",
        "CREATE DATABASE mine",
        "CREATE OR REPLACE VIEW wallet_scores AS SELECT 1",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "INSERT INTO FUNCTION file('x.csv', 'CSV', 'a Int8') VALUES (1)",
    ):
        denied(as_role, sql)


@pytest.mark.parametrize("as_role", [Role.READER], indirect=True)
def test_a_reader_reads_everything_and_nothing_else(as_role: Warehouse) -> None:
    for contract in TABLES:
        as_role.read_table(contract, limit=1)
    for name in object_names(TABLES):
        as_role.read_rows(f"SELECT * FROM {ddl.identifier(name)} LIMIT 1")
    for sql in (
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT 1 FROM remote('127.0.0.1', system.one)",
    ):
        denied(as_role, sql)
    for sql in (
        "INSERT INTO publications (table_name) VALUES ('x')",
        "DELETE FROM publications WHERE true",
        "DROP TABLE publications",
    ):
        refused(as_role, sql, DENIED, READONLY)
    refused(as_role, "SELECT 1 SETTINGS max_memory_usage = 0", CONSTRAINED)
    refused(as_role, "SELECT 1 SETTINGS max_execution_time = 301", CONSTRAINED)
    refused(as_role, "SELECT 1 SETTINGS max_concurrent_queries_for_user = 100", CONSTRAINED)
    refused(as_role, "SET readonly = 0", READONLY, CONSTRAINED)


@pytest.mark.parametrize("as_role", [Role.API], indirect=True)
def test_the_api_reads_what_it_serves_and_nothing_else(as_role: Warehouse) -> None:
    for contract in TABLES:
        if SERVED.get(contract.name, ()) is None:
            as_role.read_table(contract, limit=1)
        elif contract is not GRADE_CALLS:
            denied(as_role, f"SELECT count() FROM {contract.name}")
    assert read_calls(as_role, "0x00", ["0" * 32]) == {}
    for hidden in ("canonical_input", "raw_answer", "error"):
        denied(as_role, f"SELECT {hidden} FROM grade_calls")
        denied(as_role, f"SELECT {hidden} FROM grade_calls__entries")
        denied(as_role, f"SELECT count() FROM grade_calls WHERE {hidden} LIKE 'a%'")
    refused(as_role, "INSERT INTO publications (table_name) VALUES ('x')", DENIED, READONLY)
    for setting, value in (("max_execution_time", 0), ("max_execution_time", 61), ("max_rows_to_read", 0)):
        refused(as_role, f"SELECT 1 SETTINGS {setting} = {value}", CONSTRAINED)


def test_a_quota_ends_what_uses_it_up(home: Path, tmp_path: Path) -> None:
    tight = replace(ROLES[Role.API], quota=(Interval("hour", {"queries": 20}),))
    with serving_as(tight, home, tmp_path) as url, opened(url, query_timeout_seconds=20) as store:
        codes = {code_of(store, "SELECT count() FROM wallet_scores") for _ in range(25)}
    assert codes == {None, OVER_QUOTA}


def test_nobody_but_the_migrator_gets_a_new_object() -> None:
    """The roles name tables, so a table of somebody else in the same database stays closed."""
    for role in (Role.WRITER, Role.READER, Role.API):
        assert [grant for grant in ROLES[role].grants if grant.target.endswith("*")] == []
    assert {grant.target for grant in ROLES[Role.MIGRATOR].grants} == {f"`{DATABASE}`.*"}


def test_only_open_system_tables_are_read_but_for_those_granted() -> None:
    """chDB lets everybody read all of them, so the source says which are read; ClickHouse's client reads `system.settings`."""
    package = REPOSITORY / "hl_assets"
    read = {
        (path.relative_to(package).parts[0], name)
        for path in package.rglob("*.py")
        for name in re.findall(
            r"\b(?:(?:FROM|JOIN) system\.|system_table\(\")(\w+)", path.read_text(encoding="utf-8")
        )
    }
    assert ("warehouse", "parts") in read, "the pattern finds what there is"
    granted = {
        grant.target.removeprefix("system.") for grant in ROLES[Role.WRITER].grants if "`" not in grant.target
    }
    assert granted == {"parts"}
    assert {name for _, name in read} <= OPEN_TO_ALL | granted
    assert {name for place, name in read if place == "api"} <= OPEN_TO_ALL


def test_a_role_is_no_user_and_databases_have_roles_of_their_own() -> None:
    users = {user_name(role) for role in Role}
    for database in ("hl_assets", "hl_assets_sandbox", "hl_assets_recorded"):
        assert users.isdisjoint(role_name(database, role) for role in Role)
    assert role_name("a", Role.API) != role_name("b", Role.API)
    assert limits_name("a", Role.API) != limits_name("b", Role.API)


def test_a_password_is_in_no_shown_statement_and_only_its_digest_is_sent() -> None:
    who = identity("correct horse", "battery")
    statements = access_statements([ROLES[Role.READER]], DATABASE, {Role.READER: who})
    sent = [statement.sql for statement in statements if who.digest in statement.sql]
    assert len(sent) == 2
    for statement in statements:
        assert "correct horse" not in statement.sql
        assert who.digest not in statement.shown
        assert who.salt not in statement.shown
    assert HIDDEN in repr(who)
    # printf %s 'correct horsebattery' | sha256sum
    assert who.digest == "5592ee7a30ac2c9c7e8f3f1fa878125137a06d52defd2465cca457a20a26b95c"


def test_without_a_password_a_role_has_no_user() -> None:
    statements = access_statements(ROLES.values(), DATABASE, {})
    assert [one.sql for one in statements if "USER" in one.sql.split()[:2]] == []
    assert len([one for one in statements if one.sql.startswith("CREATE ROLE")]) == len(Role)


def test_a_cluster_asks_for_its_tables_and_for_acting_on_all_servers() -> None:
    layout = ddl.Layout("prod", DATABASE)
    many = access_of_roles(TABLES, DATABASE, SERVED, LOAD, layout)
    for role in Role:
        acts = "GRANT CLUSTER, REMOTE ON *.*" in {f"GRANT {grant.sql}" for grant in many[role].grants}
        assert acts == (role in {Role.MIGRATOR, Role.WRITER}), role
    writes = {grant.sql for grant in many[Role.WRITER].grants}
    assert f"ALTER DELETE ON `{DATABASE}`.`wallet_scores__versions__local`" in writes
    assert f"INSERT ON `{DATABASE}`.`wallet_scores__versions__local`" in writes
    assert f"INSERT ON `{DATABASE}`.`wallet_scores__versions`" in writes


def test_statements_may_be_repeated() -> None:
    """Each makes what is missing or sets what is there; none drops."""
    for statement in access_statements(ROLES.values(), DATABASE, IDENTITIES):
        words = statement.sql.split()
        assert words[0] in {"CREATE", "ALTER", "GRANT"}
        assert words[0] != "CREATE" or " IF NOT EXISTS " in statement.sql
