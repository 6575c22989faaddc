"""Inputs for graders."""

from hl_assets.grading.interface import DataQuality, GradeInput, MetricPercentiles, ScoredMetrics

METRICS = {
    "max_drawdown": -0.2,
    "roi": 0.8,
    "cagr": 0.4,
    "calmar_ratio": 2.0,
    "avg_drawdown": -0.06,
    "recovery_factor": 4.0,
}
QUALITY = {
    "data_points": 150,
    "data_span_days": 400.0,
    "performance_span_days": 400.0,
    "avg_interval_hours": 64.4,
    "interval_cv_percent": 80.0,
    "is_uniform": False,
    "largest_gap_hours": 336.0,
    "share_flow_dominated": 0.01,
    "share_clipped": 0.0,
    "share_no_base": 0.0,
    "n_epochs": 1,
    "n_wipeouts": 0,
    "n_drawdowns": 12,
}


def grade_input(
    *, row_id="row-0", percentiles=None, null_reasons=None, flags=(), quality=None, **metrics
) -> GradeInput:
    """A well-measured wallet at percentile 0.5 everywhere, changed as told; None makes a metric null."""
    values = METRICS | metrics
    reasons = {name: "span_under_90_days" for name, value in values.items() if value is None} | (
        null_reasons or {}
    )
    standing = {name: None if value is None else 0.5 for name, value in values.items()} | (percentiles or {})
    return GradeInput(
        row_id=row_id,
        period="all_time",
        metrics=ScoredMetrics(**values),
        percentiles=MetricPercentiles(**standing),
        null_reasons=reasons,
        data_quality=DataQuality(**(QUALITY | (quality or {}))),
        flags=tuple(flags),
    )
