"""The golden set: frozen inputs and what any competent grader must say about them.

Belongs here: the form of a case, reading a set, and holding a grade against a case. The cases are data (`golden/v1.jsonl`,
one JSON object per line) and are never edited: other inputs or other expectations are a new version.

Expectations are bounds, not answers: graders may differ inside them. A score may lie one step from the quintile of its
percentile, except at the ends and under a cap; words are limited where the figures leave no choice.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hl_assets.grading.evaluation.concepts import RISK_STEMS, RiskConcept, mentions
from hl_assets.grading.interface import Grade, GradeInput, Level, Score, TradingStyle
from hl_assets.grading.interpretation import METRIC_LABELS
from hl_assets.metrics.catalog import SCORED_METRICS

GOLDEN_VERSION = "v1"


class GoldenFileError(ValueError):
    """A set of cases that cannot be used; the message names the line and what to change."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expectations(_Frozen):
    """What any competent grader must answer.

    Attributes:
        status: `graded`, or `insufficient_data` where the readiness gate must answer; then nothing else is expected.
        scores: lowest and highest acceptable score of each metric; None: no score.
        styles: acceptable styles.
        sustainability: acceptable levels.
        confidence: acceptable levels.
        risks: what `hidden_risks` must speak of.
    """

    status: Literal["graded", "insufficient_data"]
    scores: Mapping[str, tuple[Score, Score] | None] = Field(default_factory=dict)
    styles: frozenset[TradingStyle] = frozenset()
    sustainability: frozenset[Level] = frozenset()
    confidence: frozenset[Level] = frozenset()
    risks: frozenset[RiskConcept] = frozenset()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        words = (self.styles, self.sustainability, self.confidence)
        if self.status == "graded":
            if set(self.scores) != set(SCORED_METRICS) or not all(words):
                raise ValueError("a graded case expects six scores, styles, sustainability and confidence")
        elif self.scores or self.risks or any(words):
            raise ValueError("a case that is not graded expects nothing but its status")
        for name, bounds in self.scores.items():
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name}: the lowest score {bounds[0]} is above the highest {bounds[1]}")
        return self


class GoldenCase(_Frozen):
    """One frozen input.

    Attributes:
        id: names the case in reports; the grader never sees it.
        note: what it is, in words.
        input: what the grader is given.
        expect: what it must answer.
    """

    id: str = Field(min_length=1)
    note: str = Field(min_length=1)
    input: GradeInput
    expect: Expectations

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name, bounds in self.expect.scores.items():
            if (bounds is None) != (getattr(self.input.metrics, name) is None):
                raise ValueError(f"{name}: a score is expected exactly where the metric is not null")
        return self


def golden_cases() -> tuple[GoldenCase, ...]:
    """The golden set of this version."""
    name = f"golden/{GOLDEN_VERSION}.jsonl"
    return parse_cases((files(__package__) / name).read_text(encoding="utf-8"), name)


def parse_cases(text: str, origin: str) -> tuple[GoldenCase, ...]:
    """Cases from JSON lines; empty lines are skipped.

    Args:
        text: one case per line.
        origin: name of the file, for messages.

    Raises:
        GoldenFileError: a line is no case, an id or row id occurs twice, or there is no case at all.
    """
    cases = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            cases.append(GoldenCase.model_validate_json(line))
        except ValidationError as error:
            raise GoldenFileError(f"{origin} line {number} is not a case: {_first_problem(error)}") from error
    if not cases:
        raise GoldenFileError(f"{origin} holds no cases: write one JSON object per line")
    for what, names in (
        ("id", [case.id for case in cases]),
        ("row id", [case.input.row_id for case in cases]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise GoldenFileError(f"{origin}: {what} {twice[0]!r} occurs twice; every case needs its own")
    return tuple(cases)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'object'}: {first['msg']}"


def check_grade(case: GoldenCase, grade: Grade) -> tuple[str, ...]:
    """Everything that is wrong with a grade of the case, in words; empty when it passes."""
    if grade.status != case.expect.status:
        why = f" ({'; '.join(grade.status_reasons)})" if grade.status_reasons else ""
        return (f"{grade.status}{why}, expected {case.expect.status}",)
    if grade.status != "graded":
        return ()
    if grade.fallback is not None:
        return (f"graded by the rules in the grader's place: {grade.fallback}",)
    return (*_score_failures(case.expect, grade), *_word_failures(case.expect, grade))


def _score_failures(expect: Expectations, grade: Grade) -> Iterator[str]:
    for name in SCORED_METRICS:
        score, bounds = getattr(grade.scores, name), expect.scores[name]
        if bounds is None:
            if score is not None:
                yield f"{METRIC_LABELS[name]} is null and scored {score}"
        elif score is None:
            yield f"{METRIC_LABELS[name]} has no score, expected {bounds[0]} to {bounds[1]}"
        elif not bounds[0] <= score <= bounds[1]:
            yield f"{METRIC_LABELS[name]} scored {score}, expected {bounds[0]} to {bounds[1]}"


def _word_failures(expect: Expectations, grade: Grade) -> Iterator[str]:
    for what, given, allowed in (
        ("style", grade.trading_style, expect.styles),
        ("sustainability", grade.sustainability, expect.sustainability),
        ("confidence", grade.confidence, expect.confidence),
    ):
        if given not in allowed:
            yield f"{what} {given}, expected {' or '.join(sorted(allowed))}"
    for concept in RISK_STEMS:
        if concept in expect.risks and not mentions(grade.hidden_risks, concept):
            yield f"hidden risks do not mention: {concept.replace('_', ' ')}"
