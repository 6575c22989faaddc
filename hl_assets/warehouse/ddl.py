"""SQL that defines the warehouse, generated from the table contracts.

Belongs here: pure functions from contracts to SQL, and the comparison of what is stored with what contracts say. Does
not belong here: running SQL (`connection`), publishing (`publish`).

For each contract `x` that is stored in slices there are three objects:

- `x__versions`: a MergeTree table with the contract's columns and `_version`, the publication a row belongs to;
- `x__rows`: a view of the same columns that filters nothing;
- `x`: the view people query: the rows whose (as_of, _version) is the currently published one.

`x__rows` looks superfluous and is not. ClickHouse takes the snapshot of a table when it resolves the table's name;
the tables behind a view are resolved later, when the outer query is planned. So through `x__rows` a query first takes
its snapshot of `publications` and then that of the rows: every version it may select is stored completely by then, and
the publisher keeps versions that were replaced a moment ago. Reading `x__versions` directly in `x` would take the rows'
snapshot first, and a version published in between would be selected with its rows missing: measured, an empty slice.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hl_assets.schemas.contract import ColumnSpec, TableContract
from hl_assets.warehouse.codecs import codec_of_type

PUBLICATIONS = "publications"
VERSION_COLUMN = "_version"

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
_DEFINITION = re.compile(r"\[definition ([0-9a-f]{12})\]")
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


def create_database(database: str) -> str:
    """SQL that creates the database if it is missing."""
    return f"CREATE DATABASE IF NOT EXISTS {identifier(database)}"


def create_publications() -> str:
    """SQL of the manifest. Not partitioned: one insert is one part, so a commit is atomic across tables and slots."""
    lines = [
        f"    {identifier(name)} {kind}{' DEFAULT now64(3)' if name == 'published_at' else ''}"
        f" COMMENT {text_literal(_PUBLICATION_COMMENTS[name])} CODEC({codec_of_type(kind)})"
        for name, kind in PUBLICATION_COLUMNS.items()
    ]
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(PUBLICATIONS)} (\n" + ",\n".join(lines) + "\n)\n"
        "ENGINE = MergeTree\n"
        "ORDER BY (table_name, as_of, version)\n"
        "COMMENT 'What is published: the largest version of each slice, unless withdrawn'"
    )


def create_stored_table(contract: TableContract) -> str:
    """SQL of the table that stores a contract's rows."""
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
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(stored_table(contract))} (\n" + ",\n".join(lines) + "\n)\n"
        f"ENGINE = {'ReplacingMergeTree' if ledger else 'MergeTree'}\n"
        f"PARTITION BY {contract.partition_by}\n"
        f"ORDER BY ({order})\n"
        f"COMMENT {text_literal(f'{what} of {contract.name}; query {contract.name} instead')}"
    )


def current_versions(contract: TableContract) -> str:
    """SQL of the published (as_of, version) pairs of a table.

    The newest publication of each slot is taken in the order of the manifest's key, which ClickHouse reads without
    sorting or hashing. A withdrawal is a version without rows, so it needs no condition of its own.
    """
    return _CURRENT_VERSIONS.format(publications=identifier(PUBLICATIONS), table=text_literal(contract.name))


def create_rows_view(contract: TableContract, *, replace: bool = False) -> str:
    """SQL of the view that fixes the order of snapshots (see the module's docstring)."""
    names = ", ".join(identifier(name) for name in (*contract.column_names, VERSION_COLUMN))
    select = f"SELECT {names}\nFROM {identifier(versions_table(contract))}"
    comment = f"Stored rows of {contract.name}, published or not; query {contract.name} instead"
    return _create_view(rows_view(contract), "", select, comment, replace=replace)


def create_public_view(contract: TableContract, *, replace: bool = False) -> str:
    """SQL of the view people query."""
    columns = ",\n".join(
        f"    {identifier(spec.name)} {spec.clickhouse_type} COMMENT {text_literal(comment_of(spec))}"
        for spec in contract.columns
    )
    names = ", ".join(identifier(name) for name in contract.column_names)
    source = (
        f"FROM {identifier(entries_table(contract))} FINAL"
        if contract.storage == "ledger"
        else f"FROM {identifier(rows_view(contract))}\n"
        f"WHERE (as_of, {identifier(VERSION_COLUMN)}) IN (\n    {current_versions(contract)}\n)"
    )
    select = f"SELECT {names}\n{source}"
    comment = " ".join(
        part for part in (contract.description, f"Grain: {contract.grain}.", contract.caution) if part
    )
    return _create_view(contract.name, f" (\n{columns}\n)", select, comment, replace=replace)


def _create_view(name: str, columns: str, select: str, comment: str, *, replace: bool) -> str:
    """A view's SQL; its comment carries a digest of its definition, so that a change is noticed."""
    digest = hashlib.sha256(f"{columns}\n{select}\n{comment}".encode()).hexdigest()[:12]
    create = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
    return f"{create} {identifier(name)}{columns}\nAS {select}\nCOMMENT {text_literal(f'{comment} [definition {digest}]')}"


def definition_of(comment: str) -> str | None:
    """The digest in a view's comment (or in the SQL that creates it), None if there is none."""
    match = _DEFINITION.search(comment)
    return match.group(1) if match else None


@dataclass(frozen=True)
class StoredTable:
    """A table or view as `system.tables` and `system.columns` describe it.

    Attributes:
        engine: `MergeTree`, `View`, ...
        comment: Its comment.
        sorting_key: As ClickHouse prints it, `a, b`.
        partition_key: As ClickHouse prints it.
        columns: Type and comment of each column, in order.
        codecs: Codec of each column as ClickHouse prints it, `CODEC(ZSTD(1))`; empty for the server's default.
    """

    engine: str
    comment: str = ""
    sorting_key: str = ""
    partition_key: str = ""
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    codecs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """What is needed to make the database fit the contracts.

    Attributes:
        statements: SQL, in order.
        differences: What cannot be repaired by creating something; one line each.
    """

    statements: tuple[str, ...]
    differences: tuple[str, ...]


def plan_changes(contracts: Iterable[TableContract], stored: Mapping[str, StoredTable]) -> Changes:
    """Compare contracts with what is stored.

    Missing objects are created, changed views replaced, changed column comments and codecs updated. A codec is metadata:
    rows that are stored take it when ClickHouse merges them. A stored table whose columns or keys differ is a difference:
    rows may depend on it, so a person decides.
    """
    statements: list[str] = []
    differences: list[str] = []
    if PUBLICATIONS in stored:
        expected = dict(PUBLICATION_COLUMNS)
        differences += _column_differences(PUBLICATIONS, expected, stored[PUBLICATIONS])
        codecs = {name: codec_of_type(kind) for name, kind in expected.items()}
        statements += _codec_update(PUBLICATIONS, codecs, stored[PUBLICATIONS])
    else:
        statements.append(create_publications())
    for contract in contracts:
        differences += _wrong_kinds(contract, stored)
        name = stored_table(contract)
        if name in stored:
            differences += _table_differences(contract, stored[name])
            statements += _comment_updates(contract, stored[name])
            statements += _codec_update(name, stored_codecs(contract), stored[name])
        else:
            statements.append(create_stored_table(contract))
        statements += _view_updates(contract, stored)
    return Changes(tuple(statements), tuple(differences))


def _wrong_kinds(contract: TableContract, stored: Mapping[str, StoredTable]) -> list[str]:
    """Objects that are not ours to replace: a table where a view belongs, or the other way round."""
    wanted = {stored_table(contract): "MergeTree"} | dict.fromkeys(_views(contract), "View")
    return [
        f"{name}: is a {stored[name].engine}, not a {kind}"
        for name, kind in wanted.items()
        if name in stored and not stored[name].engine.endswith(kind)
    ]


def _table_differences(contract: TableContract, stored: StoredTable) -> list[str]:
    name = stored_table(contract)
    lines = _column_differences(name, stored_columns(contract), stored)
    keys = {
        "sorting key": (", ".join(contract.order_by), stored.sorting_key),
        "partition key": (contract.partition_by, stored.partition_key),
    }
    lines += [
        f"{name}: {what} is {found!r}, the contract says {wanted!r}"
        for what, (wanted, found) in keys.items()
        if _bare_key(wanted) != _bare_key(found)
    ]
    return lines


def _column_differences(name: str, expected: Mapping[str, str], stored: StoredTable) -> list[str]:
    lines = [
        f"{name}: column {column} is missing (type {expected[column]})"
        for column in expected
        if column not in stored.columns
    ]
    lines += [
        f"{name}: column {column} is not in the contract"
        for column in stored.columns
        if column not in expected
    ]
    lines += [
        f"{name}: column {column} is {stored.columns[column][0]}, the contract says {kind}"
        for column, kind in expected.items()
        if column in stored.columns and _squeezed(stored.columns[column][0]) != _squeezed(kind)
    ]
    return lines


def _comment_updates(contract: TableContract, stored: StoredTable) -> list[str]:
    return [
        f"ALTER TABLE {identifier(stored_table(contract))} COMMENT COLUMN {identifier(spec.name)} "
        f"{text_literal(comment_of(spec))}"
        for spec in contract.columns
        if spec.name in stored.columns and stored.columns[spec.name][1] != comment_of(spec)
    ]


def _codec_update(table: str, codecs: Mapping[str, str], stored: StoredTable) -> list[str]:
    """At most one statement; it repeats without harm."""
    changed = [
        f"MODIFY COLUMN {identifier(name)} CODEC({codec})"
        for name, codec in codecs.items()
        if name in stored.columns and _squeezed(stored.codecs.get(name, "")) != _squeezed(f"CODEC({codec})")
    ]
    return [f"ALTER TABLE {identifier(table)} {', '.join(changed)}"] if changed else []


def _view_updates(contract: TableContract, stored: Mapping[str, StoredTable]) -> list[str]:
    statements = []
    for name, create in _views(contract).items():
        if name not in stored:
            statements.append(create(contract))
        elif definition_of(stored[name].comment) != definition_of(create(contract)):
            statements.append(create(contract, replace=True))
    return statements


def _views(contract: TableContract) -> dict[str, Callable[..., str]]:
    """The views of a contract with what creates them, in order."""
    public: dict[str, Callable[..., str]] = {contract.name: create_public_view}
    return public if contract.storage == "ledger" else {rows_view(contract): create_rows_view} | public


def object_names(contracts: Sequence[TableContract]) -> list[str]:
    """Every object the contracts need, the manifest included."""
    names = [PUBLICATIONS]
    for contract in contracts:
        names += [stored_table(contract), *_views(contract)]
    return names


def _bare_key(sql: str) -> str:
    """A key without blanks and without the parentheses ClickHouse prints around it or not."""
    text = _squeezed(sql)
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _squeezed(sql: str) -> str:
    return re.sub(r"[\s`]", "", sql)
