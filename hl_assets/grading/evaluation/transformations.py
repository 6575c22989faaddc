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
_SHORT_DAYS, _UNANNUAL_DAYS = 20.0, 60.0
_FEWEST_POINTS, _POINTS_PER_DAY = 20, 3
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
    """A curve that never fell 5 %, at the top of the board for it; a wiped-out wallet cannot be made one."""
    deepest = item.metrics.max_drawdown
    if deepest is None or item.metrics.avg_drawdown is None or item.data_quality.n_wipeouts:
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
    """Twenty days of data at most: too few to be sure of anything."""
    return _flagged(_within_days(item, _SHORT_DAYS), MetricFlag.SHORT_HISTORY)


def two_months(item: GradeInput) -> GradeInput:
    """Sixty days of data at most: CAGR and Calmar ratio are null."""
    return _within_days(item, _UNANNUAL_DAYS)


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


def _within_days(item: GradeInput, days: float) -> GradeInput:
    """The history shortened to `days` where it is longer, with points that few and nothing annualised."""
    quality = item.data_quality
    points = min(max(quality.data_points, _FEWEST_POINTS), round(days * _POINTS_PER_DAY))
    span = min(days if quality.data_span_days is None else quality.data_span_days, days)
    life = min(span if quality.performance_span_days is None else quality.performance_span_days, span)
    interval = span * 24.0 / (points - 1)
    gap = quality.largest_gap_hours
    changes = {
        "data_points": points,
        "data_span_days": span,
        "performance_span_days": life,
        "avg_interval_hours": interval,
        "largest_gap_hours": None if gap is None else max(interval, min(gap, span * 12.0)),
    }
    return _flagged(_without_annual(_with_quality(item, changes)), MetricFlag.ANNUALISED_SHORT)


def _without_annual(item: GradeInput) -> GradeInput:
    """CAGR and the Calmar ratio null, as for every span under 90 days."""
    reasons = dict.fromkeys(_ANNUAL, NullReason.SPAN_UNDER_90_DAYS.label)
    gone = dict.fromkeys(_ANNUAL)
    return item.model_copy(
        update={
            "metrics": item.metrics.model_copy(update=gone),
            "percentiles": item.percentiles.model_copy(update=gone),
            "null_reasons": {**item.null_reasons, **reasons},
        }
    )


def _with_quality(item: GradeInput, changes: dict[str, Any]) -> GradeInput:
    return item.model_copy(update={"data_quality": item.data_quality.model_copy(update=changes)})


def _flagged(item: GradeInput, flags: MetricFlag) -> GradeInput:
    return item.model_copy(update={"flags": tuple(dict.fromkeys((*item.flags, *flag_names(flags))))})
