import pytest

from hl_assets.grading.edge_rules import enforce_edge_rules
from hl_assets.grading.interface import DiscreteScores, Grade
from hl_assets.grading.readiness import insufficient_grade
from hl_assets.grading.rules import grade_by_rules
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input


def overconfident(item) -> Grade:
    """What a grader that knows no rules might answer."""
    perfect = DiscreteScores(**dict.fromkeys(SCORED_METRICS, 100))
    return grade_by_rules(item).model_copy(
        update={"scores": perfect, "confidence": "High", "edge_rules": (), "grade_source": "llm"}
    )


@pytest.mark.parametrize(
    ("change", "capped", "applied"),
    [
        ({}, {}, ()),
        (
            {"max_drawdown": -0.04},
            {"max_drawdown": 60, "avg_drawdown": 60},
            ("score_capped:max_drawdown", "score_capped:avg_drawdown"),
        ),
        ({"cagr": 5.5}, {"cagr": 60}, ("score_capped:cagr",)),
        (
            {"cagr": None, "calmar_ratio": None},
            {"cagr": None, "calmar_ratio": None},
            ("score_removed:cagr", "score_removed:calmar_ratio"),
        ),
        ({"max_drawdown": -0.05, "cagr": 5.0}, {}, ()),
    ],
)
def test_scores_are_held_to_the_caps(change, capped, applied):
    item = grade_input(**change)
    grade = enforce_edge_rules(overconfident(item), item)
    assert grade.scores is not None
    assert grade.scores.model_dump() == dict.fromkeys(SCORED_METRICS, 100) | capped
    assert grade.edge_rules == applied
    assert grade.confidence == "High"


@pytest.mark.parametrize(("days", "confidence"), [(29.99, "Low"), (None, "Low"), (30.0, "High")])
def test_less_than_thirty_days_lower_confidence(days, confidence):
    item = grade_input(quality={"data_span_days": days})
    grade = enforce_edge_rules(overconfident(item), item)
    assert grade.confidence == confidence
    assert ("confidence_short_history" in grade.edge_rules) is (confidence == "Low")


def test_a_low_score_is_not_raised_to_the_cap():
    item = grade_input(max_drawdown=-0.01)
    low = overconfident(item).model_copy(
        update={"scores": DiscreteScores(**dict.fromkeys(SCORED_METRICS, 20))}
    )
    grade = enforce_edge_rules(low, item)
    assert grade.scores == low.scores
    assert grade.edge_rules == ()


def test_applying_the_rules_twice_changes_nothing():
    item = grade_input(max_drawdown=-0.01, cagr=9.0, quality={"data_span_days": 10.0})
    once = enforce_edge_rules(overconfident(item), item)
    assert enforce_edge_rules(once, item) == once


def test_what_is_not_graded_is_left_alone_and_rows_must_match():
    item = grade_input()
    absent = insufficient_grade(item, ("too young",))
    assert enforce_edge_rules(absent, item) is absent
    with pytest.raises(ValueError, match="row-0"):
        enforce_edge_rules(absent, grade_input(row_id="row-1"))
