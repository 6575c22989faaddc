"""The readiness gate: which inputs are worth grading at all, and why the others are not.

Belongs here: the gate. It stands before every grader, so that no call is paid for a history that cannot be judged.
"""

from dataclasses import dataclass

from hl_assets.grading.canonical import input_hash
from hl_assets.grading.interface import Grade, GradeInput
from hl_assets.metrics.catalog import SCORED_METRICS

GATE_VERSION = "readiness-1"


@dataclass(frozen=True, slots=True)
class ReadinessRules:
    """What an input needs to be graded.

    Attributes:
        min_points: points of the curve.
        min_span_days: days of data. Below 30 a grade is given with confidence Low.
        min_percentiles: how many of the six metrics must have a percentile (an ineligible wallet has none).
    """

    min_points: int = 20
    min_span_days: float = 14.0
    min_percentiles: int = 4


def unready_reasons(item: GradeInput, rules: ReadinessRules) -> tuple[str, ...]:
    """Every reason why the input cannot be graded; empty when it is ready."""
    quality = item.data_quality
    days = quality.data_span_days or 0.0
    known = sum(getattr(item.percentiles, name) is not None for name in SCORED_METRICS)
    reasons = []
    if quality.data_points < rules.min_points:
        reasons.append(f"{quality.data_points} points, needs {rules.min_points}")
    if days < rules.min_span_days:
        reasons.append(f"{days:.1f} days of data, needs {rules.min_span_days:g}")
    if known < rules.min_percentiles:
        reasons.append(
            f"{known} of {len(SCORED_METRICS)} metrics have a percentile, needs {rules.min_percentiles}"
        )
    return tuple(reasons)


def insufficient_grade(item: GradeInput, reasons: tuple[str, ...]) -> Grade:
    """The published answer for an input that is not ready."""
    return Grade(
        row_id=item.row_id,
        status="insufficient_data",
        status_reasons=reasons,
        grade_source="rules",
        grader_version=GATE_VERSION,
        input_hash=input_hash(item),
    )
