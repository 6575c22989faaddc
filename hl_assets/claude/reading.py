"""Reading a message of the model: its stop reason first, then its text.

Belongs here: from the service's message to outcome, tokens and grade, for single calls and batches alike. The answer's own
rules belong in `hl_assets.grading.answer`.

Nothing about the message is taken for granted: the SDK builds its objects without validating them.
"""

from dataclasses import dataclass
from typing import Any

from hl_assets.claude.calls import CallOutcome
from hl_assets.claude.prices import Usage
from hl_assets.grading.answer import InvalidAnswerError, parse_answer
from hl_assets.grading.interface import Grade, GradeInput


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message holds.

    Attributes:
        outcome: what came of the call.
        grade: the grade, if it was `graded`.
        stop_reason: the service's, whatever it is.
        text: the last text block; None if there is none.
        usage: tokens; None when the message does not tell them.
        error: why there is no grade.
    """

    outcome: CallOutcome
    grade: Grade | None
    stop_reason: str | None
    text: str | None
    usage: Usage | None
    error: str | None


def read_message(message: Any, item: GradeInput, *, call_id: str, grader_version: str) -> Reading:
    """What a message of the Messages API holds as the answer to an input."""
    stop_reason, text = _string(message, "stop_reason"), _last_text(message)
    outcome, error, grade = _judged(message, stop_reason, text), None, None
    if isinstance(outcome, tuple):
        outcome, error = outcome
    if outcome == "graded":
        try:
            grade = parse_answer(
                text or "", item, call_id=call_id, grader_version=grader_version, source="llm"
            )
        except InvalidAnswerError as invalid:
            outcome, error = "invalid_answer", str(invalid)
    return Reading(outcome, grade, stop_reason, text, _usage(message), error)


def _judged(message: Any, stop_reason: str | None, text: str | None) -> CallOutcome | tuple[CallOutcome, str]:
    match stop_reason:
        case "end_turn":
            return "graded" if text is not None else ("invalid_answer", "the answer has no text")
        case "max_tokens":
            return "truncated", "the answer was cut off at max_tokens"
        case "refusal":
            category = _string(getattr(message, "stop_details", None), "category")
            return "refused", f"the model declined: {category}" if category else "the model declined"
        case _:
            return "unexpected_stop", f"stop reason {stop_reason!r} is none a grade ends with"


def _last_text(message: Any) -> str | None:
    """Thinking comes first, so the answer is the last text block."""
    content = getattr(message, "content", None)
    blocks = content if isinstance(content, list) else []
    texts = [_string(block, "text") for block in blocks if _string(block, "type") == "text"]
    return texts[-1] if texts else None


def _usage(message: Any) -> Usage | None:
    usage = getattr(message, "usage", None)
    read, written = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if read is None or written is None:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=_count(usage, "cache_read_input_tokens") or 0,
        cache_write_tokens=_count(usage, "cache_creation_input_tokens") or 0,
    )


def _string(holder: Any, name: str) -> str | None:
    value = getattr(holder, name, None)
    return value if isinstance(value, str) else None


def _count(holder: Any, name: str) -> int | None:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
