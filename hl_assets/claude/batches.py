"""Batches: many questions at half the price and with no hurry, for backfills.

Belongs here: submitting, polling, collecting, and picking up what an earlier process left. The records belong in
`batch_records`.

Source: https://platform.claude.com/docs/en/build-with-claude/batch-processing. The order that makes it safe to die anywhere:
the intent is stored, then the batch is submitted, then its id is stored, then it is polled, then every result is recorded
under an id that depends on the request alone.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anthropic import AnthropicError, APIStatusError, AsyncAnthropic

from hl_assets.claude.asking import record_of
from hl_assets.claude.batch_records import BatchItem, BatchLedger, BatchRequest, BatchStore, GradeBatch
from hl_assets.claude.breaker import remedy
from hl_assets.claude.budget import Budget, BudgetLimit, Reservation
from hl_assets.claude.calls import GradeCall
from hl_assets.claude.failures import CALL_ERRORS, HALTING, Failure, failure_of
from hl_assets.claude.finishing import finished
from hl_assets.claude.prices import Price, worst_case_usd
from hl_assets.claude.profile import GraderProfile
from hl_assets.claude.question import question_of, worst_case
from hl_assets.claude.reading import Reading, read_message
from hl_assets.grading.canonical import input_from_canonical

_logger = logging.getLogger(__name__)

_CLOCK_SKEW = timedelta(minutes=5)
_SUBMIT_WINDOW = timedelta(minutes=15)
_AMBIGUOUS = frozenset({"server_error", "timeout", "conflict"})
"""Kinds of error after which the service may have taken a batch nevertheless."""


class BatchError(RuntimeError):
    """A batch could not be submitted or collected; the message says why and what happens to it."""


class BatchRejectedError(BatchError):
    """The service refused it: repeating does not help."""


class BatchUnavailableError(BatchError):
    """The service was away: what was submitted stays open and is picked up by the next run."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How long and how much.

    Attributes:
        max_requests: of one batch. The service allows 100,000 and 256 MB; ours are about 11 kB each.
        poll_seconds: between two looks at a batch.
        wait_seconds: the most to wait for a batch; then it stays open for the next run. The service takes up to 24 hours.
        grace_seconds: how old an intent without an id must be before its absence at the service is believed.
        break_after: failed looks in a row before giving up for now.
    """

    max_requests: int = 10_000
    poll_seconds: float = 60.0
    wait_seconds: float = 86_400.0
    grace_seconds: float = 120.0
    break_after: int = 10


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of requests.

    Attributes:
        batch: the one submitted; None if nothing was.
        left_out: requests that are not in it.
        limit: the budget's limit that kept them out; None if only the size did.
    """

    batch: GradeBatch | None
    left_out: tuple[BatchRequest, ...]
    limit: BudgetLimit | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What a batch gave.

    Attributes:
        batch: in its present state; open if its results are not there yet.
        calls: those recorded now, without those recorded before.
    """

    batch: GradeBatch
    calls: tuple[GradeCall, ...]


class BatchRun:
    """Submits and collects batches.

    Args:
        client: from `hl_assets.claude.client.make_client`.
        profile: what to ask.
        ledger: where every result is recorded.
        store: where batches are kept.
        budget: what they may cost.
        price_for: the price of a model, e.g. `prices.price_of`.
        clock: the instant of intents.
        limits: how long and how much.
        sleep: waits between two looks.
        on_progress: called with how many requests are done, how many there are, and how many of the done ones failed.
    """

    def __init__(
        self,
        client: AsyncAnthropic,
        profile: GraderProfile,
        *,
        ledger: BatchLedger,
        store: BatchStore,
        budget: Budget,
        price_for: Callable[[str], Price],
        clock: Callable[[], datetime],
        limits: BatchLimits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_progress: Callable[[int, int, int], None] | None = None,
    ) -> None:
        self._client = client
        self._profile = profile
        self._ledger = ledger
        self._store = store
        self._budget = budget
        self._price_for = price_for
        self._clock = clock
        self._limits = limits or BatchLimits()
        self._sleep = sleep
        self._on_progress = on_progress
        self._held: dict[str, Reservation] = {}

    async def submit(self, requests: Sequence[BatchRequest]) -> Submission:
        """Submit as many requests, from the first on, as money and size allow.

        The caller resumes open batches first, or it asks their questions again.

        Raises:
            BatchRejectedError: the service refused the batch; it is abandoned.
            BatchUnavailableError: the service was away. If it may have taken the batch, the intent stays open.
        """
        intent_id = uuid.uuid4().hex
        price = self._price_for(self._profile.model)
        items: list[BatchItem] = []
        limit: BudgetLimit | None = None
        for index, request in enumerate(requests[: self._limits.max_requests]):
            question = question_of(self._profile, request.item, request.attempt)
            money = self._budget.try_reserve(worst_case(self._profile, question, price, batch=True))
            if not isinstance(money, Reservation):
                limit = money
                break
            item = BatchItem(
                custom_id=f"{intent_id}-{index}", slot=request.slot, wallet=request.wallet, question=question
            )
            items.append(item)
            self._held[item.custom_id] = money
        left_out = tuple(requests[len(items) :])
        if not items:
            return Submission(None, left_out, limit)
        intent = GradeBatch(
            intent_id=intent_id,
            batch_id=None,
            status="intended",
            intended_at=self._clock(),
            submitted_at=None,
            items=tuple(items),
        )
        await self._store.save(intent)
        return Submission(await self._created(intent), left_out, limit)

    async def collect(self, batch: GradeBatch, recorded: Collection[str] = ()) -> Collected:
        """Wait for a submitted batch and record its results.

        Args:
            batch: with an id.
            recorded: call ids the ledger already has of it.

        Returns:
            The batch `collected` or `lost`, or still open after `wait_seconds`.

        Raises:
            ValueError: the batch has no id: that is for `resume`.
            BatchUnavailableError: the service was away; the batch stays open.
            BatchRejectedError: the service refused the key; the batch stays open.
        """
        if batch.batch_id is None:
            raise ValueError(f"batch {batch.intent_id} has no id: resume it")
        for item in batch.items:
            self._hold(item, recorded)
        state = await self._ended(batch.batch_id, batch.request_count)
        if state == "running":
            return Collected(batch, ())
        calls: dict[str, GradeCall] = {}
        status = "lost" if state == "lost" else await self._read_results(batch, recorded, calls)
        missing = Failure(
            "unavailable", "missing_result", "the batch has no result of this request", billed=True
        )
        for item in batch.items:
            if item.call_id not in recorded and item.call_id not in calls:
                calls[item.call_id] = await self._recorded(batch, item, missing)
        closed = batch.model_copy(update={"status": status})
        await self._store.save(closed)
        return Collected(closed, tuple(calls.values()))

    async def resume(
        self, open_batches: Sequence[GradeBatch], recorded: Collection[str] = ()
    ) -> list[Collected]:
        """Pick up what earlier processes left: find batches whose id was never stored, and collect.

        Args:
            open_batches: those stored as `intended` or `submitted`.
            recorded: call ids the ledger already has of them.

        Raises:
            BatchError: as `collect`; the batches after it are not touched.
        """
        found = []
        for batch in open_batches:
            known = batch if batch.batch_id is not None else await self._found(batch)
            is_ready = known.batch_id is not None and known.is_open
            found.append(await self.collect(known, recorded) if is_ready else Collected(known, ()))
        return found

    async def _created(self, intent: GradeBatch) -> GradeBatch:
        requests = [
            {
                "custom_id": item.custom_id,
                "params": self._profile.request_of(item.question.canonical, item.question.max_tokens),
            }
            for item in intent.items
        ]
        # Without the SDK's retries: a repeated submission could be taken twice.
        once = self._client.with_options(max_retries=0)
        try:
            created: Any = await once.messages.batches.create(requests=requests)  # type: ignore[arg-type]
        except CALL_ERRORS as error:
            raise await self._not_created(intent, failure_of(error, self._client)) from error
        submitted = intent.model_copy(
            update={"batch_id": created.id, "status": "submitted", "submitted_at": created.created_at}
        )
        await finished(self._store.save(submitted))
        return submitted

    async def _not_created(self, intent: GradeBatch, failure: Failure) -> BatchError:
        if failure.billed or failure.kind in _AMBIGUOUS:
            return BatchUnavailableError(
                f"batch {intent.intent_id} may or may not have been taken ({failure.text}): the next run looks for it"
            )
        await self._abandon(intent)
        if failure.outcome == "rejected":
            return BatchRejectedError(self._refusal(failure))
        return BatchUnavailableError(f"batch {intent.intent_id} was not taken ({failure.text}): run it again")

    async def _abandon(self, batch: GradeBatch) -> GradeBatch:
        for item in batch.items:
            money = self._held.pop(item.custom_id, None)
            if money is not None:
                money.release()
        abandoned = batch.model_copy(update={"status": "abandoned"})
        await self._store.save(abandoned)
        return abandoned

    async def _found(self, intent: GradeBatch) -> GradeBatch:
        """The batch an intent without an id became, or the intent, abandoned or still open."""
        age = (self._clock() - intent.intended_at).total_seconds()
        if age < self._limits.grace_seconds:
            await self._sleep(self._limits.grace_seconds - age)
        for candidate in await self._candidates(intent):
            state = await self._ended(candidate.id, intent.request_count)
            if state == "running":
                _logger.warning(
                    "batch %s may be intent %s and is not done: wait", candidate.id, intent.intent_id
                )
                return intent
            if state == "ended" and await self._carries(candidate.id, intent):
                adopted = intent.model_copy(
                    update={
                        "batch_id": candidate.id,
                        "status": "submitted",
                        "submitted_at": candidate.created_at,
                    }
                )
                await self._store.save(adopted)
                return adopted
        return await self._abandon(intent)

    async def _candidates(self, intent: GradeBatch) -> list[Any]:
        """Batches of the right size created about when the intent was; the service lists the newest first."""
        found = []
        try:
            async for batch in self._client.messages.batches.list(limit=100):
                if batch.created_at < intent.intended_at - _CLOCK_SKEW:
                    break
                in_time = batch.created_at <= intent.intended_at + _SUBMIT_WINDOW
                if in_time and _total(batch.request_counts) == intent.request_count:
                    found.append(batch)
        except CALL_ERRORS as error:
            raise self._trouble("batches could not be listed", error) from error
        return found

    async def _carries(self, batch_id: str, intent: GradeBatch) -> bool:
        """Whether the results of a batch are the intent's; only they tell the custom ids."""
        try:
            results = await self._client.messages.batches.results(batch_id)
            async for line in results:
                await results.close()
                return line.custom_id.startswith(f"{intent.intent_id}-")
        except CALL_ERRORS as error:
            if isinstance(error, AnthropicError) and _gone(error):
                return False
            raise self._trouble(f"batch {batch_id} could not be read", error) from error
        return False

    async def _ended(self, batch_id: str, total: int) -> str:
        """`ended`, `running` when `wait_seconds` are over, or `lost` when the service does not know it."""
        failures, waited = 0, 0.0
        while True:
            try:
                batch = await self._client.messages.batches.retrieve(batch_id)
            except CALL_ERRORS as error:
                failure = failure_of(error, self._client)
                if failure.kind == "not_found":
                    return "lost"
                failures += 1
                if failure.outcome == "rejected" or failures >= self._limits.break_after:
                    raise self._trouble(f"batch {batch_id} could not be looked at", error) from error
            else:
                failures = 0
                self._report(batch.request_counts, total)
                if batch.processing_status == "ended":
                    return "ended"
            if waited + self._limits.poll_seconds > self._limits.wait_seconds:
                return "running"
            await self._sleep(self._limits.poll_seconds)
            waited += self._limits.poll_seconds

    async def _read_results(
        self, batch: GradeBatch, recorded: Collection[str], calls: dict[str, GradeCall]
    ) -> str:
        """Record every result, in whatever order they come; a broken stream is read again from its beginning."""
        items = {item.custom_id: item for item in batch.items}
        for reading in itertools.count(1):
            try:
                async for line in await self._client.messages.batches.results(batch.batch_id or ""):
                    await self._taken(batch, items, line, recorded, calls)
            except CALL_ERRORS as error:
                if isinstance(error, AnthropicError) and _gone(error):
                    return "lost"
                failure = failure_of(error, self._client)
                if failure.outcome == "rejected" or reading >= self._limits.break_after:
                    raise self._trouble(f"results of {batch.batch_id} could not be read", error) from error
                await self._sleep(self._limits.poll_seconds)
            else:
                return "collected"
        raise AssertionError("counting does not end")

    async def _taken(
        self,
        batch: GradeBatch,
        items: Mapping[str, BatchItem],
        line: Any,
        recorded: Collection[str],
        calls: dict[str, GradeCall],
    ) -> None:
        item = items.get(line.custom_id)
        if item is None:
            _logger.warning("batch %s answers %r, which was not asked", batch.batch_id, line.custom_id)
        elif item.call_id not in recorded and item.call_id not in calls:
            calls[item.call_id] = await self._recorded(batch, item, _result(item, line.result))

    async def _recorded(self, batch: GradeBatch, item: BatchItem, result: Reading | Failure) -> GradeCall:
        call = record_of(
            item.question,
            result,
            call_id=item.call_id,
            requested_at=batch.submitted_at or batch.intended_at,
            price=self._price_for(item.question.model),
            client=self._client,
            mode="batch",
            batch_id=batch.batch_id,
            request_id=result.request_id if isinstance(result, Failure) else None,
        )
        money = self._held.pop(item.custom_id, None)
        if money is not None:
            money.settle(call.estimated_usd)
        await finished(self._ledger.record(call, item))
        return call

    def _hold(self, item: BatchItem, recorded: Collection[str]) -> None:
        """Reserve what a batch of an earlier process may cost: it is committed, whatever the limits say."""
        if item.custom_id in self._held or item.call_id in recorded:
            return
        question = item.question
        most = worst_case_usd(
            self._price_for(question.model),
            input_tokens=self._profile.input_tokens_estimate(question.canonical),
            max_tokens=question.max_tokens,
            batch=True,
        )
        self._held[item.custom_id] = self._budget.hold(most)

    def _report(self, counts: Any, total: int) -> None:
        if self._on_progress is not None:
            failed = counts.errored + counts.canceled + counts.expired
            self._on_progress(total - counts.processing, total, failed)

    def _trouble(self, what: str, error: Exception) -> BatchError:
        failure = failure_of(error, self._client)
        if failure.outcome == "rejected":
            return BatchRejectedError(f"{what}: {self._refusal(failure)}")
        return BatchUnavailableError(f"{what} ({failure.text}): the next run tries again")

    def _refusal(self, failure: Failure) -> str:
        if failure.kind in HALTING:
            return remedy(failure.kind, self._profile.model)
        return f"the service refused: {failure.text}"


def _result(item: BatchItem, result: Any) -> Reading | Failure:
    """One request's result as what a call gives."""
    match getattr(result, "type", None):
        case "succeeded":
            question = item.question
            asked = input_from_canonical(question.canonical, question.row_id)
            return read_message(
                result.message, asked, call_id=item.call_id, grader_version=f"{question.model}/batch"
            )
        case "errored":
            return _errored(result.error)
        case "expired":
            return Failure("unavailable", "expired", "the batch ended before this request was processed")
        case "canceled":
            return Failure(
                "unavailable", "canceled", "the batch was cancelled before this request was processed"
            )
        case other:
            return Failure(
                "unavailable", "malformed_response", f"result of an unknown type {other!r}", billed=True
            )


def _errored(response: Any) -> Failure:
    error = getattr(response, "error", None)
    kind = getattr(error, "type", None)
    text = f"{kind}: {getattr(error, 'message', '')}"
    request_id = getattr(response, "request_id", None)
    if kind == "invalid_request_error":
        return Failure("rejected", "bad_request", text, request_id)
    return Failure("unavailable", str(kind or "server_error").removesuffix("_error"), text, request_id)


def _gone(error: AnthropicError) -> bool:
    """Whether the service has no results any more: deleted, or archived, of which the SDK says there is no url."""
    if isinstance(error, APIStatusError):
        return error.status_code == 404
    return "results_url" in str(error)


def _total(counts: Any) -> int:
    return int(counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired)
