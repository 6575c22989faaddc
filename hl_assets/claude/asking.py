"""One call to the model: request, answer, record.

Belongs here: making a call and its `GradeCall`. Whether and when to call belongs in `grader`, what an answer means in
`reading`, what an error means in `failures`.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from anthropic import AsyncAnthropic
from anthropic.types import Message

from hl_assets.claude.calls import CallMode, GradeCall
from hl_assets.claude.client import scrubbed
from hl_assets.claude.failures import CALL_ERRORS, Failure, failure_of
from hl_assets.claude.prices import Price, usd
from hl_assets.claude.profile import GraderProfile
from hl_assets.claude.question import Question, question_of
from hl_assets.claude.reading import Reading, read_message
from hl_assets.grading.interface import Grade, GradeInput


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that was made, and the grade if it gave one."""

    call: GradeCall
    grade: Grade | None


async def ask(
    client: AsyncAnthropic,
    profile: GraderProfile,
    item: GradeInput,
    *,
    attempt: int = 1,
    price: Price,
    clock: Callable[[], datetime],
    call_seconds: float,
) -> Asked:
    """Ask once. Whatever goes wrong with the service is an outcome of the call, not an exception.

    Args:
        client: with the SDK's own retries, whose waits count as latency.
        profile: what to ask.
        item: about which wallet.
        attempt: 1, or 2 with twice the tokens.
        price: for the estimated cost.
        clock: the instant of the request.
        call_seconds: the most the call may take, retries included. The SDK waits as long as a server's `retry-after`
            says, be it hours, so its timeout alone bounds nothing.
    """
    question, call_id = question_of(profile, item, attempt), uuid.uuid4().hex
    requested_at, started = clock(), time.perf_counter()
    answer = await _answered(client, profile, question, call_seconds)
    latency = time.perf_counter() - started
    if isinstance(answer, Failure):
        result: Reading | Failure = answer
        request_id = answer.request_id
    else:
        result = read_message(answer, item, call_id=call_id, grader_version=profile.version)
        request_id = getattr(answer, "_request_id", None)
    call = record_of(
        question,
        result,
        call_id=call_id,
        requested_at=requested_at,
        price=price,
        client=client,
        request_id=request_id,
        latency_seconds=latency,
    )
    return Asked(call, result.grade if isinstance(result, Reading) else None)


async def _answered(
    client: AsyncAnthropic, profile: GraderProfile, question: Question, call_seconds: float
) -> Message | Failure:
    request = profile.request_of(question.canonical, question.max_tokens)
    try:
        async with asyncio.timeout(call_seconds):
            message: object = await client.messages.create(**request)
    except CALL_ERRORS as error:
        return failure_of(error, client)
    if not isinstance(
        message, Message
    ):  # the SDK hands on the body as it is when its content type is not JSON
        return Failure("unavailable", "malformed_response", "the service's answer is no message", billed=True)
    return message


def record_of(
    question: Question,
    result: Reading | Failure,
    *,
    call_id: str,
    requested_at: datetime,
    price: Price,
    client: AsyncAnthropic,
    mode: CallMode = "realtime",
    batch_id: str | None = None,
    request_id: str | None = None,
    latency_seconds: float | None = None,
) -> GradeCall:
    """The record of a call from what came of it."""
    reading = result if isinstance(result, Reading) else None
    usage = None if reading is None else reading.usage
    kind, error = (result.kind, result.text) if isinstance(result, Failure) else (None, result.error)
    return GradeCall(
        call_id=call_id,
        row_id=question.row_id,
        grade_key=question.grade_key,
        input_hash=question.input_hash,
        canonical_input=question.canonical,
        attempt=question.attempt,
        mode=mode,
        batch_id=batch_id,
        requested_at=requested_at,
        latency_seconds=latency_seconds,
        model=question.model,
        effort=question.effort,
        max_tokens=question.max_tokens,
        prompt_version=question.prompt_version,
        prompt_hash=question.prompt_hash,
        schema_hash=question.schema_hash,
        outcome=result.outcome,
        stop_reason=None if reading is None else reading.stop_reason,
        request_id=request_id,
        raw_answer=None if reading is None else reading.text,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cache_read_tokens=None if usage is None else usage.cache_read_tokens,
        cache_write_tokens=None if usage is None else usage.cache_write_tokens,
        estimated_usd=_estimated(result, price, batch=mode == "batch"),
        error_kind=kind or (None if result.outcome == "graded" else result.outcome),
        error=None if error is None else scrubbed(error, client),
    )


def _estimated(result: Reading | Failure, price: Price, *, batch: bool) -> float | None:
    if isinstance(result, Failure):
        return None if result.billed else 0.0
    return None if result.usage is None else usd(price, result.usage, batch=batch)
