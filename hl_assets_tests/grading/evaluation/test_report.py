"""An evaluation passes the rules and fails every grader that is wrong in a known way, for the reason that is wrong."""

import asyncio

import pytest

from hl_assets.grading.evaluation.golden import golden_cases
from hl_assets.grading.evaluation.metamorphic import RELATIONS, Relation, run_metamorphic
from hl_assets.grading.evaluation.report import EvaluationReport, evaluate
from hl_assets.grading.interface import Grader
from hl_assets.grading.readiness import ReadinessRules, unready_reasons
from hl_assets.grading.rules import RuleGrader
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.evaluation.coherence import assert_coherent, assert_valid
from hl_assets_tests.grading.evaluation.graders import (
    Altered,
    always,
    inverting,
    moody,
    rescored,
    uncapped,
)

CASES = golden_cases()
INPUTS = [case.input for case in CASES]


def report_on(grader: Grader, repeat: int = 1) -> EvaluationReport:
    return asyncio.run(evaluate(grader, CASES, repeat))


def violated(report: EvaluationReport) -> set[str]:
    return {comparison.relation.split(":")[0] for comparison in report.comparisons if comparison.violations}


def test_the_rules_pass_and_agree_with_themselves() -> None:
    report = report_on(RuleGrader(), repeat=2)
    assert report.passed
    assert not report.failures
    assert violated(report) == set()
    assert all(comparison.compared > 40 for comparison in report.comparisons)
    assert {field.exact for field in report.agreement} == {1.0}
    assert {distance.mean_absolute for distance in report.rule_distance} == {0.0}
    assert report.ungrounded_share == 0.0


def test_the_highest_score_for_everybody_fails_cases_and_needs_correcting() -> None:
    report = report_on(always(100))
    assert not report.passed
    assert len(report.failures) > len(CASES) / 2
    assert report.corrections, "the caps had to be enforced"
    assert all(distance.mean_absolute and distance.mean_absolute > 20 for distance in report.rule_distance)


def test_the_worst_taken_for_the_best_breaks_the_relation_of_percentiles() -> None:
    report = report_on(inverting())
    assert violated(report) >= {"higher_percentile"}
    assert len(report.failures) > len(CASES) / 2


def test_another_answer_at_every_call_agrees_with_itself_by_chance_only() -> None:
    report = report_on(moody(), repeat=2)
    for field in report.agreement:
        assert field.kappa is not None
        assert abs(field.kappa) < 0.4, field.field
    assert violated(report) >= {"row_id", "field_order", "same_bucket"}


@pytest.mark.parametrize("enforces_itself", [False, True])
def test_ignored_caps_are_seen_although_the_platform_enforces_them(*, enforces_itself: bool) -> None:
    report = report_on(uncapped(enforces_itself=enforces_itself))
    corrections = " ".join(report.corrections)
    assert "score_capped:max_drawdown" in corrections
    assert "score_capped:cagr" in corrections
    assert "confidence_short_history" in corrections


def test_more_flows_must_not_make_a_grader_surer() -> None:
    surer = Altered(
        lambda _grade, item: {
            "confidence": "High" if (item.data_quality.share_flow_dominated or 0) > 0.1 else "Medium"
        }
    )
    assert "more_flows_no_surer" in violated(report_on(surer))


def test_what_moves_inside_its_bucket_must_not_move_a_score() -> None:
    nervous = Altered(
        lambda grade, item: rescored(grade, roi=20 if int((item.metrics.roi or 0) * 1e6) % 2 else 40)
    )
    assert "same_bucket" in violated(report_on(nervous))


def test_a_row_id_must_not_matter() -> None:
    superstitious = Altered(
        lambda _grade, item: {"sustainability": ("High", "Low")[sum(map(ord, item.row_id)) % 2]}
    )
    assert "row_id" in violated(report_on(superstitious))


def test_invented_numbers_are_counted_and_named() -> None:
    report = report_on(Altered(lambda _grade, _item: {"ungrounded": ("73 %",)}))
    assert report.ungrounded_share == 1.0
    assert next(iter(report.ungrounded.values())) == ("73 %",)


def test_what_the_grader_did_not_judge_is_no_answer_of_its_own() -> None:
    refusing = Altered(
        lambda _grade, _item: {"grade_source": "rules", "call_id": None, "fallback": "refused"}
    )
    report = report_on(refusing)
    assert not report.passed
    assert sum(report.not_graded.values()) == len(CASES)
    assert all(comparison.compared == 0 for comparison in report.comparisons)
    assert all(distance.n == 0 and distance.mean_absolute is None for distance in report.rule_distance)


@pytest.mark.parametrize("repeat", [0, -1])
def test_nothing_to_ask_is_refused(repeat: int) -> None:
    with pytest.raises(ValueError, match="needs cases and repeat"):
        asyncio.run(evaluate(RuleGrader(), CASES, repeat))
    with pytest.raises(ValueError, match="needs cases and repeat"):
        asyncio.run(evaluate(RuleGrader(), [], 1))


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_changed_inputs_are_ones_that_real_curves_can_give(relation: Relation) -> None:
    ready = [item for item in INPUTS if not unready_reasons(item, ReadinessRules())]
    changed = [item for item in map(relation.change, ready) if item is not None]
    assert len(changed) > 40
    for item in changed:
        if relation.name == "same_bucket":  # figures move one by one there, so they no longer multiply up
            assert_valid(item)
        else:
            assert_coherent(item)


def test_violations_name_relation_and_what_broke_it() -> None:
    violations = asyncio.run(run_metamorphic(inverting(), INPUTS))
    assert {f"higher_percentile:{name}" for name in SCORED_METRICS} & {one.relation for one in violations}
    assert all(violation.what and violation.sentence for violation in violations)
