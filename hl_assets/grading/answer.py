"""A model's answer: its fields, and the step from its text to a grade.

Belongs here: what an answer must look like and reading it. Asking for it belongs in `hl_assets.claude`.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from hl_assets.grading.canonical import canonical_input, input_hash
from hl_assets.grading.edge_rules import enforce_edge_rules
from hl_assets.grading.grounding import ungrounded_numbers
from hl_assets.grading.interface import (
    DiscreteScores,
    Grade,
    GradeInput,
    GradeSource,
    Level,
    Score,
    TradingStyle,
)
from hl_assets.grading.styles import STYLE_EVIDENCE, Evidence, supported_styles
from hl_assets.metrics.catalog import SCORED_METRICS

AVAILABLE_EVIDENCE: frozenset[Evidence] = frozenset({"equity_curve"})
ANSWERABLE_STYLES = supported_styles(AVAILABLE_EVIDENCE)
_MAX_PROBLEMS = 3


class InvalidAnswerError(ValueError):
    """A text that is not a valid answer; the message says what is wrong with it."""


def _supported(style: TradingStyle) -> TradingStyle:
    if style not in ANSWERABLE_STYLES:
        needed = ", ".join(sorted(STYLE_EVIDENCE[style] - AVAILABLE_EVIDENCE))
        raise ValueError(f"style {style!r} needs evidence that the input has not: {needed}")
    return style


def _prose(text: str) -> str:
    """One line of printable text: control characters of a model must not reach a terminal."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if not line:
        raise ValueError("text is blank")
    return line


Prose = Annotated[str, AfterValidator(_prose)]
AnswerableStyle = Annotated[
    TradingStyle,
    AfterValidator(_supported),
    WithJsonSchema({"type": "string", "enum": list(ANSWERABLE_STYLES)}),
]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AnswerReasoning(_Answer):
    """Why each metric is scored so."""

    max_drawdown: Prose
    roi: Prose
    cagr: Prose
    calmar_ratio: Prose
    avg_drawdown: Prose
    recovery_factor: Prose


class AnswerScores(_Answer):
    """The six scores; null where the metric is null."""

    max_drawdown: Score | None
    roi: Score | None
    cagr: Score | None
    calmar_ratio: Score | None
    avg_drawdown: Score | None
    recovery_factor: Score | None


class GradeAnswer(_Answer):
    """The answer to one input. All fields are required; they stand in the order of thought: reasons before verdicts."""

    reasoning: AnswerReasoning = Field(description="one or two sentences per metric")
    scores: AnswerScores
    hidden_risks: tuple[Prose, ...] = Field(description="most serious first, at most five")
    unique_characteristics: tuple[Prose, ...] = Field(description="at most four")
    trading_style: AnswerableStyle
    sustainability: Level
    confidence: Level
    overall_assessment: Prose = Field(description="two to four sentences about this trader")


def parse_answer(
    text: str,
    item: GradeInput,
    *,
    call_id: str,
    grader_version: str,
    source: GradeSource,
    asked: str | None = None,
) -> Grade:
    """The grade an answer gives, edge rules enforced and its numbers looked up in the input.

    Args:
        text: the answer exactly as it came.
        item: the input to be graded.
        call_id: the call whose answer it is.
        grader_version: of the grader that asked.
        source: `llm`, or `cache` for the stored answer to an input of the same bucket.
        asked: canonical text of the input the model was given, in which its numbers are looked up; default `item`'s.

    Raises:
        InvalidAnswerError: the text is no JSON, breaks the schema, names a style without evidence, has a blank text, or
            leaves a metric that has a percentile without a score.
    """
    answer = _validated(text)
    _complete(answer, item)
    grade = Grade(
        row_id=item.row_id,
        status="graded",
        trading_style=answer.trading_style,
        sustainability=answer.sustainability,
        confidence=answer.confidence,
        hidden_risks=answer.hidden_risks,
        unique_characteristics=answer.unique_characteristics,
        reasoning=answer.reasoning.model_dump(),
        overall_assessment=answer.overall_assessment,
        scores=DiscreteScores(**answer.scores.model_dump()),
        grade_source=source,
        grader_version=grader_version,
        call_id=call_id,
        input_hash=input_hash(item),
        ungrounded=ungrounded_numbers(_texts(answer), canonical_input(item) if asked is None else asked),
    )
    return enforce_edge_rules(grade, item)


def _validated(text: str) -> GradeAnswer:
    if not text.strip():
        raise InvalidAnswerError("the answer is empty")
    try:
        return GradeAnswer.model_validate_json(text)
    except ValidationError as error:
        raise InvalidAnswerError(_problems(error)) from error


def _complete(answer: GradeAnswer, item: GradeInput) -> None:
    missing = [
        name
        for name in SCORED_METRICS
        if getattr(answer.scores, name) is None and getattr(item.percentiles, name) is not None
    ]
    if missing:
        raise InvalidAnswerError(f"no score for {', '.join(missing)}, which the input has a percentile of")


def _texts(answer: GradeAnswer) -> tuple[str, ...]:
    return (
        answer.overall_assessment,
        *answer.reasoning.model_dump().values(),
        *answer.hidden_risks,
        *answer.unique_characteristics,
    )


def _problems(error: ValidationError) -> str:
    """What is wrong, field by field, without the answer's text."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    named = [_problem(detail) for detail in found[:_MAX_PROBLEMS]]
    more = [f"and {len(found) - _MAX_PROBLEMS} more"] if len(found) > _MAX_PROBLEMS else []
    return "; ".join([*named, *more])


def _problem(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])
