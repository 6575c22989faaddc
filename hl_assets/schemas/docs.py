"""`docs/tables.md`, generated from the contracts (`python -m hl_assets.schemas.docs`) and tested equal to them.

Belongs here: rendering contracts as Markdown. Does not belong here: anything a contract does not say.
"""

from collections.abc import Iterator
from pathlib import Path

from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import ColumnSpec, TableContract

_HEAD = """# Tables

Generated from the contracts in `hl_assets/schemas/` by `python -m hl_assets.schemas.docs`; do not edit.

Every name below is a view. Most show the newest published version of each slot: whole, never a mixture of two writes; a
ledger shows entries that are appended as they happen and never change. `as_of` is the 10-minute slot (UTC) that a row
describes. Null means unknown, never zero. The storage behind a view and the
`publications` manifest are described in [architecture.md](architecture.md).
"""


def tables_markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_contents(), *(line for table in TABLES for line in _table(table))])


def _contents() -> Iterator[str]:
    yield "| table | one row is | key |"
    yield "|---|---|---|"
    for table in TABLES:
        yield f"| [{table.name}](#{table.name}) | {table.grain} | {', '.join(table.key)} |"
    yield ""


def _table(table: TableContract) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    yield from (line.strip() for line in (table.model.__doc__ or "").strip().splitlines())
    yield ""
    stored = "A ledger, appended to" if table.storage == "ledger" else "Published slot by slot"
    yield f"Grain: {table.grain}. Key: `{', '.join(table.key)}`. Sorted by `{', '.join(table.order_by)}`. {stored}."
    if table.caution:
        yield ""
        yield f"**Do not sum:** {table.caution}"
    yield ""
    yield "| column | type | unit | meaning |"
    yield "|---|---|---|---|"
    yield from map(_column, table.columns)
    yield ""


def _column(column: ColumnSpec) -> str:
    meaning = column.description.replace("|", "\\|")
    return f"| `{column.name}` | `{column.clickhouse_type}` | {column.unit} | {meaning} |"


if __name__ == "__main__":
    Path("docs/tables.md").write_text(tables_markdown(), encoding="utf-8")
