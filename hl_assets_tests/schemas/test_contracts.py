"""Contracts: complete, consistent, and the source of `docs/tables.md`."""

import pandas as pd
import pytest

from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import ContractError, TableContract
from hl_assets.schemas.docs import tables_markdown
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.validation import MAX_SAMPLES, duplicate_keys, validate_contract
from hl_assets_tests.conftest import REPOSITORY


def snapshots(count: int = 3, **columns: object) -> pd.DataFrame:
    slots = pd.date_range("2026-05-31", periods=count, freq="10min", tz="UTC")
    values = {
        "as_of": slots,
        "observed_at": slots + pd.Timedelta(milliseconds=1500),
        "last_modified": slots,
        "body_sha256": "a" * 64,
        "board_as_of": slots[:1].repeat(count),
        "n_rows": 12,
        "n_bytes": 5000,
        "origin": "live",
    }
    return pd.DataFrame({**values, **columns}, index=range(count))


def test_tables_page_is_generated_from_the_contracts() -> None:
    assert (REPOSITORY / "docs" / "tables.md").read_text(encoding="utf-8") == tables_markdown(), (
        "run `make docs`"
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_says_what_it_is(table: TableContract) -> None:
    assert table.description
    assert table.grain
    assert "as_of" in table.key
    assert set(table.key) <= set(table.column_names)
    assert set(table.order_by) <= set(table.column_names)
    for column in table.columns:
        assert column.description, column.name
        assert column.nullable == column.clickhouse_type.startswith(
            ("Nullable", "LowCardinality(Nullable")
        ), column.name
        if column.pandas_dtype == "float64":
            assert column.unit, column.name


@pytest.mark.parametrize("table", [t for t in TABLES if t.storage == "ledger"], ids=lambda table: table.name)
def test_a_ledger_is_sorted_down_to_its_key(table: TableContract) -> None:
    assert set(table.key) <= set(table.order_by), "or ClickHouse would take different entries for one"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_empty_frame_keeps_the_contract(table: TableContract) -> None:
    assert validate_contract(table, table.empty()).passed
    assert list(table.conform(table.empty()).columns) == table.column_names


def test_conform_orders_columns_and_changes_resolution_only() -> None:
    frame = snapshots()
    conformed = LEADERBOARD_SNAPSHOTS.conform(frame[frame.columns[::-1]])
    assert list(conformed.columns) == LEADERBOARD_SNAPSHOTS.column_names
    assert str(conformed["as_of"].dtype) == "datetime64[s, UTC]"
    assert (conformed["observed_at"] == frame["observed_at"]).all()
    assert validate_contract(LEADERBOARD_SNAPSHOTS, conformed).passed


def test_conform_names_missing_and_unknown_columns() -> None:
    frame = snapshots().rename(columns={"n_rows": "rows"})
    with pytest.raises(ContractError, match=r"missing columns \['n_rows'\], unknown columns \['rows'\]"):
        LEADERBOARD_SNAPSHOTS.conform(frame)


def test_conform_refuses_what_a_type_cannot_hold() -> None:
    with pytest.raises(ContractError, match=r"leaderboard_snapshots\.n_rows"):
        LEADERBOARD_SNAPSHOTS.conform(snapshots(n_rows=[1.0, None, 2.0]))


def test_a_broken_rule_is_counted_per_column_with_samples() -> None:
    frame = LEADERBOARD_SNAPSHOTS.conform(snapshots(50, origin="invented", n_rows=-1))
    report = validate_contract(LEADERBOARD_SNAPSHOTS, frame)
    assert not report.passed
    assert {(failure.column, failure.count) for failure in report.failures} == {
        ("origin", 50),
        ("n_rows", 50),
    }
    assert len(report.samples) == MAX_SAMPLES
    assert "origin isin" in report.summary


def test_samples_of_hostile_text_are_short_and_printable() -> None:
    frame = LEADERBOARD_SNAPSHOTS.conform(snapshots(1, origin="\x1b[31m\u202e" + "x" * 10_000))
    (sample,) = validate_contract(LEADERBOARD_SNAPSHOTS, frame).samples
    assert len(sample["value"]) <= 120
    assert "\x1b" not in sample["value"]
    assert sample["value"].isprintable()


def test_a_repeated_key_is_found() -> None:
    frame = LEADERBOARD_SNAPSHOTS.conform(snapshots())
    assert duplicate_keys(LEADERBOARD_SNAPSHOTS, frame).passed
    repeated = pd.concat([frame, frame.tail(1)], ignore_index=True)
    report = duplicate_keys(LEADERBOARD_SNAPSHOTS, repeated)
    assert report.failures[0].count == 2
    assert "2026-05-31 00:20:00" in report.samples[0]["value"]
