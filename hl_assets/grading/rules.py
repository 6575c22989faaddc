"""The rule grader: deterministic grades from percentiles and caps.

It is the grader when no model is configured, the fallback when one fails, and the yardstick a model is compared with.
Belongs here: its judgements. What holds for every grader belongs in `hl_assets.grading.edge_rules`. Its prose quotes
only numbers of the input.
"""

from collections.abc import Sequence

import numpy as np

from hl_assets.grading.canonical import input_hash
from hl_assets.grading.edge_rules import enforce_edge_rules, scores_of
from hl_assets.grading.interface import DiscreteScores, Grade, GradeInput, Level
from hl_assets.grading.interpretation import METRIC_LABELS, format_metric, interpret_percentile
from hl_assets.grading.styles import style_of_ratios
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import CAGR_CAP_ABOVE, DRAWDOWN_CAP_ABOVE, discrete_scores

RULES_VERSION = "rules-1"

_DEEP_DRAWDOWN = -0.5
_CONTAINED_DRAWDOWN = -0.25
_LONG_SPAN_DAYS = 180.0
_ANNUAL_SPAN_DAYS = 365.0
_CAGR_SPAN_DAYS = 90.0
_GOOD_CALMAR_PERCENTILE = 0.6
_MANY_POINTS = 100
_FEW_FLOWS = 0.05
_MANY_FLOWS = 0.25
_WIDE_GAP_HOURS = 15 * 24.0


class RuleGrader:
    """Grades by rule; implements `hl_assets.grading.interface.Grader`."""

    @property
    def version(self) -> str:
        """Version of the rules."""
        return RULES_VERSION

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        """Grade each input; never fails and never waits."""
        return [grade_by_rules(item) for item in inputs]


def grade_by_rules(item: GradeInput) -> Grade:
    """The rule grade of one input, edge rules applied."""
    grade = Grade(
        row_id=item.row_id,
        status="graded",
        trading_style=style_of_ratios(item),
        sustainability=_sustainability(item),
        confidence=_confidence(item),
        hidden_risks=_hidden_risks(item),
        unique_characteristics=_characteristics(item),
        reasoning={name: _reasoning(item, name) for name in SCORED_METRICS},
        overall_assessment=_assessment(item),
        scores=_scores(item),
        grade_source="rules",
        grader_version=RULES_VERSION,
        input_hash=input_hash(item),
    )
    return enforce_edge_rules(grade, item)


def _scores(item: GradeInput) -> DiscreteScores:
    percentiles = [getattr(item.percentiles, name) for name in SCORED_METRICS]
    present = np.array([np.nan if percentile is None else percentile for percentile in percentiles])
    return scores_of(discrete_scores(present).tolist())


def _sustainability(item: GradeInput) -> Level:
    """Low for a wipe-out, a halving, a loss, or growth nobody keeps up; High only for tested, contained, long records."""
    metrics, quality = item.metrics, item.data_quality
    deepest, cagr = metrics.max_drawdown, metrics.cagr
    broken = quality.n_wipeouts > 0 or (deepest is not None and deepest <= _DEEP_DRAWDOWN)
    losing = metrics.roi is not None and metrics.roi < 0
    if broken or losing or (cagr is not None and cagr > CAGR_CAP_ABOVE):
        return "Low"
    span = quality.performance_span_days
    calmar = item.percentiles.calmar_ratio
    if cagr is None or cagr <= 0 or deepest is None or span is None or calmar is None:
        return "Medium"
    contained = _CONTAINED_DRAWDOWN <= deepest <= DRAWDOWN_CAP_ABOVE
    return "High" if contained and span >= _LONG_SPAN_DAYS and calmar >= _GOOD_CALMAR_PERCENTILE else "Medium"


def _confidence(item: GradeInput) -> Level:
    """From data quality alone: span, points, gaps, share of flow-dominated steps."""
    quality = item.data_quality
    days, dominated, gap = quality.data_span_days, quality.share_flow_dominated, quality.largest_gap_hours
    if days is None or dominated is None or gap is None:
        return "Low"
    if days < _CAGR_SPAN_DAYS or dominated > _MANY_FLOWS:
        return "Low"
    dense = quality.data_points >= _MANY_POINTS and gap <= _WIDE_GAP_HOURS
    return "High" if days >= _ANNUAL_SPAN_DAYS and dense and dominated <= _FEW_FLOWS else "Medium"


def _hidden_risks(item: GradeInput) -> tuple[str, ...]:
    metrics, quality = item.metrics, item.data_quality
    risks = []
    if quality.n_wipeouts:
        risks.append(f"Trading has lost everything before (wipe-outs: {quality.n_wipeouts}).")
    if metrics.max_drawdown is not None and metrics.max_drawdown > DRAWDOWN_CAP_ABOVE:
        risks.append("Untested: the curve has not been through a real drawdown.")
    if metrics.cagr is not None and metrics.cagr > CAGR_CAP_ABOVE:
        risks.append(f"Growth of {format_metric('cagr', metrics.cagr)} a year is not sustainable.")
    if quality.data_span_days is not None and quality.data_span_days < _CAGR_SPAN_DAYS:
        risks.append(f"Short record: {quality.data_span_days:.1f} days.")
    if quality.share_flow_dominated is not None and quality.share_flow_dominated > _FEW_FLOWS:
        share = quality.share_flow_dominated * 100
        risks.append(
            f"Deposits or withdrawals dominate {share:.1f} % of the steps: returns there are estimates."
        )
    if quality.largest_gap_hours is not None and quality.largest_gap_hours > _WIDE_GAP_HOURS:
        gap = quality.largest_gap_hours
        risks.append(f"Drawdowns may hide between points up to {gap:.1f} hours apart.")
    return tuple(risks)


def _characteristics(item: GradeInput) -> tuple[str, ...]:
    """What is extreme: metrics in the outer fifths."""
    found = []
    for name in SCORED_METRICS:
        percentile = getattr(item.percentiles, name)
        if percentile is not None and (percentile >= 0.8 or percentile < 0.2):
            value = format_metric(name, getattr(item.metrics, name))
            found.append(f"{METRIC_LABELS[name]} of {value} is in the {interpret_percentile(percentile)}.")
    return tuple(found)


def _reasoning(item: GradeInput, name: str) -> str:
    value, percentile = getattr(item.metrics, name), getattr(item.percentiles, name)
    if value is None:
        return f"{METRIC_LABELS[name]} is not available: {item.null_reasons[name].replace('_', ' ')}."
    text = f"{METRIC_LABELS[name]} of {format_metric(name, value)}"
    if percentile is None:
        return f"{text} is not compared: the wallet is not eligible."
    return f"{text} stands at percentile {percentile * 100:.1f}: {interpret_percentile(percentile)}."


def _assessment(item: GradeInput) -> str:
    metrics, quality = item.metrics, item.data_quality
    earned = (
        "no measurable return" if metrics.roi is None else f"a return of {format_metric('roi', metrics.roi)}"
    )
    risked = (
        "an unknown drawdown"
        if metrics.max_drawdown is None
        else f"a maximum drawdown of {format_metric('max_drawdown', metrics.max_drawdown)}"
    )
    span = "an unknown span" if quality.data_span_days is None else f"{quality.data_span_days:.1f} days"
    return (
        f"Rated {style_of_ratios(item)} by rule: {earned} with {risked} "
        f"over {span} and {quality.data_points} points."
    )
