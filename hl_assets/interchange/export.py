"""Exporting published rows into Parquet files, one per table and UTC day.

Belongs here: which versions are exported, reading them in bounded pieces, writing files and the folder's manifest. Does not
belong here: types and metadata of a file (`parquet`), reading exports back (`import_export`).

Consistent: the manifest of all tables is read in one query, and rows are read in exactly the versions it names, so a publication in
between changes nothing. A version that was swept meanwhile (a minute after it lost) shows as missing rows; then the day is
read again, all its tables together.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hl_assets import __version__
from hl_assets.interchange import parquet
from hl_assets.interchange.errors import ExportError
from hl_assets.interchange.manifest_file import (
    MANIFEST_NAME,
    ExportManifest,
    FileEntry,
    SlotEntry,
    file_sha256,
    write_manifest,
)
from hl_assets.interchange.parquet import SlotRecord
from hl_assets.progress import Progress, announce
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.slots import day_bounds, day_of, slot_text
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest, Publication

logger = logging.getLogger(__name__)

ROWS_PER_READ = 200_000
"""Rows asked for at once, unless one slot alone has more: what bounds memory, here and in the server."""
_ATTEMPTS_PER_DAY = 4
_PART = "part.parquet"

_OfDay = Mapping[str, Sequence[Publication]]
"""Table -> its published slices of one UTC day, oldest first."""

_LEDGER_DAYS_SQL = """
SELECT DISTINCT toDate(as_of) FROM {table}
WHERE as_of >= {{start:DateTime('UTC')}} AND as_of < {{end:DateTime('UTC')}}
"""


_EARLIER_BOARDS_SQL = """
SELECT DISTINCT board_as_of FROM leaderboard_snapshots
WHERE as_of >= {start:DateTime('UTC')} AND as_of < {end:DateTime('UTC')} AND board_as_of < {start:DateTime('UTC')}
"""


class _ChangedError(Exception):
    """Rows of a version named by the manifest are not stored any more."""


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        contracts: The tables.
        start: First slot.
        end: First slot that is not exported any more.
    """

    contracts: Sequence[TableContract]
    start: datetime
    end: datetime


def export_tables(
    store: Warehouse, request: ExportRequest, folder: Path, *, exported_at: datetime, overwrite: bool = False
) -> ExportManifest:
    """Write an export.

    Args:
        store: The warehouse.
        request: What to export.
        folder: Where to; made if it is missing.
        exported_at: The present moment, for the manifest.
        overwrite: Replace an export that is there; files that no export writes are left alone.

    Raises:
        ExportError: The folder is not empty, or slots are published faster than they can be read.
        WarehouseError: The warehouse cannot be read.
    """
    _prepare(folder, overwrite=overwrite)
    export = _Export(store, request, folder)
    published = Manifest(store).committed_together(_sliced(request.contracts), request.start, request.end)
    by_day = _by_day(_with_earlier_boards(store, request, published))
    days = sorted(set(by_day) | export.ledger_days())
    files: list[FileEntry] = []
    announce(Progress("days", 0, len(days)))
    for position, day in enumerate(days, start=1):
        files += export.day(day, by_day.get(day, {}))
        announce(Progress("days", position, len(days)))
    manifest = _manifest(store, request, files, exported_at)
    write_manifest(folder, manifest)
    return manifest


class _Export:
    """One export under way."""

    def __init__(self, store: Warehouse, request: ExportRequest, folder: Path) -> None:
        self._store, self._request, self._folder = store, request, folder

    def ledger_days(self) -> set[date]:
        """UTC days on which the asked-for ledgers have entries."""
        bounds = {"start": self._request.start, "end": self._request.end}
        return {
            day
            for contract in self._request.contracts
            if contract.storage == "ledger"
            for (day,) in self._store.read_rows(
                _LEDGER_DAYS_SQL.format(table=ddl.identifier(contract.name)), bounds
            )
        }

    def day(self, day: date, published: _OfDay) -> list[FileEntry]:
        """Write every table of one day; from a fresh manifest when a version has gone meanwhile."""
        for attempt in range(_ATTEMPTS_PER_DAY):
            try:
                return list(self._day_once(day, published))
            except _ChangedError as changed:
                logger.info(
                    "%s was published again while it was exported (%s); reading it again", day, changed
                )
                if attempt + 1 < _ATTEMPTS_PER_DAY:
                    start, end = self._bounds(day)
                    fresh = Manifest(self._store).committed_together(
                        _sliced(self._request.contracts), start, end
                    )
                    published = _by_day(fresh).get(day, {})
        raise ExportError(
            f"{day} was published again {_ATTEMPTS_PER_DAY} times while it was exported; pause the schedule or the backfill that "
            "writes it, or end the range before it"
        )

    def _day_once(self, day: date, published: _OfDay) -> Iterator[FileEntry]:
        for contract in self._request.contracts:
            if contract.storage == "ledger":
                if entry := self._ledger_file(contract, day):
                    yield entry
                continue
            if slots := published.get(contract.name):
                yield self._slices_file(contract, day, slots)

    def _slices_file(self, contract: TableContract, day: date, slots: Sequence[Publication]) -> FileEntry:
        with _DayFile(self._folder, contract, day) as file:
            for portion in _portions(slots):
                sql, parameters = _slices_sql(contract, portion)
                file.write(self._store.read_bytes(sql, parameters, output="ArrowStream"))
            for found in slots:
                if file.rows_of_slot[found.as_of] != found.n_rows:
                    raise _ChangedError(
                        f"{contract.name} at {slot_text(found.as_of)}: {file.rows_of_slot[found.as_of]} of {found.n_rows} rows"
                    )
            file.close([_record(found) for found in slots])
        entries = {
            slot_text(found.as_of): SlotEntry(str(found.version), found.n_rows, found.origin)
            for found in slots
        }
        return file.entry(entries)

    def _ledger_file(self, contract: TableContract, day: date) -> FileEntry | None:
        start, end = self._bounds(day)
        names = ", ".join(map(ddl.identifier, contract.column_names))
        order = ", ".join(map(ddl.identifier, _file_order(contract)))
        sql = (
            f"SELECT {names} FROM {ddl.identifier(contract.name)} "  # noqa: S608 - names from the contract
            f"WHERE as_of >= {{start:DateTime('UTC')}} AND as_of < {{end:DateTime('UTC')}} ORDER BY {order}"
        )
        encoded = self._store.read_bytes(sql, {"start": start, "end": end}, output="ArrowStream")
        with _DayFile(self._folder, contract, day) as file:
            file.write(encoded)
            if not file.rows:
                return None
            file.close([])
        return file.entry({})

    def _bounds(self, day: date) -> tuple[datetime, datetime]:
        first, end = day_bounds(day)
        return max(first, self._request.start), min(end, self._request.end)


class _DayFile:
    """One Parquet file being written; what is not closed by then is removed at the end of the block."""

    def __init__(self, folder: Path, contract: TableContract, day: date) -> None:
        self._contract, self._day = contract, day
        self._name = f"table={contract.name}/day={day}/{_PART}"
        self._path = folder / self._name
        self._draft = self._path.with_suffix(".draft")
        self._versions: dict[str, set[str]] = {name: set() for name in parquet.version_columns(contract)}
        self._closed = False
        self.origins: set[str] = set()
        self.rows_of_slot: Counter[datetime] = Counter()

    def __enter__(self) -> Self:
        self._draft.parent.mkdir(parents=True, exist_ok=True)
        texts = [spec.name for spec in self._contract.columns if "String" in spec.clickhouse_type]
        self._writer = pq.ParquetWriter(
            self._draft,
            parquet.arrow_schema(self._contract, __version__),
            compression="zstd",
            compression_level=3,
            write_page_checksum=True,
            use_dictionary=["as_of", *texts],
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._writer.close()
        if not self._closed:
            self._draft.unlink(missing_ok=True)

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(self.rows_of_slot.values())

    def write(self, arrow_stream: bytes) -> None:
        """Add rows in ClickHouse's Arrow encoding, as one row group."""
        table = _cast(pa.ipc.open_stream(arrow_stream).read_all(), self._writer.schema)
        for counted in pc.value_counts(table["as_of"]).to_pylist():
            self.rows_of_slot[counted["values"]] += counted["counts"]
        if "origin" in table.column_names:
            self.origins |= set(pc.unique(table["origin"]).to_pylist())
        for name, found in self._versions.items():
            found |= {str(value) for value in pc.unique(table[name]).to_pylist() if value is not None}
        if table.num_rows:
            self._writer.write_table(table, row_group_size=ROWS_PER_READ)

    def close(self, slots: list[SlotRecord]) -> None:
        """Finish the file and put it in its place."""
        self.origins |= {record.origin for record in slots}
        self._writer.add_key_value_metadata(parquet.closing_metadata(slots, self.origins, self._versions))
        self._writer.close()
        self._draft.replace(self._path)
        self._closed = True

    def entry(self, slots: dict[str, SlotEntry]) -> FileEntry:
        """The finished file as the folder's manifest lists it."""
        size, digest = self._path.stat().st_size, file_sha256(self._path)
        origins = sorted(self.origins)
        return FileEntry(self._name, self._contract.name, self._day, self.rows, size, digest, origins, slots)


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or empty it of an earlier export."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise ExportError(
                f"{folder} is not empty; choose another folder, or replace the export in it with --overwrite"
            )
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # first: without it nothing in the folder counts
        for contract in TABLES:
            for part in folder.glob(f"table={contract.name}/day=*/part.*"):
                part.unlink()
                if not any(part.parent.iterdir()):
                    part.parent.rmdir()
    folder.mkdir(parents=True, exist_ok=True)


def _sliced(contracts: Iterable[TableContract]) -> list[TableContract]:
    return [contract for contract in contracts if contract.storage == "slices"]


def _with_earlier_boards(
    store: Warehouse, request: ExportRequest, published: dict[str, dict[datetime, Publication]]
) -> dict[str, dict[datetime, Publication]]:
    """With the boards that the first snapshots point at: an unchanged board is stored under an earlier slot."""
    if not {LEADERBOARD_SNAPSHOTS.name, LEADERBOARD_ROWS.name} <= set(published):
        return published
    bounds = {"start": request.start, "end": request.end}
    earlier = [slot for (slot,) in store.read_rows(_EARLIER_BOARDS_SQL, bounds)]
    if not earlier:
        return published
    manifest = Manifest(store)
    boards = manifest.committed(LEADERBOARD_ROWS, min(earlier), request.start)
    wanted = {slot: found for slot, found in boards.items() if slot in earlier}
    return {**published, LEADERBOARD_ROWS.name: {**wanted, **published[LEADERBOARD_ROWS.name]}}


def _by_day(
    published: Mapping[str, Mapping[datetime, Publication]],
) -> dict[date, dict[str, list[Publication]]]:
    days: dict[date, dict[str, list[Publication]]] = {}
    for table, slots in published.items():
        for slot, found in slots.items():
            days.setdefault(day_of(slot), {}).setdefault(table, []).append(found)
    return days


def _portions(slots: Sequence[Publication]) -> Iterator[list[Publication]]:
    """Slots in portions of a bounded number of rows."""
    portion: list[Publication] = []
    for found in slots:
        if portion and sum(other.n_rows for other in portion) + found.n_rows > ROWS_PER_READ:
            yield portion
            portion = []
        portion.append(found)
    if portion:
        yield portion


def _file_order(contract: TableContract) -> list[str]:
    """Order of rows in a file: by slot first, so that slots can be read one after another."""
    return ["as_of", *(name for name in contract.key if name != "as_of")]


def _slices_sql(contract: TableContract, slots: Sequence[Publication]) -> tuple[str, dict[str, Any]]:
    names = ", ".join(map(ddl.identifier, contract.column_names))
    order = ", ".join(map(ddl.identifier, _file_order(contract)))
    sql = (
        f"SELECT {names} FROM {ddl.identifier(ddl.versions_table(contract))} "  # noqa: S608 - names from the contract
        "WHERE as_of BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')} "  # for the index; the pairs decide
        f"AND (as_of, {ddl.identifier(ddl.VERSION_COLUMN)}) IN {{pairs:Array(Tuple(DateTime('UTC'), UInt64))}} "
        f"ORDER BY {order}"
    )
    return sql, {
        "first": slots[0].as_of,
        "last": slots[-1].as_of,
        "pairs": [(found.as_of, found.version) for found in slots],
    }


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows in the file's types; ClickHouse gives a `DateTime` as seconds since 1970."""
    columns = []
    for field in schema:
        values = table[field.name]
        if pa.types.is_uint32(values.type) and pa.types.is_timestamp(field.type):
            values = pc.multiply(values.cast(pa.int64()), 1000)
        columns.append(values.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _record(found: Publication) -> SlotRecord:
    return SlotRecord(
        slot=found.as_of,
        version=found.version,
        rows=found.n_rows,
        origin=found.origin,
        inputs=dict(found.inputs),
        code_version=found.code_version,
        run_id=found.run_id,
        published_at=found.published_at,
    )


def _manifest(
    store: Warehouse, request: ExportRequest, files: Sequence[FileEntry], exported_at: datetime
) -> ExportManifest:
    slots = [datetime.fromisoformat(slot) for file in files for slot in file.slots]
    return ExportManifest(
        format="hl_assets export",
        format_version=parquet.FORMAT_VERSION,
        code_version=__version__,
        exported_at=exported_at,
        database=store.database,
        tables=[contract.name for contract in request.contracts],
        origins=sorted({origin for file in files for origin in file.origins}),
        first_slot=min(slots, default=None),
        last_slot=max(slots, default=None),
        rows=sum(file.rows for file in files),
        files=list(files),
    )


FOREVER = (
    datetime.fromisoformat("1970-01-02T00:00:00+00:00"),
    datetime.fromisoformat("2106-02-07T00:00:00+00:00"),
)
"""Every slot that ClickHouse's DateTime can name."""
