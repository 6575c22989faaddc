import pytest

from hl_assets.grading.interpretation import METRIC_LABELS, format_metric, interpret_percentile
from hl_assets.metrics.catalog import SCORED_METRICS


@pytest.mark.parametrize(
    ("percentile", "words"),
    [
        (1.0, "Top 10 %"),
        (0.9, "Top 10 %"),
        (0.89, "Top 20 %"),
        (0.8, "Top 20 %"),
        (0.79, "Above Median"),
        (0.5, "Around Median"),
        (0.39, "Below Median"),
        (0.19, "Bottom 20 %"),
        (0.09, "Bottom 10 %"),
        (0.0, "Bottom 10 %"),
    ],
)
def test_words(percentile, words):
    assert interpret_percentile(percentile) == words


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("roi", 0.12345, "12.3 %"),
        ("max_drawdown", -0.0001, "0.0 %"),
        ("calmar_ratio", 1.005, "1.00"),
        ("recovery_factor", -0.001, "0.00"),
    ],
)
def test_numbers(name, value, text):
    assert format_metric(name, value) == text


def test_every_metric_has_a_label():
    assert set(METRIC_LABELS) == set(SCORED_METRICS)
