"""`hl-assets wallet`: everything that is stored about one wallet as of a slot.

Belongs here: reading for and rendering of this command. Does not belong here: meanings of figures (they come from the
contracts), computing anything.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hl_assets.assets.curves import read_curves
from hl_assets.assets.metric_rows import metric_rows
from hl_assets.cli.errors import CommandError
from hl_assets.cli.grade_lines import grade_lines
from hl_assets.cli.ranking import percent, printable_name
from hl_assets.cli.show import newest_slot, stored
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets.exchange.addresses import normalize_address
from hl_assets.metrics.catalog import COMPARISON_METRICS, METRICS, SCORED_METRICS
from hl_assets.metrics.drawdown import drawdown_series
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.nulls import NullReason
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.plots import Line, text_chart, wallet_png
from hl_assets.resources.scoring import eligibility_rules
from hl_assets.schemas.contract import ColumnSpec
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse

Row = dict[Any, Any]

_REASONS = {reason.label: reason.meaning for reason in NullReason}
_FIGURES = {metric.name for metric in (*METRICS, *COMPARISON_METRICS)}


def show_wallet(
    values: dict[str, object],
    address: str,
    as_of: str | None,
    console: Console,
    *,
    png: Path | None,
    as_known: bool,
) -> None:
    """Print what is known about one wallet, and draw its curve.

    Args:
        values: Settings that were given, by field name.
        address: The wallet.
        as_of: Newest slot at or before this instant.
        console: Where to print.
        png: File to draw the curve into, instead of the terminal.
        as_known: Compute and draw from points whose answer had arrived by the slot, instead of what is stored.

    Raises:
        InvalidAddressError: The address is none.
        CommandError: Nothing is stored about it at that slot.
    """
    settings = Settings.load(**values)
    wallet = normalize_address(address)
    with stored(settings) as store:
        slot = newest_slot(store, settings, as_of)
        fetch = _row(store.read_table(PORTFOLIO_FETCHES, as_of=slot, where={"wallet": wallet}))
        board = _board_row(store, slot, wallet)
        cohort = _row(store.read_table(RECONSTRUCTED_COHORTS, as_of=slot, where={"wallet": wallet}))
        if fetch is None and board is None and cohort is None:
            raise CommandError(
                f"nothing is stored about {wallet} at {slot_text(slot)} (source {settings.source}): it was neither on the "
                "board nor fetched. `hl-assets top` lists wallets; --as-of chooses another slot"
            )
        console.print(
            Text(f"{wallet} as of {slot_text(slot)} ({settings.source})", style="bold"), soft_wrap=True
        )
        for line in _observed_lines(board, fetch) if cohort is None else _reconstructed_lines(cohort):
            console.print(line, highlight=False, soft_wrap=True)
        metrics = _row(store.read_table(WALLET_METRICS, as_of=slot, where={"wallet": wallet}))
        scores = _row(store.read_table(WALLET_SCORES, as_of=slot, where={"wallet": wallet}))
        grade = _row(store.read_table(AI_GRADES, as_of=slot, where={"wallet": wallet}))
        curves = read_curves(
            store,
            [wallet],
            "all",
            slot,
            seen_until=None if cohort is None else cohort["known_through"],
            known_at=slot if as_known else None,
        )
    if as_known:
        scores, grade, metrics = None, None, _metrics_as_known(curves, slot, settings)
    if scores is not None:
        console.print(_score_table(scores))
        for line in _standing_lines(scores):
            console.print(line, soft_wrap=True)
    if metrics is not None:
        console.print(_metric_table(metrics))
        age = metrics["data_age_hours"]
        if age > 0:  # 0: this slot fetched it, as the heading says
            console.print(f"Its newest answer was {age:.1f} hours old when the slot began.")
    if grade is not None:
        for line in grade_lines(grade):
            console.print(line, soft_wrap=True)
    _draw(curves, settings, console, png)


def _metrics_as_known(curves: RaggedCurves, slot: datetime, settings: Settings) -> Row:
    """The wallet's metrics from what had been seen by the slot; alone, it is compared with nobody."""
    table = compute_wallet_metrics(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    comparison = compare_wallets(table, assess_eligibility(table, eligibility_rules(settings)))
    rows = metric_rows(table, comparison, slot=slot, scope="all", origin=settings.origin)
    return {str(name): value for name, value in rows.iloc[0].items()}


def _draw(curves: RaggedCurves, settings: Settings, console: Console, png: Path | None) -> None:
    """The wallet's return index and drawdown, in the terminal or in a file."""
    steps = flow_adjusted_returns(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    instants = steps.curves.ts_ms
    if len(instants) < 2:
        console.print("no curve to draw: fewer than two funded points")
        return
    index = Line(
        "Return index, deposits and withdrawals removed (1.0 when first funded)", instants, steps.index
    )
    drawdown = Line("Drawdown of the index (fraction)", instants, drawdown_series(steps))
    if png is None:
        for line in (index, drawdown):
            console.print(text_chart(line, min(console.width, 110), 14), markup=False, highlight=False)
    else:
        value = Line(
            "Account value, USD: deposits and withdrawals included", instants, steps.curves.account_value
        )
        png.write_bytes(wallet_png(index, drawdown, value))
        console.print(f"drawn into {png}", highlight=False)


def _row(frame: pd.DataFrame) -> Row | None:
    return None if frame.empty else frame.iloc[0].to_dict()


def _board_row(store: Warehouse, slot: datetime, wallet: str) -> Row | None:
    snapshot = _row(store.read_table(LEADERBOARD_SNAPSHOTS, as_of=slot, columns=["board_as_of"]))
    if snapshot is None:
        return None
    return _row(store.read_table(LEADERBOARD_ROWS, as_of=snapshot["board_as_of"], where={"wallet": wallet}))


def _reconstructed_lines(cohort: Row) -> Iterator[Text]:
    yield Text(
        "reconstructed: nobody observed this slot; it is made of histories fetched later "
        f"(this wallet's first {cohort['hindsight_days']:.1f} days later, at {slot_text(cohort['confirmed_by'])}), "
        "so all of its wallets are survivors"
    )
    yield Text(
        f"portfolio: {cohort['n_points']} points until then, the newest at {cohort['newest_point']:%Y-%m-%d %H:%M}"
    )


def _observed_lines(board: Row | None, fetch: Row | None) -> Iterator[Text]:
    if board is None:
        yield Text("not on the leaderboard at this slot")
    else:
        yield Text.assemble(
            "name: ",
            printable_name(board["display_name"]),
            f"   account value: {board['account_value']:,.0f} USD",
        )
        windows = ", ".join(
            f"{window.replace('_', ' ')} {board[f'{window}_pnl']:+,.0f} USD ({percent(board[f'{window}_roi'])})"
            for window in ("day", "week", "month", "all_time")
        )
        yield Text(f"the exchange's own PnL and ROI: {windows}")
    if fetch is None:
        yield Text("its portfolio was not asked for at this slot")
    elif fetch["status"] == "ok":
        odd = f"; {', '.join(fetch['flags'])}" if fetch["flags"] else ""
        yield Text(f"portfolio: {fetch['n_points']} points, {fetch['n_new_points']} new{odd}")
    else:
        yield Text(
            f"portfolio: {fetch['status']}: {fetch['error'] or 'the exchange knows none at this address'}"
        )


def _score_table(scores: Row) -> Table:
    if scores["is_eligible"]:
        source = "a model's grade" if scores["score_source"] == "grader" else "rules"
        title = f"Rank {scores['calculated_rank']}, score {scores['weighted_score']:.1f} of 100 ({source})"
    else:
        title = f"Not ranked: {scores['ineligible_reason'].replace('_', ' ')}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("metric", "better than", "score"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name in SCORED_METRICS:
        score = scores[f"{name}_score"]
        table.add_row(name, percent(scores[f"{name}_percentile"]), "-" if pd.isna(score) else f"{score:.0f}")
    return table


def _standing_lines(scores: Row) -> Iterator[Text]:
    """The other scores, trust, trend and flags, with the reasons of what is unknown."""
    why = scores["null_reasons"]

    def told(name: str, pattern: str) -> str:
        if name in why:
            return f"unknown ({why[name].replace('_', ' ')})"
        return format(float(scores[name]), pattern)

    yield Text(
        f"without AI {told('quant_score', '.1f')}, by rules {told('rule_score', '.1f')}, by the model "
        f"{told('agent_score', '.1f')}, adjusted for trust {told('adjusted_score', '.1f')}"
    )
    yield Text(
        f"trust {scores['trust_label']}: {told('trust', '.0f')} of 100, from {told('sample_days', '.0f')} days and "
        f"{scores['n_daily_steps']} daily returns"
    )
    yield Text(
        f"trend: {told('trend_slope', '+.1f')} points per 7 days; ranks climbed: {told('rank_change', '+.0f')}"
    )
    if scores["entity_flags"]:
        yield Text(f"may be no trader: {', '.join(scores['entity_flags']).replace('_', ' ')}")


def _metric_table(metrics: Row) -> Table:
    table = Table(title="Metrics", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("meaning")
    for column in WALLET_METRICS.columns:
        if column.name in _FIGURES or column.name.startswith(
            ("exchange_roi", "trust_label", "first_ts", "last_ts")
        ):
            table.add_row(column.name, _value(column, metrics[column.name]), _meaning(column, metrics))
    if metrics["flags"]:
        table.add_row("flags", "", ", ".join(flag.replace("_", " ") for flag in metrics["flags"]))
    return table


def _value(column: ColumnSpec, value: Any) -> str:
    if value is pd.NaT or pd.isna(value):
        return "-"
    if isinstance(value, datetime):
        return slot_text(value)
    if column.unit.startswith("fraction"):
        return percent(value)
    return f"{value:,.2f}" if isinstance(value, float) else f"{value}"


def _meaning(column: ColumnSpec, metrics: Row) -> str:
    reason = metrics["null_reasons"].get(column.name)
    return f"unknown: {_REASONS.get(reason, reason.replace('_', ' '))}" if reason else column.description
