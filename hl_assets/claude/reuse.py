"""Stored calls: which inputs they settle, so that nobody asks again.

Belongs here: judging stored calls. Which calls are still young enough to count is the caller's rule.
"""

from collections.abc import Collection, Sequence

from hl_assets.claude.calls import GradeCall
from hl_assets.claude.profile import GraderProfile
from hl_assets.grading.answer import InvalidAnswerError, parse_answer
from hl_assets.grading.interface import Fallback, Grade, GradeInput
from hl_assets.grading.rules import grade_by_rules

_WASTED = frozenset({"invalid_answer", "unexpected_stop"})


def settled(
    item: GradeInput,
    calls: Sequence[GradeCall],
    profile: GraderProfile,
    *,
    own_calls: Collection[str] = (),
    give_up_after: int,
) -> Grade | None:
    """The grade that stored calls give an input; None when it must be asked.

    The newest call that ended in an answer or a refusal decides. Without one, as many wasted calls as `give_up_after`
    settle it by rule: invalid answers, unexpected stops, and answers truncated even with twice the tokens. Failures of the
    service do not count. A stored answer that is no longer valid is passed over.

    Args:
        item: the input.
        calls: stored calls about this wallet, in any order; those with another grade key are passed over.
        profile: what would be asked.
        own_calls: ids of calls made for this very slot: their answers are `llm`, all others `cache`.
        give_up_after: how many wasted calls are enough.
    """
    key = profile.grade_key(item)
    same = newest_first([call for call in calls if call.grade_key == key])
    for call in same:
        if call.outcome == "refused":
            return by_rules(item, "refused")
        if call.outcome == "graded" and (grade := _again(item, call, profile, own_calls)) is not None:
            return grade
    wasted = sum(call.outcome in _WASTED or _truncated_twice(call) for call in same)
    return by_rules(item, "gave_up") if wasted >= give_up_after else None


def next_attempt(item: GradeInput, calls: Sequence[GradeCall], profile: GraderProfile) -> int:
    """Which attempt comes next: 2, with twice the tokens, when an answer to this question was ever truncated."""
    key = profile.grade_key(item)
    return 2 if any(call.grade_key == key and call.outcome == "truncated" for call in calls) else 1


def by_rules(item: GradeInput, fallback: Fallback) -> Grade:
    """The rule grade in a model's place, and why."""
    return grade_by_rules(item).model_copy(update={"fallback": fallback})


def newest_first(calls: Sequence[GradeCall]) -> list[GradeCall]:
    """Calls by the instant they were made, repetitions after what they repeat."""
    return sorted(calls, key=lambda call: (call.requested_at, call.attempt), reverse=True)


def _again(
    item: GradeInput, call: GradeCall, profile: GraderProfile, own_calls: Collection[str]
) -> Grade | None:
    try:
        return parse_answer(
            call.raw_answer or "",
            item,
            call_id=call.call_id,
            grader_version=profile.version,
            source="llm" if call.call_id in own_calls else "cache",
            asked=call.canonical_input,
        )
    except InvalidAnswerError:
        return None


def _truncated_twice(call: GradeCall) -> bool:
    return call.outcome == "truncated" and call.attempt > 1
