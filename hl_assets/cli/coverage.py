"""`hl-assets coverage`: which slots are covered, the gaps, and what to do about them.

Belongs here: reading `slot_coverage` and saying it. Does not belong here: settling slots (`assets.slot_coverage`), finding
gaps and shares (`hl_assets.coverage`).
"""

import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from hl_assets.cli.console import harmless, make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.show import stored
from hl_assets.coverage.gaps import (
    SPANS,
    STATUSES,
    Gap,
    Share,
    counting,
    covered_share,
    find_gaps,
    longest_gap,
    status_grid,
)
from hl_assets.coverage.vocabulary import CAUSES, GAP_ADVICE, Cause
from hl_assets.plots import slots_png
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, day_of, parse_instant, slot_of, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseQueryError

_COLUMNS = ("as_of", "status", "cause", "cause_detail")
_GAPS_PRINTED = 30


@dataclass(frozen=True)
class Coverage:
    """What is told of a range of slots.

    Attributes:
        rows: Columns as_of, status, cause and cause_detail; at least one row.
        shares: Name of a span -> share of its slots; without a range, the last 24 h, 7 and 30 d and all.
        gaps: Oldest first.
        unsettled: Ended slots after the newest row.
        before: Slots before the platform began to observe that nothing covers.
    """

    rows: pd.DataFrame
    shares: dict[str, Share]
    gaps: list[Gap]
    unsettled: int
    before: int


def show_coverage(
    values: dict[str, object], start: str | None, end: str | None, *, as_json: bool, png: Path | None
) -> None:
    """Print, or draw, what became of the slots of a range.

    Args:
        values: Settings that were given, by field name.
        start: First slot; None: the first stored.
        end: Last slot, or a date: that whole day; None: the newest settled.
        as_json: Whether to print one JSON object instead.
        png: File to draw the slots into.

    Raises:
        CommandError: Nothing is settled, or nothing in the range.
    """
    settings = Settings.load(**values)
    with stored(settings) as store:
        rows = _read(store, settings)
    if start is None and end is None:
        newest, spans = rows["as_of"].iloc[-1].to_pydatetime() + SLOT, SPANS
        shares = {
            name: covered_share(rows, None if length is None else newest - length) for name, length in spans
        }
    else:
        rows = _within(rows, start, end)
        shares = {"the range": covered_share(rows)}
    told = Coverage(
        rows=rows,
        shares=shares,
        gaps=find_gaps(rows),
        unsettled=_unsettled(rows, settings.now()) if end is None else 0,
        before=len(rows) - len(counting(rows)),
    )
    if png is not None:
        _draw(rows, png)
    if as_json:
        sys.stdout.write(json.dumps(_document(told), ensure_ascii=False) + "\n")
        return
    console = make_console()
    for line in _lines(told):
        console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)
    if png is not None:
        console.print(f"drawn into {png}", markup=False, highlight=False, soft_wrap=True)


def _read(store: Warehouse, settings: Settings) -> pd.DataFrame:
    try:
        rows = store.read_table(SLOT_COVERAGE, columns=_COLUMNS)
    except WarehouseQueryError as error:
        if error.name not in {"UNKNOWN_DATABASE", "UNKNOWN_TABLE"}:
            raise
        rows = SLOT_COVERAGE.empty()
    if rows.empty:
        raise CommandError(
            f"no slot is settled in database {store.database} (source {settings.source}): `hl-assets dev --source "
            f"{settings.source}` runs the job `coverage` every 10 minutes; or materialise the asset slot_coverage in Dagster's UI"
        )
    return rows


def _within(rows: pd.DataFrame, start: str | None, end: str | None) -> pd.DataFrame:
    first = rows["as_of"].iloc[0] if start is None else pd.Timestamp(parse_instant(start))
    last = rows["as_of"].iloc[-1] if end is None else pd.Timestamp(_last_slot(end))
    chosen = rows[(rows["as_of"] >= first) & (rows["as_of"] <= last)]
    if chosen.empty:
        raise CommandError(
            f"no settled slot lies between {slot_text(first)} and {slot_text(last)}: the table has "
            f"{slot_text(rows['as_of'].iloc[0])} to {slot_text(rows['as_of'].iloc[-1])}"
        )
    return chosen


def _last_slot(text: str) -> datetime:
    """A date means the whole day."""
    instant = parse_instant(text)
    return instant + timedelta(days=1) - SLOT if len(text) == len("2026-05-31") else slot_of(instant)


def _unsettled(rows: pd.DataFrame, now: datetime) -> int:
    """Ended slots that no run has settled."""
    newest: datetime = rows["as_of"].iloc[-1].to_pydatetime()
    ended: int = (slot_of(now) - newest) // SLOT - 1
    return max(0, ended)


def _lines(told: Coverage) -> list[str]:
    first, last = told.rows["as_of"].iloc[0], told.rows["as_of"].iloc[-1]
    counts = told.rows["status"].value_counts()
    lines = [
        f"{len(told.rows):,} slots from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC: "
        + ", ".join(f"{counts[str(status)]:,} {status}" for status in STATUSES if str(status) in counts),
        "covered: " + ", ".join(_share_text(name, share) for name, share in told.shares.items()),
    ]
    if told.before:
        lines.append(f"not counted: {told.before:,} slots before the platform began to observe")
    if told.unsettled:
        lines.append(f"not settled yet: the newest {told.unsettled:,} ended slots (job `coverage`)")
    if not told.gaps:
        return [*lines, "no gaps"]
    longest = longest_gap(told.rows)
    if longest is not None:
        lines.append(f"longest gap: {longest.text}")
    lines.append("")
    hidden = len(told.gaps) - _GAPS_PRINTED
    if hidden > 0:
        lines.append(f"{hidden:,} older gaps are not shown: choose --from and --to, or --json")
    lines += [_gap_text(gap) for gap in told.gaps[-_GAPS_PRINTED:]]
    lines += ["", "what to do:"]
    causes = sorted({gap.cause for gap in told.gaps if gap.cause is not None})
    lines += [f"  {cause}: {CAUSES[Cause(cause)].meaning}; {CAUSES[Cause(cause)].advice}" for cause in causes]
    filled = GAP_ADVICE.format(first=slot_text(told.gaps[-1].first), last=slot_text(told.gaps[-1].last))
    return [*lines, f"  {filled}"]


def _gap_text(gap: Gap) -> str:
    return gap.text if gap.detail is None else f"{gap.text}: {gap.detail}"


def _share_text(name: str, share: Share) -> str:
    known = "nothing to count" if share.share is None else f"{share.share:.2%}"
    return f"{known} {name} ({share.covered:,}/{share.slots:,})"


def _document(told: Coverage) -> dict[str, Any]:
    return {
        "from": slot_text(told.rows["as_of"].iloc[0]),
        "to": slot_text(told.rows["as_of"].iloc[-1]),
        "slots": len(told.rows),
        "by_status": {str(name): int(count) for name, count in told.rows["status"].value_counts().items()},
        "by_cause": {str(name): int(count) for name, count in told.rows["cause"].value_counts().items()},
        "covered": {
            name: {"covered": share.covered, "slots": share.slots, "share": share.share}
            for name, share in told.shares.items()
        },
        "before_observation": told.before,
        "unsettled": told.unsettled,
        "gaps": [
            {
                "from": slot_text(gap.first),
                "to": slot_text(gap.last),
                "slots": gap.slots,
                "status": gap.status,
                "cause": gap.cause,
                "detail": gap.detail,
                "advice": None if gap.cause is None else CAUSES[Cause(gap.cause)].advice,
            }
            for gap in told.gaps
        ],
    }


def _draw(rows: pd.DataFrame, png: Path) -> None:
    first, last = (day_of(rows["as_of"].iloc[place].to_pydatetime()) for place in (0, -1))
    statuses = [str(status) for status in STATUSES]
    png.write_bytes(
        slots_png(status_grid(rows, first, last), first, statuses, f"Slots {first} to {last}, UTC")
    )
