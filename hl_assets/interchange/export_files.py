"""The files of an export, opened and checked as files.

Belongs here: digests, metadata, columns, and reading whole slots in bounded memory. Does not belong here: judging rows
(`rejects`), publishing (`import_export`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hl_assets.interchange import parquet
from hl_assets.interchange.errors import UnreadableFileError
from hl_assets.interchange.manifest_file import ExportManifest, FileEntry, file_sha256
from hl_assets.interchange.parquet import SlotRecord
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.slots import slot_of, slot_text

_ROWS_AT_ONCE = 100_000
"""Rows judged at once, unless one slot alone has more."""
_ROWS_PER_BATCH = 32_768


@dataclass(frozen=True)
class ExportFile:
    """A file whose head has been checked.

    Attributes:
        path: The file.
        name: How it is called in messages.
        contract: Table whose rows it holds.
        origins: Where its facts come from.
        slots: Slot -> the publication its rows belong to; none for a ledger.
    """

    path: Path
    name: str
    contract: TableContract
    origins: set[str]
    slots: dict[datetime, SlotRecord]

    def tables(self) -> Iterator[pa.Table]:
        """The rows, whole slots at a time (a ledger's in any portions).

        Raises:
            UnreadableFileError: The file is damaged, or the rows of a slot are not together.
        """
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as stored:
                batches = stored.iter_batches(_ROWS_PER_BATCH, columns=self.contract.column_names)
                yield from _whole_slots(pa.Table.from_batches([batch]) for batch in batches)
        except (OSError, pa.ArrowException) as error:
            raise UnreadableFileError(f"its rows cannot be read: {error}") from error


def checked_entry(folder: Path, entry: FileEntry) -> ExportFile:
    """A file of an export, after comparing it with what the folder's manifest says of it.

    Raises:
        UnreadableFileError: It is missing, has other bytes, or cannot be read as what it should be.
    """
    path = folder / entry.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnreadableFileError("the manifest places it outside the folder")
    if not path.is_file():
        raise UnreadableFileError("it is missing")
    if (digest := file_sha256(path)) != entry.sha256:
        raise UnreadableFileError(
            f"its bytes have changed: SHA-256 {digest}, the manifest says {entry.sha256}"
        )
    file = checked_file(path, entry.path)
    said = {slot_text(slot): (str(record.version), record.rows) for slot, record in file.slots.items()}
    listed = {slot: (known.version, known.rows) for slot, known in entry.slots.items()}
    if file.contract.name != entry.table or said != listed:
        raise UnreadableFileError("the manifest names another table or other slots for it")
    return file


def checked_file(path: Path, name: str) -> ExportFile:
    """A file, after reading what it says about itself.

    Raises:
        UnreadableFileError: It is no file of an export, or its columns are not those of this version's contract.
    """
    try:
        with pq.ParquetFile(path) as stored:
            metadata, schema = stored.metadata.metadata, stored.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFileError(f"it is no Parquet file: {error}") from error
    table = parquet.table_of(metadata)
    contract = next((known for known in TABLES if known.name == table), None)
    if contract is None:
        raise UnreadableFileError(f"it holds the table {table!r}, which this version does not have")
    if differences := parquet.differences(contract, schema):
        raise UnreadableFileError(
            f"its columns differ from the contract of {table}: {'; '.join(differences)}"
        )
    records = [] if contract.storage == "ledger" else parquet.slots_of(metadata)
    slots = {record.slot.astimezone(UTC): record for record in records}
    if len(slots) < len(records) or any(slot != slot_of(slot) for slot in slots):
        raise UnreadableFileError("it lists a slot twice, or one that is not a whole 10 minutes")
    return ExportFile(path, name, contract, parquet.origins_of(metadata), slots)


def manifest_slots(entry: FileEntry) -> set[datetime]:
    """Slots that the folder's manifest lists for a file, whatever the file holds."""
    return {datetime.fromisoformat(slot) for slot in entry.slots}


def days_of(manifest: ExportManifest) -> Iterator[list[FileEntry]]:
    """The files of each day, oldest day first, tables in the order data flows."""
    order = {contract.name: position for position, contract in enumerate(TABLES)}
    by_day: dict[object, list[FileEntry]] = {}
    for entry in sorted(manifest.files, key=lambda entry: (entry.day, order.get(entry.table, -1))):
        by_day.setdefault(entry.day, []).append(entry)
    yield from by_day.values()


def _whole_slots(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in larger tables that end where a slot ends."""
    ended: set[object] = set()
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        if sum(map(len, pending)) >= _ROWS_AT_ONCE:
            joined = pa.concat_tables(pending)
            starts = _starts_of_slots(joined)
            if starts[-1]:
                yield _ended(joined.slice(0, starts[-1]), ended)
            pending = [joined.slice(starts[-1])]
    if pending and (rest := pa.concat_tables(pending)).num_rows:
        yield _ended(rest, ended)


def _starts_of_slots(table: pa.Table) -> list[int]:
    """Positions at which the slot changes, 0 included."""
    slots = table["as_of"].cast(pa.int64()).fill_null(-1).to_numpy()
    return [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist()]


def _ended(table: pa.Table, ended: set[object]) -> pa.Table:
    """The table, after noting that its slots have come to their end."""
    for start in _starts_of_slots(table):
        slot = table["as_of"][start].as_py()
        if slot in ended:
            raise UnreadableFileError(f"the rows of slot {slot} are not together; sort the rows by as_of")
        ended.add(slot)
    return table
