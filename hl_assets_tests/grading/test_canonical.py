import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.grading.canonical import bucketed_input, canonical_input, canonical_json, input_hash
from hl_assets.grading.interface import GradeInput
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input


def test_field_order_and_row_id_do_not_matter():
    item = grade_input(flags=("clipped", "untested"))
    fields = item.model_dump()
    turned = {key: fields[key] for key in reversed(fields)}
    turned["metrics"] = {key: fields["metrics"][key] for key in reversed(fields["metrics"])}
    turned |= {"row_id": "row-99", "flags": ("untested", "clipped")}
    again = GradeInput.model_validate(turned)
    assert canonical_input(again) == canonical_input(item)
    assert input_hash(again) == input_hash(item)
    assert "row-" not in canonical_input(item)


def test_the_canonical_input_holds_the_exact_numbers_and_their_words():
    content = json.loads(canonical_input(grade_input(roi=0.123456789, percentiles={"roi": 0.95}, cagr=None)))
    assert content["metrics"]["roi"] == {
        "value": 0.123456789,
        "percentile": 0.95,
        "interpretation": "Top 10 %",
        "null_reason": None,
    }
    assert content["metrics"]["cagr"]["null_reason"] == "span_under_90_days"
    assert content["data_quality"]["data_points"] == 150


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"roi": 0.8}, {"roi": 0.83}),  # ROI enters through its percentile
        ({"percentiles": {"roi": 0.51}}, {"percentiles": {"roi": 0.59}}),
        ({"max_drawdown": -0.201}, {"max_drawdown": -0.2099}),
        ({"cagr": 0.21}, {"cagr": 0.5}),
        ({"quality": {"data_span_days": 365.0}}, {"quality": {"data_span_days": 700.0}}),
        ({"quality": {"data_points": 150}}, {"quality": {"data_points": 151}}),
        ({"quality": {"n_wipeouts": 3}}, {"quality": {"n_wipeouts": 7}}),
    ],
)
def test_small_changes_keep_the_hash(left, right):
    assert input_hash(grade_input(**left)) == input_hash(grade_input(**right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"percentiles": {"roi": 0.59}}, {"percentiles": {"roi": 0.6}}),
        ({"max_drawdown": -0.2}, {"max_drawdown": -0.21}),
        ({"max_drawdown": -0.05}, {"max_drawdown": -0.0499}),  # the cap's edge
        ({"avg_drawdown": -0.06}, {"avg_drawdown": -0.07}),
        ({"cagr": 5.0}, {"cagr": 5.01}),  # the cap's edge
        ({"quality": {"data_span_days": 29.9}}, {"quality": {"data_span_days": 30.0}}),
        ({"quality": {"n_wipeouts": 0}}, {"quality": {"n_wipeouts": 1}}),
        ({}, {"cagr": None}),
    ],
)
def test_changes_that_could_change_a_grade_change_the_hash(left, right):
    assert input_hash(grade_input(**left)) != input_hash(grade_input(**right))


@given(st.floats(0, 1), st.floats(0, 1))
def test_one_decile_never_spans_two_quintiles(left, right):
    deciles = [
        bucketed_input(grade_input(percentiles={"roi": each}))["percentile_deciles"]["roi"]
        for each in (left, right)
    ]
    if deciles[0] == deciles[1]:
        edges = (0.2, 0.4, 0.6, 0.8)
        assert sum(left >= edge for edge in edges) == sum(right >= edge for edge in edges)


@given(st.integers(0, 100))
def test_whole_percents_are_their_own_bucket(percent):
    assert bucketed_input(grade_input(max_drawdown=-percent / 100))["max_drawdown_percent"] == -percent


def test_what_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


def test_every_scored_metric_is_in_both_forms():
    item = grade_input()
    assert set(json.loads(canonical_input(item))["metrics"]) == set(SCORED_METRICS)
    assert set(bucketed_input(item)["percentile_deciles"]) == set(SCORED_METRICS)
