"""Asking for the grades of many slots in one batch, at half the price: the answers are stored, and grading finds them there.

Belongs here: which questions a batch asks, batches as rows of `grade_batches`, their calls as rows of `grade_calls`. Does not
belong here: submitting and collecting (`claude.batches`), making grades of answers (`grade_slot`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from hl_assets.assets.grade_calls import call_rows, read_past_calls, usd_spent_on
from hl_assets.assets.grade_slot import SlotToGrade
from hl_assets.claude.batch_records import BatchItem, BatchRequest, GradeBatch
from hl_assets.claude.budget import Budget, BudgetLimit
from hl_assets.claude.calls import GradeCall
from hl_assets.claude.prices import price_of
from hl_assets.claude.reuse import next_attempt, settled
from hl_assets.grading.readiness import ReadinessRules, unready_reasons
from hl_assets.progress import Progress, announce
from hl_assets.resources.grader import GraderResource, ModelAccess
from hl_assets.schemas.grades import BATCH_STATUSES, GRADE_BATCHES, GRADE_CALLS
from hl_assets.slots import parse_slot, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries

_BATCHES_SQL = "SELECT intent_id, status, batch_id, submitted_at, content FROM grade_batches"
_RECORDED_SQL = "SELECT call_id FROM grade_calls WHERE batch_id IN {batch_ids:Array(String)}"


@dataclass(frozen=True)
class BatchOutcome:
    """What asking in batches gave.

    Attributes:
        requests: Questions asked.
        calls: Results recorded, those of batches that an earlier run had left included.
        usd: What they cost.
        left_out: Questions that did not fit.
        limit: The budget's limit that kept them out; None if only the size of a batch did.
        trouble: Why a batch could not be asked or collected, and what to do.
    """

    requests: int = 0
    calls: int = 0
    usd: float = 0.0
    left_out: int = 0
    limit: BudgetLimit | None = None
    trouble: str | None = None


def ask_in_batch(store: Warehouse, slots: Sequence[SlotToGrade], grader: GraderResource) -> BatchOutcome:
    """Store answers to everything the slots will ask: collect what an earlier run left open, then ask the rest.

    Args:
        store: The warehouse.
        slots: What will be graded, oldest first: an answer made for a slot serves later ones too.
        grader: Who grades; nothing is asked where the rules do.
    """
    if grader.model is None or not slots:
        return BatchOutcome()
    return asyncio.run(_ask(store, slots, grader, grader.model))


async def _ask(
    store: Warehouse, slots: Sequence[SlotToGrade], grader: GraderResource, model: ModelAccess
) -> BatchOutcome:
    from hl_assets.claude.batches import BatchError, BatchLimits, BatchRun  # noqa: PLC0415 - see resources.grader

    now = grader.now()
    budget = Budget(
        per_run_usd=model.budget_run_usd,
        per_day_usd=model.budget_day_usd,
        spent_today_usd=usd_spent_on(store, now.replace(hour=0, minute=0, second=0, microsecond=0)),
    )
    keeper = _Keeper(store, slots[0].origin)
    async with model.client() as client:
        run = BatchRun(
            client,
            model.profile,
            ledger=keeper,
            store=keeper,
            budget=budget,
            price_for=lambda name: model.price if name == model.profile.model else price_of(name),
            clock=grader.now,
            limits=BatchLimits(poll_seconds=model.batch_poll_seconds),
            on_progress=lambda done, total, failed: announce(Progress("batch", done, total, failed)),
        )
        asked, submission, trouble = 0, None, None
        try:
            open_batches = read_open_batches(store)
            await run.resume(open_batches, _recorded(store, open_batches))
            requests = list(_questions(store, slots, model))
            submission = await run.submit(requests)
            if submission.batch is not None:
                asked = submission.batch.request_count
                await run.collect(submission.batch)
        except BatchError as error:
            trouble = str(error)
    return BatchOutcome(
        requests=asked,
        calls=keeper.n_calls,
        usd=budget.spent_usd,
        left_out=0 if submission is None else len(submission.left_out),
        limit=None if submission is None else submission.limit,
        trouble=trouble,
    )


def _questions(store: Warehouse, slots: Sequence[SlotToGrade], model: ModelAccess) -> Iterator[BatchRequest]:
    """What no stored answer settles, each question of a wallet once."""
    rules, seen = ReadinessRules(), set[tuple[str, str]]()
    for slot in slots:
        wallet_of = slot.wallet_of
        wanted = {
            item.row_id: (wallet_of[item.row_id], model.profile.grade_key(item)) for item in slot.inputs
        }
        past = read_past_calls(store, wanted, slot.slot, model.regrade_after)
        for item in slot.inputs:
            calls = [one.call for one in past.get(item.row_id, ())]
            known = settled(item, calls, model.profile, give_up_after=model.limits.give_up_after)
            if known is not None or unready_reasons(item, rules) or wanted[item.row_id] in seen:
                continue
            seen.add(wanted[item.row_id])
            yield BatchRequest(
                item=item,
                slot=slot_text(slot.slot),
                wallet=wallet_of[item.row_id],
                attempt=next_attempt(item, calls, model.profile),
            )


class _Keeper:
    """Stores batches and their calls; a `BatchStore` and a `BatchLedger`."""

    def __init__(self, store: Warehouse, origin: str) -> None:
        self._store, self._origin, self.n_calls = store, origin, 0

    async def save(self, batch: GradeBatch) -> None:
        """Store a state of a batch."""
        await asyncio.to_thread(append_entries, self._store, GRADE_BATCHES, batch_rows(batch, self._origin))

    async def record(self, call: GradeCall, item: BatchItem) -> None:
        """Store a call of a batch."""
        wallets = {call.row_id: item.wallet}
        frame = call_rows([call], parse_slot(item.slot), wallets, self._origin)
        await asyncio.to_thread(append_entries, self._store, GRADE_CALLS, frame)
        self.n_calls += 1


def batch_rows(batch: GradeBatch, origin: str) -> pd.DataFrame:
    """The row of `grade_batches` for a batch's present state."""
    oldest = min(parse_slot(item.slot) for item in batch.items)
    return GRADE_BATCHES.conform(
        {
            "as_of": pd.Series([oldest], dtype="datetime64[s, UTC]"),
            "intent_id": batch.intent_id,
            "status": batch.status,
            "batch_id": pd.Series([batch.batch_id], dtype=object),
            "intended_at": pd.to_datetime([batch.intended_at], utc=True),
            "submitted_at": pd.to_datetime(pd.Series([batch.submitted_at]), utc=True),
            "n_requests": batch.request_count,
            "content": pd.Series(
                [batch.model_dump_json() if batch.status == "intended" else None], dtype=object
            ),
            "origin": origin,
        }
    )


def read_open_batches(store: Warehouse) -> list[GradeBatch]:
    """Batches whose results may still have to be collected, oldest first."""
    states: dict[str, dict[str, tuple[str | None, datetime | None, str | None]]] = {}
    for intent_id, status, batch_id, submitted_at, content in store.read_rows(_BATCHES_SQL):
        states.setdefault(intent_id, {})[status] = (batch_id, submitted_at, content)
    found = []
    for reached in states.values():
        newest = max(reached, key=BATCH_STATUSES.index)
        batch_id, submitted_at, _ = reached[newest]
        content = reached["intended"][2]
        batch = GradeBatch.model_validate_json(content or "").model_copy(
            update={"status": newest, "batch_id": batch_id, "submitted_at": submitted_at}
        )
        if batch.is_open:
            found.append(batch)
    return sorted(found, key=lambda batch: batch.intended_at)


def _recorded(store: Warehouse, batches: Sequence[GradeBatch]) -> frozenset[str]:
    """Ids of the calls that the ledger already has of these batches."""
    ids = [batch.batch_id for batch in batches if batch.batch_id is not None]
    return frozenset(row[0] for row in store.read_rows(_RECORDED_SQL, {"batch_ids": ids}))
