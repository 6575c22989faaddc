"""Adding answers to a capture (`exchange.sandbox.capture` has the format and reads it).

Belongs here: appending bodies and index lines so that a kill loses at most the answer being written. Does not belong here: what is
asked for and when (`recorder`).

A body is on disk before the line that points at it, so a line never names bytes that are not there. A line that a killed recorder
left unfinished is cut off when the next one opens the folder; a body without a line does no harm.
"""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec
from filelock import FileLock, Timeout

from hl_assets.exchange.sandbox.capture import (
    HEADER_NAME,
    INDEX_NAME,
    CaptureEntry,
    CaptureHeader,
    read_header,
    read_index,
)
from hl_assets.exchange.sandbox.errors import RecordingError
from hl_assets.interchange.errors import CaptureError

_LEVEL = 6


class CaptureWriter:
    """A capture that is added to; use it as a context.

    Args:
        folder: The folder; made if it is missing.
        origin: Where the bodies come from.

    Raises:
        CaptureError: On entering: the folder holds something else, a capture of another origin, or another recorder writes
            into it.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder, self._origin = folder, origin
        self._encoder = msgspec.json.Encoder()
        self._stored: dict[str, tuple[str, int, int, int]] = {}
        self.rounds: set[datetime] = set()
        self.n_bytes = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CaptureError(
                f"another recorder writes into {self._folder}; choose another folder"
            ) from None
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._index.close()
        self._lock.release()

    def add(self, entry: CaptureEntry, body: bytes | None) -> None:
        """Append one answer.

        Args:
            entry: What is known about it; where its body lies is filled in.
            body: Its body, None for a failure.
        """
        if body is not None:
            if entry.sha256 not in self._stored:
                self._stored[entry.sha256] = self._append(entry.at, body)
            file, offset, length, size = self._stored[entry.sha256]
            entry = msgspec.structs.replace(entry, file=file, offset=offset, length=length, size=size)
        self._index.write(self._encoder.encode(entry) + b"\n")
        self._index.flush()
        self.rounds.add(entry.at)

    def sync(self) -> None:
        """Have what was written so far survive a loss of power."""
        os.fsync(self._index.fileno())

    def _open(self) -> None:
        header = self._folder / HEADER_NAME
        if not header.exists():
            if stranger := next((path for path in self._folder.iterdir() if path.name != ".lock"), None):
                raise CaptureError(
                    f"{self._folder} holds {stranger.name} and is no capture; choose another folder"
                )
            said = CaptureHeader(format="hl_assets capture", version=1, origin=self._origin)
            (self._folder / INDEX_NAME).touch()
            header.write_bytes(self._encoder.encode(said) + b"\n")
        try:
            origin = read_header(self._folder).origin
            entries, length = read_index(self._folder)
        except RecordingError as error:
            raise CaptureError(str(error)) from error
        if origin != self._origin:
            raise CaptureError(
                f"{self._folder} holds {origin} answers, these are {self._origin}; choose another folder"
            )
        self._index = (self._folder / INDEX_NAME).open("r+b")
        self._index.truncate(length)  # a line that a killed recorder did not finish
        self._index.seek(length)
        for entry in entries:
            self.rounds.add(entry.at)
            if entry.status == "ok":
                self._stored[entry.sha256] = (entry.file, entry.offset, entry.length, entry.size)

    def _append(self, at: datetime, body: bytes) -> tuple[str, int, int, int]:
        name = f"bodies/{at.astimezone(UTC):%Y-%m-%d}.gz"
        packed = gzip.compress(body, _LEVEL, mtime=0)
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            offset = file.tell()
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        self.n_bytes += len(packed)
        return name, offset, len(packed), len(body)
