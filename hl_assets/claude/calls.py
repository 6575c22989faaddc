"""One call to the model: what was asked, what came back, what it cost; and where calls are recorded.

Belongs here: the record and the protocol of its keeper. Does not belong here: making calls (`asking`), storing them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

CallOutcome = Literal[
    "graded", "refused", "truncated", "invalid_answer", "unexpected_stop", "unavailable", "rejected"
]
"""What came of a call.

`graded`: a valid answer. `refused`: stop reason `refusal`. `truncated`: stop reason `max_tokens`. `invalid_answer`: it ended,
but the text is not a valid grade. `unexpected_stop`: any other stop reason. `unavailable`: no answer, for a reason that heals
(timeout, connection, 408, 409, 429, 5xx, 529). `rejected`: the service refused the request (400, 401, 403, 404, 413, ...).
"""
CallMode = Literal["realtime", "batch"]


@dataclass(frozen=True, slots=True)
class GradeCall:
    """One request and its answer; never changed once recorded.

    Attributes:
        call_id: 32 hexadecimal digits, unique.
        row_id: of the input asked about.
        grade_key: SHA-256 of what decides the answer: bucketed input, prompt, schema, model, effort.
        input_hash: SHA-256 of the bucketed input alone.
        canonical_input: the exact text the model was given about this wallet.
        attempt: 1, or 2 for the repetition with twice the tokens after a truncation.
        mode: realtime, or part of a batch.
        batch_id: the service's id of the batch.
        requested_at: when it was sent; of a batch, when that was submitted.
        latency_seconds: until the answer; None for a batch.
        model: the model asked.
        effort: the effort asked.
        max_tokens: the most tokens the answer might have.
        prompt_version: of the prompt files.
        prompt_hash: SHA-256 of the prompt text.
        schema_hash: SHA-256 of the answer's JSON schema.
        outcome: what came of it.
        stop_reason: the service's; None without an answer.
        request_id: the service's; None without one.
        raw_answer: the answer's text exactly as it came; None without one.
        input_tokens: uncached tokens read; None when unknown, like all tokens.
        output_tokens: tokens written.
        cache_read_tokens: prompt tokens read from the service's cache.
        cache_write_tokens: prompt tokens written to it.
        estimated_usd: by the price table; 0.0 where the service bills nothing (no answer, errors), None when an answer
            may have been billed without telling its tokens.
        error_kind: class of failure, None if there was none.
        error: what failed, without secrets.
    """

    call_id: str
    row_id: str
    grade_key: str
    input_hash: str
    canonical_input: str
    attempt: int
    mode: CallMode
    batch_id: str | None
    requested_at: datetime
    latency_seconds: float | None
    model: str
    effort: str
    max_tokens: int
    prompt_version: str
    prompt_hash: str
    schema_hash: str
    outcome: CallOutcome
    stop_reason: str | None
    request_id: str | None
    raw_answer: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    estimated_usd: float | None
    error_kind: str | None
    error: str | None


class CallLedger(Protocol):
    """Where calls are recorded before anything is made of them."""

    async def record(self, call: GradeCall) -> None:
        """Store a call; when this returns, it survives the death of the process."""
