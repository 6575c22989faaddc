"""How far repeated grades of the same inputs agree: exact agreement and Cohen's kappa, per judged field.

Belongs here: the coefficients and their application to repeats. Whether an agreement suffices is decided by who reads it.

Kappa corrects agreement for chance: 1 is perfect, 0 what two graders with these habits would reach by chance. Levels and
scores are ordinal: a disagreement weighs the square of its distance in steps. Styles have no order: every disagreement
weighs the same.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from hl_assets.grading.evaluation.asking import JUDGED_FIELDS, Judgement
from hl_assets.grading.interface import TRADING_STYLES, Score

Weights = Literal["quadratic", "unweighted"]

_LEVELS = ("Low", "Medium", "High")
_SCORES: tuple[int, ...] = get_args(Score)


class FieldAgreement(BaseModel):
    """Agreement of one field over all pairs of repeats.

    Attributes:
        field: the judged field; a metric's name stands for its score.
        weights: of the kappa.
        n_pairs: pairs of answers to the same input that both have the field.
        exact: share of these pairs that are equal; None without a pair.
        kappa: mean over the pairs of repeats of Cohen's kappa; None where one is undefined.
        reason: why `exact` or `kappa` is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    weights: Weights
    n_pairs: int
    exact: float | None
    kappa: float | None
    reason: str | None


def cohen_kappa(
    first: Sequence[int], second: Sequence[int], n_categories: int, weights: Weights
) -> float | None:
    """Cohen's kappa of two ratings of the same things.

        kappa = 1 - sum_ij w_ij O_ij / sum_ij w_ij E_ij

    with O_ij the number of things rated i and then j, E_ij = (sum_j O_ij)(sum_i O_ij) / n what chance would give, and
    w_ij = (i - j)^2, or 1 for i != j when unweighted. Any scale of w cancels out.

    Source: J. Cohen, Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit,
    Psychological Bulletin 70(4), 213-220, 1968; unweighted: Educational and Psychological Measurement 20(1), 37-46, 1960.

    Args:
        first: category numbers, 0 to n_categories - 1; for `quadratic`, in the order of the categories.
        second: of the same things, in the same order.
        n_categories: how many categories there are.
        weights: of disagreements.

    Returns:
        At most 1; None where it is undefined: no ratings, or all of both are one and the same category.

    Raises:
        ValueError: the lengths differ or a category number is out of range.
    """
    if len(first) != len(second):
        raise ValueError(f"ratings must be of the same things, got {len(first)} and {len(second)}")
    if any(not 0 <= category < n_categories for category in (*first, *second)):
        raise ValueError(f"categories must be numbers from 0 to {n_categories - 1}")
    observed = np.zeros((n_categories, n_categories), dtype=np.int64)
    np.add.at(observed, (np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)), 1)
    steps = np.subtract.outer(np.arange(n_categories), np.arange(n_categories))
    weight = steps**2 if weights == "quadratic" else (steps != 0).astype(np.int64)
    by_chance = int((weight * np.outer(observed.sum(axis=1), observed.sum(axis=0))).sum())
    return None if by_chance == 0 else 1.0 - int((weight * observed).sum()) * len(first) / by_chance


def repeat_agreement(repeats: Sequence[Sequence[Judgement | None]]) -> tuple[FieldAgreement, ...]:
    """Agreement of every judged field between repeats.

    With more than two repeats, kappa is the mean over all pairs of repeats (R. J. Light, Measures of response agreement
    for qualitative data, Psychological Bulletin 76(5), 365-377, 1971).

    Args:
        repeats: per repeat, one judgement per input, in the same order; None where the grader did not judge.

    Raises:
        ValueError: the repeats are of different lengths.
    """
    if any(len(left) != len(right) for left, right in pairwise(repeats)):
        raise ValueError("every repeat must have one judgement, or None, per input")
    return tuple(_field_agreement(field, repeats) for field in JUDGED_FIELDS)


def _field_agreement(field: str, repeats: Sequence[Sequence[Judgement | None]]) -> FieldAgreement:
    categories, weights = _scale(field)
    tables = [_both(field, left, right, categories) for left, right in combinations(repeats, 2)]
    n_pairs = sum(len(table) for table in tables)
    if not n_pairs:
        reason = (
            "asked only once" if len(repeats) < 2 else "no input was judged twice by the grader in this field"
        )
        return FieldAgreement(field=field, weights=weights, n_pairs=0, exact=None, kappa=None, reason=reason)
    equal = sum(left == right for table in tables for left, right in table)
    kappas = [
        cohen_kappa([left for left, _ in table], [right for _, right in table], len(categories), weights)
        for table in tables
    ]
    defined = [kappa for kappa in kappas if kappa is not None]
    complete = len(defined) == len(kappas)
    return FieldAgreement(
        field=field,
        weights=weights,
        n_pairs=n_pairs,
        exact=equal / n_pairs,
        kappa=sum(defined) / len(defined) if complete else None,
        reason=None if complete else "two repeats gave one and the same answer to every input, or none",
    )


def _both(
    field: str,
    left: Sequence[Judgement | None],
    right: Sequence[Judgement | None],
    categories: Sequence[str | int],
) -> list[tuple[int, int]]:
    """Category numbers of the inputs that both repeats judged in this field."""
    pairs = [
        (one[field], other[field])
        for one, other in zip(left, right, strict=True)
        if one is not None and other is not None
    ]
    return [
        (categories.index(one), categories.index(other))
        for one, other in pairs
        if one is not None and other is not None
    ]


def _scale(field: str) -> tuple[Sequence[str | int], Weights]:
    """The categories of a field, and how disagreements between them weigh."""
    if field == "trading_style":
        return TRADING_STYLES, "unweighted"
    return (_LEVELS if field in {"sustainability", "confidence"} else _SCORES), "quadratic"
