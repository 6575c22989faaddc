"""`hl-assets export` and `import`: what they say.

Belongs here: options to requests, progress and summaries. Does not belong here: the work (`hl_assets.interchange`).
"""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rich.table import Table

from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.cli.show import stored
from hl_assets.interchange.export import FOREVER, ExportRequest, export_tables
from hl_assets.interchange.import_export import (
    ImportReport,
    ImportRequest,
    import_file,
    import_folder,
    origins_of_file,
)
from hl_assets.interchange.manifest_file import ExportManifest, file_sha256, read_manifest
from hl_assets.interchange.panels import ORIGIN, import_panel, read_panel
from hl_assets.interchange.rejects import RejectLog
from hl_assets.interchange.target import opened_target, refuse_foreign
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, day_bounds, day_of, parse_instant, parse_slot, slot_text

console = make_console()


def export_folder(
    values: dict[str, object],
    out: Path,
    tables: list[str],
    start: str | None,
    end: str | None,
    *,
    overwrite: bool,
) -> None:
    """Export and say what was written.

    Raises:
        CommandError: An unknown table or an empty range.
    """
    began = time.perf_counter()
    settings = Settings.load(**values)
    request = ExportRequest(_contracts(tables), *_slots_between(start, end))
    with stored(settings) as store, progress_bar(console, "Exporting"):
        manifest = export_tables(store, request, out, exported_at=settings.now(), overwrite=overwrite)
    console.print(_exported(manifest))
    if manifest.first_slot is None or manifest.last_slot is None:
        slots = "nothing is published in this range"
    else:
        slots = f"slots {slot_text(manifest.first_slot)} to {slot_text(manifest.last_slot)}"
    megabytes = sum(file.n_bytes for file in manifest.files) / 1e6
    console.print(
        f"{manifest.rows:,} rows of {manifest.database} in {len(manifest.files)} files, {megabytes:,.1f} MB, "
        f"{time.perf_counter() - began:.1f} s; {slots}. Next: hl-assets import {out}",
        highlight=False,
        soft_wrap=True,
    )


def import_path(
    values: dict[str, object], path: Path, rejects: Path | None, *, replace: bool, dry_run: bool
) -> int:
    """Import an export folder, a file of one, or a panel file; returns the exit status: 1 if anything was rejected.

    Raises:
        CommandError: The path is none of these.
        InterchangeError: The export has no manifest, or its rows belong to another source.
    """
    began = time.perf_counter()
    settings = Settings.load(**values)
    resource = WarehouseResource.from_settings(settings)
    request = ImportRequest(replace=replace, dry_run=dry_run)
    with RejectLog(rejects or Path(f"{path.resolve().name}.rejects.jsonl")) as log:
        with progress_bar(console, "Importing"):
            report = _imported(path, resource, request, log, settings.now())
        console.print(_tally_table(report, dry_run=dry_run))
        for line in _reject_lines(log):
            console.print(_visible(line), markup=False, highlight=False, soft_wrap=True)
        verdict = "Dry run: nothing was written" if dry_run else f"Imported into {settings.database}"
        console.print(
            f"{verdict}; {time.perf_counter() - began:.1f} s.{_advice(report)}",
            highlight=False,
            soft_wrap=True,
        )
        return 1 if log.total else 0


def _imported(
    path: Path, resource: WarehouseResource, request: ImportRequest, log: RejectLog, now: datetime
) -> ImportReport:
    if path.is_dir():
        manifest = read_manifest(path)
        refuse_foreign(manifest.origins, resource)
        with opened_target(resource, f"import-{manifest.export_id}", dry_run=request.dry_run) as target:
            return import_folder(target, path, manifest, request, log)
    if not path.is_file():
        raise CommandError(f"{path} does not exist")
    run_id = f"import-{file_sha256(path)[:12]}"
    if path.suffix == ".parquet":
        refuse_foreign(origins_of_file(path), resource)
        with opened_target(resource, run_id, dry_run=request.dry_run) as target:
            return import_file(target, path, request, log)
    if path.name.endswith((".csv", ".csv.gz")):
        refuse_foreign([ORIGIN], resource)
        samples = read_panel(path, now, log)
        with opened_target(resource, run_id, dry_run=request.dry_run) as target:
            return import_panel(target, samples, request, log)
    raise CommandError(
        f"{path} is neither a folder nor a .parquet file of `hl-assets export`, nor a panel file (.csv, .csv.gz)"
    )


def _tally_table(report: ImportReport, *, dry_run: bool) -> Table:
    table = Table(title="Would import" if dry_run else "Imported", title_justify="left", header_style="bold")
    for heading in ("table", "slots", "rows", "there already", "kept, differs", "withheld", "rejected rows"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for name, tally in report.tables.items():
        figures = (
            tally.published, tally.rows, tally.unchanged, tally.kept, tally.withheld, tally.rejected_rows
        )  # fmt: skip
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    return table


def _reject_lines(log: RejectLog) -> Iterator[str]:
    """Counts per rule with a few samples; the file has all of them."""
    for (column, rule), count in log.counts.most_common():
        yield f"rejected {count:,}: {' '.join(part for part in (column, rule) if part)}"
        for sample in log.samples[column, rule]:
            yield f"    {' '.join(part for part in (sample.source, sample.place) if part)}: {sample.value}"
    if log.total:
        yield f"every reject with its reason: {log.path}"


def _visible(text: str) -> str:
    """Without characters that would steer a terminal: files may have been written by anybody."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _advice(report: ImportReport) -> str:
    if any(tally.kept for tally in report.tables.values()):
        return " Slots that are there with other content were kept; --replace publishes the imported ones instead."
    return ""


def _exported(manifest: ExportManifest) -> Table:
    table = Table(title="Exported", title_justify="left", header_style="bold")
    for heading in ("table", "files", "slots", "rows", "MB"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for name in manifest.tables:
        files = [file for file in manifest.files if file.table == name]
        slots = sum(len(file.slots) for file in files)
        rows, size = sum(file.rows for file in files), sum(file.n_bytes for file in files)
        table.add_row(name, str(len(files)), f"{slots:,}", f"{rows:,}", f"{size / 1e6:,.2f}")
    return table


def _contracts(names: list[str]) -> list[TableContract]:
    """The named tables, or all of them, in the order data flows."""
    if unknown := sorted(set(names) - {contract.name for contract in TABLES}):
        raise CommandError(
            f"unknown tables {', '.join(unknown)}; there are {', '.join(contract.name for contract in TABLES)}"
        )
    return [contract for contract in TABLES if not names or contract.name in names]


def _slots_between(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """First slot, and first slot after the last; a day as the end means all of it."""
    first = FOREVER[0] if start is None else parse_slot(start)
    after = FOREVER[1] if end is None else _slot_after(end)
    if first >= after:
        raise CommandError(f"--from {start} is after --to {end}: no slot lies between them")
    return first, after


def _slot_after(text: str) -> datetime:
    if len(text.strip()) <= len("2026-05-31"):
        return day_bounds(day_of(parse_instant(text)))[1]
    return parse_slot(text) + SLOT
