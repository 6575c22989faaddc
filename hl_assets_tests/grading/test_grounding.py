"""Numbers in prose: those of the input are found in every usual form, others are not."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hl_assets.grading.canonical import canonical_input
from hl_assets.grading.grounding import (
    RUBRIC_CONSTANTS,
    is_grounded,
    known_numbers,
    quoted_numbers,
    ungrounded_numbers,
)
from hl_assets.grading.rules import grade_by_rules
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.strategies import inputs

ITEM = grade_input(
    max_drawdown=-0.2034,
    roi=12.3456,
    cagr=4.0,
    calmar_ratio=19.6656,
    avg_drawdown=-0.0613,
    recovery_factor=60.7,
    percentiles={"roi": 0.93, "max_drawdown": 0.4173, "cagr": 0.9375, "avg_drawdown": 0.08},
    quality={"data_points": 1_234, "data_span_days": 400.4, "share_flow_dominated": 0.0125},
)
CANONICAL = canonical_input(ITEM)


def ungrounded(text, item=ITEM):
    return ungrounded_numbers([text], canonical_input(item))


@pytest.mark.parametrize(
    "text",
    [
        "fell 20.34 %", "fell 20%", "fell by -20.3 percent", "a drawdown of -0.2034", "about 0.20", "\u221220.3 %",
        "ROI of 1,234.56 %", "ROI of 1234.6%", "ROI of 1,235 %", "ROI of 1,230 %", "12.3x", "a 13-fold gain",
        "up 1.23k %", "CAGR of 400 %", "a cagr of 4.0", "Calmar 19.67", "Calmar of 19.6",
        "the 93rd percentile", "percentile 93", "percentile 0.93", "the top 7 %", "in the Top 10 %", "94th percentile",
        "the Bottom 10 %", "the bottom 8 %", "percentile 41.7", "between 6 and 20 %", "6-20 %",
        "1,234 points", "1.2k points", "400 days", "400.4 days", "a 400-day record", "57 weeks", "13 months", "1.1 years",
        "gaps of 14 days", "gaps of 336 hours", "two weeks, 2 weeks", "9,609.6 hours",
        "1.25 % of the steps", "1 % of the steps", "a score of 60", "scores 100", "shallower than 5 %", "above 500 %",
        "under 30 days", "3 of the 6 metrics", "five risks", "all 6 scores", "no numbers at all",
    ],
)  # fmt: skip
def test_usual_forms_of_the_inputs_numbers_are_grounded(text):
    assert ungrounded(text) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fell 37 %", "37 %"),
        ("fell 21.4 %", "21.4 %"),
        ("a drawdown of -0.31", "-0.31"),
        ("a return of 1,300 %", "1,300 %"),
        ("earned 6 % a month, or 6.7 % then", "6.7 %"),
        ("the 88th percentile", "88th"),
        ("in the Top 20 %", None),  # true of several metrics
        ("the top 3 %", "3 %"),
        ("Calmar of 3", "3"),
        ("Calmar of 25.1", "25.1"),
        ("500 days of data", "500 days"),
        ("a gap of 21 days", "21 days"),
        ("held for 3 hours", "3 hours"),
        ("since 2024", "2024"),
        ("50x leverage", "50x"),
        ("worth $2.5m", "$2.5m"),
        ("1e-05", "1e-05"),
    ],
)
def test_other_numbers_are_named_as_written(text, found):
    assert ungrounded(text) == (() if found is None else (found,))


def test_each_is_named_once_in_order():
    assert ungrounded_numbers(["37 % and 99.9 days", "again 37 %"], CANONICAL) == ("37 %", "99.9 days")


def test_top_and_bottom_are_not_each_other():
    item = grade_input(percentiles=dict.fromkeys(("roi", "cagr"), 0.05))
    assert ungrounded("the Bottom 10 %", item) == ()
    assert ungrounded("the Top 10 %", item) == ("10 %",)


def test_numbers_in_null_reasons_are_of_the_input():
    item = grade_input(cagr=None, calmar_ratio=None)
    assert ungrounded("CAGR needs 90 days", item) == ()
    assert ungrounded("CAGR needs 90 days") == ("90 days",)


@given(inputs())
def test_the_rule_graders_prose_is_grounded(item):
    grade = grade_by_rules(item)
    texts = [
        grade.overall_assessment,
        *grade.reasoning.values(),
        *grade.hidden_risks,
        *grade.unique_characteristics,
    ]
    assert ungrounded_numbers(texts, canonical_input(item)) == ()


def numbers_of(value):
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@given(inputs(), st.data())
def test_any_number_of_the_input_is_grounded_however_formatted(item, data):
    canonical = canonical_input(item)
    number = data.draw(st.sampled_from(numbers_of(json.loads(canonical))))
    digits = data.draw(st.integers(0, 4))
    text = data.draw(
        st.sampled_from(
            [
                f"{number:.{digits}f}",
                f"{number:,.{digits}f}",
                f"{number:+.{digits}f}",
                f"{abs(number):.{digits}f}",
                f"{number * 100:.{digits}f} %",
                f"{number * 100:,.{digits}f}%",
                f"{number * 100:.{digits}f} percent",
            ]
        )
    )
    assert ungrounded_numbers([f"It is {text} here."], canonical) == ()


@given(
    inputs(),
    st.floats(0.01, 1e6),
    st.integers(0, 4),
    st.sampled_from(["", " %", " days", " hours", "th", "x"]),
)
def test_a_number_far_from_all_is_flagged(item, value, digits, unit):
    canonical = canonical_input(item)
    text = f"{value:.{digits}f}{unit}"
    written = float(f"{value:.{digits}f}")
    constants = {constant for group in RUBRIC_CONSTANTS.values() for constant in group} | {10.0, 20.0}
    assume(written not in constants)
    factors = (1, 100, 24, 1 / 24)
    known = [abs(number.value) for number in known_numbers(canonical)]
    forms = [form * factor for form in known for factor in factors]
    forms += [abs(100 - form * 100) for form in known] + [abs(1 + n.value) for n in known_numbers(canonical)]
    step = 10.0**-digits if digits else max(1.0, written / 100)
    assume(all(abs(form - written) > 2 * step for form in forms))
    assert ungrounded_numbers([f"It is {text}."], canonical) == (text,)


@given(st.text(max_size=200))
def test_any_text_can_be_read(text):
    known = tuple(known_numbers(CANONICAL))
    for quoted in quoted_numbers(text):
        assert quoted.value >= 0
        assert quoted.step > 0
        assert isinstance(is_grounded(quoted, known), bool)
        assert quoted.text in text
