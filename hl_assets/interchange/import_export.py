"""Importing an export into another warehouse.

Belongs here: which slots may be published, mapping the versions they were derived from, publishing. Does not belong here: files
(`export_files`), rules of rows (`rejects`).

A slot is imported whole or not at all: all rows of a day's files are judged first, and a slot of which any row is rejected, or a
file cannot be used, is withheld in every table. What is published says in its `inputs` which version it had where it came from
(`exported`), which is how a second import knows it again, and names as inputs the versions that its sources have here. Where a
source is here in another content, that input is left out: the next run then derives the slot again, because it does not follow
from what is stored here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from hl_assets.interchange import parquet
from hl_assets.interchange.errors import UnreadableFileError
from hl_assets.interchange.export_files import (
    ExportFile,
    checked_entry,
    checked_file,
    days_of,
    manifest_slots,
)
from hl_assets.interchange.manifest_file import ExportManifest
from hl_assets.interchange.parquet import SlotRecord
from hl_assets.interchange.rejects import Broken, Reject, RejectLog, broken_rows, short
from hl_assets.interchange.target import Target
from hl_assets.progress import Progress, announce
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import RECONSTRUCTED, TableContract
from hl_assets.slots import day_bounds, day_of, slot_text
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.manifest import Publication
from hl_assets.warehouse.slices import Provenance, Slice

EXPORTED = "exported"
"""Key in a publication's `inputs` under which an imported slice names the version it was exported with."""

_SLICED = [contract for contract in TABLES if contract.storage == "slices"]


@dataclass
class TableTally:
    """What became of one table's slots, or of a ledger's entries.

    Attributes:
        published: Slots published (in a dry run: that would be).
        rows: Rows or entries of those.
        unchanged: Slots or entries that were there already, the same.
        kept: Slots that were there with other content and were not replaced.
        withheld: Slots not published because of rejects.
        rejected_rows: Rows that broke a rule.
    """

    published: int = 0
    rows: int = 0
    unchanged: int = 0
    kept: int = 0
    withheld: int = 0
    rejected_rows: int = 0


@dataclass
class ImportReport:
    """What an import did, by table."""

    tables: dict[str, TableTally] = field(default_factory=dict)

    def of(self, contract: TableContract) -> TableTally:
        """A table's tally."""
        return self.tables.setdefault(contract.name, TableTally())


@dataclass(frozen=True)
class ImportRequest:
    """How to import.

    Attributes:
        replace: Publish slots also in place of what is there.
        dry_run: Judge and count only.
    """

    replace: bool = False
    dry_run: bool = False


def import_folder(
    target: Target, folder: Path, manifest: ExportManifest, request: ImportRequest, log: RejectLog
) -> ImportReport:
    """Import an export folder, day by day.

    Args:
        target: Where to.
        folder: The folder.
        manifest: Its manifest.
        request: How.
        log: Takes rejected files and rows.

    Raises:
        WarehouseError: The warehouse failed; what was published before stays, and the import can be repeated.
    """
    importing = _Import(target, request, log)
    days = list(days_of(manifest))
    announce(Progress("days", 0, len(days)))
    for position, entries in enumerate(days, start=1):
        opening = [
            (entry.path, manifest_slots(entry), partial(checked_entry, folder, entry)) for entry in entries
        ]
        importing.day(opening)
        announce(Progress("days", position, len(days)))
    return importing.report


def import_file(target: Target, path: Path, request: ImportRequest, log: RejectLog) -> ImportReport:
    """Import one file of an export by itself. Arguments and errors as `import_folder`."""
    importing = _Import(target, request, log)
    importing.day([(path.name, set(), partial(checked_file, path, path.name))])
    return importing.report


def origins_of_file(path: Path) -> set[str]:
    """Where the facts of one file come from; none if it cannot be read, which the import itself reports."""
    try:
        return checked_file(path, path.name).origins
    except UnreadableFileError:
        return set()


_Opening = tuple[str, set[datetime], Callable[[], ExportFile]]
"""Name of a file, the slots it should hold, and how to open it."""


class _Import:
    """One import under way."""

    def __init__(self, target: Target, request: ImportRequest, log: RejectLog) -> None:
        self._target, self._request, self._log = target, request, log
        self.report = ImportReport()

    def day(self, openings: Iterable[_Opening]) -> None:
        """Judge the files of one day, then publish the slots that are whole."""
        files: list[ExportFile] = []
        withheld: set[datetime] = set()
        for name, slots, opened in openings:
            try:
                file = opened()
                withheld |= self._judged(file)
                files.append(file)
            except UnreadableFileError as error:
                self._log.add(Reject(name, "", "", "usable file", str(error), {}))
                withheld |= slots
        for file in files:
            if file.contract.storage == "ledger":
                self._append(file)
            else:
                self._publish(file, withheld)

    # Judging

    def _judged(self, file: ExportFile) -> set[datetime]:
        """Slots of which something is wrong; everything wrong is in the log."""
        bad: set[datetime] = set()
        rows: dict[datetime, int] = {}
        for first_row, frame in _frames(file):
            rejected = self._log_broken(file, frame, first_row)
            bad |= set(_slots(frame["as_of"].iloc[sorted(rejected)].dropna()))
            for slot, count in frame["as_of"].value_counts().items():
                rows[pd.Timestamp(slot).to_pydatetime()] = count  # type: ignore[arg-type]
        if file.contract.storage == "ledger":
            return set()
        bad |= self._log_miscounted(file, rows)
        return bad

    def _log_broken(self, file: ExportFile, frame: pd.DataFrame, first_row: int) -> set[int]:
        rejected: set[int] = set()
        for broken in self._broken(file, frame):
            for position, value in broken.values.items():
                row = {str(name): cell for name, cell in frame.iloc[position].items()}
                place = f"row {first_row + position}"
                self._log.add(Reject(file.name, place, broken.column, broken.rule, short(value), row))
                rejected.add(position)
        self.report.of(file.contract).rejected_rows += len(rejected)
        return rejected

    def _broken(self, file: ExportFile, frame: pd.DataFrame) -> list[Broken]:
        """Rules that rows break: the contract's, and that they belong into this database."""
        found = broken_rows(file.contract, frame)
        if "origin" in frame:
            at_home = frame["origin"].isin([self._target.origin, RECONSTRUCTED, None])
            foreign = frame.loc[~at_home, "origin"]
            if len(foreign):
                rule = f"origin of this database ({self._target.origin})"
                found.append(Broken("origin", rule, {int(row): value for row, value in foreign.items()}))  # type: ignore[call-overload]
        return found

    def _log_miscounted(self, file: ExportFile, rows: Mapping[datetime, int]) -> set[datetime]:
        """Slots with other row counts than the file says, and slots it does not list."""
        bad = set()
        for slot in sorted(set(rows) | set(file.slots)):
            record, found = file.slots.get(slot), rows.get(slot, 0)
            if record is None or record.rows != found:
                said = "none" if record is None else record.rows
                problem = f"{slot_text(slot)}: {found} rows, the file's metadata say {said}"
                self._log.add(Reject(file.name, "", "as_of", "rows of the slot", problem, {}))
                bad.add(slot)
            elif not found and file.contract.empty_is == "error":
                self._log.add(
                    Reject(file.name, "", "as_of", "rows of the slot", f"{slot_text(slot)}: none", {})
                )
                bad.add(slot)
        return bad

    # Publishing

    def _publish(self, file: ExportFile, withheld: set[datetime]) -> None:
        here = self._here(file)
        wanted = self._wanted(file, here, withheld)
        empty = [(record, file.contract.empty()) for record in wanted.values() if not record.rows]
        self._publish_slices(file, empty, here)
        if len(empty) == len(wanted):
            return
        for _, frame in _frames(file):
            parts = [
                (wanted[slot], file.contract.conform(part))
                for slot, part in _by_slot(frame)
                if slot in wanted
            ]
            self._publish_slices(file, parts, here)

    def _here(self, file: ExportFile) -> dict[str, dict[datetime, Publication]]:
        """What is published here for the days of the file."""
        if not file.slots:
            return {contract.name: {} for contract in _SLICED}
        start, end = day_bounds(day_of(min(file.slots)))[0], day_bounds(day_of(max(file.slots)))[1]
        return self._target.committed(_SLICED, start, end)

    def _wanted(
        self,
        file: ExportFile,
        here: Mapping[str, Mapping[datetime, Publication]],
        withheld: set[datetime],
    ) -> dict[datetime, SlotRecord]:
        """Slots of the file to publish; counts the others."""
        tally = self.report.of(file.contract)
        wanted = {}
        for slot, record in file.slots.items():
            found = here[file.contract.name].get(slot)
            if slot in withheld:
                tally.withheld += 1
            elif found is not None and _same(found, record.version):
                tally.unchanged += 1
            elif found is not None and not self._request.replace:
                tally.kept += 1
            else:
                wanted[slot] = record
        return wanted

    def _publish_slices(
        self,
        file: ExportFile,
        parts: Sequence[tuple[SlotRecord, pd.DataFrame]],
        here: Mapping[str, Mapping[datetime, Publication]],
    ) -> None:
        tally = self.report.of(file.contract)
        tally.published += len(parts)
        tally.rows += sum(len(frame) for _, frame in parts)
        if self._request.dry_run:
            return
        session = self._target.session
        for code_version in sorted({record.code_version for record, _ in parts}):
            slices = [
                Slice(file.contract, record.slot, frame, _inputs(record, here), record.origin)
                for record, frame in parts
                if record.code_version == code_version
            ]
            session.publisher.publish(
                slices, Provenance(session.run_id, code_version, slices[0].origin or "")
            )

    def _append(self, file: ExportFile) -> None:
        """Append the entries of a ledger that are not there yet; entries never change, so none is replaced."""
        contract, tally = file.contract, self.report.of(file.contract)
        for _, frame in _frames(file):
            rejected = {position for broken in self._broken(file, frame) for position in broken.values}
            entries = contract.conform(frame.drop(index=sorted(rejected)))
            known = self._known_keys(contract, entries)
            keys = pd.MultiIndex.from_frame(entries[list(contract.key)])
            fresh = entries[~keys.isin(known)].reset_index(drop=True)
            tally.unchanged += len(entries) - len(fresh)
            tally.rows += len(fresh)
            if len(fresh) and not self._request.dry_run:
                append_entries(self._target.session.store, contract, fresh)

    def _known_keys(self, contract: TableContract, entries: pd.DataFrame) -> list[tuple[Any, ...]]:
        if entries.empty or not self._target.exists:
            return []
        first, last = entries["as_of"].min().to_pydatetime(), entries["as_of"].max().to_pydatetime()
        stored = self._target.session.store.read_table(
            contract,
            start=day_bounds(day_of(first))[0],
            end=day_bounds(day_of(last))[1],
            columns=contract.key,
        )
        return list(stored[list(contract.key)].itertuples(index=False, name=None))


def _frames(file: ExportFile) -> Iterator[tuple[int, pd.DataFrame]]:
    """Whole slots as frames, each with the number of its first row in the file, from 1."""
    first = 1
    for table in file.tables():
        yield first, parquet.frame_of(file.contract, table)
        first += table.num_rows


def _by_slot(frame: pd.DataFrame) -> Iterator[tuple[datetime, pd.DataFrame]]:
    for slot, part in frame.groupby("as_of", sort=False):
        yield pd.Timestamp(slot).to_pydatetime(), part  # type: ignore[arg-type]


def _slots(values: "pd.Series[Any]") -> Iterator[datetime]:
    return (value.to_pydatetime() for value in values.unique())


def _same(found: Publication, version: int) -> bool:
    """Whether a published slice is the exported one: imported before, or never exported out of here."""
    return version in {found.version, found.inputs.get(EXPORTED)}


def _inputs(record: SlotRecord, here: Mapping[str, Mapping[datetime, Publication]]) -> dict[str, int]:
    """The versions that a slice was derived from, as they are called here."""
    mapped = {EXPORTED: record.version}
    for table, version in record.inputs.items():
        found = here.get(table, {}).get(record.slot)
        if found is not None and _same(found, version):
            mapped[table] = found.version
    return mapped
