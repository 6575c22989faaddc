"""Changes of an input whose effect on a grade is known beforehand.

Belongs here: making the changed input, coherent with itself where the change touches figures that hang together. None means
that the change does not apply. What must follow for the grade belongs in `metamorphic`.
"""

from typing import Any

from hl_assets.equity.flags import flag_names
from hl_assets.grading.interface import GradeInput, MetricPercentiles, ScoredMetrics
from hl_assets.metrics.discrete import CAGR_CAP_ABOVE, DRAWDOWN_CAP_ABOVE
from hl_assets.metrics.flags import MetricFlag
from hl_assets.metrics.nulls import NullReason

_DAYS_PER_YEAR = 365.25
_TOP = 0.97
_SHALLOW, _SHALLOW_AVERAGE = -0.02, -0.01
_EXTREME_CAGR = 12.0
_SHORT_DAYS, _SHORT_POINTS = 20.0, 60
_YOUNG_LIFE_DAYS = 60.0
_ANNUAL = ("cagr", "calmar_ratio")


def higher_percentile(item: GradeInput, name: str) -> GradeInput | None:
    """One percentile moved half of the way to the top; nothing else."""
    percentile = getattr(item.percentiles, name)
    if percentile is None:
        return None
    raised = item.percentiles.model_copy(update={name: percentile + (1.0 - percentile) / 2.0})
    return item.model_copy(update={"percentiles": raised})


def other_row_id(item: GradeInput) -> GradeInput:
    """The same input under another row id."""
    return item.model_copy(update={"row_id": f"other-{item.row_id}"})


def other_order(item: GradeInput) -> GradeInput:
    """The same input with its fields, null reasons and flags in reverse order."""
    fields = item.model_dump()
    turned = {
        name: dict(reversed(value.items())) if isinstance(value, dict) else value
        for name, value in reversed(fields.items())
    }
    return GradeInput.model_validate(turned | {"flags": tuple(reversed(item.flags))})


def same_bucket(item: GradeInput) -> GradeInput:
    """Figures moved a little inside their bucket (`canonical.bucketed_input`): the input hash stays."""
    percentiles = {
        name: None if value is None else (min(int(value * 10), 9) + 0.5) / 10
        for name, value in item.percentiles.model_dump().items()
    }
    roi, quality = item.metrics.roi, item.data_quality
    spacing = {
        name: None if value is None else value * 1.01
        for name, value in (
            ("avg_interval_hours", quality.avg_interval_hours),
            ("interval_cv_percent", quality.interval_cv_percent),
        )
    }
    return item.model_copy(
        update={
            "metrics": item.metrics.model_copy(update={"roi": None if roi is None else roi * 0.99}),
            "percentiles": MetricPercentiles(**percentiles),
            "data_quality": quality.model_copy(update=spacing),
        }
    )


def untested(item: GradeInput) -> GradeInput | None:
    """A curve that never fell 5 %, at the top of the board for it."""
    deepest = item.metrics.max_drawdown
    if deepest is None or item.metrics.avg_drawdown is None:
        return None
    shallow: dict[str, Any] = {}
    if deepest <= DRAWDOWN_CAP_ABOVE:
        shallow = {"max_drawdown": _SHALLOW, "avg_drawdown": _SHALLOW_AVERAGE}
    return _with_figures(item, shallow, top=("max_drawdown", "avg_drawdown"))


def extreme_growth(item: GradeInput) -> GradeInput | None:
    """Growth above 500 % a year, at the top of the board for it."""
    cagr, roi, days = item.metrics.cagr, item.metrics.roi, item.data_quality.performance_span_days
    if cagr is None or roi is None or days is None:
        return None
    grown: dict[str, Any] = {}
    if cagr <= CAGR_CAP_ABOVE:
        grown = {"cagr": _EXTREME_CAGR, "roi": (1.0 + _EXTREME_CAGR) ** (days / _DAYS_PER_YEAR) - 1.0}
    return _with_figures(item, grown, top=("cagr",))


def short_history(item: GradeInput) -> GradeInput:
    """Twenty days of data, too few to annualise."""
    points = min(max(item.data_quality.data_points, 20), _SHORT_POINTS)
    gap = item.data_quality.largest_gap_hours
    quality = {
        "data_points": points,
        "data_span_days": _SHORT_DAYS,
        "performance_span_days": _SHORT_DAYS,
        "avg_interval_hours": _SHORT_DAYS * 24.0 / (points - 1),
        "largest_gap_hours": None if gap is None else min(gap, _SHORT_DAYS * 12.0),
    }
    flags = MetricFlag.SHORT_HISTORY | MetricFlag.ANNUALISED_SHORT
    return _flagged(_without_annual(_with_quality(item, quality)), flags)


def young_life(item: GradeInput) -> GradeInput:
    """CAGR and Calmar ratio null: the last refunding was sixty days ago."""
    days = item.data_quality.performance_span_days
    span = _YOUNG_LIFE_DAYS if days is None else min(days, _YOUNG_LIFE_DAYS)
    young = _without_annual(_with_quality(item, {"performance_span_days": span}))
    return _flagged(young, MetricFlag.ANNUALISED_SHORT)


def more_flows(item: GradeInput) -> GradeInput | None:
    """Deposits or withdrawals dominate half of the steps that they did not dominate."""
    share = item.data_quality.share_flow_dominated
    if share is None:
        return None
    more = _with_quality(item, {"share_flow_dominated": share + (1.0 - share) / 2.0})
    return _flagged(more, MetricFlag.FLOW_DOMINATED)


def _with_figures(item: GradeInput, changes: dict[str, Any], top: tuple[str, ...]) -> GradeInput:
    """Metrics changed, ratios that follow from them recomputed, and the named percentiles put to the top."""
    figures = item.metrics.model_dump() | changes
    deepest = figures["max_drawdown"]
    if changes and deepest:
        for ratio, growth in (("calmar_ratio", "cagr"), ("recovery_factor", "roi")):
            if figures[ratio] is not None and figures[growth] is not None:
                figures[ratio] = figures[growth] / abs(deepest)
    standing = item.percentiles.model_dump()
    standing |= {name: max(standing[name], _TOP) for name in top if standing[name] is not None}
    return item.model_copy(
        update={"metrics": ScoredMetrics(**figures), "percentiles": MetricPercentiles(**standing)}
    )


def _without_annual(item: GradeInput) -> GradeInput:
    reason = NullReason.SPAN_UNDER_90_DAYS.label
    gone = dict.fromkeys(_ANNUAL)
    return item.model_copy(
        update={
            "metrics": item.metrics.model_copy(update=gone),
            "percentiles": item.percentiles.model_copy(update=gone),
            "null_reasons": dict(item.null_reasons) | dict.fromkeys(_ANNUAL, reason),
        }
    )


def _with_quality(item: GradeInput, changes: dict[str, Any]) -> GradeInput:
    return item.model_copy(update={"data_quality": item.data_quality.model_copy(update=changes)})


def _flagged(item: GradeInput, flags: MetricFlag) -> GradeInput:
    return item.model_copy(update={"flags": tuple(dict.fromkeys((*item.flags, *flag_names(flags))))})
