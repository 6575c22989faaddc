"""Migrations: ordered, recorded, forward only, and safe to repeat wherever they were interrupted."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hl_assets.schemas import TABLES
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import MigrationHistoryError, WarehouseQueryError
from hl_assets.warehouse.migrations import MIGRATIONS, AddColumn, Migration, pending
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.schema_changes import StoredTable
from hl_assets.warehouse.upgrade import plan_upgrade, upgrade
from hl_assets_tests.warehouse.contracts import MARKS, PROVENANCE, T0, marks

NOTE = Migration(1, "marks have a note", (AddColumn("marks__versions", "note", "Nullable(String)"),))
TWO = Migration(
    2,
    "marks have two more",
    (AddColumn("marks__versions", "weight", "Float64"), AddColumn("marks__versions", "kind", "String")),
)


def recorded(warehouse: Warehouse) -> list[tuple[int, str]]:
    rows = warehouse.read_rows(f"SELECT number, title FROM {ddl.MIGRATIONS} FINAL ORDER BY number")
    return [(int(number), str(title)) for number, title in rows]


def columns(warehouse: Warehouse) -> set[str]:
    return set(warehouse.stored_objects(["marks__versions"])["marks__versions"].columns)


def without_comparison(store: Warehouse, migrations: Sequence[Migration]) -> None:
    """Carry migrations out over a table whose contract does not follow them, as far as they go."""
    for migration in migrations:
        stored = store.stored_objects(["marks__versions"])
        for statement in migration.statements(stored, store.layout):
            store.command(statement)


def test_numbers_have_no_gaps_and_no_two_are_alike() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert len({migration.digest for migration in MIGRATIONS}) == len(MIGRATIONS)


def test_released_migrations_are_not_edited() -> None:
    """Add a line with each migration; never change one."""
    assert [migration.digest for migration in MIGRATIONS] == ["8fa742e6e282d4ac"]


def test_each_migration_leads_to_tables_that_its_contract_knows() -> None:
    """Otherwise `hl-assets migrate` would end in a difference that nobody can resolve."""
    wanted = {ddl.stored_table(contract): ddl.stored_columns(contract) for contract in TABLES}
    for migration in MIGRATIONS:
        for step in migration.steps:
            assert isinstance(step, AddColumn)
            assert wanted[step.table][step.column] == step.kind, "or a later migration dropped or changed it"


def test_a_new_database_needs_no_statement_of_them_and_records_all(warehouse: Warehouse) -> None:
    plan = upgrade(warehouse, TABLES)
    assert [sql for _, sql in plan.migrations] == [()] * len(MIGRATIONS)
    assert [number for number, _ in recorded(warehouse)] == [migration.number for migration in MIGRATIONS]
    assert upgrade(warehouse, TABLES).is_empty


def test_rows_survive_and_old_ones_have_the_unknown(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [1.0, 2.0]), PROVENANCE)
    without_comparison(warehouse, [NOTE, TWO])
    rows = warehouse.read_rows("SELECT mark, note, weight, kind FROM marks__versions ORDER BY mark")
    assert rows == [(1.0, None, 0.0, ""), (2.0, None, 0.0, "")]


def test_an_interrupted_one_is_carried_out_from_its_beginning(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    first, *_ = TWO.statements(warehouse.stored_objects(["marks__versions"]), warehouse.layout)
    warehouse.command(first)  # killed here: nothing is recorded
    without_comparison(warehouse, [TWO])
    assert {"weight", "kind"} <= columns(warehouse)
    for statement in (first, *TWO.statements({}, warehouse.layout)):
        warehouse.command(statement)  # and another migrator that began before does no harm


def test_what_fails_is_not_recorded_and_what_came_before_is_not_lost(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    broken = Migration(2, "no such type", (AddColumn("marks__versions", "odd", "NoSuchType"),))
    with pytest.raises(WarehouseQueryError, match="NoSuchType"):
        upgrade(warehouse, [MARKS], [NOTE, broken])
    assert recorded(warehouse) == []
    assert "note" in columns(warehouse)


def test_a_plan_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    plan = plan_upgrade(warehouse, [MARKS], [NOTE])
    assert plan.migrations[0][1] == (
        "ALTER TABLE `marks__versions` ADD COLUMN IF NOT EXISTS `note` Nullable(String)",
    )
    assert plan.differences == ("marks__versions: column note is not in the contract",)
    assert "note" not in columns(warehouse)


def test_on_a_cluster_the_rows_change_before_the_table_over_them() -> None:
    stored = {name: StoredTable("any") for name in ("marks__versions", "marks__versions__local")}
    statements = NOTE.statements(stored, ddl.Layout("prod", "db"))
    assert [statement.split(" ADD")[0] for statement in statements] == [
        "ALTER TABLE `marks__versions__local` ON CLUSTER `prod`",
        "ALTER TABLE `marks__versions` ON CLUSTER `prod`",
    ]


def test_a_table_that_is_not_there_yet_is_made_by_its_contract() -> None:
    assert NOTE.statements({}, ddl.ONE_SERVER) == []
    assert NOTE.applied_to({}) == {}


def test_only_what_is_not_recorded_is_pending_in_order() -> None:
    assert pending({}, [TWO, NOTE]) == [NOTE, TWO]
    assert pending({1: NOTE.digest}, [NOTE, TWO]) == [TWO]
    assert pending({1: NOTE.digest, 2: TWO.digest}, [NOTE, TWO]) == []


def test_a_database_of_a_newer_version_is_refused(warehouse: Warehouse) -> None:
    upgrade(warehouse, [MARKS], [])
    warehouse.command(
        f"INSERT INTO {ddl.MIGRATIONS} (number, title, digest, code_version) VALUES (7, 'later', 'x', '9.9')"
    )
    with pytest.raises(MigrationHistoryError, match="newer version of hl_assets: it records migration 7"):
        upgrade(warehouse, [MARKS], [])


def test_an_edited_migration_is_refused(warehouse: Warehouse) -> None:
    upgrade(warehouse, [], [NOTE])
    edited = replace(NOTE, steps=(AddColumn("marks__versions", "note", "String"),))
    with pytest.raises(MigrationHistoryError, match=r"migration 1 .* was edited"):
        upgrade(warehouse, [], [edited])


def test_the_table_of_records_is_described_like_the_others(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    assert ddl.MIGRATIONS in warehouse.stored_objects(schema_changes.object_names([MARKS]))
