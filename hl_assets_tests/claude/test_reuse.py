"""Stored calls settle inputs."""

from datetime import timedelta

import pytest

from hl_assets.claude.reuse import next_attempt, settled
from hl_assets_tests.claude.builders import NOW, answer_text, profile, stored_call
from hl_assets_tests.grading.builders import grade_input

ITEM = grade_input()


def settle(*calls, item=ITEM, own=(), give_up_after=3):
    return settled(item, calls, profile(), own_calls=own, give_up_after=give_up_after)


def at(minutes, outcome="graded", **settings):
    return stored_call(
        ITEM, outcome, at=NOW + timedelta(minutes=minutes), call_id=f"{minutes:032x}", **settings
    )


def test_a_stored_answer_is_read_again():
    grade = settle(at(1))
    assert (grade.grade_source, grade.call_id, grade.fallback) == ("cache", f"{1:032x}", None)
    assert grade.scores.roi == 60


def test_an_answer_of_this_very_slot_is_no_cached_one():
    assert settle(at(1), own={f"{1:032x}"}).grade_source == "llm"


def test_it_answers_the_current_input_of_the_same_bucket():
    asked, now = grade_input(roi=0.833), grade_input(roi=0.871, row_id="row-77")
    stored = stored_call(asked, text=answer_text(overall_assessment="A return of 83.3 %."))
    grade = settle(stored, item=now)
    assert grade.row_id == "row-77"
    assert grade.ungrounded == ()  # looked up in what the model was given


def test_the_newest_decides():
    older, newer = at(1), at(2, text=answer_text(confidence="Low"))
    assert settle(newer, older).call_id == newer.call_id
    assert settle(older, newer).call_id == newer.call_id
    assert settle(older, at(3, "refused")).fallback == "refused"
    assert settle(at(0, "refused"), older).grade_source == "cache"


def test_calls_about_another_question_do_not_count():
    assert settle(at(1, asked_with=profile(effort="high"))) is None
    assert settle(at(1), item=grade_input(max_drawdown=-0.5)) is None


def test_an_answer_that_is_no_longer_valid_is_passed_over():
    broken = at(2, text=answer_text(trading_style="Swing Trader"))
    assert settle(broken) is None
    assert settle(at(1), broken).call_id == f"{1:032x}"


@pytest.mark.parametrize("outcome", ["invalid_answer", "unexpected_stop"])
def test_wasted_calls_are_enough_at_some_point(outcome):
    wasted = [at(minute, outcome) for minute in range(3)]
    assert settle(*wasted[:2]) is None
    assert settle(*wasted).fallback == "gave_up"
    assert settle(*wasted, at(9)).grade_source == "cache"


def test_truncated_answers_count_when_twice_the_tokens_did_not_help():
    pairs = [at(m, "truncated", attempt=a) for m in range(3) for a in (1, 2)]
    assert settle(*pairs[:4]) is None
    assert settle(*pairs).fallback == "gave_up"
    assert settle(*(at(m, "truncated") for m in range(9))) is None


@pytest.mark.parametrize("outcome", ["unavailable", "rejected"])
def test_failures_of_the_service_are_nobodys_fault(outcome):
    assert settle(*(at(minute, outcome) for minute in range(9))) is None


def test_after_a_truncated_answer_the_next_one_gets_twice_the_tokens():
    assert next_attempt(ITEM, [], profile()) == 1
    assert next_attempt(ITEM, [at(1, "invalid_answer")], profile()) == 1
    assert next_attempt(ITEM, [at(1, "truncated")], profile()) == 2
    assert next_attempt(grade_input(max_drawdown=-0.5), [at(1, "truncated")], profile()) == 1
