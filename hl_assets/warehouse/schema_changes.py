"""What has to change in a database so that it fits the contracts.

Belongs here: the comparison of what ClickHouse says is stored with what contracts say, as statements and differences. Does not
belong here: the statements that create things (`ddl`), steps from one version to the next (`migrations`), running SQL
(`connection`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse.codecs import codec_of_type
from hl_assets.warehouse.ddl import (
    MIGRATIONS,
    ONE_SERVER,
    PUBLICATION_COLUMNS,
    PUBLICATIONS,
    Layout,
    comment_of,
    create_migrations,
    create_public_view,
    create_publications,
    create_rows_view,
    create_stored_tables,
    identifier,
    rows_view,
    stored_codecs,
    stored_columns,
    stored_table,
    text_literal,
)

_DEFINITION = re.compile(r"\[definition ([0-9a-f]{12})\]")


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


def plan_changes(
    contracts: Iterable[TableContract], stored: Mapping[str, StoredTable], layout: Layout = ONE_SERVER
) -> Changes:
    """Compare contracts with what is stored.

    Missing objects are created, changed views replaced, changed column comments and codecs updated. A codec is metadata:
    rows that are stored take it when ClickHouse merges them. A stored table whose columns or keys differ is a difference:
    rows may depend on it, so a migration or a person decides.
    """
    statements: list[str] = []
    differences: list[str] = []
    if PUBLICATIONS in stored:
        expected = dict(PUBLICATION_COLUMNS)
        differences += _column_differences(PUBLICATIONS, expected, stored[PUBLICATIONS])
        codecs = {name: codec_of_type(kind) for name, kind in expected.items()}
        statements += _codec_update(PUBLICATIONS, codecs, stored[PUBLICATIONS], layout)
    else:
        statements.append(create_publications(layout))
    if MIGRATIONS not in stored:
        statements.append(create_migrations(layout))
    for contract in contracts:
        differences += _wrong_kinds(contract, stored, layout)
        held = layout.held_table(contract)
        for name, create in create_stored_tables(contract, layout).items():
            if name in stored:
                differences += _column_differences(name, stored_columns(contract), stored[name])
            else:
                statements.append(create)
        if held in stored:
            differences += _key_differences(contract, held, stored[held])
            statements += _comment_updates(contract, held, stored[held], layout)
            statements += _codec_update(held, stored_codecs(contract), stored[held], layout)
        statements += _view_updates(contract, stored, layout)
    return Changes(tuple(statements), tuple(differences))


def _wrong_kinds(contract: TableContract, stored: Mapping[str, StoredTable], layout: Layout) -> list[str]:
    """Objects that are not ours to replace: a table where a view belongs, or one server's table on a cluster."""
    wanted = dict.fromkeys(create_stored_tables(contract, layout), "MergeTree") | dict.fromkeys(
        _views(contract), "View"
    )
    if layout.is_sharded(contract):
        wanted[stored_table(contract)] = "Distributed"
    replicated = layout.cluster is not None
    return [
        f"{name}: is a {stored[name].engine}, not a {'Replicated' if replicated and kind == 'MergeTree' else ''}{kind}"
        for name, kind in wanted.items()
        if name in stored and not _is_kind(stored[name].engine, kind, replicated=replicated)
    ]


def _is_kind(engine: str, kind: str, *, replicated: bool) -> bool:
    if kind != "MergeTree":
        return engine == kind
    return engine.endswith(kind) and (engine.startswith("Replicated") or not replicated)


def _key_differences(contract: TableContract, name: str, stored: StoredTable) -> list[str]:
    keys = {
        "sorting key": (", ".join(contract.order_by), stored.sorting_key),
        "partition key": (contract.partition_by, stored.partition_key),
    }
    return [
        f"{name}: {what} is {found!r}, the contract says {wanted!r}"
        for what, (wanted, found) in keys.items()
        if _bare_key(wanted) != _bare_key(found)
    ]


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


def _comment_updates(contract: TableContract, name: str, stored: StoredTable, layout: Layout) -> list[str]:
    return [
        f"ALTER TABLE {identifier(name)}{layout.on_cluster} COMMENT COLUMN {identifier(spec.name)} "
        f"{text_literal(comment_of(spec))}"
        for spec in contract.columns
        if spec.name in stored.columns and stored.columns[spec.name][1] != comment_of(spec)
    ]


def _codec_update(table: str, codecs: Mapping[str, str], stored: StoredTable, layout: Layout) -> list[str]:
    """At most one statement; it repeats without harm."""
    changed = [
        f"MODIFY COLUMN {identifier(name)} CODEC({codec})"
        for name, codec in codecs.items()
        if name in stored.columns and _squeezed(stored.codecs.get(name, "")) != _squeezed(f"CODEC({codec})")
    ]
    return [f"ALTER TABLE {identifier(table)}{layout.on_cluster} {', '.join(changed)}"] if changed else []


def _view_updates(contract: TableContract, stored: Mapping[str, StoredTable], layout: Layout) -> list[str]:
    statements = []
    for name, create in _views(contract).items():
        if name not in stored:
            statements.append(create(contract, layout))
        elif definition_of(stored[name].comment) != definition_of(create(contract, layout)):
            statements.append(create(contract, layout, replace=True))
    return statements


def _views(contract: TableContract) -> dict[str, Callable[..., str]]:
    """The views of a contract with what creates them, in order."""
    public: dict[str, Callable[..., str]] = {contract.name: create_public_view}
    return public if contract.storage == "ledger" else {rows_view(contract): create_rows_view} | public


def object_names(contracts: Sequence[TableContract], layout: Layout = ONE_SERVER) -> list[str]:
    """Every object the contracts need, the manifest and the record of migrations included."""
    names = [PUBLICATIONS, MIGRATIONS]
    for contract in contracts:
        names += [*create_stored_tables(contract, layout), *_views(contract)]
    return names


def definition_of(comment: str) -> str | None:
    """The digest in a view's comment (or in the SQL that creates it), None if there is none."""
    match = _DEFINITION.search(comment)
    return match.group(1) if match else None


def _bare_key(sql: str) -> str:
    """A key without blanks and without the parentheses ClickHouse prints around it or not."""
    text = _squeezed(sql)
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def _squeezed(sql: str) -> str:
    return re.sub(r"[\s`]", "", sql)
