"""The ranked table of a slot: what to read for it and how a terminal shows it.

Belongs here: the ranking's query and its rendering. Does not belong here: computing anything that is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from hl_assets.cli.errors import CommandError
from hl_assets.scoring.entities import EntityFlag
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse

NAME_WIDTH = 22
_FIRST_YEAR = 2000
"""ClickHouse's maximum of no instants is 1970."""

_RANKING_SQL = """
SELECT s.wallet AS wallet, s.calculated_rank AS calculated_rank, s.weighted_score AS weighted_score,
    s.adjusted_score AS adjusted_score, s.trust_label AS trust_label, s.trend_slope AS trend_slope,
    s.trend_direction AS trend_direction, s.rank_change AS rank_change, s.entity_flags AS entity_flags,
    m.roi AS roi, m.max_drawdown AS max_drawdown, m.cagr AS cagr, m.calmar_ratio AS calmar_ratio,
    m.avg_drawdown AS avg_drawdown, m.recovery_factor AS recovery_factor, m.total_pnl AS total_pnl,
    m.account_value AS account_value, m.data_span_days AS data_span_days, g.trading_style AS trading_style,
    b.display_name AS display_name
FROM (
    SELECT * FROM {table} WHERE as_of = {{slot:DateTime('UTC')}} AND {config} AND is_eligible
        AND NOT hasAny(entity_flags, {{hidden:Array(String)}})
) AS s
LEFT JOIN (SELECT * FROM wallet_metrics WHERE as_of = {{slot:DateTime('UTC')}}) AS m ON m.wallet = s.wallet
LEFT JOIN (SELECT * FROM ai_grades WHERE as_of = {{slot:DateTime('UTC')}}) AS g ON g.wallet = s.wallet
LEFT JOIN (
    SELECT wallet, display_name FROM leaderboard_rows
    WHERE as_of IN (SELECT board_as_of FROM leaderboard_snapshots WHERE as_of = {{slot:DateTime('UTC')}})
) AS b ON b.wallet = s.wallet
ORDER BY s.calculated_rank, s.wallet
LIMIT {{limit:UInt32}}
"""
_COUNTS_SQL = """
SELECT count(), countIf(hasAny(entity_flags, {{hidden:Array(String)}}))
FROM {table} WHERE as_of = {{slot:DateTime('UTC')}} AND {config} AND is_eligible
"""
_CONFIGURATIONS_SQL = """
SELECT config_hash, any(config_name), maxIf(as_of, as_of <= {slot:DateTime('UTC')}) FROM rescored_scores
GROUP BY config_hash ORDER BY config_hash
"""


@dataclass(frozen=True)
class Configuration:
    """An alternative scoring configuration that stored slots were scored with.

    Attributes:
        config_hash: Its hash.
        name: Its name.
        newest_slot: The newest slot scored with it that was asked for.
    """

    config_hash: str
    name: str
    newest_slot: datetime


@dataclass(frozen=True)
class Ranking:
    """The best wallets of a slot.

    Attributes:
        rows: One per wallet, best first, with metrics, style and name.
        slot: The slot.
        config_hash: Configuration of the scores; None for the one the slot was published with.
        hidden: Entity flags whose wallets are left out.
        n_ranked: Wallets ranked, hidden ones included.
        n_hidden: Wallets left out.
    """

    rows: pd.DataFrame
    slot: datetime
    config_hash: str | None
    hidden: tuple[EntityFlag, ...]
    n_ranked: int
    n_hidden: int


def find_configuration(store: Warehouse, wanted: str, slot: datetime) -> Configuration:
    """The stored configuration of a hash or name, with its newest slot at or before `slot`.

    Raises:
        CommandError: There is none, or none that early.
    """
    known = [Configuration(*row) for row in store.read_rows(_CONFIGURATIONS_SQL, {"slot": slot})]
    found = [
        configuration for configuration in known if wanted in (configuration.config_hash, configuration.name)
    ]
    if not found:
        names = ", ".join(f"{c.name} ({c.config_hash})" for c in known) or "none"
        raise CommandError(
            f"no scores of configuration {wanted!r} are stored; `hl-assets rescore` makes them. Stored: {names}"
        )
    if found[0].newest_slot > slot or found[0].newest_slot.year < _FIRST_YEAR:
        raise CommandError(f"configuration {wanted!r} has scored no slot at or before {slot_text(slot)}")
    return found[0]


def read_ranking(
    store: Warehouse,
    slot: datetime,
    limit: int,
    *,
    config_hash: str | None = None,
    hidden: tuple[EntityFlag, ...] = (),
) -> Ranking:
    """The best `limit` wallets of a slot that are not hidden.

    Args:
        store: The warehouse.
        slot: A scored slot.
        limit: At most so many.
        config_hash: Scores of this alternative configuration, instead of the published ones.
        hidden: Wallets with any of these flags are left out; the others keep their ranks.
    """
    table, config = ("wallet_scores", "true")
    if config_hash is not None:
        table, config = ("rescored_scores", "config_hash = {config_hash:String}")
    about = {"slot": slot, "hidden": [flag.value for flag in hidden], "config_hash": config_hash or ""}
    rows = store.read_frame(_RANKING_SQL.format(table=table, config=config), {**about, "limit": limit})
    ((n_ranked, n_hidden),) = store.read_rows(_COUNTS_SQL.format(table=table, config=config), about)
    return Ranking(rows, slot, config_hash, hidden, n_ranked, n_hidden)


@dataclass(frozen=True)
class _Column:
    """One column of the ranking.

    Attributes:
        heading: Its heading.
        width: Cells it needs.
        cell: A row's text.
        keep: Columns with a lower number go first when the terminal is narrow.
        justify: Side its text is on.
    """

    heading: str
    width: int
    cell: Callable[[Any], str | Text]
    keep: int
    justify: JustifyMethod = "right"


_COLUMNS = (
    _Column("#", 4, lambda row: _count(row["calculated_rank"]), 99),
    _Column("wallet", 42, lambda row: str(row["wallet"]), 98, "left"),
    _Column("name", NAME_WIDTH, lambda row: printable_name(row["display_name"]), 2, "left"),
    _Column("score", 5, lambda row: _number(row["weighted_score"], ".1f"), 97),
    _Column("trust", 12, lambda row: str(row["trust_label"]), 94, "left"),
    _Column("adjusted", 8, lambda row: _number(row["adjusted_score"], ".1f"), 9),
    _Column("trend/7d", 11, lambda row: _trend(row["trend_direction"], row["trend_slope"]), 93),
    _Column("moved", 5, lambda row: _signed(row["rank_change"]), 92),
    _Column("ROI", 11, lambda row: percent(row["roi"]), 96),
    _Column("max DD", 8, lambda row: percent(row["max_drawdown"]), 95),
    _Column("CAGR", 11, lambda row: percent(row["cagr"]), 6),
    _Column("Calmar", 8, lambda row: _number(row["calmar_ratio"], ",.2f"), 5),
    _Column("avg DD", 8, lambda row: percent(row["avg_drawdown"]), 3),
    _Column("recovery", 8, lambda row: _number(row["recovery_factor"], ",.2f"), 4),
    _Column("PnL USD", 13, lambda row: _number(row["total_pnl"], ",.0f"), 7),
    _Column("days", 5, lambda row: _number(row["data_span_days"], ".0f"), 8),
    _Column(
        "style",
        20,
        lambda row: "" if pd.isna(row["trading_style"]) else str(row["trading_style"]),
        90,
        "left",
    ),
    _Column("flags", 26, lambda row: ", ".join(row["entity_flags"]), 91, "left"),
)
_GAP = 2
"""Cells between columns."""


def ranking_table(ranking: Ranking, source: str, width: int) -> Table:
    """A terminal table of a ranking, with as many columns as fit.

    Args:
        ranking: What to show.
        source: Source it is from, for the title.
        width: Cells of the terminal.
    """
    columns = fitting_columns(width)
    table = Table(
        title=_title(ranking, source),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True)
    for row in ranking.rows.to_dict("records"):
        table.add_row(*(column.cell(row) for column in columns))
    if len(columns) < len(_COLUMNS):
        hidden = ", ".join(column.heading for column in _COLUMNS if column not in columns)
        table.caption, table.caption_justify = f"A wider terminal also shows {hidden}.", "left"
    return table


def _title(ranking: Ranking, source: str) -> str:
    """What the table shows, and what it leaves out."""
    title = f"Traders as of {slot_text(ranking.slot)} ({source})"
    if ranking.config_hash is not None:
        title += f", configuration {ranking.config_hash}"
    if ranking.hidden:
        flags = ", ".join(ranking.hidden)
        title += f"; hidden: {flags} ({ranking.n_hidden} of {ranking.n_ranked} ranked)"
    return title


def fitting_columns(width: int) -> list[_Column]:
    """The most important columns that fit side by side, in their order."""
    columns = list(_COLUMNS)
    while len(columns) > 1 and sum(column.width + _GAP for column in columns) > width:
        columns.remove(min(columns, key=lambda column: column.keep))
    return columns


def printable_name(name: object) -> Text:
    """A display name made harmless for a terminal: no control or direction characters, no markup, cut.

    The exchange lets anybody choose any text, so escape sequences and markup are to be expected.
    """
    if not isinstance(name, str):
        return Text("")
    visible = "".join(character if character.isprintable() else "�" for character in name[: NAME_WIDTH * 4])
    return Text(visible if len(visible) <= NAME_WIDTH else visible[: NAME_WIDTH - 1] + "…")


def percent(value: Any) -> str:
    """A fraction as per cent; a dash where it is unknown."""
    return "-" if pd.isna(value) else f"{float(value) * 100:,.1f} %"


def _number(value: Any, pattern: str) -> str:
    return "-" if pd.isna(value) else format(float(value), pattern)


def _trend(direction: Any, slope: Any) -> str:
    """Direction and slope, e.g. `up +3.1`; a dash where there is no trend."""
    return "-" if pd.isna(slope) else f"{direction} {float(slope):+.1f}"


def _signed(value: Any) -> str:
    return "-" if pd.isna(value) else f"{int(value):+d}"


def _count(value: Any) -> str:
    return "-" if pd.isna(value) else str(int(value))
