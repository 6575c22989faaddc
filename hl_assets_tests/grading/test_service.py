import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from hl_assets.grading.inputs import build_grade_inputs
from hl_assets.grading.interface import DiscreteScores, Grade, GradeInput
from hl_assets.grading.readiness import GATE_VERSION, ReadinessRules, unready_reasons
from hl_assets.grading.rules import RuleGrader, grade_by_rules
from hl_assets.grading.service import GraderAnswerError, grade_batch, graded_by_model, score_matrix
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import rule_scores
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, curves, without_flows
from hl_assets_tests.grading.builders import grade_input

READY = ReadinessRules(min_points=20, min_span_days=14, min_percentiles=4)


class Recorder:
    """A grader that answers as told and remembers what it was asked."""

    version = "recorder-1"

    def __init__(self, answer=lambda grades: grades):
        self.asked: list[list[str]] = []
        self.answer = answer

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        self.asked.append([item.row_id for item in inputs])
        perfect = DiscreteScores(**dict.fromkeys(SCORED_METRICS, 100))
        return self.answer(
            [
                grade_by_rules(item).model_copy(update={"scores": perfect, "grade_source": "llm"})
                for item in inputs
            ]
        )


def run(grader, inputs):
    return asyncio.run(grade_batch(grader, inputs, READY))


def batch():
    return [
        grade_input(row_id="a"),
        grade_input(row_id="b", quality={"data_points": 3, "data_span_days": 2.0}),
        grade_input(row_id="c", max_drawdown=-0.01),
    ]


def test_only_ready_inputs_are_asked_and_all_are_answered_in_order():
    grader = Recorder()
    grades = run(grader, batch())
    assert grader.asked == [["a", "c"]]
    assert [grade.row_id for grade in grades] == ["a", "b", "c"]
    assert grades[1].status == "insufficient_data"
    assert grades[1].status_reasons == ("3 points, needs 20", "2.0 days of data, needs 14")
    assert grades[1].grade_source == "rules"
    assert grades[1].grader_version == GATE_VERSION
    assert graded_by_model(grades).tolist() == [True, False, True]


def test_edge_rules_are_enforced_on_any_grader():
    grades = run(Recorder(), batch())
    assert grades[2].scores is not None
    assert grades[2].scores.max_drawdown == 60


def test_with_nobody_ready_no_grader_is_asked():
    grader = Recorder()
    assert [grade.status for grade in run(grader, batch()[1:2])] == ["insufficient_data"]
    assert run(grader, []) == []
    assert grader.asked == []


@pytest.mark.parametrize(
    "answer", [lambda grades: grades[:-1], lambda grades: grades[::-1], lambda grades: grades * 2]
)
def test_a_grader_that_loses_or_reorders_rows_is_an_error(answer):
    with pytest.raises(GraderAnswerError, match="recorder-1 was asked 2 rows"):
        run(Recorder(answer), batch())


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"quality": {"data_points": 20, "data_span_days": 14.0}}, ()),
        ({"quality": {"data_points": 19}}, ("19 points, needs 20",)),
        ({"quality": {"data_span_days": None}}, ("0.0 days of data, needs 14",)),
        (
            {"percentiles": dict.fromkeys(SCORED_METRICS[:3])},
            ("3 of 6 metrics have a percentile, needs 4",),
        ),
    ],
)
def test_readiness(change, reasons):
    assert unready_reasons(grade_input(**change), READY) == reasons


def test_from_curves_to_grades_the_rule_scores_agree():
    rng = np.random.default_rng(4)
    wallets = [
        without_flows((1_000 * np.cumprod(1 + rng.normal(0.002, 0.03, 150))).tolist()) for _ in range(25)
    ]
    wallets += [([], []), without_flows([100, 90, 95] * 5)]
    table = compute_wallet_metrics(curves(*wallets, step_ms=DAY_MS))
    percentiles = percentile_matrix(table.scored(), assess_eligibility(table).eligible)
    inputs = build_grade_inputs(table, percentiles)
    assert [item.row_id for item in inputs] == [f"row-{row}" for row in range(27)]
    assert inputs[26].null_reasons == {"cagr": "span_under_90_days", "calmar_ratio": "span_under_90_days"}
    assert inputs[25].data_quality.data_points == 0
    for item in inputs:
        assert not any(wallet in item.model_dump_json() for wallet in table.wallets)
    grades = run(RuleGrader(), inputs)
    assert [grade.status for grade in grades] == ["graded"] * 25 + ["insufficient_data"] * 2
    expected = rule_scores(percentiles, table.scored())
    assert np.array_equal(score_matrix(grades)[:25], expected[:25])
    assert np.isnan(score_matrix(grades)[25:]).all()
    assert not graded_by_model(grades).any()


def test_inputs_of_chosen_rows_only():
    table = compute_wallet_metrics(curves(without_flows([100, 90, 95]), without_flows([10, 20, 15])))
    percentiles = np.full((2, 6), np.nan)
    (only,) = build_grade_inputs(table, percentiles, rows=[1], period="month")
    assert only.row_id == "row-1"
    assert only.period == "month"
    assert only.metrics.roi == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"\(2, 6\)"):
        build_grade_inputs(table, percentiles[:1])
