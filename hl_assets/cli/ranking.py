"""The ranked table of a slot: what to read for it and how a terminal shows it.

Belongs here: the ranking's query and its rendering. Does not belong here: computing anything that is shown.
"""

from datetime import datetime
from typing import Any

import pandas as pd
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


def ranking_table(frame: pd.DataFrame, slot: datetime, source: str) -> Table:
    """A terminal table of a ranking."""
    table = Table(
        title=f"Traders as of {slot_text(slot)} ({source})", title_justify="left", header_style="bold"
    )
    for heading, justify in _COLUMNS:
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in frame.to_dict("records"):
        table.add_row(*_cells(row))
    return table


_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("#", "right"),
    ("wallet", "left"),
    ("name", "left"),
    ("score", "right"),
    ("ROI", "right"),
    ("max DD", "right"),
    ("CAGR", "right"),
    ("Calmar", "right"),
    ("avg DD", "right"),
    ("recovery", "right"),
    ("PnL USD", "right"),
    ("days", "right"),
    ("style", "left"),
)


def _cells(row: dict[Any, Any]) -> tuple[str | Text, ...]:
    return (
        _count(row["calculated_rank"]),
        str(row["wallet"]),
        printable_name(row["display_name"]),
        _number(row["weighted_score"], ".1f"),
        percent(row["roi"]),
        percent(row["max_drawdown"]),
        percent(row["cagr"]),
        _number(row["calmar_ratio"], ".2f"),
        percent(row["avg_drawdown"]),
        _number(row["recovery_factor"], ".2f"),
        _number(row["total_pnl"], ",.0f"),
        _number(row["data_span_days"], ".0f"),
        "" if pd.isna(row["trading_style"]) else str(row["trading_style"]),
    )


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
