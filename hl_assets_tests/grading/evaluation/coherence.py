"""What hangs together in any input that real curves can give."""

import pytest

from hl_assets.grading.interface import GradeInput
from hl_assets.metrics.flags import MetricFlag
from hl_assets.metrics.nulls import NullReason

FLAGS = {flag.name.lower() for flag in MetricFlag if flag.name}
REASONS = {reason.label for reason in NullReason} - {"present"}


def assert_valid(item: GradeInput) -> None:
    assert GradeInput.model_validate(item.model_dump()) == item


def assert_coherent(item: GradeInput) -> None:
    assert_valid(item)
    metrics, quality, flags = item.metrics, item.data_quality, set(item.flags)
    assert flags <= FLAGS
    assert set(item.null_reasons.values()) <= REASONS
    if quality.data_points < 2:
        return
    days, life = quality.data_span_days, quality.performance_span_days
    assert life <= days
    assert (metrics.cagr is None) == (life < 90)
    if metrics.cagr is not None:
        assert metrics.cagr == pytest.approx((1 + metrics.roi) ** (365.25 / life) - 1, rel=1e-3, abs=1e-4)
    deepest = metrics.max_drawdown
    assert -1 <= deepest <= metrics.avg_drawdown <= 0
    for ratio, growth in ((metrics.calmar_ratio, metrics.cagr), (metrics.recovery_factor, metrics.roi)):
        assert (ratio is None) == (growth is None or deepest == 0)
        if ratio is not None:
            assert ratio == pytest.approx(growth / abs(deepest), rel=1e-3, abs=1e-4)
    assert quality.avg_interval_hours == pytest.approx(days * 24 / (quality.data_points - 1), rel=1e-3)
    assert quality.largest_gap_hours >= quality.avg_interval_hours
    assert quality.is_uniform == (quality.interval_cv_percent < 5)
    assert (quality.n_drawdowns == 0) == (deepest == 0)
    assert 0 <= quality.n_wipeouts <= quality.n_epochs
    assert not quality.n_wipeouts or deepest == -1
    assert life == days or quality.n_wipeouts, "performance starts later only after a wipe-out"
    for flag, holds in (
        ("untested", deepest == 0),
        ("annualised_short", life < 90),
        ("short_history", days < 30),
        ("flow_dominated", quality.share_flow_dominated > 0),
        ("clipped", quality.share_clipped > 0),
        ("no_base", quality.share_no_base > 0),
        ("wiped_out", quality.n_wipeouts > 0),
        ("refunded", quality.n_epochs > 1),
    ):
        assert (flag in flags) == holds, flag
