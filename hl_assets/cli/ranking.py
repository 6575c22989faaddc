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

from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse

NAME_WIDTH = 22

_RANKING_SQL = """
SELECT s.wallet AS wallet, s.calculated_rank AS calculated_rank, s.weighted_score AS weighted_score,
    m.roi AS roi, m.max_drawdown AS max_drawdown, m.cagr AS cagr, m.calmar_ratio AS calmar_ratio,
    m.avg_drawdown AS avg_drawdown, m.recovery_factor AS recovery_factor, m.total_pnl AS total_pnl,
    m.account_value AS account_value, m.data_span_days AS data_span_days, g.trading_style AS trading_style,
    b.display_name AS display_name
FROM (SELECT * FROM wallet_scores WHERE as_of = {slot:DateTime('UTC')} AND is_eligible) AS s
LEFT JOIN (SELECT * FROM wallet_metrics WHERE as_of = {slot:DateTime('UTC')}) AS m ON m.wallet = s.wallet
LEFT JOIN (SELECT * FROM ai_grades WHERE as_of = {slot:DateTime('UTC')}) AS g ON g.wallet = s.wallet
LEFT JOIN (
    SELECT wallet, display_name FROM leaderboard_rows
    WHERE as_of IN (SELECT board_as_of FROM leaderboard_snapshots WHERE as_of = {slot:DateTime('UTC')})
) AS b ON b.wallet = s.wallet
ORDER BY s.calculated_rank, s.percentile_mean DESC, s.wallet
LIMIT {limit:UInt32}
"""


def read_ranking(store: Warehouse, slot: datetime, limit: int) -> pd.DataFrame:
    """The best `limit` wallets of a slot, best first, with metrics, style and name."""
    return store.read_frame(_RANKING_SQL, {"slot": slot, "limit": limit})


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
    _Column("ROI", 11, lambda row: percent(row["roi"]), 96),
    _Column("max DD", 8, lambda row: percent(row["max_drawdown"]), 95),
    _Column("CAGR", 11, lambda row: percent(row["cagr"]), 6),
    _Column("Calmar", 8, lambda row: _number(row["calmar_ratio"], ",.2f"), 5),
    _Column("avg DD", 8, lambda row: percent(row["avg_drawdown"]), 3),
    _Column("recovery", 8, lambda row: _number(row["recovery_factor"], ",.2f"), 4),
    _Column("PnL USD", 13, lambda row: _number(row["total_pnl"], ",.0f"), 7),
    _Column("days", 5, lambda row: _number(row["data_span_days"], ".0f"), 8),
    _Column(
        "style", 20, lambda row: "" if pd.isna(row["trading_style"]) else str(row["trading_style"]), 1, "left"
    ),
)
_GAP = 2
"""Cells between columns."""


def ranking_table(frame: pd.DataFrame, slot: datetime, source: str, width: int) -> Table:
    """A terminal table of a ranking, with as many columns as fit.

    Args:
        frame: Rows of `read_ranking`.
        slot: Their slot.
        source: Source they are from, for the title.
        width: Cells of the terminal.
    """
    columns = fitting_columns(width)
    table = Table(
        title=f"Traders as of {slot_text(slot)} ({source})",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column.heading, justify=column.justify, no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(*(column.cell(row) for column in columns))
    if len(columns) < len(_COLUMNS):
        hidden = ", ".join(column.heading for column in _COLUMNS if column not in columns)
        table.caption, table.caption_justify = f"A wider terminal also shows {hidden}.", "left"
    return table


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


def _count(value: Any) -> str:
    return "-" if pd.isna(value) else str(int(value))
