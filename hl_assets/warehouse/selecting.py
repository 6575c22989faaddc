"""The SQL that reads published rows of one table.

Belongs here: `SELECT` from a contract and what is wanted of it; values are bound, names come from the contract. Does not belong
here: running it (`connection`), queries over several tables (where they are asked).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl


def select_rows(
    contract: TableContract,
    *,
    as_of: datetime | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    where: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    order_by: Sequence[str] | None = None,
    limit: int | None = None,
) -> tuple[str, dict[str, Any]]:
    """SQL and parameters that read a table; see `Warehouse.read_table`."""
    types = {spec.name: spec.clickhouse_type for spec in contract.columns}
    directed = [(name.removeprefix("-"), name.startswith("-")) for name in (order_by or contract.order_by)]
    asked = [*(columns or ()), *(where or {}), *(name for name, _ in directed)]
    if unknown := sorted(set(asked) - set(types)):
        raise ValueError(f"{contract.name} has no columns {unknown}")
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    for name, operator, instant in (("as_of", "=", as_of), ("start", ">=", start), ("end", "<", end)):
        if instant is not None:
            conditions.append(f"as_of {operator} {{{name}:DateTime('UTC')}}")
            parameters[name] = instant
    for position, (name, value) in enumerate((where or {}).items()):
        many = isinstance(value, list | tuple | set | frozenset)
        kind = (
            types[name].removeprefix("LowCardinality(").removesuffix(")")
            if "LowCard" in types[name]
            else types[name]
        )
        kind = f"Array({kind})" if many else kind
        conditions.append(f"{ddl.identifier(name)} {'IN' if many else '='} {{where_{position}:{kind}}}")
        parameters[f"where_{position}"] = list(value) if many else value
    names = ", ".join(ddl.identifier(name) for name in (columns or contract.column_names))
    order = ", ".join(f"{ddl.identifier(name)}{' DESC' if down else ''}" for name, down in directed)
    sql = f"SELECT {names} FROM {ddl.identifier(contract.name)}"  # noqa: S608 - names from the contract, values bound
    if conditions:
        sql += " WHERE " + " AND ".join(conditions)
    sql += f" ORDER BY {order}"
    return (f"{sql} LIMIT {int(limit)}" if limit is not None else sql), parameters
