"""Grading a batch: readiness gate, grader, edge rules, in that order, whichever grader it is.

Belongs here: what stands around a grader. Judgements belong in the grader.
"""

from collections.abc import Sequence

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.grading.edge_rules import enforce_edge_rules
from hl_assets.grading.interface import Grade, GradeInput, Grader
from hl_assets.grading.readiness import ReadinessRules, insufficient_grade, unready_reasons
from hl_assets.metrics.catalog import SCORED_METRICS


class GraderAnswerError(RuntimeError):
    """A grader did not answer the inputs it was given; the message says which."""


async def grade_batch(
    grader: Grader, inputs: Sequence[GradeInput], readiness: ReadinessRules | None = None
) -> list[Grade]:
    """Grade every input that is ready, and say of the others why they are not.

    Args:
        grader: asked once, for the ready inputs only, and not at all if there is none.
        inputs: with distinct row ids.
        readiness: the gate; default `ReadinessRules()`.

    Returns:
        One grade per input, in the order given, edge rules enforced.

    Raises:
        GraderAnswerError: the grader answered more, fewer or other rows than it was asked, or in another order.
    """
    rules = readiness or ReadinessRules()
    reasons = [unready_reasons(item, rules) for item in inputs]
    ready = [item for item, why in zip(inputs, reasons, strict=True) if not why]
    answers = await grader.grade(ready) if ready else []
    if [answer.row_id for answer in answers] != [item.row_id for item in ready]:
        raise GraderAnswerError(
            f"grader {grader.version} was asked {len(ready)} rows and answered {len(answers)}, or in another order: "
            "a grader returns one grade per input, in the order given"
        )
    answered = iter(zip(answers, ready, strict=True))
    return [
        insufficient_grade(item, why) if why else enforce_edge_rules(*next(answered))
        for item, why in zip(inputs, reasons, strict=True)
    ]


def score_matrix(grades: Sequence[Grade]) -> FloatArray:
    """float64[n, 6] discrete scores in the order of `SCORED_METRICS`; NaN where a grade has none."""
    matrix = np.full((len(grades), len(SCORED_METRICS)), np.nan)
    for row, grade in enumerate(grades):
        if grade.scores is not None:
            scores = [getattr(grade.scores, name) for name in SCORED_METRICS]
            matrix[row] = [np.nan if score is None else float(score) for score in scores]
    return matrix


def graded_by_model(grades: Sequence[Grade]) -> BoolArray:
    """bool[n], which grades are a model's (fresh or cached) and not the rules' or absent."""
    return np.array(
        [grade.status == "graded" and grade.grade_source in ("llm", "cache") for grade in grades],
        dtype=np.bool_,
    )
