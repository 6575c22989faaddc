"""Reading a recorded panel: a CSV of samples of real accounts, checked line by line.

Columns, in any order and any case, with or without underscores: `timestamp` or `date`, `address` (or `ethAddress`),
`account_value`, `pnl` (cumulative, USD); optional `display_name` and `volume` (or `vlm`; cumulative all-time, USD). Other
columns are ignored. A timestamp is an ISO 8601 date (taken as 00:00 UTC), an ISO 8601 instant (UTC without an offset)
or whole milliseconds since 1970. What is served from the samples is in `panel.py`.
"""

import csv
import gzip
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from hl_assets.exchange.sandbox.arrays import CENTS, MICRO, IntArray
from hl_assets.exchange.sandbox.clock import iso, parse_instant
from hl_assets.exchange.sandbox.errors import RecordingError, SandboxConfigError

_NAMES = {
    "timestamp": ("timestamp", "date", "time", "ts"),
    "address": ("address", "ethaddress", "wallet"),
    "account_value": ("accountvalue",),
    "pnl": ("pnl",),
    "display_name": ("displayname",),
    "volume": ("volume", "vlm"),
}
_REQUIRED = ("timestamp", "address", "account_value", "pnl")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_MAX_DOLLARS = 1e12


class Sample(NamedTuple):
    """One line of the recording: instant in ms, money in micro-dollars, volume in cents or None if unknown."""

    instant_ms: int
    account_value: int
    pnl: int
    name: str | None
    volume: int | None


@dataclass(frozen=True, slots=True)
class Track:
    """The samples of one wallet in order of time."""

    instants: IntArray
    account_value: IntArray
    pnl: IntArray
    volume: IntArray  # cents; zeros where the recording has none
    names: tuple[str | None, ...]


def read_recording(path: Path) -> dict[str, Track]:
    """Read a `.csv` or `.csv.gz` panel.

    Returns:
        Tracks by lower-case address, addresses ascending.

    Raises:
        RecordingError: The file cannot be read, lacks columns, holds a value that cannot be used, or contradicts
            itself; the message names the place.
    """
    samples: dict[str, dict[int, tuple[int, Sample]]] = {}
    try:
        with _open(path) as file:
            for line, address, sample in _lines(path, file):
                _remember(path, samples.setdefault(address, {}), line, address, sample)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"cannot read the recording {path}: {error}") from error
    if not samples:
        raise RecordingError(f"{path} holds no samples")
    return {
        address: _track(path, address, [entry[1] for _, entry in sorted(rows.items())])
        for address, rows in sorted(samples.items())
    }


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _lines(path: Path, file: IO[str]) -> Iterator[tuple[int, str, Sample]]:
    reader = csv.reader(file, strict=True)
    header = next(reader, None)
    if header is None:
        raise RecordingError(f"{path} is empty; expected a header with {', '.join(_REQUIRED)}")
    columns = panel_columns(path, header)
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise RecordingError(
                f"{path}: line {reader.line_num} has {len(row)} fields, the header {len(header)}"
            )
        cells = _Cells(path, reader.line_num, {name: row[position] for name, position in columns.items()})
        yield reader.line_num, cells.address(), cells.sample()


def panel_columns(path: Path, header: list[str]) -> dict[str, int]:
    """Position of each column that a panel has, by our name of it.

    Raises:
        RecordingError: A column is missing, or two mean the same.
    """
    plain = [re.sub(r"[\s_-]", "", name).lower() for name in header]
    found: dict[str, int] = {}
    for name, spellings in _NAMES.items():
        positions = [position for position, column in enumerate(plain) if column in spellings]
        if len(positions) > 1:
            twice = ", ".join(repr(header[position]) for position in positions)
            raise RecordingError(f"{path}: columns {twice} both mean {name}; keep one")
        if positions:
            found[name] = positions[0]
    missing = [name for name in _REQUIRED if name not in found]
    if missing:
        labels = ", ".join("timestamp (or date)" if name == "timestamp" else name for name in missing)
        raise RecordingError(f"{path} lacks the columns {labels}; it has {', '.join(header)}")
    return found


class _Cells:
    """One line's cells; every refusal names file, line and column."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self._path, self._line, self._cells = path, line, cells

    def address(self) -> str:
        address = self._cells["address"].strip().lower()
        if not _ADDRESS.fullmatch(address):
            raise self._refusal("address", "is not 0x and 40 hexadecimal digits")
        return address

    def sample(self) -> Sample:
        name = self._cells.get("display_name") or None
        return Sample(
            self._instant(),
            self._units("account_value", MICRO),
            self._units("pnl", MICRO),
            name,
            self._volume(),
        )

    def _instant(self) -> int:
        text = self._cells["timestamp"].strip()
        if re.fullmatch(r"\d{12,14}", text):
            return int(text)
        try:
            return parse_instant(text)
        except SandboxConfigError as error:
            raise self._refusal(
                "timestamp", "is neither an ISO 8601 date or instant nor milliseconds since 1970"
            ) from error

    def _volume(self) -> int | None:
        if not self._cells.get("volume", "").strip():
            return None
        volume = self._units("volume", CENTS)
        if volume < 0:
            raise self._refusal("volume", "is negative")
        return volume

    def _units(self, column: str, per_dollar: int) -> int:
        try:
            dollars = float(self._cells[column])
        except ValueError as error:
            raise self._refusal(column, "is not a number") from error
        if not math.isfinite(dollars) or abs(dollars) > _MAX_DOLLARS:
            raise self._refusal(column, f"is not a finite number within {_MAX_DOLLARS:g} USD")
        return round(dollars * per_dollar)

    def _refusal(self, column: str, why: str) -> RecordingError:
        return RecordingError(
            f"{self._path}: line {self._line}, column {column}: {self._cells[column]!r} {why}"
        )


def _remember(
    path: Path, rows: dict[int, tuple[int, Sample]], line: int, address: str, sample: Sample
) -> None:
    """Keep a sample; an identical repetition is dropped, a contradicting one refused."""
    earlier = rows.setdefault(sample.instant_ms, (line, sample))
    if earlier[1] != sample:
        raise RecordingError(
            f"{path}: lines {earlier[0]} and {line} contradict each other for {address} at {iso(sample.instant_ms)}: "
            f"account value {earlier[1].account_value / MICRO} and {sample.account_value / MICRO}, "
            f"pnl {earlier[1].pnl / MICRO} and {sample.pnl / MICRO}, "
            f"name {earlier[1].name!r} and {sample.name!r}, volume {earlier[1].volume} and {sample.volume} cents"
        )


def _track(path: Path, address: str, samples: list[Sample]) -> Track:
    known = 0
    volume = []
    for sample in samples:
        if sample.volume is not None and sample.volume < known:
            raise RecordingError(
                f"{path}: the volume of {address} falls from {known / CENTS} to {sample.volume / CENTS} at "
                f"{iso(sample.instant_ms)}; the column must be cumulative"
            )
        known = known if sample.volume is None else sample.volume
        volume.append(known)
    return Track(
        instants=np.array([sample.instant_ms for sample in samples], dtype=np.int64),
        account_value=np.array([sample.account_value for sample in samples], dtype=np.int64),
        pnl=np.array([sample.pnl for sample in samples], dtype=np.int64),
        volume=np.array(volume, dtype=np.int64),
        names=tuple(sample.name for sample in samples),
    )
