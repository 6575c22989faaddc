"""`manifest.json` of an export: what is in the folder, so that a copy can be checked without opening a Parquet file.

Belongs here: its shape, reading and writing it, digests of files. Does not belong here: Parquet (`parquet`).

Versions are texts, because they are larger than the numbers that JavaScript keeps exactly. The manifest is written last, so a
folder without one is an export that was interrupted.
"""

import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import msgspec

from hl_assets.interchange.errors import UnreadableFileError

MANIFEST_NAME = "manifest.json"


class SlotEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One slot in a file: the version it had, its rows, and where its facts come from."""

    version: str
    rows: int
    origin: str


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file.

    Attributes:
        path: Path inside the folder, with forward slashes.
        table: The table.
        day: UTC day of its slots.
        rows: Rows.
        n_bytes: Size.
        sha256: Digest of its bytes.
        origins: Where its facts come from.
        slots: Slot -> its entry; empty for a ledger.
    """

    path: str
    table: str
    day: date
    rows: int
    n_bytes: int
    sha256: str
    origins: list[str]
    slots: dict[str, SlotEntry]


class ExportManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole export.

    Attributes:
        format: Always `hl_assets export`.
        format_version: Format of folder and files.
        code_version: Version of the code that exported.
        exported_at: When.
        database: Database it was taken from.
        tables: Tables asked for, also those without rows.
        origins: Where the facts come from.
        first_slot: Oldest slot exported, None if nothing is published.
        last_slot: Newest slot exported.
        rows: Rows of all files.
        files: The files, by day, then in the order data flows.
    """

    format: Literal["hl_assets export"]
    format_version: str
    code_version: str
    exported_at: datetime
    database: str
    tables: list[str]
    origins: list[str]
    first_slot: datetime | None
    last_slot: datetime | None
    rows: int
    files: list[FileEntry]

    @property
    def export_id(self) -> str:
        """Twelve digits that tell exports with different content apart."""
        digest = hashlib.sha256("\n".join(f"{file.path} {file.sha256}" for file in self.files).encode())
        return digest.hexdigest()[:12]


def write_manifest(folder: Path, manifest: ExportManifest) -> None:
    """Write `manifest.json` in one step: it is there whole or not at all."""
    draft = folder / f".{MANIFEST_NAME}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    draft.replace(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> ExportManifest:
    """Read the manifest of an export.

    Raises:
        UnreadableFileError: There is none, or it cannot be understood.
    """
    path = folder / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=ExportManifest)
    except FileNotFoundError:
        raise UnreadableFileError(
            f"{folder} holds no {MANIFEST_NAME}, so it is no export or one that was interrupted; export again, or name "
            "single files of it"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise UnreadableFileError(f"{path} cannot be read as an export's manifest: {error}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
