"""Bringing a database to this version: migrations first, then whatever the contracts ask for.

Belongs here: planning and carrying out an upgrade, and its record. Does not belong here: the migrations (`migrations`), creating
and comparing tables (`schema_changes`), what the command line says (`hl_assets.cli.migrate`).

Two upgrades at once do no harm: every statement may be repeated, and a migration that both record is one record.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hl_assets import __version__
from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.migrations import MIGRATIONS, Migration, pending

_RECORDED = f"SELECT number, argMax(digest, applied_at) FROM {ddl.MIGRATIONS} GROUP BY number"  # noqa: S608 - constant
_RECORD = (
    f"INSERT INTO {ddl.MIGRATIONS} (number, title, digest, code_version) "
    "SELECT {number:UInt32}, {title:String}, {digest:String}, {code_version:String}"
)


@dataclass(frozen=True)
class Upgrade:
    """What brings a database to this version.

    Attributes:
        migrations: Migrations to carry out and record, with their SQL, in order; no SQL where nothing is left to do.
        statements: What the contracts ask for after them.
        differences: What neither repairs; one line each.
    """

    migrations: tuple[tuple[Migration, tuple[str, ...]], ...]
    statements: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the database fits already."""
        return not (self.migrations or self.statements or self.differences)


def plan_upgrade(
    store: Warehouse, contracts: Sequence[TableContract], migrations: Sequence[Migration] = MIGRATIONS
) -> Upgrade:
    """What an upgrade would do, without doing it.

    Raises:
        MigrationHistoryError: The database was migrated by a newer version, or a recorded migration was edited.
        WarehouseError: It cannot be read.
    """
    layout = store.layout
    stored = store.stored_objects(schema_changes.object_names(contracts, layout))
    recorded = (
        {int(number): str(digest) for number, digest in store.read_rows(_RECORDED)}
        if ddl.MIGRATIONS in stored
        else {}
    )
    planned: list[tuple[Migration, tuple[str, ...]]] = []
    for migration in pending(recorded, migrations):
        planned.append((migration, tuple(migration.statements(stored, layout))))
        stored = dict(migration.applied_to(stored))
    changes = schema_changes.plan_changes(contracts, stored, layout)
    first = () if stored else (ddl.create_database(store.database, layout),)
    return Upgrade(tuple(planned), (*first, *changes.statements), changes.differences)


def upgrade(
    store: Warehouse,
    contracts: Iterable[TableContract],
    migrations: Sequence[Migration] = MIGRATIONS,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Upgrade:
    """Bring a database to this version; may be repeated, also after it was interrupted.

    Args:
        store: The database; created if missing.
        contracts: Every table.
        migrations: All there are.
        say: Told each migration before it is carried out.

    Returns:
        What was done.

    Raises:
        MigrationHistoryError: See `plan_upgrade`; nothing was changed.
        SchemaMismatchError: A stored table has other columns or keys than its contract; migrations were carried out.
        WarehouseError: ClickHouse refused a statement or is away. What was done stays, and is not done again.
    """
    wanted = list(contracts)
    plan = plan_upgrade(store, wanted, migrations)
    for migration, statements in plan.migrations:
        if statements:
            say(f"migration {migration.number}: {migration.title}")
        for statement in statements:
            store.command(statement)
    store.ensure_tables(wanted)  # also the table of records
    for migration, _ in plan.migrations:
        store.command(
            _RECORD,
            {
                "number": migration.number,
                "title": migration.title,
                "digest": migration.digest,
                "code_version": __version__,
            },
        )
    return plan
