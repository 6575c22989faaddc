"""`hl-assets migrate`: make the warehouse fit this version, before anything else starts.

Belongs here: what is said about it. Does not belong here: which statements (`hl_assets.warehouse.ddl`), running them
(`hl_assets.warehouse.connection`).
"""

import sys

from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse


def run_migrate(values: dict[str, object], *, dry_run: bool) -> int:
    """Create what is missing and replace views that changed; may be repeated.

    Args:
        values: Settings that were given, by field name.
        dry_run: Print the statements and differences, run nothing.

    Returns:
        Exit status: 0 = the warehouse fits, or would after the printed statements; 1 = with `dry_run`, it differs in
        what is never changed by itself.

    Raises:
        SchemaMismatchError: Without `dry_run`, the same.
        WarehouseError: The warehouse cannot be reached.
    """
    settings = Settings.load(**values)
    with Warehouse(warehouse_config(settings), comment={"command": "hl-assets migrate"}) as store:
        changes = store.planned_changes(TABLES)
        if not dry_run:
            store.ensure_tables(TABLES)
            _say(f"database {store.database}: {len(changes.statements)} statements run" if changes.statements else
                 f"database {store.database} is up to date")  # fmt: skip
            return 0
        for statement in changes.statements:
            _say(f"{statement};\n")
        for difference in changes.differences:
            _say(f"-- differs, and is never changed by itself: {difference}")
        if not changes.statements and not changes.differences:
            _say(f"-- database {store.database} is up to date")
        return 1 if changes.differences else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
