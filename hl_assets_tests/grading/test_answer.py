"""A model's answer: whatever is valid becomes a grade that keeps every rule; whatever is not is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.grading.answer import ANSWERABLE_STYLES, GradeAnswer, InvalidAnswerError, parse_answer
from hl_assets.grading.canonical import canonical_input
from hl_assets.grading.edge_rules import enforce_edge_rules
from hl_assets.grading.interface import TRADING_STYLES
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.claude.builders import answer, answer_text
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.strategies import answers_to, inputs

CALL = "c" * 32


def parse(text, item=None, **settings):
    settings = {"call_id": CALL, "grader_version": "m/low/v1", "source": "llm"} | settings
    return parse_answer(text, item or grade_input(), **settings)


def test_a_valid_answer_becomes_a_grade():
    grade = parse(answer_text())
    assert grade.status == "graded"
    assert (grade.grade_source, grade.call_id, grade.grader_version) == ("llm", CALL, "m/low/v1")
    assert grade.trading_style == "Unclassified"
    assert set(grade.scores.model_dump().values()) == {60}
    assert grade.ungrounded == ()
    assert grade.edge_rules == ()


def test_ungrounded_numbers_are_named_and_the_grade_stands():
    grade = parse(answer_text(overall_assessment="It made 37 % a month.", hidden_risks=["Fell 61.5 %."]))
    assert grade.status == "graded"
    assert grade.ungrounded == ("37 %", "61.5 %")


def test_numbers_are_looked_up_in_the_input_the_model_was_given():
    asked = canonical_input(grade_input(roi=0.809))
    text = answer_text(overall_assessment="A return of 80.9 %.")
    assert parse(text).ungrounded == ("80.9 %",)
    assert parse(text, asked=asked).ungrounded == ()


@given(st.data())
def test_caps_hold_for_any_valid_answer(data):
    item = data.draw(inputs())
    grade = parse(json.dumps(with_words(data.draw(answers_to(item)))), item)
    metrics, scores = item.metrics, grade.scores
    for name in SCORED_METRICS:
        if getattr(metrics, name) is None:
            assert getattr(scores, name) is None
    if metrics.max_drawdown is not None and metrics.max_drawdown > -0.05:
        assert scores.max_drawdown <= 60
        assert scores.avg_drawdown is None or scores.avg_drawdown <= 60
    if metrics.cagr is not None and metrics.cagr > 5:
        assert scores.cagr <= 60
    days = item.data_quality.data_span_days
    if days is None or days < 30:
        assert grade.confidence == "Low"
    assert grade.trading_style in ANSWERABLE_STYLES
    assert enforce_edge_rules(grade, item) == grade


@given(st.data())
def test_a_grade_derives_again_from_its_text_whatever_the_order_of_fields(data):
    item = data.draw(inputs())
    given_answer = with_words(data.draw(answers_to(item)))
    shuffled = {key: given_answer[key] for key in data.draw(st.permutations(list(given_answer)))}
    assert parse(json.dumps(given_answer), item) == parse(json.dumps(shuffled), item)


def with_words(drawn):
    """The drawn answer with a word in every text, since a blank text is no answer."""

    def worded(value):
        if isinstance(value, dict):
            return {key: worded(part) for key, part in value.items()}
        return [f"It {text}" for text in value] if isinstance(value, list) else value

    prose = {key: worded(drawn[key]) for key in ("hidden_risks", "unique_characteristics")} | {
        "reasoning": {name: f"It {text}" for name, text in drawn["reasoning"].items()}
    }
    return drawn | prose | {"overall_assessment": f"It {drawn['overall_assessment']}"}


@pytest.mark.parametrize("style", sorted(set(TRADING_STYLES) - set(ANSWERABLE_STYLES)))
def test_a_style_without_evidence_is_refused_by_name(style):
    with pytest.raises(InvalidAnswerError, match=style):
        parse(answer_text(trading_style=style))


def test_the_choosable_styles_are_those_of_an_equity_curve():
    assert set(ANSWERABLE_STYLES) == {
        "Aggressive Momentum", "Conservative Value", "Systematic Quant", "Unclassified",
    }  # fmt: skip
    assert GradeAnswer.model_json_schema()["properties"]["trading_style"]["enum"] == list(ANSWERABLE_STYLES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I cannot answer.", "JSON"),
        (answer_text()[:-30], "JSON"),
        (f"```json\n{answer_text()}\n```", "JSON"),
        ("[]", "object"),
        (answer_text(scores=answer()["scores"] | {"roi": 70}), "scores.roi"),
        (answer_text(scores=answer()["scores"] | {"roi": "60"}), "scores.roi"),
        (answer_text(scores=answer()["scores"] | {"roi": None}), "no score for roi"),
        (answer_text(confidence="Very High"), "confidence"),
        (answer_text(extra=1), "extra"),
        (answer_text(overall_assessment=" "), "overall_assessment: .*blank"),
        (answer_text(hidden_risks=["\u0000\t"]), "hidden_risks.0: .*blank"),
        (answer_text(hidden_risks=None), "hidden_risks"),
        (answer_text(reasoning={}), "and 3 more"),
        ('{"trading_style": "\\ud800"}', "JSON|surrogate"),
    ],
)
def test_what_is_no_answer_is_named(text, complaint):
    with pytest.raises(InvalidAnswerError, match=complaint):
        parse(text)


@pytest.mark.parametrize("field", sorted(answer()))
def test_every_field_is_required(field):
    partial = answer()
    del partial[field]
    with pytest.raises(InvalidAnswerError, match=field):
        parse(json.dumps(partial))


@given(st.text(max_size=300))
def test_no_text_gives_anything_but_a_grade_or_a_complaint(text):
    with pytest.raises(InvalidAnswerError):
        parse(text)


def test_a_score_of_a_null_metric_may_be_null_and_is_removed_if_not():
    item = grade_input(cagr=None, calmar_ratio=None)
    null = parse(answer_text(scores=answer()["scores"] | {"cagr": None, "calmar_ratio": None}), item)
    scored = parse(answer_text(), item)
    assert null.scores == scored.scores
    assert scored.edge_rules == ("score_removed:cagr", "score_removed:calmar_ratio")


def test_prose_is_one_printable_line():
    grade = parse(
        answer_text(overall_assessment="Red \u001b[31malert\u001b[0m\r\n over\u0007\u0000 two  lines.")
    )
    assert grade.overall_assessment == "Red [31malert [0m over two lines."
