"""The rule grader: golden answers, and what must hold for any grader (metamorphic)."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.grading.interface import TRADING_STYLES, GradeInput
from hl_assets.grading.rules import RULES_VERSION, RuleGrader, grade_by_rules
from hl_assets.grading.styles import STYLE_EVIDENCE, supported_styles
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input

percentile = st.floats(0, 1)
LADDER = {"Low": 0, "Medium": 1, "High": 2}


@st.composite
def inputs(draw):
    def maybe(strategy):
        return draw(st.one_of(st.none(), strategy))

    metrics = {
        "max_drawdown": maybe(st.floats(-1, 0)),
        "roi": maybe(st.floats(-1, 100)),
        "cagr": maybe(st.floats(-1, 100)),
        "calmar_ratio": maybe(st.floats(-10, 1_000)),
        "avg_drawdown": maybe(st.floats(-1, 0)),
        "recovery_factor": maybe(st.floats(-10, 1_000)),
    }
    quality = {
        "data_points": draw(st.integers(0, 3_000)),
        "data_span_days": maybe(st.floats(0, 1_500)),
        "performance_span_days": maybe(st.floats(0, 1_500)),
        "largest_gap_hours": maybe(st.floats(0, 2_000)),
        "share_flow_dominated": maybe(st.floats(0, 1)),
        "n_wipeouts": draw(st.integers(0, 3)),
        "n_drawdowns": draw(st.integers(0, 50)),
    }
    standing = {name: draw(percentile) for name, value in metrics.items() if value is not None}
    return grade_input(percentiles=standing, quality=quality, **metrics)


class TestGolden:
    def test_an_ordinary_wallet(self):
        grade = grade_by_rules(grade_input(row_id="row-7"))
        assert grade.row_id == "row-7"
        assert grade.status == "graded"
        assert grade.grade_source == "rules"
        assert grade.grader_version == RULES_VERSION
        assert grade.scores is not None
        assert set(grade.scores.model_dump().values()) == {60}
        assert grade.trading_style == "Unclassified"
        assert grade.sustainability == "Medium"
        assert grade.confidence == "High"
        assert grade.edge_rules == ()
        assert grade.hidden_risks == ()
        assert (
            grade.reasoning["max_drawdown"]
            == "Max drawdown of -20.0 % stands at percentile 50.0: Around Median."
        )
        assert grade.overall_assessment == (
            "Rated Unclassified by rule: a return of 80.0 % with a maximum drawdown of -20.0 % "
            "over 400.0 days and 150 points."
        )

    @pytest.mark.parametrize(
        ("change", "style"),
        [
            ({"cagr": 1.5, "max_drawdown": -0.45}, "Aggressive Momentum"),
            (
                {"cagr": 0.3, "calmar_ratio": 2.5, "max_drawdown": -0.12, "avg_drawdown": -0.02},
                "Systematic Quant",
            ),
            (
                {"cagr": 0.1, "calmar_ratio": 0.9, "max_drawdown": -0.12, "avg_drawdown": -0.05},
                "Conservative Value",
            ),
            (
                {"cagr": 0.1, "max_drawdown": -0.02, "avg_drawdown": -0.01},
                "Unclassified",
            ),  # untested shows no style
            ({"cagr": None, "max_drawdown": -0.45}, "Unclassified"),  # nor do less than 90 days
            ({"cagr": -0.2, "calmar_ratio": -1.0, "max_drawdown": -0.12}, "Unclassified"),
        ],
    )
    def test_style_needs_evidence(self, change, style):
        assert grade_by_rules(grade_input(**change)).trading_style == style

    @pytest.mark.parametrize(
        ("change", "sustainability"),
        [
            ({"percentiles": {"calmar_ratio": 0.7}}, "High"),
            ({"percentiles": {"calmar_ratio": 0.7}, "quality": {"performance_span_days": 100.0}}, "Medium"),
            ({"percentiles": {"calmar_ratio": 0.7}, "max_drawdown": -0.01}, "Medium"),
            ({"percentiles": {"calmar_ratio": 0.7}, "max_drawdown": -0.3}, "Medium"),
            ({"max_drawdown": -0.5}, "Low"),
            ({"roi": -0.01, "cagr": -0.01}, "Low"),
            ({"cagr": 5.1}, "Low"),
            ({"quality": {"n_wipeouts": 1}}, "Low"),
            ({"cagr": None}, "Medium"),
        ],
    )
    def test_sustainability(self, change, sustainability):
        assert grade_by_rules(grade_input(**change)).sustainability == sustainability

    @pytest.mark.parametrize(
        ("quality", "confidence"),
        [
            ({}, "High"),
            ({"data_points": 99}, "Medium"),
            ({"largest_gap_hours": 400.0}, "Medium"),
            ({"share_flow_dominated": 0.06}, "Medium"),
            ({"data_span_days": 364.0}, "Medium"),
            ({"share_flow_dominated": 0.3}, "Low"),
            ({"data_span_days": 89.0}, "Low"),
            ({"share_flow_dominated": None}, "Low"),
        ],
    )
    def test_confidence(self, quality, confidence):
        assert grade_by_rules(grade_input(quality=quality)).confidence == confidence

    def test_risks_are_named(self):
        risks = " ".join(
            grade_by_rules(
                grade_input(
                    max_drawdown=-0.01,
                    cagr=7.0,
                    quality={
                        "n_wipeouts": 2,
                        "data_span_days": 45.0,
                        "share_flow_dominated": 0.25,
                        "largest_gap_hours": 700.0,
                    },
                )
            ).hidden_risks
        )
        for words in (
            "wipe-outs: 2",
            "Untested",
            "700.0 % a year",
            "45.0 days",
            "25.0 % of the steps",
            "700.0 hours",
        ):
            assert words in risks

    def test_characteristics_are_the_outer_fifths(self):
        grade = grade_by_rules(grade_input(percentiles={"roi": 0.95, "cagr": 0.05, "calmar_ratio": 0.79}))
        assert grade.unique_characteristics == (
            "ROI of 80.0 % is in the Top 10 %.",
            "CAGR of 40.0 % is in the Bottom 10 %.",
        )


class TestMetamorphic:
    @given(inputs(), st.sampled_from(SCORED_METRICS), percentile)
    def test_raising_one_percentile_never_lowers_its_score(self, item, name, higher):
        before_percentile = getattr(item.percentiles, name)
        if before_percentile is None:
            return
        raised = item.percentiles.model_copy(update={name: max(before_percentile, higher)})
        before, after = grade_by_rules(item), grade_by_rules(item.model_copy(update={"percentiles": raised}))
        assert before.scores is not None
        assert after.scores is not None
        assert getattr(after.scores, name) >= getattr(before.scores, name)
        assert LADDER[after.sustainability] >= LADDER[before.sustainability]

    @given(inputs())
    def test_field_order_and_row_id_do_not_matter(self, item):
        fields = item.model_dump()
        again = GradeInput.model_validate(
            {key: fields[key] for key in reversed(fields)} | {"row_id": "other"}
        )
        assert grade_by_rules(again).model_dump(exclude={"row_id"}) == grade_by_rules(item).model_dump(
            exclude={"row_id"}
        )

    @given(inputs())
    def test_caps_hold(self, item):
        grade = grade_by_rules(item)
        assert grade.scores is not None
        deepest, cagr = item.metrics.max_drawdown, item.metrics.cagr
        if deepest is not None and deepest > -0.05:
            assert (grade.scores.max_drawdown or 0) <= 60
            assert (grade.scores.avg_drawdown or 0) <= 60
        if cagr is not None and cagr > 5:
            assert grade.scores.cagr is not None
            assert grade.scores.cagr <= 60
        if (item.data_quality.data_span_days or 0) < 30:
            assert grade.confidence == "Low"

    @given(inputs())
    def test_scores_are_null_exactly_where_metrics_are(self, item):
        scores = grade_by_rules(item).scores
        assert scores is not None
        for name in SCORED_METRICS:
            assert (getattr(scores, name) is None) == (getattr(item.metrics, name) is None)

    @given(inputs())
    def test_every_number_quoted_is_in_the_input(self, item):
        grade = grade_by_rules(item)
        known = [value for value in item.metrics.model_dump().values() if value is not None]
        known += [value for value in item.percentiles.model_dump().values() if value is not None]
        known += [value for value in item.data_quality.model_dump().values() if value is not None]
        known += [0.0] if item.data_quality.data_span_days is None else []
        prose = [
            *grade.reasoning.values(),
            *grade.hidden_risks,
            *grade.unique_characteristics,
            grade.overall_assessment,
        ]
        vocabulary = r"(Top|Bottom) (10|20) %|span under 90 days"
        for text in prose:
            for number in re.findall(r"-?\d+(?:\.\d+)?", re.sub(vocabulary, "", text)):
                assert any(
                    abs(float(number) - value * scale) <= 0.0500001 for value in known for scale in (1, 100)
                ), (number, text)

    @given(st.lists(inputs(), max_size=4))
    def test_it_answers_every_input_in_order_and_always_the_same(self, items):
        grader = RuleGrader()
        first = asyncio.run(grader.grade(items))
        assert [grade.row_id for grade in first] == [item.row_id for item in items]
        assert asyncio.run(grader.grade(items)) == first
        assert grader.version == RULES_VERSION


def test_every_style_states_its_evidence():
    assert set(STYLE_EVIDENCE) == set(TRADING_STYLES)
    assert set(supported_styles(frozenset({"equity_curve"}))) == {
        "Aggressive Momentum",
        "Conservative Value",
        "Systematic Quant",
        "Unclassified",
    }
    assert set(supported_styles(frozenset({"equity_curve", "trades", "positions", "prices"}))) == set(
        TRADING_STYLES
    )
