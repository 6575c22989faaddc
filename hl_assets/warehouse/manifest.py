"""The publication manifest: which slices are published, in which version, derived from what.

Belongs here: reading `publications`, and comparing what a table was derived from with what its sources are now. Does
not belong here: writing it (`publish`), its definition (`ddl`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse

_COLUMNS = tuple(ddl.PUBLICATION_COLUMNS)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM {ddl.identifier(ddl.PUBLICATIONS)}"  # noqa: S608 - constants


_CURRENT = (
    "SELECT * FROM ({select} WHERE {condition} ORDER BY table_name DESC, as_of DESC, version DESC LIMIT 1 BY as_of) "
    "WHERE NOT withdrawn ORDER BY as_of"
)
_CURRENT_OF_TABLES = (
    "SELECT * FROM ({select} WHERE {condition} ORDER BY table_name DESC, as_of DESC, version DESC "
    "LIMIT 1 BY table_name, as_of) WHERE NOT withdrawn ORDER BY table_name, as_of"
)
_LISTED_SLOTS = 2_000
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Publication:
    """One publication of one slice.

    Attributes:
        table_name: The table.
        as_of: Its slot.
        version: Version of its rows.
        n_rows: Rows of the slice.
        inputs: Upstream table -> version it was derived from.
        origin: Where the facts come from.
        code_version: Version of the code that published.
        run_id: Run that published.
        published_at: When it was committed, by the server's clock.
        withdrawn: Whether it took the slice back.
    """

    table_name: str
    as_of: datetime
    version: int
    n_rows: int
    inputs: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""
    code_version: str = ""
    run_id: str = ""
    published_at: datetime = _NEVER
    withdrawn: bool = False


class Manifest:
    """What is published.

    Args:
        warehouse: The connection.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def committed(
        self, contract: TableContract, start: datetime | None = None, end: datetime | None = None
    ) -> dict[datetime, Publication]:
        """Published slices of a table by slot, oldest first.

        Args:
            contract: The table.
            start: Only slots at or after this instant.
            end: Only slots before this instant.
        """
        in_range, parameters = range_condition(start, end)
        sql = _CURRENT.format(select=_SELECT, condition=f"table_name = {{table:String}} AND {in_range}")
        found = map(_publication, self._warehouse.read_rows(sql, {**parameters, "table": contract.name}))
        return {publication.as_of: publication for publication in found}

    def committed_together(
        self, contracts: Iterable[TableContract], start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, dict[datetime, Publication]]:
        """Published slices of several tables as one moment saw them: table -> slot -> slice, oldest slot first.

        Args:
            contracts: The tables; each is a key of the answer.
            start: Only slots at or after this instant.
            end: Only slots before this instant.
        """
        by_table: dict[str, dict[datetime, Publication]] = {contract.name: {} for contract in contracts}
        in_range, parameters = range_condition(start, end)
        condition = f"table_name IN {{tables:Array(String)}} AND {in_range}"
        sql = _CURRENT_OF_TABLES.format(select=_SELECT, condition=condition)
        for row in self._warehouse.read_rows(sql, {**parameters, "tables": list(by_table)}):
            publication = _publication(row)
            by_table[publication.table_name][publication.as_of] = publication
        return by_table

    def committed_on(self, contract: TableContract, day: date) -> dict[datetime, Publication]:
        """Published slices of one UTC day by slot, oldest first."""
        start = datetime.combine(day, time(), tzinfo=UTC)
        return self.committed(contract, start, start + timedelta(days=1))

    def latest_slot(
        self, contract: TableContract, at_or_before: datetime | None = None
    ) -> Publication | None:
        """The newest published slice at or before an instant, None if there is none."""
        condition = "table_name = {table:String}"
        parameters: dict[str, Any] = {"table": contract.name}
        if at_or_before is not None:
            condition += " AND as_of <= {at:DateTime('UTC')}"
            parameters["at"] = at_or_before.replace(microsecond=0)
        sql = _CURRENT.format(select=_SELECT, condition=condition) + " DESC LIMIT 1"
        rows = self._warehouse.read_rows(sql, parameters)
        return _publication(rows[0]) if rows else None

    def history(self, slices: Iterable[tuple[str, datetime]]) -> "History":
        """Every publication of the named slices (table name, slot), superseded and withdrawn ones included."""
        wanted = sorted(set(slices))
        tables = sorted({table for table, _ in wanted})
        condition, parameters = slots_condition(as_of for _, as_of in wanted)
        sql = (
            f"SELECT now64(3, 'UTC'), * FROM ({_SELECT} WHERE table_name IN {{tables:Array(String)}} AND {condition}) "  # noqa: S608
            "ORDER BY table_name, as_of, version"
        )
        by_slice: dict[tuple[str, datetime], list[Publication]] = {key: [] for key in wanted}
        rows = self._warehouse.read_rows(sql, {**parameters, "tables": tables})
        for _, *row in rows:
            publication = _publication(row)
            if (publication.table_name, publication.as_of) in by_slice:
                by_slice[publication.table_name, publication.as_of].append(publication)
        return History({key: tuple(found) for key, found in by_slice.items()}, rows[0][0] if rows else _NEVER)

    def underived(
        self,
        contract: TableContract,
        upstream: Sequence[TableContract],
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[datetime]:
        """Slots that can be derived and are not derived from what their sources are now, newest first.

        A slot counts when every source is published at that slot and the table either is not, or names another
        version of one of them in its `inputs`.
        """
        sources = {source.name: self.committed(source, start, end) for source in upstream}
        return underived_slots(sources, self.committed(contract, start, end))


@dataclass(frozen=True)
class History:
    """Publications of some slices.

    Attributes:
        by_slice: (table name, slot) -> its publications, oldest version first.
        read_at: The server's clock when they were read; meaningless if there are none.
    """

    by_slice: Mapping[tuple[str, datetime], tuple[Publication, ...]]
    read_at: datetime

    def newest(self, table: str, as_of: datetime) -> Publication | None:
        """The publication that counts, withdrawn or not; None if the slice was never published."""
        found = self.by_slice[table, as_of]
        return found[-1] if found else None

    @property
    def largest_version(self) -> int:
        """Largest version of all of them, 0 if there are none."""
        return max((found[-1].version for found in self.by_slice.values() if found), default=0)


def range_condition(start: datetime | None, end: datetime | None) -> tuple[str, dict[str, Any]]:
    """SQL condition and parameters of the slots from `start` to before `end`."""
    conditions = ["true"]
    parameters: dict[str, Any] = {}
    for name, operator, instant in (("start", ">=", start), ("end", "<", end)):
        if instant is not None:
            conditions.append(f"as_of {operator} {{{name}:DateTime('UTC')}}")
            parameters[name] = instant
    return " AND ".join(conditions), parameters


def slots_condition(slots: Iterable[datetime]) -> tuple[str, dict[str, Any]]:
    """SQL condition and parameters that pick slots.

    Many slots become a range, which may pick others between them too: a list as long as that would be too large for
    ClickHouse's limit on one query parameter (128 kB).
    """
    wanted = sorted(set(slots))
    if len(wanted) <= _LISTED_SLOTS:
        return "as_of IN {slots:Array(DateTime('UTC'))}", {"slots": wanted}
    condition = "as_of BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')}"
    return condition, {"first": wanted[0], "last": wanted[-1]}


def underived_slots(
    sources: Mapping[str, Mapping[datetime, Publication]], derived: Mapping[datetime, Publication]
) -> list[datetime]:
    """Slots where every source is published and `derived` is missing or older, newest first."""
    if not sources:
        return []
    possible = set.intersection(*(set(published) for published in sources.values()))
    return sorted(
        (
            slot
            for slot in possible
            if slot not in derived
            or not is_derived_from(
                derived[slot], {name: published[slot].version for name, published in sources.items()}
            )
        ),
        reverse=True,
    )


def is_derived_from(publication: Publication, inputs: Mapping[str, int]) -> bool:
    """Whether a slice names exactly these versions of these tables; it may name others beside them."""
    return all(publication.inputs.get(name) == version for name, version in inputs.items())


def _publication(row: Sequence[Any]) -> Publication:
    named = dict(zip(_COLUMNS, row, strict=True))
    return Publication(**{**named, "inputs": dict(named["inputs"]), "withdrawn": bool(named["withdrawn"])})
