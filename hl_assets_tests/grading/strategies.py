"""Hypothesis strategies for graders' inputs and schema-valid answers."""

from hypothesis import strategies as st

from hl_assets.grading.answer import ANSWERABLE_STYLES
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input

RANGES = {
    "max_drawdown": (-1, 0),
    "roi": (-1, 100),
    "cagr": (-1, 100),
    "calmar_ratio": (-10, 1_000),
    "avg_drawdown": (-1, 0),
    "recovery_factor": (-10, 1_000),
}


@st.composite
def inputs(draw):
    """Inputs of any kind, ready or not."""

    def maybe(strategy):
        return draw(st.one_of(st.none(), strategy))

    metrics = {name: maybe(st.floats(*edges)) for name, edges in RANGES.items()}
    quality = {
        "data_points": draw(st.integers(0, 3_000)),
        "data_span_days": maybe(st.floats(0, 1_500)),
        "performance_span_days": maybe(st.floats(0, 1_500)),
        "avg_interval_hours": maybe(st.floats(0, 500)),
        "interval_cv_percent": maybe(st.floats(0, 500)),
        "largest_gap_hours": maybe(st.floats(0, 2_000)),
        "share_flow_dominated": maybe(st.floats(0, 1)),
        "n_wipeouts": draw(st.integers(0, 3)),
        "n_drawdowns": draw(st.integers(0, 50)),
    }
    standing = {name: draw(st.floats(0, 1)) for name, value in metrics.items() if value is not None}
    return grade_input(percentiles=standing, quality=quality, **metrics)


_level = st.sampled_from(["High", "Medium", "Low"])
_score = st.sampled_from([20, 40, 60, 80, 100])
_prose = st.text(min_size=1, max_size=40)


@st.composite
def answers_to(draw, item):
    """Schema-valid answers: any score for a metric with a percentile, a score or null for the others."""
    scores = {
        name: draw(_score if getattr(item.percentiles, name) is not None else st.none() | _score)
        for name in SCORED_METRICS
    }
    return {
        "reasoning": {name: draw(_prose) for name in SCORED_METRICS},
        "scores": scores,
        "hidden_risks": draw(st.lists(_prose, max_size=3)),
        "unique_characteristics": draw(st.lists(_prose, max_size=3)),
        "trading_style": draw(st.sampled_from(ANSWERABLE_STYLES)),
        "sustainability": draw(_level),
        "confidence": draw(_level),
        "overall_assessment": draw(_prose),
    }
