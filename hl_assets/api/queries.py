"""SQL of the answers: pinned rows of a snapshot as dictionaries.

Belongs here: the statements. Names come from the contracts and from lists in this module, values are bound. Does not belong
here: documents (`models`), which snapshot (`snapshots`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hl_assets.api.models import (
    ANALYSIS_GRADES,
    BOARD_COLUMNS,
    CALL_COLUMNS,
    EQUITY_COLUMNS,
    FETCH_COLUMNS,
    GRADE_COLUMNS,
    LIST_SCORES,
    METRIC_COLUMNS,
    METRIC_PAGE_COLUMNS,
    SCORE_COLUMNS,
    STYLE_COLUMNS,
    TREND_COLUMNS,
)
from hl_assets.api.nulls import plain
from hl_assets.api.parameters import Sort
from hl_assets.api.snapshots import Snapshot, pin_parameters, pinned_rows
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Publication

Row = dict[str, Any]

LIST_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "s": ("wallet", *LIST_SCORES, *TREND_COLUMNS, "null_reasons"),
    "m": METRIC_COLUMNS,
    "g": (*STYLE_COLUMNS, "status", "grade_source"),
}
ANALYSIS_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "s": ("wallet", *LIST_SCORES, "null_reasons"),
    "m": METRIC_COLUMNS,
    "g": (*ANALYSIS_GRADES, "overall_assessment", "status", "grade_source"),
}
"""Columns of the lists by their table: s(cores), m(etrics), g(rades)."""

_TABLES = {"s": WALLET_SCORES, "m": WALLET_METRICS, "g": AI_GRADES}
_ASCENDING = frozenset({Sort.CALCULATED_RANK})
_OF_METRICS = frozenset(
    {
        Sort.ROI, Sort.CAGR, Sort.MAX_DRAWDOWN, Sort.CALMAR_RATIO, Sort.RECOVERY_FACTOR, Sort.SHARPE, Sort.TOTAL_PNL,
        Sort.ACCOUNT_VALUE,
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which ranked wallets a list has, and in which order.

    Attributes:
        hidden_flags: Without wallets that have one of these entity flags.
        wanted_flag: Only wallets with this one.
        min_trust: Only wallets with at least this trust.
        min_sample_days: Only wallets with at least so many days of performance.
        style: Only wallets graded with this style.
        sort: Order, best first.
        limit: Most rows.
        offset: Rows left out before.
    """

    hidden_flags: Sequence[str] = ()
    wanted_flag: str | None = None
    min_trust: float | None = None
    min_sample_days: float | None = None
    style: str | None = None
    sort: Sort = Sort.CALCULATED_RANK
    limit: int
    offset: int = 0


def read_ranked(
    store: Warehouse, snapshot: Snapshot, selection: Selection, columns: Mapping[str, Sequence[str]]
) -> tuple[list[Row], int]:
    """Ranked wallets of a snapshot with metrics, grade and name; and how many pass the selection on all pages.

    A column of metrics or grades is None where the wallet has no such row.
    """
    sql, parameters = ranked_sql(snapshot, selection, columns)
    names = [name for table in columns for name in columns[table]] + ["display_name"]
    rows = store.read_rows(sql, parameters)
    found = [dict(zip(names, map(plain, row[:-1]), strict=True)) for row in rows]
    return found, int(rows[0][-1]) if rows else 0


def ranked_sql(
    snapshot: Snapshot, selection: Selection, columns: Mapping[str, Sequence[str]]
) -> tuple[str, dict[str, Any]]:
    """The statement of `read_ranked`; its last column is the number of rows on all pages."""
    conditions, bound = _conditions(selection)
    sort_table = "m" if selection.sort in _OF_METRICS else "s"
    inner = {alias: sorted({"wallet", *columns[alias]}) for alias in columns}
    inner[sort_table] = sorted({*inner[sort_table], selection.sort.value})
    inner["s"] = sorted({*inner["s"], "is_eligible", "entity_flags", "trust", "sample_days"})
    chosen = ", ".join(f"{alias}.{_id(name)}" for alias in columns for name in columns[alias])
    direction = "ASC" if selection.sort in _ASCENDING else "DESC"
    sources = [f"FROM ({_select(WALLET_SCORES, inner['s'], snapshot)} AND {' AND '.join(conditions)}) AS s"]
    sources += [
        f"LEFT JOIN ({_select(_TABLES[alias], inner[alias], snapshot)}) AS {alias} ON {alias}.wallet = s.wallet"
        for alias in ("m", "g")
    ]
    names = (
        f"{_select(LEADERBOARD_ROWS, ('wallet', 'display_name'), snapshot)} AND wallet IN "
        f"({_select(WALLET_SCORES, ('wallet',), snapshot)})"
    )
    sources.append(f"LEFT JOIN ({names}) AS b ON b.wallet = s.wallet")
    if selection.style is not None:
        sources.append("WHERE g.trading_style = {style:String}")
        bound["style"] = selection.style
    sql = (
        f"SELECT {chosen}, b.display_name, count() OVER () AS total\n"
        + "\n".join(sources)
        + f"\nORDER BY {sort_table}.{_id(selection.sort.value)} {direction} NULLS LAST, s.wallet\n"
        "LIMIT {limit:UInt32} OFFSET {offset:UInt32}\nSETTINGS join_use_nulls = 1"
    )
    bound |= {"limit": selection.limit, "offset": selection.offset}
    return sql, bound | pin_parameters(snapshot.pins)


def _conditions(selection: Selection) -> tuple[list[str], dict[str, Any]]:
    conditions, bound = ["is_eligible"], dict[str, Any]()
    if selection.hidden_flags:
        conditions.append("NOT hasAny(entity_flags, {hidden:Array(String)})")
        bound["hidden"] = list(selection.hidden_flags)
    if selection.wanted_flag is not None:
        conditions.append("has(entity_flags, {wanted:String})")
        bound["wanted"] = selection.wanted_flag
    for name, column in (("min_trust", "trust"), ("min_sample_days", "sample_days")):
        least = getattr(selection, name)
        if least is not None:
            conditions.append(f"{column} >= {{{name}:Float64}}")
            bound[name] = least
    return conditions, bound


def _select(contract: TableContract, columns: Iterable[str], snapshot: Snapshot) -> str:
    """A table's pinned rows; none where the snapshot has no such table."""
    names = ", ".join(_id(name) for name in columns)
    if contract.name not in snapshot.pins:
        return f"SELECT {names} FROM {_id(ddl.versions_table(contract))} WHERE false"  # noqa: S608 - from contracts
    return f"SELECT {names} FROM {pinned_rows(contract)}"  # noqa: S608 - from contracts


def _id(name: str) -> str:
    return ddl.identifier(name)


# One wallet


def read_pinned(
    store: Warehouse, snapshot: Snapshot, contract: TableContract, columns: Sequence[str], wallet: str
) -> Row | None:
    """A wallet's row of a table, None if there is none."""
    if contract.name not in snapshot.pins:
        return None
    rows = _dicts(columns, store.read_rows(*pinned_sql(snapshot, contract, columns, wallet)))
    return rows[0] if rows else None


def pinned_sql(
    snapshot: Snapshot, contract: TableContract, columns: Sequence[str], wallet: str
) -> tuple[str, dict[str, Any]]:
    """The statement of `read_pinned`."""
    sql = f"{_select(contract, columns, snapshot)} AND wallet = {{wallet:String}}"
    pin = {contract.name: snapshot.pins[contract.name]}
    return sql, {**pin_parameters(pin), "wallet": wallet}


@dataclass(frozen=True)
class WalletRows:
    """A wallet's rows in a snapshot; None where a table has none."""

    account: Row | None
    fetch: Row | None
    metrics: Row | None
    scores: Row | None
    grade: Row | None


_PAGE: Mapping[str, tuple[TableContract, tuple[str, ...]]] = {
    "account": (LEADERBOARD_ROWS, BOARD_COLUMNS),
    "fetch": (PORTFOLIO_FETCHES, FETCH_COLUMNS),
    "metrics": (WALLET_METRICS, (*METRIC_PAGE_COLUMNS, "null_reasons")),
    "scores": (WALLET_SCORES, (*SCORE_COLUMNS, "null_reasons")),
    "grade": (AI_GRADES, GRADE_COLUMNS),
}


def read_wallet(store: Warehouse, snapshot: Snapshot, wallet: str) -> WalletRows:
    """Everything a snapshot has of a wallet.

    One statement a table: joined, their 170 columns take ClickHouse twice as long to analyse.
    """
    parts = {
        part: read_pinned(store, snapshot, table, columns, wallet) for part, (table, columns) in _PAGE.items()
    }
    return WalletRows(**parts)


def wallet_statements(snapshot: Snapshot, wallet: str) -> list[tuple[str, dict[str, Any]]]:
    """The statements of `read_wallet`, as they are where the snapshot has every table."""
    return [pinned_sql(snapshot, table, columns, wallet) for table, columns in _PAGE.values()]


def is_known(store: Warehouse, snapshot: Snapshot, wallet: str) -> bool:
    """Whether the wallet was fetched, stood on the board, or was measured (a reconstructed slot has nothing else)."""
    known_in = (PORTFOLIO_FETCHES, LEADERBOARD_ROWS, WALLET_METRICS)
    tables = [table for table in known_in if table.name in snapshot.pins]
    return any(read_pinned(store, snapshot, table, ("wallet",), wallet) is not None for table in tables)


def read_calls(store: Warehouse, wallet: str, call_ids: Sequence[str]) -> dict[str, Row]:
    """Where grades come from, by call id. The ledger's entries never change, so no snapshot is needed."""
    if not call_ids:
        return {}
    frame_columns = list(CALL_COLUMNS)
    names = ", ".join(map(_id, frame_columns))
    sql = (
        f"SELECT {names} FROM {_id(GRADE_CALLS.name)} "  # noqa: S608 - from the contract
        "WHERE wallet = {wallet:String} AND call_id IN {calls:Array(String)}"
    )
    rows = _dicts(frame_columns, store.read_rows(sql, {"wallet": wallet, "calls": list(call_ids)}))
    return {row["call_id"]: row for row in rows}


def read_curve(
    store: Warehouse, curve: Publication, wallet: str, *, start: datetime, end: datetime, most: int
) -> list[Row]:
    """At most `most` points of a wallet's curve of the whole account, oldest first, of one publication.

    Both ends are included.
    """
    names = ", ".join(map(_id, EQUITY_COLUMNS))
    sql = (
        f"SELECT {names} FROM {pinned_rows(EQUITY_CURVES)} "  # noqa: S608 - from the contract
        "AND wallet = {wallet:String} AND scope = 'all' AND ts BETWEEN {start:DateTime64(3, 'UTC')} "
        "AND {end:DateTime64(3, 'UTC')} ORDER BY ts LIMIT {most:UInt32}"
    )
    bound = {"wallet": wallet, "start": start, "end": end, "most": most}
    return _dicts(EQUITY_COLUMNS, store.read_rows(sql, pin_parameters({curve.table_name: curve}) | bound))


def read_score_history(store: Warehouse, wallet: str, start: datetime, end: datetime) -> list[Row]:
    """A wallet's scores of all slots in a range, oldest first, both ends included; one statement, so one state."""
    columns = ("as_of", *SCORE_COLUMNS, "null_reasons")
    names = ", ".join(map(_id, columns))
    sql = (
        f"SELECT {names} FROM {_id(WALLET_SCORES.name)} "  # noqa: S608 - from the contract
        "WHERE wallet = {wallet:String} AND as_of BETWEEN {start:DateTime('UTC')} AND {end:DateTime('UTC')} "
        "ORDER BY as_of"
    )
    return _dicts(columns, store.read_rows(sql, {"wallet": wallet, "start": start, "end": end}))


def read_grade_history(store: Warehouse, wallet: str, start: datetime, end: datetime, most: int) -> list[Row]:
    """A wallet's grades in a range, newest first; slots with the same grade are one row."""
    names = ", ".join(
        f"argMax({_id(name)}, as_of)" for name in GRADE_COLUMNS if "Nullable" not in _type(name)
    )
    # argMax skips nulls, so nullable columns travel in a tuple, which is never null.
    nullable = ", ".join(
        f"tupleElement(argMax(tuple({_id(name)}), as_of), 1)"
        for name in GRADE_COLUMNS
        if "Nullable" in _type(name)
    )
    sql = (
        f"SELECT min(as_of) AS first_as_of, max(as_of) AS last_as_of, count() AS slots, {names}, {nullable} "  # noqa: S608
        f"FROM (SELECT * FROM {_id(AI_GRADES.name)} WHERE wallet = {{wallet:String}} "
        "AND as_of BETWEEN {start:DateTime('UTC')} AND {end:DateTime('UTC')}) "
        "GROUP BY status, call_id, grader_version, input_hash "
        "ORDER BY last_as_of DESC, first_as_of DESC LIMIT {most:UInt32}"
    )
    columns = (
        "first_as_of",
        "last_as_of",
        "slots",
        *(name for name in GRADE_COLUMNS if "Nullable" not in _type(name)),
        *(name for name in GRADE_COLUMNS if "Nullable" in _type(name)),
    )
    return _dicts(columns, store.read_rows(sql, {"wallet": wallet, "start": start, "end": end, "most": most}))


def _type(name: str) -> str:
    return next(spec.clickhouse_type for spec in AI_GRADES.columns if spec.name == name)


# A slot


def read_run(store: Warehouse, snapshot: Snapshot) -> Row | None:
    """How the snapshot's slot was scored."""
    if SCORE_RUNS.name not in snapshot.pins:
        return None
    columns = SCORE_RUNS.column_names
    sql = _select(SCORE_RUNS, columns, snapshot)
    pin = {SCORE_RUNS.name: snapshot.pins[SCORE_RUNS.name]}
    rows = _dicts(columns, store.read_rows(sql, pin_parameters(pin)))
    return rows[0] if rows else None


def read_overview(store: Warehouse, snapshot: Snapshot, columns: Mapping[str, Sequence[str]]) -> list[Row]:
    """Some columns of every wallet of the slot, ranked or not."""
    chosen = ", ".join(f"{alias}.{_id(name)}" for alias in columns for name in columns[alias])
    sources = [
        f"({_select(_TABLES[alias], sorted({'wallet', *columns[alias]}), snapshot)}) AS {alias}"
        for alias in columns
    ]
    joins = [
        f"LEFT JOIN {source} ON {alias}.wallet = s.wallet"
        for alias, source in zip(columns, sources, strict=True)
    ]
    sql = f"SELECT {chosen} FROM {sources[0]} {' '.join(joins[1:])} SETTINGS join_use_nulls = 1"  # noqa: S608
    names = [name for alias in columns for name in columns[alias]]
    return _dicts(names, store.read_rows(sql, pin_parameters(snapshot.pins)))


def _dicts(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Row]:
    return [dict(zip(columns, map(plain, row), strict=True)) for row in rows]
