"""A folder of captured bodies: its format, and replaying it byte for byte at the instants it was taken for.

| file | what |
|---|---|
| `capture.json` | `{"format": "hl_assets capture", "version": 1, "origin": ...}` |
| `index.jsonl` | one `CaptureEntry` a line, appended as answers come; a last line without its end does not count |
| `bodies/DAY.gz` | gzip members, one a body; an entry says where its own begins and ends, and equal bodies are stored once |

Answers are taken in rounds. A round belongs to the instant `at` and stands for the time until `at + valid_seconds`; asked then, the
exchange answers with the round's bodies, although they came a little later. What was not asked for in a round is not answered with
an older body, and what failed then is refused: both are 404 with the reason. There is no truth behind a capture.
"""

import gzip
import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from hl_assets.exchange.sandbox.arrays import IntArray
from hl_assets.exchange.sandbox.clock import iso, to_ms
from hl_assets.exchange.sandbox.errors import NotRecordedError, NoTruthError, RecordingError
from hl_assets.exchange.sandbox.source import Truth

HEADER_NAME = "capture.json"
INDEX_NAME = "index.jsonl"
LEADERBOARD = "leaderboard"


class CaptureHeader(msgspec.Struct, frozen=True):
    """What `capture.json` says: the format, and the `origin` of the bodies (live, simulated)."""

    format: Literal["hl_assets capture"]
    version: Literal[1]
    origin: str


class CaptureEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a round.

    Attributes:
        at: Instant the round belongs to.
        valid_seconds: How long the round stands for the present.
        kind: `leaderboard` or `portfolio`.
        wallet: Whose portfolio.
        observed_at: When the answer had arrived or was given up.
        status: `ok` (a body) or `failed`.
        error: Why it failed.
        last_modified: The answer's `Last-Modified`, if it had one.
        sha256: Digest of the body.
        file: File that holds it, inside the folder.
        offset: Where its gzip member begins.
        length: How long the member is.
        size: How long the body is.
    """

    at: datetime
    valid_seconds: float
    kind: Literal["leaderboard", "portfolio"]
    wallet: str | None = None
    observed_at: datetime
    status: Literal["ok", "failed"]
    error: str | None = None
    last_modified: datetime | None = None
    sha256: str = ""
    file: str = ""
    offset: int = 0
    length: int = 0
    size: int = 0


def read_header(folder: Path) -> CaptureHeader:
    """The header of a capture.

    Raises:
        RecordingError: The folder is no capture, or of a later format.
    """
    try:
        return msgspec.json.decode((folder / HEADER_NAME).read_bytes(), type=CaptureHeader)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordingError(f"{folder} is no folder of `hl-assets record`: {error}") from error


def read_index(folder: Path) -> tuple[list[CaptureEntry], int]:
    """Every complete line of the index, and the length in bytes of those lines.

    Raises:
        RecordingError: A line cannot be understood.
    """
    path = folder / INDEX_NAME
    decoder = msgspec.json.Decoder(CaptureEntry)
    entries: list[CaptureEntry] = []
    length = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entries.append(decoder.decode(line))
                length += len(line)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path}: line {len(entries) + 1} cannot be understood: {error}") from error
    return entries, length


class Capture:
    """A capture, ready to be asked.

    Args:
        folder: The folder.

    Raises:
        RecordingError: It is no capture, or holds nothing.
    """

    def __init__(self, folder: Path) -> None:
        read_header(folder)
        self._folder = folder
        self._rounds: dict[int, dict[str, CaptureEntry]] = {}
        self._ends: dict[int, int] = {}
        for entry in read_index(folder)[0]:
            at = to_ms(entry.at)
            self._rounds.setdefault(at, {})[entry.wallet or LEADERBOARD] = entry
            self._ends[at] = at + round(entry.valid_seconds * 1000)
        if not self._rounds:
            raise RecordingError(f"{folder} holds no answers yet")
        self._instants = sorted(self._rounds)

    @property
    def newest_ms(self) -> int:
        """Instant of the newest round."""
        return self._instants[-1]

    def span_ms(self) -> tuple[int, int]:
        """Instant of the first round, and the end of the last."""
        return self._instants[0], max(self._ends.values())

    def leaderboard(self, now_ms: int) -> bytes:
        """The round's leaderboard, as it came."""
        return self._body(self._entry(LEADERBOARD, now_ms))

    def last_modified(self, now_ms: int) -> datetime | None:
        """Its `Last-Modified`, None where it had none or was not recorded."""
        entry = self._round(now_ms).get(LEADERBOARD)
        return None if entry is None else entry.last_modified

    def vaults(self, now_ms: int) -> bytes:
        """Refused: vaults are not recorded."""
        raise NotRecordedError(f"a capture holds no vaults ({iso(now_ms)})")

    def portfolio(self, wallet: str, now_ms: int) -> bytes:
        """The round's answer for a wallet, as it came."""
        return self._body(self._entry(wallet, now_ms))

    def vault_details(self, address: str, now_ms: int) -> bytes:
        """Refused: details of vaults are not recorded."""
        raise NotRecordedError(f"a capture holds no details of vaults ({address}, {iso(now_ms)})")

    def truth_at(self, wallet: str, now_ms: int, instants_ms: IntArray | None) -> Truth:  # noqa: ARG002
        """Always refused: what lies behind captured answers is unknown."""
        raise NoTruthError(f"the true index of {wallet} is unknown: a capture holds answers only")

    def truth_summaries(self) -> Sequence[Mapping[str, object]]:
        """Nothing is known."""
        return []

    def _round(self, now_ms: int) -> dict[str, CaptureEntry]:
        position = bisect_right(self._instants, now_ms) - 1
        at = self._instants[position] if position >= 0 else None
        if at is None or now_ms >= self._ends[at]:
            raise NotRecordedError(f"no round was recorded for {iso(now_ms)}")
        return self._rounds[at]

    def _entry(self, subject: str, now_ms: int) -> CaptureEntry:
        entry = self._round(now_ms).get(subject)
        if entry is None:
            raise NotRecordedError(f"{subject} was not asked for in the round of {iso(now_ms)}")
        if entry.status == "failed":
            raise NotRecordedError(f"{subject} failed in the round of {iso(now_ms)}: {entry.error}")
        return entry

    def _body(self, entry: CaptureEntry) -> bytes:
        path = self._folder / entry.file
        try:
            with path.open("rb") as file:
                file.seek(entry.offset)
                body = gzip.decompress(file.read(entry.length))
        except (OSError, EOFError) as error:
            raise RecordingError(f"{path} at {entry.offset}: the body cannot be read: {error}") from error
        if hashlib.sha256(body).hexdigest() != entry.sha256:
            raise RecordingError(f"{path} at {entry.offset}: the body is not the one that was recorded")
        return body
