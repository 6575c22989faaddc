"""Asking a grader as the platform asks it, and keeping what it said before the edge rules were enforced.

Belongs here: one question, one answer, and which fields of it are judged. Does not belong here: judging.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hl_assets.grading.edge_rules import enforce_edge_rules
from hl_assets.grading.interface import Grade, GradeInput, Grader
from hl_assets.grading.service import grade_batch
from hl_assets.metrics.catalog import SCORED_METRICS

JUDGED_FIELDS = ("trading_style", "sustainability", "confidence", *SCORED_METRICS)
"""What two grades are compared by: closed vocabularies and scores, never prose."""

Judgement = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one input.

    Attributes:
        item: the input.
        grade: as the platform publishes it, edge rules enforced.
        given: as the grader returned it; None where the readiness gate kept the input from it.
    """

    item: GradeInput
    grade: Grade
    given: Grade | None

    @property
    def absence(self) -> str | None:
        """Why this is no judgement of the grader's own: the status, or the reason of the rules' fallback; None if it is."""
        if self.grade.status != "graded":
            return self.grade.status
        return None if self.grade.fallback is None else f"rules in its place: {self.grade.fallback}"

    @property
    def judgement(self) -> Judgement | None:
        """The judged fields, where the grader judged at all."""
        return None if self.absence else judgement_of(self.grade)

    @property
    def corrections(self) -> tuple[str, ...]:
        """Edge rules that had to change the grader's answer, whoever enforced them.

        Enforcing them again on what the grader returned finds those the service enforced. A grader that asks a model may
        have enforced them itself and says so in `edge_rules`; for the rules, the edge rules are part of the answer.
        """
        if self.given is None:
            return ()
        missed = enforce_edge_rules(self.given.model_copy(update={"edge_rules": ()}), self.item).edge_rules
        told = self.given.edge_rules if self.given.grade_source in {"llm", "cache"} else ()
        return tuple(dict.fromkeys((*told, *missed)))


def judgement_of(grade: Grade) -> Judgement:
    """The judged fields of a grade; all None unless it is graded."""
    words: Judgement = {
        "trading_style": grade.trading_style,
        "sustainability": grade.sustainability,
        "confidence": grade.confidence,
    }
    return words | {
        name: None if grade.scores is None else getattr(grade.scores, name) for name in SCORED_METRICS
    }


async def ask(grader: Grader, inputs: Sequence[GradeInput]) -> list[Answer]:
    """One answer per input, in the order given.

    Raises:
        ValueError: two inputs share a row id.
        GraderAnswerError: the grader answered other rows than it was asked.
    """
    if len({item.row_id for item in inputs}) != len(inputs):
        raise ValueError("inputs of one question must have distinct row ids")
    watched = _Watched(grader)
    grades = await grade_batch(watched, inputs)
    return [
        Answer(item=item, grade=grade, given=watched.given.get(item.row_id))
        for item, grade in zip(inputs, grades, strict=True)
    ]


class _Watched:
    """A grader that passes everything on and remembers the answers."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self.given: dict[str, Grade] = {}

    @property
    def version(self) -> str:
        """Version of the grader inside."""
        return self._grader.version

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        """The answers of the grader inside."""
        grades = await self._grader.grade(inputs)
        self.given.update({grade.row_id: grade for grade in grades})
        return grades
