"""Graders that are wrong in one known way each, made from the rule grader."""

import random
from collections.abc import Callable, Sequence

from hl_assets.grading.edge_rules import enforce_edge_rules, scores_of
from hl_assets.grading.interface import TRADING_STYLES, DiscreteScores, Grade, GradeInput, MetricPercentiles
from hl_assets.grading.rules import grade_by_rules
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import DISCRETE_SCORES

CALL = "0" * 32


class Altered:
    """Answers with the rules' grade, changed as told; it counts how many inputs it was asked."""

    version = "altered-1"

    def __init__(self, change: Callable[[Grade, GradeInput], dict[str, object]]) -> None:
        self.change = change
        self.asked = 0

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        self.asked += len(inputs)
        return [self._one(item) for item in inputs]

    def _one(self, item: GradeInput) -> Grade:
        grade = grade_by_rules(item).model_copy(
            update={"grade_source": "llm", "call_id": CALL, "edge_rules": ()}
        )
        return grade.model_copy(update=self.change(grade, item))


def rescored(grade: Grade, **scores: int | None) -> dict[str, object]:
    return {"scores": grade.scores.model_copy(update=scores)}


def present(item: GradeInput, score: int) -> dict[str, int | None]:
    return {name: None if name in item.null_reasons else score for name in SCORED_METRICS}


def always(score: int) -> Altered:
    return Altered(lambda grade, item: {"scores": DiscreteScores(**present(item, score))})


def inverting() -> Altered:
    """Takes the worst for the best."""

    def turn(grade: Grade, item: GradeInput) -> dict[str, object]:
        turned = {name: None if p is None else 1 - p for name, p in item.percentiles.model_dump().items()}
        upside_down = item.model_copy(update={"percentiles": MetricPercentiles(**turned)})
        return {"scores": grade_by_rules(upside_down).scores}

    return Altered(turn)


def moody(seed: int = 1) -> Altered:
    """Another answer at every call."""
    mood = random.Random(seed)

    def roll(grade: Grade, item: GradeInput) -> dict[str, object]:
        scores = [
            float("nan") if name in item.null_reasons else mood.choice(DISCRETE_SCORES)
            for name in SCORED_METRICS
        ]
        levels = {name: mood.choice(["High", "Medium", "Low"]) for name in ("sustainability", "confidence")}
        return {"scores": scores_of(scores), "trading_style": mood.choice(TRADING_STYLES), **levels}

    return Altered(roll)


def uncapped(*, enforces_itself: bool = False) -> Altered:
    """Knows no caps and is always sure: 80 below the top, else 100; may run the edge rules itself before it answers."""

    def soar(grade: Grade, item: GradeInput) -> dict[str, object]:
        given = grade.model_copy(
            update={
                "scores": DiscreteScores(
                    **{
                        name: None if p is None else (100 if p >= 0.85 else getattr(grade.scores, name))
                        for name, p in item.percentiles.model_dump().items()
                    }
                ),
                "confidence": "High" if (item.data_quality.data_span_days or 0) < 30 else grade.confidence,
            }
        )
        held = enforce_edge_rules(given, item) if enforces_itself else given
        return {"scores": held.scores, "confidence": held.confidence, "edge_rules": held.edge_rules}

    return Altered(soar)
