"""From the metric table to graders' inputs.

Belongs here: picking, typing and naming what a grader is told. No rule about it belongs here.
"""

import math
from collections.abc import Sequence

from hl_assets.equity.ragged import FloatArray
from hl_assets.grading.interface import DataQuality, GradeInput, MetricPercentiles, ScoredMetrics
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.wallet_metrics import MetricTable

_COUNTS = ("data_points", "n_epochs", "n_wipeouts", "n_drawdowns")


def build_grade_inputs(
    table: MetricTable,
    percentiles: FloatArray,
    *,
    period: str = "all_time",
    rows: Sequence[int] | None = None,
) -> list[GradeInput]:
    """Inputs for the wallets at the given rows, in that order; wallets' addresses are not in them.

    Args:
        table: the metrics.
        percentiles: float64[n_wallets, 6] in the order of `SCORED_METRICS`; NaN is absent.
        period: what the metrics cover.
        rows: positions in the table; default all. The input of row 17 has row id `row-17`.

    Raises:
        ValueError: percentiles of another shape than the table's.
    """
    if percentiles.shape != (len(table), len(SCORED_METRICS)):
        raise ValueError(
            f"percentiles must be ({len(table)}, {len(SCORED_METRICS)}), got {percentiles.shape}"
        )
    null_reasons, flags = table.null_reasons(), table.flag_names()
    quality_names = tuple(DataQuality.model_fields)
    inputs = []
    for row in range(len(table)) if rows is None else rows:
        reasons = null_reasons[row]
        inputs.append(
            GradeInput(
                row_id=f"row-{row}",
                period=period,
                metrics=ScoredMetrics(**{name: _number(table.values[name][row]) for name in SCORED_METRICS}),
                percentiles=MetricPercentiles(
                    **{name: _number(percentiles[row, k]) for k, name in enumerate(SCORED_METRICS)}
                ),
                null_reasons={name: reasons[name] for name in SCORED_METRICS if name in reasons},
                data_quality=DataQuality.model_validate(
                    {name: _quality(name, table.values[name][row]) for name in quality_names}
                ),
                flags=flags[row],
            )
        )
    return inputs


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _quality(name: str, value: float) -> float | int | bool | None:
    if name in _COUNTS:
        return int(value)
    if name == "is_uniform":
        return None if math.isnan(value) else bool(value)
    return _number(value)
