"""Edge rules: what no grade may break, enforced in code after any grader's answer.

Belongs here: the enforced rules. Applying them twice changes nothing.

- A score of a null metric is removed.
- `max_drawdown` shallower than 5 % is untested in volatility: both drawdown scores are at most 60.
- `cagr` above 500 % a year is not sustainable: its score is at most 60.
- Less than 30 days of data: confidence is Low. Thirty points prove nothing.
"""

from typing import get_args

import numpy as np

from hl_assets.grading.interface import DiscreteScores, Grade, GradeInput, Level, Score
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import capped_scores

SHORT_HISTORY_DAYS = 30.0
_SCORES: dict[int, Score] = {score: score for score in get_args(Score)}


def enforce_edge_rules(grade: Grade, item: GradeInput) -> Grade:
    """The grade with every edge rule applied; `edge_rules` names those that changed something.

    Args:
        grade: any grader's answer. One that is not graded is returned as it is.
        item: the input it answers.

    Raises:
        ValueError: the grade answers another input.
    """
    if grade.row_id != item.row_id:
        raise ValueError(f"grade of {grade.row_id!r} cannot be held against input {item.row_id!r}")
    if grade.scores is None:
        return grade
    scores = cap(grade.scores, item)
    confidence = limit_confidence(grade.confidence, item)
    changed = [name for name in SCORED_METRICS if getattr(scores, name) != getattr(grade.scores, name)]
    applied = [
        *grade.edge_rules,
        *(f"score_{'removed' if getattr(scores, name) is None else 'capped'}:{name}" for name in changed),
    ]
    if confidence != grade.confidence:
        applied.append("confidence_short_history")
    return grade.model_copy(
        update={"scores": scores, "confidence": confidence, "edge_rules": tuple(dict.fromkeys(applied))}
    )


def cap(scores: DiscreteScores, item: GradeInput) -> DiscreteScores:
    """The scores with caps applied and none left where the metric is null."""
    given = np.array([[_float(getattr(scores, name)) for name in SCORED_METRICS]])
    metrics = np.array([[_float(getattr(item.metrics, name)) for name in SCORED_METRICS]])
    return scores_of(capped_scores(given, metrics)[0].tolist())


def scores_of(values: list[float]) -> DiscreteScores:
    """Discrete scores from six floats in the order of `SCORED_METRICS`; NaN is None.

    Raises:
        KeyError: a value is none of 20, 40, 60, 80, 100.
    """
    return DiscreteScores(
        **{
            name: None if np.isnan(value) else _SCORES[int(value)]
            for name, value in zip(SCORED_METRICS, values, strict=True)
        }
    )


def limit_confidence(confidence: Level | None, item: GradeInput) -> Level | None:
    """The confidence, lowered to Low with less than 30 days of data."""
    days = item.data_quality.data_span_days
    short = days is None or days < SHORT_HISTORY_DAYS
    return "Low" if short and confidence is not None else confidence


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)
