"""`hl-assets export` and `import`: what they say.

Belongs here: options to requests, progress and summaries. Does not belong here: the work (`hl_assets.interchange`).
"""

import time
from datetime import datetime
from pathlib import Path

from rich.table import Table

from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.cli.show import stored
from hl_assets.interchange.export import FOREVER, ExportRequest, export_tables
from hl_assets.interchange.manifest_file import ExportManifest
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
