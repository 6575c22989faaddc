"""The golden set: coherent inputs, expectations that the rules meet, and refused files."""

import json
from collections import Counter

import pytest

from hl_assets.grading.evaluation.concepts import RISK_STEMS, mentions
from hl_assets.grading.evaluation.golden import (
    GoldenCase,
    GoldenFileError,
    check_grade,
    golden_cases,
    parse_cases,
)
from hl_assets.grading.interface import Grade
from hl_assets.grading.readiness import ReadinessRules, insufficient_grade, unready_reasons
from hl_assets.grading.rules import grade_by_rules
from hl_assets.grading.styles import supported_styles
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.evaluation.coherence import assert_coherent

CASES = golden_cases()
GRADED = [case for case in CASES if case.expect.status == "graded"]
BY_ID = {case.id: case for case in CASES}


def line_of(case: GoldenCase, **changes) -> str:
    return json.dumps(json.loads(case.model_dump_json()) | changes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
class TestEveryCase:
    def test_its_input_is_one_that_real_curves_can_give(self, case):
        assert_coherent(case.input)

    def test_the_rules_meet_its_expectations(self, case):
        why = unready_reasons(case.input, ReadinessRules())
        grade = insufficient_grade(case.input, why) if why else grade_by_rules(case.input)
        assert check_grade(case, grade) == ()

    def test_its_row_id_tells_nothing(self, case):
        assert case.input.row_id.removeprefix("row-").isdigit()
        assert case.id not in case.input.model_dump_json()

    def test_it_expects_only_styles_that_an_equity_curve_can_show(self, case):
        assert case.expect.styles <= set(supported_styles(frozenset({"equity_curve"})))

    def test_it_respects_the_edge_rules(self, case):
        metrics, expect = case.input.metrics, case.expect
        if expect.status != "graded":
            return
        if metrics.max_drawdown > -0.05:
            assert max(expect.scores["max_drawdown"][1], expect.scores["avg_drawdown"][1]) <= 60
        if metrics.cagr is not None and metrics.cagr > 5:
            assert expect.scores["cagr"][1] <= 60
        if case.input.data_quality.data_span_days < 30:
            assert expect.confidence == {"Low"}


def test_the_set_covers_the_board_and_its_oddities():
    assert 50 <= len(CASES) <= 60
    assert Counter(case.expect.status for case in CASES)["insufficient_data"] == 5
    for name in SCORED_METRICS:
        standing = [getattr(case.input.percentiles, name) for case in GRADED]
        quintiles = {min(int(p * 5), 4) for p in standing if p is not None}
        assert quintiles == {0, 1, 2, 3, 4}, name
    seen = {concept for case in GRADED for concept in case.expect.risks}
    assert seen == set(RISK_STEMS)
    styles = {next(iter(case.expect.styles)) for case in GRADED if len(case.expect.styles) == 1}
    assert styles == {"Aggressive Momentum", "Conservative Value", "Systematic Quant", "Unclassified"}
    nulls = {tuple(case.input.null_reasons.items()) for case in GRADED}
    assert len(nulls) >= 3
    flags = {flag for case in CASES for flag in case.input.flags}
    assert {"contradicted", "wiped_out", "clipped", "no_base", "unfunded_now", "negative_equity"} <= flags


def test_no_single_answer_fits_all():
    for name in SCORED_METRICS:
        bounds = [case.expect.scores[name] for case in GRADED if case.expect.scores[name]]
        assert not any(all(low <= score <= high for low, high in bounds) for score in (20, 40, 60, 80, 100))
    for field in ("styles", "sustainability", "confidence"):
        assert not frozenset.intersection(*(getattr(case.expect, field) for case in GRADED)), field


@pytest.mark.parametrize(
    ("case_id", "change", "says"),
    [
        ("steady-best", {"scores": {"roi": 60}}, "ROI scored 60, expected 80 to 100"),
        ("steady-best", {"scores": {"roi": None}}, "ROI has no score, expected 80 to 100"),
        ("never-fell", {"scores": {"calmar_ratio": 60}}, "Calmar ratio is null and scored 60"),
        ("steady-best", {"trading_style": "Breakout"}, "style Breakout, expected Systematic Quant"),
        ("flow-heavy", {"sustainability": "Low"}, "sustainability Low, expected High or Medium"),
        ("three-weeks", {"confidence": "High"}, "confidence High, expected Low"),
        ("untested-edge", {"hidden_risks": ("It may rain.",)}, "hidden risks do not mention: untested"),
        (
            "steady-best",
            {"fallback": "budget_run"},
            "graded by the rules in the grader's place: budget_run",
        ),
    ],
)
def test_what_is_wrong_is_said(case_id, change, says):
    case = BY_ID[case_id]
    grade = grade_by_rules(case.input)
    scores = grade.scores.model_copy(update=change.get("scores", {}))
    assert check_grade(case, grade.model_copy(update=change | {"scores": scores})) == (says,)


def test_an_ungraded_case_and_a_grade_where_none_belongs_fail():
    case, unready = BY_ID["steady-best"], BY_ID["too-short"]
    failed = Grade(
        row_id=case.input.row_id, status="failed", status_reasons=("no answer",), grade_source="failed",
        grader_version="x", input_hash="0" * 64,
    )  # fmt: skip
    assert check_grade(case, failed) == ("failed (no answer), expected graded",)
    assert check_grade(unready, grade_by_rules(unready.input)) == ("graded, expected insufficient_data",)


@pytest.mark.parametrize(
    ("text", "concept", "found"),
    [
        ("The curve is UNTESTED so far.", "untested", True),
        ("Contested results.", "untested", False),
        ("Never tested by a fall.", "untested", True),
        ("Such growth cannot be sustained.", "unsustainable_growth", True),
        ("Shortly said, all is well", "short_history", True),
        ("An overflow of words", "flow_dominated", False),
        ("Net inflows dominate.", "flow_dominated", True),
        ("Points weeks apart, with wide gaps.", "sparse_data", True),
        ("One wipe-out before.", "wiped_out", True),
        ("", "wiped_out", False),
    ],
)
def test_concepts_are_found_by_their_stems(text, concept, found):
    assert mentions([text, "Something else."], concept) is found


def test_a_set_reads_back_and_empty_lines_are_skipped():
    text = "\n\n".join(case.model_dump_json() for case in CASES[:3]) + "\n"
    assert parse_cases(text, "mine.jsonl") == CASES[:3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mine.jsonl holds no cases"),
        ("\nnot json", "mine.jsonl line 2 is not a case"),
        (line_of(CASES[0], extra=1), "line 1 is not a case: extra"),
        (line_of(CASES[0], note=""), "line 1 is not a case: note"),
        (line_of(CASES[0]) + "\n" + line_of(CASES[0]), "id 'middle-of-the-board' occurs twice"),
        (line_of(CASES[0]) + "\n" + line_of(CASES[0], id="b"), "row id 'row-1' occurs twice"),
        (
            line_of(CASES[0], expect={"status": "graded"}),
            "a graded case expects six scores, styles, sustainability and confidence",
        ),
        (
            line_of(CASES[0], expect={"status": "insufficient_data", "risks": ["untested"]}),
            "expects nothing but its status",
        ),
        (
            line_of(CASES[0]).replace('"roi": [40, 80]', '"roi": [80, 40]'),
            "roi: the lowest score 80 is above the highest 40",
        ),
        (
            line_of(CASES[0]).replace('"roi": [40, 80]', '"roi": null'),
            "roi: a score is expected exactly where the metric is not null",
        ),
        (line_of(CASES[0]).replace('"roi": [40, 80]', '"roi": [40, 70]'), "expect.scores.roi.1"),
    ],
)
def test_a_set_that_cannot_be_used_says_why(text, says):
    with pytest.raises(GoldenFileError) as error:
        parse_cases(text, "mine.jsonl")
    assert says in str(error.value)
