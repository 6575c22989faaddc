"""Grading one slot: the configured grader with what is stored around it.

Belongs here: the cache of stored calls, the money spent so far and the ledger, put around a grader. Does not belong here:
grading (`grading`), asking (`claude`), rows of `ai_grades` (`ai_grades`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hl_assets.assets.grade_calls import PastCall, SlotLedger, StoredAnswer, read_past_calls, usd_spent_on
from hl_assets.claude.budget import Budget
from hl_assets.claude.tally import GradeTally
from hl_assets.grading.answer import InvalidAnswerError, parse_answer
from hl_assets.grading.interface import Grade, GradeInput
from hl_assets.grading.rules import RuleGrader
from hl_assets.grading.service import grade_batch
from hl_assets.progress import Progress, announce
from hl_assets.resources.grader import GraderResource, ModelAccess
from hl_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class SlotToGrade:
    """The wallets of one slot.

    Attributes:
        slot: The slot.
        origin: Of its rows.
        inputs: One per wallet.
        wallets: Addresses in the order of the inputs.
    """

    slot: datetime
    origin: str
    inputs: Sequence[GradeInput]
    wallets: Sequence[str]

    @property
    def wallet_of(self) -> dict[str, str]:
        """Row id -> address."""
        return {item.row_id: wallet for item, wallet in zip(self.inputs, self.wallets, strict=True)}


@dataclass(frozen=True)
class GradedSlot:
    """What grading a slot gave.

    Attributes:
        grades: One per input, in their order.
        tally: What the model was asked and what that cost; None when the rules graded.
        trouble: Why the model could not be asked, and what to do; None if it could.
        note: What the service says about the model that one should know, e.g. that it will be retired.
        usd_today: What the UTC day has cost so far, this slot included; None when the rules graded.
    """

    grades: Sequence[Grade]
    tally: GradeTally | None = None
    trouble: str | None = None
    note: str | None = None
    usd_today: float | None = None


def grade_slot(
    store: Warehouse,
    slot: SlotToGrade,
    grader: GraderResource,
    *,
    spent_in_run_usd: float = 0.0,
    asking: bool = True,
) -> GradedSlot:
    """Grade every wallet of a slot.

    Args:
        store: The warehouse, for the calls made before and the ledger of new ones.
        slot: What to grade.
        grader: Who grades.
        spent_in_run_usd: What this run has spent on other slots.
        asking: Whether the model is asked; without, stored answers are all there is.
    """
    if grader.model is None:
        return GradedSlot(asyncio.run(grade_batch(RuleGrader(), slot.inputs)))
    return asyncio.run(_ask(store, slot, grader, grader.model, spent_usd=spent_in_run_usd, asking=asking))


async def _ask(
    store: Warehouse,
    slot: SlotToGrade,
    grader: GraderResource,
    model: ModelAccess,
    *,
    spent_usd: float,
    asking: bool,
) -> GradedSlot:
    from hl_assets.claude.grader import ClaudeGrader  # noqa: PLC0415 - see hl_assets.resources.grader

    now = grader.now()
    spent_today = usd_spent_on(store, now.replace(hour=0, minute=0, second=0, microsecond=0))
    past = _past_calls(store, slot, model)
    async with model.client() as client:
        claude = ClaudeGrader(
            client,
            model.profile,
            ledger=SlotLedger(store, slot.slot, slot.wallet_of, slot.origin),
            budget=Budget(
                per_run_usd=max(model.budget_run_usd - spent_usd, 0.0),
                per_day_usd=model.budget_day_usd,
                spent_today_usd=spent_today,
            ),
            price=model.price,
            past={row_id: [one.call for one in calls] for row_id, calls in past.items()},
            own_calls=frozenset(
                one.call.call_id for calls in past.values() for one in calls if one.as_of == slot.slot
            ),
            limits=model.limits,
            asking=asking,
            clock=grader.now,
            on_progress=lambda done, total, failed: announce(Progress("grades", done, total, failed)),
        )
        graded = await grade_batch(claude, sorted(slot.inputs, key=_standing, reverse=True))
        note = (await model.standing(client)).note if claude.tally.calls else None
    by_row = {grade.row_id: grade for grade in graded}
    grades = [by_row[item.row_id] for item in slot.inputs]
    return GradedSlot(grades, claude.tally, claude.trouble, note, spent_today + claude.tally.usd)


def _past_calls(store: Warehouse, slot: SlotToGrade, model: ModelAccess) -> Mapping[str, Sequence[PastCall]]:
    wallet_of = slot.wallet_of
    wanted = {item.row_id: (wallet_of[item.row_id], model.profile.grade_key(item)) for item in slot.inputs}
    return read_past_calls(store, wanted, slot.slot, model.regrade_after)


def rederived(
    grades: Sequence[Grade], slot: SlotToGrade, answers: Mapping[str, StoredAnswer]
) -> tuple[dict[str, str], int]:
    """Parse every model's grade again from what the ledger holds.

    Args:
        grades: Grades of the slot, in the order of its inputs.
        slot: What was graded.
        answers: Stored answers by call id.

    Returns:
        Wallet -> what differs, for the grades that do, and how many were compared.
    """
    differences, compared = {}, 0
    for grade, item, wallet in zip(grades, slot.inputs, slot.wallets, strict=True):
        if grade.status == "graded" and grade.call_id is not None:
            compared += 1
            difference = _difference(grade, item, answers.get(grade.call_id))
            if difference is not None:
                differences[wallet] = difference
    return differences, compared


def _difference(grade: Grade, item: GradeInput, stored: StoredAnswer | None) -> str | None:
    """In which fields the grade is not what its stored answer gives; None if in none."""
    if grade.call_id is None or stored is None or stored.raw_answer is None:
        return "no stored answer"
    try:
        again = parse_answer(
            stored.raw_answer,
            item,
            call_id=grade.call_id,
            grader_version=grade.grader_version,
            source=grade.grade_source,
            asked=stored.canonical_input,
        )
    except InvalidAnswerError as error:
        return f"the stored answer is not valid: {error}"
    fields = [name for name in Grade.model_fields if getattr(again, name) != getattr(grade, name)]
    return f"differs in {', '.join(fields)}" if fields else None


def _standing(item: GradeInput) -> float:
    """How well the wallet stands: when money or time run out, the best have been graded."""
    known = [value for value in item.percentiles.model_dump().values() if value is not None]
    return sum(known) / len(known) if known else 0.0
