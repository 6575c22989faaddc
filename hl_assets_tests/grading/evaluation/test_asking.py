"""Asking a grader as the platform does, and what it said before the edge rules."""

import asyncio

import pytest

from hl_assets.grading.evaluation.asking import JUDGED_FIELDS, ask
from hl_assets.grading.rules import RuleGrader
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.evaluation.graders import Altered, always, uncapped

TOP = {"max_drawdown": 0.95, "avg_drawdown": 0.95, "cagr": 0.95}
UNTESTED = grade_input(max_drawdown=-0.02, avg_drawdown=-0.01, percentiles=TOP)


def answer(grader, item):
    (only,) = asyncio.run(ask(grader, [item]))
    return only


def test_what_is_published_and_what_was_given():
    told = answer(uncapped(), UNTESTED)
    assert told.grade.scores.max_drawdown == 60
    assert told.given.scores.max_drawdown == 100
    assert told.absence is None
    assert set(told.judgement) == set(JUDGED_FIELDS)
    assert told.judgement["max_drawdown"] == 60


def test_corrections_are_seen_whoever_made_them():
    expected = ("score_capped:max_drawdown", "score_capped:avg_drawdown")
    assert answer(uncapped(), UNTESTED).corrections == expected
    assert answer(uncapped(enforces_itself=True), UNTESTED).corrections == expected
    assert answer(RuleGrader(), UNTESTED).grade.edge_rules == expected
    assert answer(RuleGrader(), UNTESTED).corrections == ()
    assert answer(uncapped(), grade_input(max_drawdown=-0.2)).corrections == ()


def test_an_input_that_is_not_ready_is_not_asked():
    grader = always(100)
    told = answer(grader, grade_input(quality={"data_points": 5}))
    assert (told.given, told.absence, told.judgement) == (None, "insufficient_data", None)
    assert told.corrections == ()
    assert grader.asked == 0


def test_the_rules_in_a_models_place_are_no_judgement_of_it():
    grader = Altered(lambda grade, item: {"grade_source": "rules", "fallback": "deadline", "call_id": None})
    told = answer(grader, grade_input())
    assert told.absence == "rules in its place: deadline"
    assert told.judgement is None


def test_row_ids_must_be_distinct():
    with pytest.raises(ValueError, match="distinct row ids"):
        asyncio.run(ask(RuleGrader(), [grade_input(), grade_input()]))
