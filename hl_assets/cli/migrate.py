"""`hl-assets migrate`: make the warehouse fit this version, before anything else starts.

Belongs here: what is said about it. Does not belong here: which statements (`hl_assets.warehouse.migrations`,
`hl_assets.warehouse.schema_changes`), running them (`hl_assets.warehouse.upgrade`).
"""

import sys

from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.upgrade import Upgrade, plan_upgrade, upgrade


def run_migrate(values: dict[str, object], *, dry_run: bool) -> int:
    """Carry out the migrations the database lacks, create what is missing and replace views that changed; may be repeated.

    Args:
        values: Settings that were given, by field name.
        dry_run: Print the statements and differences, run nothing.

    Returns:
        Exit status: 0 = the warehouse fits, or would after the printed statements; 1 = with `dry_run`, it differs in
        what is never changed by itself.

    Raises:
        SchemaMismatchError: Without `dry_run`, the same.
        MigrationHistoryError: A newer version migrated the database, or a recorded migration was edited.
        WarehouseError: The warehouse cannot be reached.
    """
    settings = Settings.load(**values)
    with Warehouse(warehouse_config(settings), comment={"command": "hl-assets migrate"}) as store:
        if dry_run:
            return _show(store, plan_upgrade(store, TABLES))
        done = upgrade(store, TABLES, say=_say)
        statements = sum(len(sql) for _, sql in done.migrations) + len(done.statements)
        if done.is_empty:
            _say(f"database {store.database} is up to date")
        else:
            _say(
                f"database {store.database}: {statements} statements run, {len(done.migrations)} migrations recorded"
            )
        return 0


def _show(store: Warehouse, planned: Upgrade) -> int:
    for migration, statements in planned.migrations:
        _say(
            f"-- migration {migration.number}: {migration.title}"
            + ("" if statements else " (nothing left to do)")
        )
        for statement in statements:
            _say(f"{statement};\n")
    for statement in planned.statements:
        _say(f"{statement};\n")
    for difference in planned.differences:
        _say(f"-- differs, and is never changed by itself: {difference}")
    if not (planned.statements or planned.differences or any(sql for _, sql in planned.migrations)):
        _say(f"-- database {store.database} is up to date")
    return 1 if planned.differences else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
