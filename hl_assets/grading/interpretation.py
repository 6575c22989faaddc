"""Words for numbers: how a percentile and a metric are put to a reader or a model.

Belongs here: closed vocabularies and number formats. No judgement belongs here.
"""

from typing import Literal

Interpretation = Literal[
    "Bottom 10 %", "Bottom 20 %", "Below Median", "Around Median", "Above Median", "Top 20 %", "Top 10 %"
]

_LADDER: tuple[tuple[float, Interpretation], ...] = (
    (0.9, "Top 10 %"),
    (0.8, "Top 20 %"),
    (0.6, "Above Median"),
    (0.4, "Around Median"),
    (0.2, "Below Median"),
    (0.1, "Bottom 20 %"),
)

METRIC_LABELS = {
    "max_drawdown": "Max drawdown",
    "roi": "ROI",
    "cagr": "CAGR",
    "calmar_ratio": "Calmar ratio",
    "avg_drawdown": "Average drawdown",
    "recovery_factor": "Recovery factor",
}
_RATIOS = ("calmar_ratio", "recovery_factor")


def interpret_percentile(percentile: float) -> Interpretation:
    """The percentile in words; the lower edge of each step belongs to it."""
    for edge, words in _LADDER:
        if percentile >= edge:
            return words
    return "Bottom 10 %"


def format_metric(name: str, value: float) -> str:
    """A metric for prose: fractions as percent with one decimal, ratios with two."""
    if name in _RATIOS:
        return f"{round(value, 2) + 0.0:.2f}"  # adding 0.0 turns -0.0 into 0.0
    return f"{round(value * 100, 1) + 0.0:.1f} %"
