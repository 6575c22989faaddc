"""Importing a panel: a CSV of account values and cumulative PnL of real accounts, as if each sample had been fetched on its day.

Belongs here: reading and judging the lines, and the rows they become. Does not belong here: replaying a panel as an exchange
(`exchange.sandbox.panel`).

A sample becomes a point of the curve that is anchored at the account's beginning, because the PnL counts from there. It is first seen
in the slot at or after the instant it is dated, and nothing before that slot can know it. Beside it stands a row of
`portfolio_fetches`, so that metrics are derived for the wallets of that slot. What a panel does not say stays unknown: volumes are
null, and there are no points of perps alone.
"""

import csv
import gzip
import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from hl_assets import __version__
from hl_assets.exchange.sandbox.errors import RecordingError
from hl_assets.exchange.sandbox.recording import panel_columns
from hl_assets.interchange.errors import UnreadableFileError
from hl_assets.interchange.import_export import ImportReport, ImportRequest
from hl_assets.interchange.rejects import Reject, RejectLog, short
from hl_assets.interchange.target import Target
from hl_assets.progress import Progress, announce
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.slots import SLOT, SlotError, parse_instant
from hl_assets.warehouse.manifest import Publication
from hl_assets.warehouse.slices import Provenance, Slice

ORIGIN = "recorded"
SELECTED_BY = "panel"
PANEL_DIGEST = "panel"
"""Key in a publication's `inputs` under which a panel's slot keeps a digest of its samples."""

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_MILLISECONDS = re.compile(r"\d{12,14}")
_MAX_DOLLARS = 1e12
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
"""Hyperliquid is younger; an earlier date is a mistake."""
_SLOTS_PER_COMMIT = 100


@dataclass(frozen=True)
class _Line:
    """One line of the file: its number and its cells by our names of the columns."""

    number: int
    cells: Mapping[str, str]


class _BadCellError(ValueError):
    """A cell that cannot be used."""

    def __init__(self, column: str, rule: str) -> None:
        super().__init__(rule)
        self.column, self.rule = column, rule


def read_panel(path: Path, now: datetime, log: RejectLog) -> pd.DataFrame:
    """The samples of a panel that can be used.

    Args:
        path: A `.csv` or `.csv.gz` with `timestamp` or `date`, `address`, `account_value` and `pnl` (cumulative); others
            are ignored.
        now: The present moment; what is dated after it is rejected.
        log: Takes the lines that are not used.

    Returns:
        wallet, ts (ms, UTC), account_value, pnl; sorted by ts, then wallet; one row per wallet and instant.

    Raises:
        UnreadableFileError: The file cannot be read, or lacks columns.
    """
    seen: dict[tuple[str, datetime], tuple[float, float, int]] = {}
    try:
        with _open(path) as file:
            for line in _lines(path, file, log):
                try:
                    _remember(seen, line, now)
                except _BadCellError as bad:
                    value = short(line.cells.get(bad.column, ""))
                    log.add(Reject(path.name, f"line {line.number}", bad.column, bad.rule, value, line.cells))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, RecordingError) as error:
        raise UnreadableFileError(f"the panel {path} cannot be read: {error}") from error
    samples = [(wallet, ts, value, pnl) for (wallet, ts), (value, pnl, _) in seen.items()]
    frame = pd.DataFrame(samples, columns=["wallet", "ts", "account_value", "pnl"])
    frame = frame.astype(
        {"ts": "datetime64[ms, UTC]", "account_value": float, "pnl": float, "wallet": object}
    )
    return frame.sort_values(["ts", "wallet"], ignore_index=True)


def import_panel(
    target: Target, samples: pd.DataFrame, request: ImportRequest, log: RejectLog
) -> ImportReport:
    """Publish the samples of a panel, slot by slot.

    A slot that is published already is not touched, unless `replace` says so and its samples differ.

    Args:
        target: Where to.
        samples: As `read_panel` returns them.
        request: How.
        log: What was rejected before, for the count of rows.

    Raises:
        WarehouseError: The warehouse failed; what was published before stays, and the import can be repeated.
    """
    report = ImportReport()
    points, fetches = report.of(PORTFOLIO_POINTS), report.of(PORTFOLIO_FETCHES)
    points.rejected_rows = log.total
    if samples.empty:
        return report
    slots = panel_slots(samples)
    tables = [PORTFOLIO_POINTS, PORTFOLIO_FETCHES]
    stored = target.committed(tables, slots[0].as_of, slots[-1].as_of + SLOT)
    wanted = []
    for slot in slots:
        found = [stored[table.name].get(slot.as_of) for table in tables]
        if all(_same(publication, slot.digest) for publication in found):
            points.unchanged += 1
            fetches.unchanged += 1
        elif any(found) and not request.replace:
            points.kept += 1
            fetches.kept += 1
        else:
            wanted.append(slot)
            points.published += 1
            fetches.published += 1
            points.rows += len(slot.points)
            fetches.rows += len(slot.fetches)
    announce(Progress("slots", 0, len(wanted)))
    for first in range(0, 0 if request.dry_run else len(wanted), _SLOTS_PER_COMMIT):
        portion = wanted[first : first + _SLOTS_PER_COMMIT]
        session = target.session
        slices = [part for slot in portion for part in slot.slices()]
        session.publisher.publish(slices, Provenance(session.run_id, __version__, ORIGIN))
        announce(Progress("slots", first + len(portion), len(wanted)))
    return report


@dataclass(frozen=True, eq=False)
class PanelSlot:
    """What a panel's samples of one slot become.

    Attributes:
        as_of: The slot.
        points: Rows of `portfolio_points`.
        fetches: Rows of `portfolio_fetches`.
    """

    as_of: datetime
    points: pd.DataFrame
    fetches: pd.DataFrame

    @property
    def digest(self) -> int:
        """A number that differs when the samples do."""
        text = self.points[["wallet", "ts", "account_value", "pnl"]].to_csv(index=False)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def slices(self) -> Iterator[Slice]:
        """Both tables' slices, for one commit."""
        inputs = {PANEL_DIGEST: self.digest}
        yield Slice(PORTFOLIO_FETCHES, self.as_of, self.fetches, inputs)
        yield Slice(PORTFOLIO_POINTS, self.as_of, self.points, inputs)


def panel_slots(samples: pd.DataFrame) -> list[PanelSlot]:
    """Rows of both tables for every slot in which a sample is first seen, oldest first."""
    known = samples.groupby("wallet").cumcount() + 1
    dated = samples.assign(as_of=samples["ts"].dt.ceil(SLOT).astype("datetime64[s, UTC]"), known=known)
    return [
        PanelSlot(pd.Timestamp(slot).to_pydatetime(), _points(part), _fetches(part))  # type: ignore[arg-type]
        for slot, part in dated.groupby("as_of", sort=True)
    ]


def _points(samples: pd.DataFrame) -> pd.DataFrame:
    return PORTFOLIO_POINTS.conform(
        samples.drop(columns="known").assign(
            scope="all", segment="", contradicts=False, observed_at=samples["ts"]
        )
    )


def _fetches(samples: pd.DataFrame) -> pd.DataFrame:
    """One row per wallet; the largest account comes first."""
    by_wallet = samples.groupby("wallet", sort=False)
    newest = by_wallet.tail(1).sort_values(["account_value", "wallet"], ascending=[False, True])
    count = len(newest)
    columns: dict[str, Any] = {
        "as_of": newest["as_of"],
        "wallet": newest["wallet"],
        "selection_rank": np.arange(1, count + 1),
        "selected_by": [SELECTED_BY] * count,
        "status": ["ok"] * count,
        "error_kind": [None] * count,
        "error": [None] * count,
        "attempts": np.zeros(count, dtype=np.int64),
        "weight": np.zeros(count, dtype=np.int64),
        "elapsed_seconds": np.zeros(count),
        "observed_at": newest["ts"],
        "n_points": newest["known"],
        "n_new_points": by_wallet.size().loc[newest["wallet"]].to_numpy(),
        "n_contradictions": np.zeros(count, dtype=np.int64),
        "flags": [[SELECTED_BY] for _ in range(count)],
        **{f"{window}_volume": np.full(count, np.nan) for window in ("day", "week", "month", "all_time")},
        "origin": [ORIGIN] * count,
    }
    columns = {
        name: values.reset_index(drop=True) if isinstance(values, pd.Series) else values
        for name, values in columns.items()
    }
    return PORTFOLIO_FETCHES.conform(columns)


def _same(found: Publication | None, digest: int) -> bool:
    return found is not None and found.inputs.get(PANEL_DIGEST) == digest


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(path: Path, file: IO[str], log: RejectLog) -> Iterator[_Line]:
    reader = csv.reader(file, strict=True)
    header = next(reader, None)
    if header is None:
        raise UnreadableFileError(
            f"the panel {path} is empty; expected a header with date, address, account_value, pnl"
        )
    columns = panel_columns(path, header)
    for row in reader:
        if not row:
            continue
        if len(row) == len(header):
            yield _Line(reader.line_num, {name: row[position] for name, position in columns.items()})
        else:
            rule = f"{len(header)} fields, like the header"
            cells = dict(enumerate(row))
            log.add(
                Reject(path.name, f"line {reader.line_num}", "", rule, f"{len(row)} fields", _named(cells))
            )


def _named(cells: Mapping[int, str]) -> dict[str, str]:
    return {f"field {position + 1}": cell for position, cell in cells.items()}


def _remember(seen: dict[tuple[str, datetime], tuple[float, float, int]], line: _Line, now: datetime) -> None:
    """Keep a line's sample unless something is wrong with it; of two for one instant the first counts."""
    wallet, ts = _wallet(line), _instant(line)
    if not _FIRST <= ts <= now:
        raise _BadCellError("timestamp", f"between {_FIRST:%Y} and the present, {now:%Y-%m-%dT%H:%MZ}")
    value, pnl = _dollars(line, "account_value"), _dollars(line, "pnl")
    first = seen.setdefault((wallet, ts), (value, pnl, line.number))
    if first[2] != line.number:
        rule = (
            "no repetition of an earlier line"
            if first[:2] == (value, pnl)
            else "no contradiction to an earlier line"
        )
        raise _BadCellError("address", rule)


def _wallet(line: _Line) -> str:
    wallet = line.cells["address"].strip().lower()
    if not _ADDRESS.fullmatch(wallet):
        raise _BadCellError("address", "0x and 40 hexadecimal digits")
    return wallet


def _instant(line: _Line) -> datetime:
    text = line.cells["timestamp"].strip()
    try:
        if _MILLISECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
        instant = parse_instant(text)
    except (SlotError, ValueError, OverflowError):
        raise _BadCellError("timestamp", "an ISO 8601 date or instant, or milliseconds since 1970") from None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _dollars(line: _Line, column: str) -> float:
    try:
        dollars = float(line.cells[column])
    except ValueError:
        raise _BadCellError(column, "a number") from None
    if not math.isfinite(dollars) or abs(dollars) > _MAX_DOLLARS:
        raise _BadCellError(column, f"a finite number within {_MAX_DOLLARS:g} USD")
    return dollars
