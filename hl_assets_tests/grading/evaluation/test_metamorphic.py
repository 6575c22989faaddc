"""Every relation holds for the rules and is broken by a grader that is wrong in just that way."""

import asyncio

import pytest

from hl_assets.grading.evaluation.asking import ask
from hl_assets.grading.evaluation.golden import golden_cases
from hl_assets.grading.evaluation.metamorphic import RELATIONS, compare_relations, run_metamorphic
from hl_assets.grading.rules import RuleGrader
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.evaluation.graders import Altered, always, inverting, moody, rescored, uncapped

INPUTS = [case.input for case in golden_cases()]
SURE = {0: "Low", 1: "Medium", 2: "High"}


def broken_by(grader, inputs=INPUTS) -> set[str]:
    return {violation.relation for violation in asyncio.run(run_metamorphic(grader, inputs))}


def lowers(name):
    """Scores a metric the lower, the higher it stands."""

    def change(grade, item):
        percentile = getattr(item.percentiles, name)
        return rescored(grade, **{name: None if percentile is None else 100 if percentile < 0.5 else 20})

    return Altered(change)


WRONG_IN_ONE_WAY = {
    "row_id": Altered(
        lambda grade, item: {"sustainability": "High"} if item.row_id.startswith("row") else {}
    ),
    "field_order": Altered(
        lambda grade, item: {"trading_style": "Breakout"} if list(item.flags) != sorted(item.flags) else {}
    ),
    "same_bucket": Altered(
        lambda grade, item: rescored(grade, roi=20 if item.percentiles.roi * 100 % 10 == 5 else 40)
    ),
    "untested_drawdown_capped": Altered(
        lambda grade, item: rescored(grade, avg_drawdown=100 if item.metrics.max_drawdown > -0.05 else 60)
    ),
    "extreme_growth_capped": Altered(
        lambda grade, item: rescored(grade, cagr=80) if (item.metrics.cagr or 0) > 5 else {}
    ),
    "short_history_unsure": Altered(
        lambda grade, item: {"confidence": "Medium"} if item.data_quality.data_span_days < 30 else {}
    ),
    "null_without_score": Altered(lambda grade, item: rescored(grade, calmar_ratio=60)),
    "more_flows_no_surer": Altered(
        lambda grade, item: (
            {"confidence": SURE[round(item.data_quality.share_flow_dominated * 2)]}
            if item.data_quality.data_span_days >= 30
            else {}
        )
    ),
}


def test_the_rules_keep_every_relation():
    grader = RuleGrader()
    comparisons = asyncio.run(compare_relations(grader, asyncio.run(ask(grader, INPUTS))))
    assert [comparison.relation for comparison in comparisons] == [relation.name for relation in RELATIONS]
    assert [violation for comparison in comparisons for violation in comparison.violations] == []
    assert min(comparison.compared for comparison in comparisons) >= 40, "none holds for want of inputs"
    assert asyncio.run(run_metamorphic(grader, INPUTS)) == []


def test_every_relation_has_a_grader_that_breaks_it():
    raised = {f"higher_percentile:{name}" for name in SCORED_METRICS}
    assert raised | set(WRONG_IN_ONE_WAY) == {relation.name for relation in RELATIONS}


@pytest.mark.parametrize("name", SCORED_METRICS)
def test_a_score_that_falls_with_its_percentile_is_found(name):
    # Drawdowns below the cap only: there the grader's 100 is above it, which is another violation.
    assert f"higher_percentile:{name}" in broken_by(lowers(name))
    assert not {
        relation for relation in broken_by(lowers(name)) if relation.startswith("higher_percentile")
    } - {f"higher_percentile:{name}"}


@pytest.mark.parametrize("relation", WRONG_IN_ONE_WAY)
def test_a_relation_is_broken_by_the_grader_that_is_wrong_in_that_way(relation):
    broken = broken_by(WRONG_IN_ONE_WAY[relation])
    assert relation in broken
    assert not {"row_id", "field_order"} & broken - {relation}


def test_bad_graders_break_what_they_must():
    capped = {"untested_drawdown_capped", "extreme_growth_capped"}
    assert broken_by(always(100)) == capped
    assert {f"higher_percentile:{name}" for name in SCORED_METRICS} <= broken_by(inverting())
    for enforces_itself in (False, True):
        broken = broken_by(uncapped(enforces_itself=enforces_itself))
        assert broken == {*capped, "short_history_unsure"}
    assert {"row_id", "field_order", "same_bucket"} <= broken_by(moody())


def test_a_violation_says_what_happened_where():
    violations = asyncio.run(run_metamorphic(inverting(), [grade_input(row_id="row-9")]))
    (roi,) = [each for each in violations if each.relation == "higher_percentile:roi"]
    assert roi.row_id == "row-9"
    assert roi.sentence == "Raising only the percentile of ROI never lowers its score."
    assert roi.what == "ROI scored 60, then 40"


def test_a_score_that_vanishes_is_lower():
    grader = Altered(lambda grade, item: rescored(grade, roi=None) if item.percentiles.roi > 0.7 else {})
    (violation,) = asyncio.run(run_metamorphic(grader, [grade_input()]))
    assert violation.what == "ROI scored 60, then None"


def test_only_what_the_grader_judged_before_and_after_is_compared():
    failing = Altered(
        lambda grade, item: (
            {"grade_source": "rules", "fallback": "refused", "call_id": None}
            if item.row_id == "row-2" or item.percentiles.roi > 0.7
            else {}
        )
    )
    inputs = [grade_input(row_id="row-1"), grade_input(row_id="row-2")]
    before = asyncio.run(ask(failing, inputs))
    compared = {each.relation: each.compared for each in asyncio.run(compare_relations(failing, before))}
    assert compared["higher_percentile:roi"] == 0
    assert compared["higher_percentile:cagr"] == 1
    assert compared["row_id"] == 1
    asked = failing.asked
    assert asked == 2 + len(RELATIONS), "row-2 was not judged and is not asked again"
