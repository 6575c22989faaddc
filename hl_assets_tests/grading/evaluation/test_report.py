"""The report passes the rules and fails graders that are wrong on purpose."""

import asyncio

import pytest

from hl_assets.grading.evaluation.golden import golden_cases
from hl_assets.grading.evaluation.report import EvaluationReport, evaluate
from hl_assets.grading.rules import RULES_VERSION, RuleGrader
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.evaluation.graders import Altered, always, inverting, moody, uncapped

CASES = golden_cases()
READY = [case for case in CASES if case.expect.status == "graded"]


def report_on(grader, *, cases=CASES, repeat=1, with_metamorphic=False) -> EvaluationReport:
    return asyncio.run(evaluate(grader, cases, repeat, with_metamorphic=with_metamorphic))


def test_the_rules_pass():
    report = report_on(RuleGrader(), repeat=2, with_metamorphic=True)
    assert report.passed
    assert report.failures == ()
    assert report.violations == ()
    assert (report.grader_version, report.rules_version, report.repeat) == (RULES_VERSION, RULES_VERSION, 2)
    assert [result.case_id for result in report.golden] == [case.id for case in CASES]
    assert {each.exact for each in report.agreement} == {1.0}
    assert {each.kappa for each in report.agreement} == {1.0}
    assert {each.share_different for each in report.rule_distance} == {0.0}
    assert {each.mean_absolute for each in report.rule_distance} == {0.0}
    assert report.ungrounded_share == 0.0
    assert report.sources == {"rules": 2 * len(READY)}
    assert report.not_graded == {"insufficient_data": 2 * (len(CASES) - len(READY))}
    assert report.corrections == {}


@pytest.mark.parametrize(
    ("grader", "least_failed"),
    [
        (always(100), 45),
        (always(60), 25),
        (always(20), 40),
        (inverting(), 40),
        (moody(), 50),
        (Altered(lambda grade, item: {"trading_style": "Trend Follower"}), len(READY)),
        (Altered(lambda grade, item: {"sustainability": "High"}), 25),
        (Altered(lambda grade, item: {"confidence": "High"}), 15),
        (Altered(lambda grade, item: {"confidence": "Low"}), 25),
        (Altered(lambda grade, item: {"hidden_risks": ()}), 20),
    ],
    ids=[
        "all 100",
        "all 60",
        "all 20",
        "inverting",
        "moody",
        "no evidence",
        "sanguine",
        "sure",
        "timid",
        "blind",
    ],
)
def test_bad_graders_fail_golden_cases(grader, least_failed):
    report = report_on(grader)
    assert not report.passed
    assert len(report.failures) >= least_failed


def test_a_grader_that_knows_no_caps_fails_even_though_its_grades_are_corrected():
    report = report_on(uncapped(), with_metamorphic=True)
    assert not report.passed
    assert {violation.relation for violation in report.violations} == {
        "untested_drawdown_capped",
        "extreme_growth_capped",
        "short_history_unsure",
    }
    assert set(report.corrections) == {
        "score_capped:max_drawdown",
        "score_capped:avg_drawdown",
        "score_capped:cagr",
        "confidence_short_history",
    }
    assert {violation.row_id for violation in report.violations} <= {case.id for case in CASES}


def test_a_moody_grader_does_not_agree_with_itself():
    report = report_on(moody(), repeat=3)
    for field in report.agreement:
        assert field.exact < 0.5
        assert abs(field.kappa) < 0.3
    distance = {each.metric: each for each in report.rule_distance}
    assert distance["roi"].n == 3 * len(READY)
    assert distance["roi"].share_different > 0.6
    assert distance["roi"].mean_absolute > 20


def test_the_distance_from_the_rules_by_hand():
    cases = [case for case in CASES if case.id in {"steady-best", "middle-of-the-board"}]
    report = report_on(always(100), cases=cases)
    distance = {each.metric: each for each in report.rule_distance}
    assert distance["roi"].n == 2
    assert distance["roi"].share_different == 0.5  # the rules give 100 and 60
    assert distance["roi"].mean_absolute == 20.0


def test_a_reason_that_does_not_hold_every_time_says_how_often():
    answers = iter([20, 100, 20])
    sometimes = Altered(
        lambda grade, item: {"scores": grade.scores.model_copy(update={"roi": next(answers)})}
    )
    (case,) = [case for case in CASES if case.id == "steady-best"]
    (result,) = report_on(sometimes, cases=[case], repeat=3).golden
    assert result.reasons == ("ROI scored 20, expected 80 to 100 (2 of 3 times)",)
    assert not result.passed


def test_what_the_grader_did_not_grade_itself_fails_and_is_counted():
    def refuse(grade, item):
        if item.row_id == "row-1":
            return {"grade_source": "rules", "fallback": "refused", "call_id": None}
        if item.row_id == "row-2":
            gone = dict.fromkeys(
                ("trading_style", "sustainability", "confidence", "overall_assessment", "scores")
            )
            return gone | {
                "status": "failed", "status_reasons": ("no valid answer",), "grade_source": "failed", "reasoning": {}
            }  # fmt: skip
        return {}

    report = report_on(Altered(refuse))
    assert {result.case_id: result.reasons for result in report.failures} == {
        CASES[0].id: ("graded by the rules in the grader's place: refused",),
        CASES[1].id: ("failed (no valid answer), expected graded",),
    }
    assert report.not_graded == {"failed": 1, "insufficient_data": 5, "rules in its place: refused": 1}
    assert report.sources == {"failed": 1, "llm": len(READY) - 2, "rules": 1}
    assert {each.n for each in report.rule_distance if each.metric == "roi"} == {len(READY) - 2}


def test_cached_answers_are_no_evidence_of_agreement():
    report = report_on(Altered(lambda grade, item: {"grade_source": "cache"}), repeat=2)
    assert report.passed
    assert report.sources == {"cache": 2 * len(READY)}
    assert {each.n_pairs for each in report.agreement} == {0}
    assert {each.exact for each in report.agreement} == {None}


def test_ungrounded_answers_are_named():
    grader = Altered(
        lambda grade, item: {"ungrounded": ("42 %",)} if item.row_id in {"row-1", "row-2"} else {}
    )
    report = report_on(grader, repeat=2)
    assert report.ungrounded == {CASES[0].id: ("42 %",), CASES[1].id: ("42 %",)}
    assert report.ungrounded_share == pytest.approx(2 / len(READY))
    nobody = report_on(RuleGrader(), cases=[case for case in CASES if case not in READY])
    assert nobody.ungrounded_share is None
    assert {(each.n, each.share_different, each.mean_absolute) for each in nobody.rule_distance} == {
        (0, None, None)
    }
    assert [each.metric for each in nobody.rule_distance] == list(SCORED_METRICS)


def test_the_grader_is_asked_as_often_as_told():
    grader = Altered(lambda grade, item: {})
    assert report_on(grader, repeat=3).comparisons == ()
    assert grader.asked == 3 * len(READY)


def test_the_report_is_json_with_its_verdicts_and_cost():
    report = report_on(RuleGrader()).with_cost(estimated_usd=0.02, calls=57)
    assert (report.estimated_usd, report.calls) == (0.02, 57)
    plain = report.model_dump(mode="json")
    assert plain["passed"] is True
    assert plain["golden"][0]["passed"] is True
    assert plain["agreement"][0]["reason"] == "asked only once"


@pytest.mark.parametrize(("cases", "repeat"), [((), 1), (CASES[:1], 0)])
def test_nothing_to_ask_is_refused(cases, repeat):
    with pytest.raises(ValueError, match="needs cases and repeat >= 1"):
        report_on(RuleGrader(), cases=cases, repeat=repeat)
