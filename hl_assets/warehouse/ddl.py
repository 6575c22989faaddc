"""SQL that defines the warehouse, generated from the table contracts.

Belongs here: pure functions from contracts to SQL, on one server or a cluster. Does not belong here: comparing what is stored
with it (`schema_changes`), changing what is stored (`migrations`), running SQL (`connection`), publishing (`publish`).

For each contract `x` that is stored in slices there are three objects:

- `x__versions`: a MergeTree table with the contract's columns and `_version`, the publication a row belongs to;
- `x__rows`: a view of the same columns that filters nothing;
- `x`: the view people query: the rows whose (as_of, _version) is the currently published one.

`x__rows` looks superfluous and is not. ClickHouse takes the snapshot of a table when it resolves the table's name;
the tables behind a view are resolved later, when the outer query is planned. So through `x__rows` a query first takes
its snapshot of `publications` and then that of the rows: every version it may select is stored completely by then, and
the publisher keeps versions that were replaced a moment ago. Reading `x__versions` directly in `x` would take the rows'
snapshot first, and a version published in between would be selected with its rows missing: measured, an empty slice.

On a cluster (`Layout`) the names are the same, and so are the queries:

- a table of wallets is a Distributed table over `x__versions__local`, a Replicated table on each shard; a wallet's rows are
  all on one shard, so a ledger's FINAL is right, and wallets are grouped where they are;
- any other table, and the manifest, is a Replicated table of which every server has all of it;
- the view asks the manifest once, where the query arrived (GLOBAL IN): asked by each shard for itself, two shards could
  show two versions of a slice.

Each server of the cluster needs the macros `shard` and `replica`.
Sources: https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication,
https://clickhouse.com/docs/engines/table-engines/special/distributed,
https://clickhouse.com/docs/sql-reference/operators/in#distributed-subqueries
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hl_assets.schemas.contract import ColumnSpec, TableContract
from hl_assets.warehouse.codecs import codec_of_type

PUBLICATIONS = "publications"
MIGRATIONS = "schema_migrations"
VERSION_COLUMN = "_version"
SHARDED_BY = "wallet"
"""The column by which a cluster spreads rows."""

PUBLICATION_COLUMNS: Mapping[str, str] = {
    "table_name": "LowCardinality(String)",
    "as_of": "DateTime('UTC')",
    "version": "UInt64",
    "n_rows": "UInt64",
    "inputs": "Map(String, UInt64)",
    "origin": "LowCardinality(String)",
    "code_version": "String",
    "run_id": "String",
    "published_at": "DateTime64(3, 'UTC')",
    "withdrawn": "Bool",
}
_PUBLICATION_COMMENTS = {
    "table_name": "Table the slice belongs to",
    "as_of": "Slot of the slice",
    "version": "Version of the rows; the largest one of a slice counts",
    "n_rows": "Rows of the slice",
    "inputs": "Version of each upstream table it was derived from",
    "origin": "Where the facts come from",
    "code_version": "Version of the code that published",
    "run_id": "Run that published",
    "published_at": "When it was committed, by the server's clock",
    "withdrawn": "Whether the slice was taken back: it has no rows then",
}
_CURRENT_VERSIONS = """SELECT as_of, version FROM {publications}
    WHERE table_name = {table}
    ORDER BY table_name DESC, as_of DESC, version DESC LIMIT 1 BY as_of"""
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier; only contracts' and constants' names get here.

    Raises:
        ValueError: Not a plain identifier.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"not a usable SQL name: {name!r}")
    return f"`{name}`"


def text_literal(text: str) -> str:
    """Text as a SQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@dataclass(frozen=True)
class Layout:
    """Where tables are.

    Attributes:
        cluster: Name of the cluster in ClickHouse's `remote_servers`; None: one server.
        database: The database; empty on one server, where nothing asks for it.

    Raises:
        ValueError: Not a plain name.
    """

    cluster: str | None = None
    database: str = ""

    def __post_init__(self) -> None:
        if self.cluster is not None:
            identifier(self.cluster)
            identifier(self.database)

    @property
    def on_cluster(self) -> str:
        """What a statement says so that every server carries it out; begins with a blank, or is empty."""
        return f" ON CLUSTER {identifier(self.cluster)}" if self.cluster else ""

    def is_sharded(self, contract: TableContract) -> bool:
        """Whether a contract's rows are spread over shards."""
        return self.cluster is not None and SHARDED_BY in contract.column_names

    def held_table(self, contract: TableContract) -> str:
        """Name of the table in which a contract's rows lie on a server: the one to delete from and to alter."""
        name = stored_table(contract)
        return f"{name}__local" if self.is_sharded(contract) else name

    def system_table(self, name: str) -> str:
        """A `system` table as a table expression: of this server, or of one replica of each shard."""
        if self.cluster is None:
            return f"system.{identifier(name)}"
        return f"cluster({text_literal(self.cluster)}, system.{identifier(name)})"

    def engine(self, kind: str, *, sharded: bool) -> str:
        """A table's engine, `MergeTree` or `ReplacingMergeTree`, as it is on this layout."""
        if self.cluster is None:
            return kind
        path, replica = (
            ("/clickhouse/tables/{shard}/{database}/{table}", "{replica}")
            if sharded
            else ("/clickhouse/tables/all/{database}/{table}", "{shard}-{replica}")
        )
        return f"Replicated{kind}({text_literal(path)}, {text_literal(replica)})"

    def distributed(self, table: str) -> str:
        """The engine that spreads rows over the tables of this name on all shards."""
        if self.cluster is None:
            raise ValueError("one server has no Distributed tables")
        return (
            f"Distributed({text_literal(self.cluster)}, {text_literal(self.database)}, {text_literal(table)}, "
            f"cityHash64({identifier(SHARDED_BY)}))"
        )


ONE_SERVER = Layout()


def versions_table(contract: TableContract) -> str:
    """Name of the table that stores every version of a contract's rows."""
    return f"{contract.name}__versions"


def rows_view(contract: TableContract) -> str:
    """Name of the view between the stored rows and the public view."""
    return f"{contract.name}__rows"


def entries_table(contract: TableContract) -> str:
    """Name of the table that stores a ledger's entries."""
    return f"{contract.name}__entries"


def stored_table(contract: TableContract) -> str:
    """Name of the table that stores a contract's rows, whichever way."""
    return entries_table(contract) if contract.storage == "ledger" else versions_table(contract)


def stored_columns(contract: TableContract) -> dict[str, str]:
    """Columns and types of that table."""
    columns = {spec.name: spec.clickhouse_type for spec in contract.columns}
    return columns if contract.storage == "ledger" else columns | {VERSION_COLUMN: "UInt64"}


def stored_codecs(contract: TableContract) -> dict[str, str]:
    """Codec of each column of that table: the contract's, else its type's."""
    chosen = {spec.name: spec.codec for spec in contract.columns if spec.codec is not None}
    return {name: codec_of_type(kind) for name, kind in stored_columns(contract).items()} | chosen


def comment_of(spec: ColumnSpec) -> str:
    """Column comment: description and unit."""
    return f"{spec.description} [{spec.unit}]" if spec.unit else spec.description


def create_database(database: str, layout: Layout = ONE_SERVER) -> str:
    """SQL that creates the database if it is missing."""
    return f"CREATE DATABASE IF NOT EXISTS {identifier(database)}{layout.on_cluster}"


def create_publications(layout: Layout = ONE_SERVER) -> str:
    """SQL of the manifest. Not partitioned: one insert is one part, so a commit is atomic across tables and slots."""
    lines = [
        f"    {identifier(name)} {kind}{' DEFAULT now64(3)' if name == 'published_at' else ''}"
        f" COMMENT {text_literal(_PUBLICATION_COMMENTS[name])} CODEC({codec_of_type(kind)})"
        for name, kind in PUBLICATION_COLUMNS.items()
    ]
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(PUBLICATIONS)}{layout.on_cluster} (\n"
        + ",\n".join(lines)
        + "\n)\n"
        f"ENGINE = {layout.engine('MergeTree', sharded=False)}\n"
        "ORDER BY (table_name, as_of, version)\n"
        "COMMENT 'What is published: the largest version of each slice, unless withdrawn'"
    )


def create_migrations(layout: Layout = ONE_SERVER) -> str:
    """SQL of the table that records which migrations were carried out."""
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(MIGRATIONS)}{layout.on_cluster} (\n"
        "    `number` UInt32 COMMENT 'Its place among the migrations',\n"
        "    `title` String COMMENT 'What it does',\n"
        "    `digest` String COMMENT 'Digest of its steps',\n"
        "    `code_version` String COMMENT 'Version of the code that carried it out, or made the tables as they are after it',\n"
        "    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was recorded, by the server''s clock'\n"
        ")\n"
        f"ENGINE = {layout.engine('ReplacingMergeTree', sharded=False)}\n"
        "ORDER BY number\n"
        "COMMENT 'Migrations of this database; hl-assets migrate writes it'"
    )


def create_stored_tables(contract: TableContract, layout: Layout = ONE_SERVER) -> dict[str, str]:
    """SQL of the table that stores a contract's rows, and of the one that spreads them over shards; by name, in order."""
    ledger = contract.storage == "ledger"
    comments = {spec.name: comment_of(spec) for spec in contract.columns}
    comments[VERSION_COLUMN] = "Publication the row belongs to"
    codecs = stored_codecs(contract)
    lines = [
        f"    {identifier(name)} {kind} COMMENT {text_literal(comments[name])} CODEC({codecs[name]})"
        for name, kind in stored_columns(contract).items()
    ]
    order = ", ".join(identifier(name) for name in contract.order_by)
    what = "Entries" if ledger else "Every version of the rows"
    held, sharded = layout.held_table(contract), layout.is_sharded(contract)
    kind = "ReplacingMergeTree" if ledger else "MergeTree"
    comment = text_literal(f"{what} of {contract.name}; query {contract.name} instead")
    statements = {
        held: f"CREATE TABLE IF NOT EXISTS {identifier(held)}{layout.on_cluster} (\n"
        + ",\n".join(lines)
        + "\n)\n"
        f"ENGINE = {layout.engine(kind, sharded=sharded)}\n"
        f"PARTITION BY {contract.partition_by}\n"
        f"ORDER BY ({order})\n"
        f"COMMENT {comment}"
    }
    if sharded:
        whole = stored_table(contract)
        statements[whole] = (
            f"CREATE TABLE IF NOT EXISTS {identifier(whole)}{layout.on_cluster} AS {identifier(held)}\n"
            f"ENGINE = {layout.distributed(held)}\n"
            f"COMMENT {comment}"
        )
    return statements


def current_versions(contract: TableContract) -> str:
    """SQL of the published (as_of, version) pairs of a table.

    The newest publication of each slot is taken in the order of the manifest's key, which ClickHouse reads without
    sorting or hashing. A withdrawal is a version without rows, so it needs no condition of its own.
    """
    return _CURRENT_VERSIONS.format(publications=identifier(PUBLICATIONS), table=text_literal(contract.name))


def create_rows_view(contract: TableContract, layout: Layout = ONE_SERVER, *, replace: bool = False) -> str:
    """SQL of the view that fixes the order of snapshots (see the module's docstring)."""
    names = ", ".join(identifier(name) for name in (*contract.column_names, VERSION_COLUMN))
    select = f"SELECT {names}\nFROM {identifier(versions_table(contract))}"
    comment = f"Stored rows of {contract.name}, published or not; query {contract.name} instead"
    return _create_view(rows_view(contract), "", select, comment, layout, replace=replace)


def create_public_view(contract: TableContract, layout: Layout = ONE_SERVER, *, replace: bool = False) -> str:
    """SQL of the view people query."""
    columns = ",\n".join(
        f"    {identifier(spec.name)} {spec.clickhouse_type} COMMENT {text_literal(comment_of(spec))}"
        for spec in contract.columns
    )
    names = ", ".join(identifier(name) for name in contract.column_names)
    within = "GLOBAL IN" if layout.is_sharded(contract) else "IN"
    source = (
        f"FROM {identifier(entries_table(contract))} FINAL"
        if contract.storage == "ledger"
        else f"FROM {identifier(rows_view(contract))}\n"
        f"WHERE (as_of, {identifier(VERSION_COLUMN)}) {within} (\n    {current_versions(contract)}\n)"
    )
    select = f"SELECT {names}\n{source}"
    comment = " ".join(
        part for part in (contract.description, f"Grain: {contract.grain}.", contract.caution) if part
    )
    return _create_view(contract.name, f" (\n{columns}\n)", select, comment, layout, replace=replace)


def _create_view(name: str, columns: str, select: str, comment: str, layout: Layout, *, replace: bool) -> str:
    """A view's SQL; its comment carries a digest of its definition, so that a change is noticed."""
    digest = hashlib.sha256(f"{columns}\n{select}\n{comment}".encode()).hexdigest()[:12]
    create = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
    return (
        f"{create} {identifier(name)}{layout.on_cluster}{columns}\n"
        f"AS {select}\nCOMMENT {text_literal(f'{comment} [definition {digest}]')}"
    )
