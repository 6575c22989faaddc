"""Ledgers: entries are seen at once, stay, and are stored once however often their insert was repeated."""

import dataclasses
from datetime import timedelta

import pytest

from hl_assets.schemas.contract import ContractError
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import InvalidSliceError, WarehouseQueryError
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.publish import Publisher, Slice
from hl_assets_tests.warehouse.contracts import MARKS, PROVENANCE, SLOT, T0, marks

NOTES = dataclasses.replace(MARKS, name="notes", storage="ledger")


@pytest.fixture
def ledger(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_tables([NOTES, MARKS])
    return warehouse


def test_entries_are_seen_at_once_and_together(ledger: Warehouse) -> None:
    append_entries(ledger, NOTES, marks(T0, [1.0, 2.0]))
    append_entries(ledger, NOTES, marks(T0 + SLOT, [3.0]))
    assert list(ledger.read_table(NOTES)["mark"]) == [1.0, 2.0, 3.0]
    assert list(ledger.read_table(NOTES, as_of=T0 + SLOT)["mark"]) == [3.0]


def test_an_insert_that_was_repeated_is_stored_once(ledger: Warehouse) -> None:
    for _ in range(3):
        append_entries(ledger, NOTES, marks(T0, [1.0, 2.0]))
    assert list(ledger.read_table(NOTES)["mark"]) == [1.0, 2.0]


def test_entries_that_break_the_contract_are_refused_with_a_sample(ledger: Warehouse) -> None:
    broken = marks(T0, [1.0]).assign(wallet="nobody")
    with pytest.raises(ContractError, match="nobody"):
        append_entries(ledger, NOTES, broken)
    assert ledger.read_table(NOTES).empty


def test_a_ledger_cannot_be_published_nor_a_slice_appended(ledger: Warehouse) -> None:
    with pytest.raises(InvalidSliceError, match="is a ledger"):
        Publisher(ledger).publish([Slice(NOTES, T0, marks(T0, [1.0]))], provenance=PROVENANCE)
    with pytest.raises(ContractError, match="publish it"):
        append_entries(ledger, MARKS, marks(T0, [1.0]))


def test_what_clickhouse_refuses_is_told(ledger: Warehouse) -> None:
    missing = dataclasses.replace(NOTES, name="never_made")
    with pytest.raises(WarehouseQueryError):
        append_entries(ledger, missing, marks(T0, [1.0]))


def test_nothing_to_append_is_nothing_stored(ledger: Warehouse) -> None:
    append_entries(ledger, NOTES, marks(T0, []))
    assert ledger.read_table(NOTES, start=T0, end=T0 + timedelta(days=1)).empty
