"""Asset `leaderboard`: the exchange's board of a slot, its rows stored once per distinct body.

Belongs here: deciding whether to fetch, shaping the rows, publishing both tables in one commit. Does not belong here:
the request (`exchange`), the rules of a row (`schemas`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from hl_assets.assets.describe import PREVIEW_ROWS, slot_metadata
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.verdict import blocking_results, judge, refusal
from hl_assets.assets.window import RunWindow, nothing_stored, run_window
from hl_assets.checks.freshness import freshness_policy
from hl_assets.checks.results import drift_result, non_empty_result
from hl_assets.exchange.payloads import Leaderboard, LeaderboardWindow
from hl_assets.exchange.responses import LeaderboardResponse
from hl_assets.failures import classified_failures
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.slices import Slice

WINDOWS: dict[LeaderboardWindow, str] = {
    "day": "day",
    "week": "week",
    "month": "month",
    "allTime": "all_time",
}
"""The exchange's names of the windows, and the prefixes of our columns."""


@slot_asset(
    LEADERBOARD_ROWS,
    layer="raw",
    grain="wallet_x_board",
    group="exchange",
    owner="data-platform",
    coverage=False,
    freshness_policy=freshness_policy(Settings()),
    description=(
        "The exchange's trader leaderboard as each 10-minute slot saw it. The exchange refreshes it about hourly, so an "
        "unchanged board is stored once and slots point at it. A slot is fetched only while it is the present."
    ),
)
def leaderboard(
    context: dg.AssetExecutionContext,
    exchange: dg.ResourceParam[Exchange],
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Fetch the slot's board unless it is stored, and publish snapshot and rows together."""
    started = time.perf_counter()
    with classified_failures(), warehouse.open_run(context.run, "leaderboard") as session:
        window = run_window(context, exchange.now())
        board = _stored(session, window) or _observed(session, window, exchange)
        verdict = judge([(LEADERBOARD_SNAPSHOTS, board.snapshot), (LEADERBOARD_ROWS, board.rows)])
        results = [
            *blocking_results([verdict]),
            non_empty_result(LEADERBOARD_ROWS, len(board.rows)),
            drift_result(
                LEADERBOARD_ROWS,
                len(board.rows),
                _previous_rows(session, board.slot),
                settings.max_row_count_drift,
            ),
        ]
        if not verdict.publishable:
            yield from results
            raise refusal(verdict.summary, [slot_text(board.slot)])
        if board.is_new:
            _publish(session, board, exchange.origin)
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                LEADERBOARD_ROWS,
                slot=board.slot,
                frame=board.rows,
                preview_of=board.rows.nlargest(PREVIEW_ROWS, "month_pnl"),
                rows_of_day=session.rows_of_day(LEADERBOARD_ROWS, window.day),
                seconds=time.perf_counter() - started,
                extra=board.facts,
            ),
        )


@dataclass(frozen=True)
class _Board:
    """The board of a slot, fetched now or stored before."""

    slot: datetime
    snapshot: pd.DataFrame
    rows: pd.DataFrame
    is_new: bool
    rows_are_new: bool
    facts: dict[str, Any] = field(default_factory=dict)


def _stored(session: WarehouseSession, window: RunWindow) -> _Board | None:
    """The board already stored for the run's slot; for a past day, that of its newest slot."""
    slot = window.slot
    if slot is None:
        slots = session.manifest.committed_on(LEADERBOARD_SNAPSHOTS, window.day)
        if not slots:
            raise nothing_stored(
                window.day,
                "leaderboard_snapshots",
                "the board of a past day cannot be fetched any more, and none was stored while it was the present",
            )
        slot = max(slots)
    snapshot = session.store.read_table(LEADERBOARD_SNAPSHOTS, as_of=slot)
    if snapshot.empty:
        return None
    rows = session.store.read_table(LEADERBOARD_ROWS, as_of=snapshot["board_as_of"].iloc[0].to_pydatetime())
    return _Board(slot, snapshot, rows, is_new=False, rows_are_new=False, facts={"fetched": False})


def _observed(session: WarehouseSession, window: RunWindow, exchange: Exchange) -> _Board:
    """The board of the present, for the slot it lies in."""
    slot = window.slot
    if slot is None or not window.slot_is_present:
        raise dg.Failure(
            f"slot {slot_text(slot) if slot else window.day} was not observed while it was the present (it is now "
            f"{slot_text(window.now)}), and the present cannot be taken for the past. The slot stays missing; run the "
            "current slot instead",
            allow_retries=False,
        )
    response = exchange.leaderboard()
    same = _same_body_before(session, slot, response.sha256)
    board_slot = slot if same is None else same
    rows = board_rows(response.leaderboard, slot)
    facts = {
        "fetched": True,
        "changed_since_previous_slot": same is None,
        "megabytes": round(len(response.body) / 1e6, 2),
        "fetch_seconds": round(response.elapsed_seconds, 3),
        "attempts": response.attempts,
    }
    return _Board(
        slot, _snapshot(response, slot, board_slot, exchange.origin), rows, True, same is None, facts
    )


def _same_body_before(session: WarehouseSession, slot: datetime, sha256: str) -> datetime | None:
    """Slot under which the rows of an identical body are stored, if the newest earlier snapshot saw it."""
    previous = session.published_before(LEADERBOARD_SNAPSHOTS, slot)
    if previous is None:
        return None
    snapshot = session.store.read_table(LEADERBOARD_SNAPSHOTS, as_of=previous.as_of).iloc[0]
    return snapshot["board_as_of"].to_pydatetime() if snapshot["body_sha256"] == sha256 else None


def _snapshot(
    response: LeaderboardResponse, slot: datetime, board_slot: datetime, origin: str
) -> pd.DataFrame:
    return LEADERBOARD_SNAPSHOTS.conform(
        {
            "as_of": [slot],
            "observed_at": [response.observed_at],
            "last_modified": pd.Series([response.last_modified], dtype="datetime64[ms, UTC]"),
            "body_sha256": [response.sha256],
            "board_as_of": [board_slot],
            "n_rows": [len(response.leaderboard.wallets)],
            "n_bytes": [len(response.body)],
            "origin": [origin],
        }
    )


def board_rows(board: Leaderboard, slot: datetime) -> pd.DataFrame:
    """The rows of `leaderboard_rows` for a parsed board, in the exchange's order."""
    columns: dict[str, Any] = {
        "as_of": pd.Series([slot], dtype="datetime64[s, UTC]").repeat(len(board.wallets)),
        "wallet": list(board.wallets),
        "display_name": list(board.display_names),
        "account_value": board.account_value,
        "prize": board.prize,
    }
    for theirs, ours in WINDOWS.items():
        performance = board.performance[theirs]
        columns[f"{ours}_pnl"] = performance.pnl
        columns[f"{ours}_roi"] = performance.roi
        columns[f"{ours}_volume"] = performance.volume
    columns["as_of"] = columns["as_of"].reset_index(drop=True)
    return LEADERBOARD_ROWS.conform(columns)


def _publish(session: WarehouseSession, board: _Board, origin: str) -> None:
    slices = [Slice(LEADERBOARD_SNAPSHOTS, board.slot, board.snapshot)]
    if board.rows_are_new:
        slices.append(Slice(LEADERBOARD_ROWS, board.slot, board.rows))
    session.publisher.publish(slices, provenance=session.provenance(origin))


def _previous_rows(session: WarehouseSession, slot: datetime) -> int | None:
    """Rows of the board that the slot before saw, whether or not they were stored under that slot."""
    previous = session.published_before(LEADERBOARD_SNAPSHOTS, slot)
    if previous is None:
        return None
    return int(session.store.read_table(LEADERBOARD_SNAPSHOTS, as_of=previous.as_of)["n_rows"].iloc[0])
