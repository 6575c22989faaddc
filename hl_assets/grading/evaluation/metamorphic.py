"""Metamorphic relations: what must hold between the grades of an input and of a changed one, whatever the grades are.

Belongs here: the relations, each with its name and sentence, and holding a grader to them. How inputs are changed belongs in
`transformations`.

A relation is compared only where the grader judged both inputs itself. Every relation asks the changed inputs as one batch
under the row ids of the originals, so nothing but the named change differs. A grader that is not repeatable breaks the
relations in which nothing may change: read them beside its agreement.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict

from hl_assets.grading.evaluation.asking import JUDGED_FIELDS, Answer, ask
from hl_assets.grading.evaluation.transformations import (
    extreme_growth,
    higher_percentile,
    more_flows,
    other_order,
    other_row_id,
    same_bucket,
    short_history,
    two_months,
    untested,
)
from hl_assets.grading.interface import GradeInput, Grader
from hl_assets.grading.interpretation import METRIC_LABELS
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import CAP, DRAWDOWN_SCORES

_RANK = {"Low": 0, "Medium": 1, "High": 2}


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation between the grades of an input and of a changed one.

    Attributes:
        name: stable name.
        sentence: what must hold.
        change: makes the changed input; None where the change does not apply.
        broken: what breaks the relation, in words, given the answers before and after; empty when it holds.
    """

    name: str
    sentence: str
    change: Callable[[GradeInput], GradeInput | None]
    broken: Callable[[Answer, Answer], tuple[str, ...]]


class Violation(BaseModel):
    """One relation broken at one input.

    Attributes:
        relation: its name.
        sentence: what should have held.
        row_id: of the original input.
        what: how it was broken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relation: str
    sentence: str
    row_id: str
    what: str


class Comparison(BaseModel):
    """What became of one relation over all inputs.

    Attributes:
        relation: its name.
        sentence: what must hold.
        compared: inputs to which the change applied and that were judged before and after.
        violations: where it did not hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relation: str
    sentence: str
    compared: int
    violations: tuple[Violation, ...]


async def run_metamorphic(grader: Grader, inputs: Sequence[GradeInput]) -> list[Violation]:
    """Every violation of every relation.

    Args:
        grader: asked for the inputs once, and once more per relation that applies (14 of them).
        inputs: with distinct row ids.
    """
    comparisons = await compare_relations(grader, await ask(grader, inputs))
    return [violation for comparison in comparisons for violation in comparison.violations]


async def compare_relations(grader: Grader, before: Sequence[Answer]) -> list[Comparison]:
    """Hold a grader to every relation, given its answers to the unchanged inputs.

    Inputs that the grader did not judge are not asked again.

    Returns:
        One comparison per relation, in the order of `RELATIONS`.
    """
    judged = [answer for answer in before if answer.absence is None]
    return [await _compare(grader, judged, relation) for relation in RELATIONS]


async def _compare(grader: Grader, before: Sequence[Answer], relation: Relation) -> Comparison:
    changed = [(answer, relation.change(answer.item)) for answer in before]
    asked = [(answer, item) for answer, item in changed if item is not None]
    after = await ask(grader, [item for _, item in asked])
    pairs = [
        (first, second) for (first, _), second in zip(asked, after, strict=True) if second.absence is None
    ]
    return Comparison(
        relation=relation.name,
        sentence=relation.sentence,
        compared=len(pairs),
        violations=tuple(
            Violation(
                relation=relation.name,
                sentence=relation.sentence,
                row_id=first.item.row_id,
                what="; ".join(problems),
            )
            for first, second in pairs
            if (problems := relation.broken(first, second))
        ),
    )


def _score(answer: Answer, name: str) -> int | None:
    score: int | None = getattr(answer.grade.scores, name)
    return score


def _lowered(before: Answer, after: Answer, name: str) -> tuple[str, ...]:
    first, second = _score(before, name), _score(after, name)
    worse = first is not None and (second is None or second < first)
    return (f"{METRIC_LABELS[name]} scored {first}, then {second}",) if worse else ()


def _differs(before: Answer, after: Answer, fields: Iterable[str]) -> tuple[str, ...]:
    first, second = before.judgement or {}, after.judgement or {}
    return tuple(
        f"{field}: {first[field]}, then {second[field]}" for field in fields if first[field] != second[field]
    )


def _above_cap(_before: Answer, after: Answer, names: Sequence[str]) -> tuple[str, ...]:
    """Caps are the grader's to keep: a score that the edge rules had to cut is one above the cap."""
    scores = {name: _score(after, name) for name in names}
    return tuple(
        f"{METRIC_LABELS[name]} was scored above {CAP:.0f}"
        for name, score in scores.items()
        if (score is not None and score > CAP) or f"score_capped:{name}" in after.corrections
    )


def _confident(_before: Answer, after: Answer) -> tuple[str, ...]:
    sure = after.grade.confidence != "Low" or "confidence_short_history" in after.corrections
    return ("confidence was above Low",) if sure else ()


def _scored_nulls(_before: Answer, after: Answer) -> tuple[str, ...]:
    return tuple(
        f"{METRIC_LABELS[name]} is null and was scored"
        for name in after.item.null_reasons
        if _score(after, name) is not None or f"score_removed:{name}" in after.corrections
    )


def _more_confident(before: Answer, after: Answer) -> tuple[str, ...]:
    first, second = before.grade.confidence, after.grade.confidence
    higher = first is not None and second is not None and _RANK[second] > _RANK[first]
    return (f"confidence {first}, then {second}",) if higher else ()


RELATIONS: tuple[Relation, ...] = (
    *(
        Relation(
            name=f"higher_percentile:{name}",
            sentence=f"Raising only the percentile of {METRIC_LABELS[name]} never lowers its score.",
            change=partial(higher_percentile, name=name),
            broken=partial(_lowered, name=name),
        )
        for name in SCORED_METRICS
    ),
    Relation(
        name="row_id",
        sentence="Another row id changes no score, style or level.",
        change=other_row_id,
        broken=partial(_differs, fields=JUDGED_FIELDS),
    ),
    Relation(
        name="field_order",
        sentence="Another order of fields, null reasons and flags changes no score, style or level.",
        change=other_order,
        broken=partial(_differs, fields=JUDGED_FIELDS),
    ),
    Relation(
        name="same_bucket",
        sentence="Figures that move inside their bucket change no score.",
        change=same_bucket,
        broken=partial(_differs, fields=SCORED_METRICS),
    ),
    Relation(
        name="untested_drawdown_capped",
        sentence="A max drawdown shallower than 5 % is untested: no drawdown score is given above 60.",
        change=untested,
        broken=partial(_above_cap, names=DRAWDOWN_SCORES),
    ),
    Relation(
        name="extreme_growth_capped",
        sentence="Growth above 500 % a year is not sustainable: its score is not given above 60.",
        change=extreme_growth,
        broken=partial(_above_cap, names=("cagr",)),
    ),
    Relation(
        name="short_history_unsure",
        sentence="Less than 30 days of data: confidence is Low.",
        change=short_history,
        broken=_confident,
    ),
    Relation(
        name="null_without_score",
        sentence="A null metric is given no score.",
        change=two_months,
        broken=_scored_nulls,
    ),
    Relation(
        name="more_flows_no_surer",
        sentence="More steps dominated by deposits or withdrawals never raise confidence.",
        change=more_flows,
        broken=_more_confident,
    ),
)
"""Every relation, in reporting order."""
