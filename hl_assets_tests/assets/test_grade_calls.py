"""Calls are stored once, durably, and come back exactly, to the slots that may know them."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from hl_assets.assets.grade_calls import PastCall, SlotLedger, read_past_calls, usd_spent_on
from hl_assets.claude.calls import GradeCall
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseError

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
WALLET, OTHER = f"0x{1:040x}", f"0x{2:040x}"
WEEK = timedelta(days=7)


def call(number: int, **changes: object) -> GradeCall:
    """A graded call; every field has a value unless it is told otherwise."""
    made = GradeCall(
        call_id=f"{number:032x}",
        row_id="row-0",
        grade_key="a" * 64,
        input_hash="b" * 64,
        canonical_input='{"metrics":{}}',
        attempt=1,
        mode="realtime",
        batch_id=None,
        requested_at=SLOT + timedelta(seconds=number, milliseconds=7),
        latency_seconds=0.5,
        model="claude-haiku-5-5",
        effort="low",
        max_tokens=2000,
        prompt_version="v1",
        prompt_hash="c" * 64,
        schema_hash="d" * 64,
        outcome="graded",
        stop_reason="end_turn",
        request_id="req_1",
        raw_answer='{"trading_style": "Zoë 🦊\\n"}',
        input_tokens=1600,
        output_tokens=500,
        cache_read_tokens=0,
        cache_write_tokens=0,
        estimated_usd=0.0004,
        error_kind=None,
        error=None,
    )
    return dataclasses.replace(made, **changes)


def unanswered(number: int) -> GradeCall:
    """A call that nothing is known of but that it failed."""
    nothing = dict.fromkeys(
        (
            "latency_seconds", "stop_reason", "request_id", "raw_answer", "input_tokens", "output_tokens",
            "cache_read_tokens", "cache_write_tokens", "estimated_usd",
        )
    )  # fmt: skip
    return call(number, outcome="unavailable", error_kind="timeout", error="no answer in 30 s", **nothing)


@pytest.fixture
def store(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_tables([GRADE_CALLS])
    return warehouse


def record(store: Warehouse, calls: list[GradeCall], slot: datetime = SLOT, wallet: str = WALLET) -> None:
    async def all_at_once() -> None:
        ledger = SlotLedger(store, slot, {"row-0": wallet}, "simulated")
        await asyncio.gather(*(ledger.record(one) for one in calls))

    asyncio.run(all_at_once())


def past(
    store: Warehouse, slot: datetime = SLOT, key: str = "a" * 64, wallet: str = WALLET
) -> list[PastCall]:
    return read_past_calls(store, {"row-9": (wallet, key)}, slot, WEEK).get("row-9", [])


def test_calls_come_back_as_they_were_oldest_first(store: Warehouse) -> None:
    stored = [call(1), unanswered(2), call(3, batch_id="msgbatch_1", mode="batch")]
    record(store, stored)
    found = past(store)
    assert [one.as_of for one in found] == [SLOT] * 3
    assert [dataclasses.replace(one.call, row_id="row-0") for one in found] == stored
    assert {one.call.row_id for one in found} == {"row-9"}


def test_a_hundred_calls_that_end_together_are_each_stored_once(store: Warehouse) -> None:
    record(store, [call(number) for number in range(100)])
    assert sorted(store.read_table(GRADE_CALLS)["call_id"]) == [f"{number:032x}" for number in range(100)]
    parts = store.read_rows(
        "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'grade_calls__entries' AND active"
    )
    assert parts[0][0] < 10, "calls that end together go into one insert"


def test_a_slot_knows_no_later_call_no_old_one_and_no_other_wallets(store: Warehouse) -> None:
    record(store, [call(1)])
    assert past(store)
    assert past(store, SLOT + timedelta(days=6))
    assert not past(store, SLOT + WEEK)
    assert not past(store, SLOT - timedelta(minutes=10))
    assert not past(store, key="e" * 64)
    assert not past(store, wallet=OTHER)


def test_spending_is_counted_by_the_day_it_was_asked_on(store: Warehouse) -> None:
    midnight = datetime(2026, 5, 31, tzinfo=UTC)
    late = midnight + timedelta(days=1)
    record(
        store,
        [call(1), unanswered(2), call(3, requested_at=late), call(4, requested_at=late, estimated_usd=0.25)],
    )
    assert usd_spent_on(store, midnight) == pytest.approx(0.0004 + 0.0004), "unknown counts as the dearest"
    assert usd_spent_on(store, late) == pytest.approx(0.2504)
    assert usd_spent_on(store, late + timedelta(days=1)) == 0.0


def test_a_call_that_cannot_be_stored_is_everybodys_failure_who_waits_for_it(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])  # no ledger

    async def all_at_once() -> list[object]:
        ledger = SlotLedger(warehouse, SLOT, {"row-0": WALLET}, "simulated")
        return await asyncio.gather(*(ledger.record(call(n)) for n in range(3)), return_exceptions=True)

    outcomes = asyncio.run(all_at_once())
    assert all(isinstance(outcome, WarehouseError) for outcome in outcomes), outcomes
