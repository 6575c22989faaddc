"""`hl-assets migrate`: what it would do, that it does just that, and that it may be repeated."""

from pathlib import Path

import pytest

from hl_assets.cli.migrate import run_migrate
from hl_assets.schemas import TABLES
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import SchemaMismatchError


@pytest.fixture
def values(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Settings that lead to the fixture's empty database, over HTTP."""
    monkeypatch.chdir(tmp_path)
    return {"clickhouse_url": str(warehouse.endpoint), "clickhouse_database": warehouse.database}


def objects(warehouse: Warehouse) -> set[str]:
    sql = "SELECT name FROM system.tables WHERE database = {database:String}"
    return {str(name) for (name,) in warehouse.read_rows(sql, {"database": warehouse.database})}


def without_comments(printed: str) -> str:
    return "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("-- "))


def test_a_dry_run_prints_what_is_missing_and_changes_nothing(
    values: dict[str, object], warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_migrate(values, dry_run=True) == 0
    printed = without_comments(capsys.readouterr().out)
    assert printed.startswith(f"CREATE DATABASE IF NOT EXISTS `{warehouse.database}`;")
    assert all(f"`{name}`" in printed for name in schema_changes.object_names(TABLES))
    with pytest.raises(Exception, match="does not exist"):
        warehouse.command("SELECT count() FROM publications")


def test_what_a_dry_run_printed_is_what_was_needed(
    values: dict[str, object], warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    run_migrate(values, dry_run=True)
    create_database, *statements = (
        without_comments(capsys.readouterr().out).removesuffix(";\n\n").split(";\n\n")
    )
    assert create_database.startswith("CREATE DATABASE")
    run_migrate(values, dry_run=False)
    made = objects(warehouse)
    warehouse.drop_database()
    run_migrate(values, dry_run=False)  # the database again, to have somewhere to run the statements
    for name in made:
        warehouse.command(f"DROP TABLE {ddl.identifier(name)}")
    for statement in statements:
        warehouse.command(statement)
    assert objects(warehouse) == made == set(schema_changes.object_names(TABLES))
    capsys.readouterr()
    run_migrate(values, dry_run=True)
    assert without_comments(capsys.readouterr().out) == "", "only the records of migrations are missing"


def test_it_may_be_repeated(values: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_migrate(values, dry_run=False) == 0
    assert "statements run" in capsys.readouterr().out
    assert run_migrate(values, dry_run=False) == 0
    assert "up to date" in capsys.readouterr().out


def test_a_table_that_differs_is_named_and_left_alone(
    values: dict[str, object], warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    run_migrate(values, dry_run=False)
    warehouse.command("ALTER TABLE publications ADD COLUMN mine String")
    capsys.readouterr()
    assert run_migrate(values, dry_run=True) == 1
    assert "publications: column mine is not in the contract" in capsys.readouterr().out
    with pytest.raises(SchemaMismatchError, match="column mine"):
        run_migrate(values, dry_run=False)


def test_a_database_of_an_older_version_is_migrated(
    values: dict[str, object], warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    run_migrate(values, dry_run=False)
    warehouse.command("ALTER TABLE wallet_metrics__versions DROP COLUMN data_age_hours")
    warehouse.command(f"DROP TABLE {ddl.MIGRATIONS}")
    with pytest.raises(SchemaMismatchError, match="run `hl-assets migrate`"):
        warehouse.ensure_tables(TABLES)
    capsys.readouterr()

    assert run_migrate(values, dry_run=True) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("-- migration 1: wallet_metrics says how old")
    assert "ADD COLUMN IF NOT EXISTS `data_age_hours` Nullable(Float64);" in printed
    assert "differs" not in printed, "what comes after a migration is planned as it will be then"

    assert run_migrate(values, dry_run=False) == 0
    assert "migration 1: wallet_metrics says how old" in capsys.readouterr().out
    assert warehouse.read_rows("SELECT count(), any(data_age_hours) FROM wallet_metrics") == [(0, None)]
    assert run_migrate(values, dry_run=False) == 0
    assert "up to date" in capsys.readouterr().out
