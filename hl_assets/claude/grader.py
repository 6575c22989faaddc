"""The grader that asks Claude: stored answers first, then calls within limits of time, money and patience.

Belongs here: the order of these steps. Each step has a module of its own. Storing grades and calls belongs to the caller.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from anthropic import AsyncAnthropic

from hl_assets.claude.asking import Asked, ask
from hl_assets.claude.breaker import Breaker, is_halting
from hl_assets.claude.budget import Budget, Reservation
from hl_assets.claude.calls import CallLedger, GradeCall
from hl_assets.claude.finishing import finished
from hl_assets.claude.prices import Price
from hl_assets.claude.profile import GraderProfile
from hl_assets.claude.question import question_of, worst_case
from hl_assets.claude.reuse import by_rules, next_attempt, settled
from hl_assets.claude.tally import GradeTally
from hl_assets.grading.interface import Fallback, Grade, GradeInput

GradeProgress = Callable[[int, int, int], None]
"""Called with how many inputs are done, how many there are, and how many of the done ones failed."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskLimits:
    """How much asking is allowed.

    Attributes:
        concurrency: calls at once.
        deadline_seconds: after that nobody asks any more; calls under way keep their time.
        call_seconds: the most one call may take, the SDK's retries and waits included.
        give_up_after: wasted calls about one question, over all runs, after which the rules grade it.
        break_after: calls in a row without an answer, after which nobody asks any more.
    """

    concurrency: int = 8
    deadline_seconds: float = 300.0
    call_seconds: float = 120.0
    give_up_after: int = 3
    break_after: int = 10

    def __post_init__(self) -> None:
        for name in ("concurrency", "give_up_after", "break_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("deadline_seconds", "call_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


class ClaudeGrader:
    """Asks Claude for grades; implements `hl_assets.grading.interface.Grader`.

    Args:
        client: from `hl_assets.claude.client.make_client`.
        profile: what to ask.
        ledger: where every call is recorded before its grade is used.
        budget: what it may cost.
        price: of the profile's model.
        past: row id -> stored calls about that wallet that are young enough to count.
        own_calls: ids of stored calls that were made for this very slot.
        limits: how much asking is allowed.
        asking: whether to ask at all; without, what no stored answer settles gets the rules' grade.
        clock: the instant of each request.
        on_progress: told after every input.
    """

    def __init__(
        self,
        client: AsyncAnthropic,
        profile: GraderProfile,
        *,
        ledger: CallLedger,
        budget: Budget,
        price: Price,
        clock: Callable[[], datetime],
        past: Mapping[str, Sequence[GradeCall]] | None = None,
        own_calls: Collection[str] = frozenset(),
        limits: AskLimits | None = None,
        asking: bool = True,
        on_progress: GradeProgress | None = None,
    ) -> None:
        self._client = client
        self._profile = profile
        self._ledger = ledger
        self._budget = budget
        self._price = price
        self._clock = clock
        self._past = past or {}
        self._own_calls = frozenset(own_calls)
        self._limits = limits or AskLimits()
        self._asking = asking
        self._on_progress = on_progress
        self._breaker = Breaker(self._limits.break_after)
        self.tally = GradeTally()

    @property
    def version(self) -> str:
        """Of the profile."""
        return self._profile.version

    @property
    def trouble(self) -> str | None:
        """Why nobody asks any more and what to do about it; None while calls are answered."""
        return self._breaker.trouble

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        """Grade each input, in the order given: the first ones get what time and money there is.

        Raises:
            Exception: whatever the ledger raises; calls under way are abandoned then.
        """
        deadline = asyncio.get_running_loop().time() + self._limits.deadline_seconds
        grades = {index: grade for index, item in enumerate(inputs) if (grade := self._settled(item))}
        for grade in grades.values():
            self.tally.count_grade(grade)
        self._report(grades, len(inputs))
        waiting = ((index, item) for index, item in enumerate(inputs) if index not in grades)
        await self._ask_all(waiting, grades, len(inputs), deadline)
        if self.trouble is not None:
            _logger.warning("%s; rule grades are used meanwhile", self.trouble)
        return [grades[index] for index in range(len(inputs))]

    async def _ask_all(
        self, waiting: Iterator[tuple[int, GradeInput]], grades: dict[int, Grade], total: int, deadline: float
    ) -> None:
        settled_before = frozenset(grades)

        async def worker() -> None:
            for index, item in waiting:
                grades[index] = await self._asked(item, deadline)
                self.tally.count_grade(grades[index])
                self._report(grades, total)

        open_inputs = total - len(settled_before)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._limits.concurrency, open_inputs)):
                    group.create_task(worker())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    def _settled(self, item: GradeInput) -> Grade | None:
        return settled(
            item,
            self._past.get(item.row_id, ()),
            self._profile,
            own_calls=self._own_calls,
            give_up_after=self._limits.give_up_after,
        )

    async def _asked(self, item: GradeInput, deadline: float) -> Grade:
        """Ask, and ask again with twice the tokens if the answer was cut off."""
        attempt = next_attempt(item, self._past.get(item.row_id, ()), self._profile)
        while True:
            permit = await self._permit(item, attempt, deadline)
            if not isinstance(permit, Reservation):
                return by_rules(item, permit)
            asked = await self._call(item, attempt, permit)
            if asked.call.outcome == "truncated" and attempt == 1:
                attempt = 2
                continue
            return _grade_of(item, asked, self.version)

    async def _permit(self, item: GradeInput, attempt: int, deadline: float) -> Reservation | Fallback:
        """The money for one call, or why it is not made."""
        if (stopped := self._stopped(deadline)) is not None:
            return stopped
        question = question_of(self._profile, item, attempt)
        permit = await self._budget.reserve(worst_case(self._profile, question, self._price))
        if isinstance(permit, Reservation) and (stopped := self._stopped(deadline)) is not None:
            permit.release()  # it may have waited for the money past the deadline
            return stopped
        return permit

    def _stopped(self, deadline: float) -> Fallback | None:
        if not self._asking:
            return "not_asked"
        if self.trouble is not None:
            return "unavailable"
        return "deadline" if asyncio.get_running_loop().time() >= deadline else None

    async def _call(self, item: GradeInput, attempt: int, money: Reservation) -> Asked:
        """One call, recorded before anything is made of it."""
        try:
            asked = await ask(
                self._client,
                self._profile,
                item,
                attempt=attempt,
                price=self._price,
                clock=self._clock,
                call_seconds=self._limits.call_seconds,
            )
        except BaseException:
            money.settle(None)  # cancelled under way: it may be billed
            raise
        money.settle(asked.call.estimated_usd)
        self.tally.count_call(asked.call)
        self._breaker.saw(asked.call)
        await finished(self._ledger.record(asked.call))
        return asked

    def _report(self, grades: Mapping[int, Grade], total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(len(grades), total, self.tally.failed)


def _grade_of(item: GradeInput, asked: Asked, version: str) -> Grade:
    call = asked.call
    if asked.grade is not None:
        return asked.grade
    if call.outcome == "refused":
        return by_rules(item, "refused")
    if is_halting(call):
        return by_rules(item, "unavailable")
    return Grade(
        row_id=item.row_id,
        status="failed",
        status_reasons=(f"{call.outcome}: {call.error}",),
        grade_source="failed",
        grader_version=version,
        call_id=call.call_id,
        input_hash=call.input_hash,
    )
