"""The report on a grader: golden cases, metamorphic relations, agreement, distance from the rules.

Belongs here: running the evaluation and its result as data. Does not belong here: printing it, opening graders, prices.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, computed_field

from hl_assets.grading.evaluation.agreement import FieldAgreement, repeat_agreement
from hl_assets.grading.evaluation.asking import Answer, Judgement, ask
from hl_assets.grading.evaluation.golden import GoldenCase, check_grade
from hl_assets.grading.evaluation.metamorphic import Comparison, Violation, compare_relations
from hl_assets.grading.interface import Grader
from hl_assets.grading.rules import RULES_VERSION, grade_by_rules
from hl_assets.metrics.catalog import SCORED_METRICS


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseResult(_Frozen):
    """How one golden case went.

    Attributes:
        case_id: of the case.
        note: what the case is.
        reasons: what was wrong, over all repeats; empty when it passed every time.
    """

    case_id: str
    note: str
    reasons: tuple[str, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether every answer met every expectation."""
        return not self.reasons


class RuleDistance(_Frozen):
    """How far the grader's scores of one metric lie from the rules'.

    Attributes:
        metric: the metric.
        n: answers in which both have a score.
        share_different: share of them that differ; None without any.
        mean_absolute: mean absolute difference in points of the 20 to 100 scale; None without any.
    """

    metric: str
    n: int
    share_different: float | None
    mean_absolute: float | None


class EvaluationReport(_Frozen):
    """What an evaluation found.

    Attributes:
        grader_version: of the grader evaluated.
        rules_version: of the rules it is compared with.
        repeat: how often every case was asked.
        golden: one result per case.
        comparisons: one per relation; empty when they were not run. Row ids in them are case ids.
        agreement: one per judged field.
        rule_distance: one per metric.
        ungrounded_share: share of the grader's own answers that quote a number that is not in the input; None without any.
        ungrounded: case id -> such numbers.
        sources: grade source of the answers to the golden cases that the grader was asked -> how many.
        not_graded: why an answer is no judgement of the grader's own -> how many.
        corrections: edge rule -> how many answers to golden cases it had to change.
        estimated_usd: what it cost, where the caller knows.
        calls: calls to a model, where the caller knows.
    """

    grader_version: str
    rules_version: str
    repeat: int
    golden: tuple[CaseResult, ...]
    comparisons: tuple[Comparison, ...]
    agreement: tuple[FieldAgreement, ...]
    rule_distance: tuple[RuleDistance, ...]
    ungrounded_share: float | None
    ungrounded: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, int]
    not_graded: Mapping[str, int]
    corrections: Mapping[str, int]
    estimated_usd: float | None = None
    calls: int | None = None

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """Golden cases that did not pass."""
        return tuple(result for result in self.golden if not result.passed)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every violation of every relation."""
        return tuple(violation for comparison in self.comparisons for violation in comparison.violations)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether every golden case passed and every relation held."""
        return not self.failures and not self.violations

    def with_cost(self, *, estimated_usd: float, calls: int) -> Self:
        """The report with what the evaluation cost."""
        return self.model_copy(update={"estimated_usd": estimated_usd, "calls": calls})


async def evaluate(
    grader: Grader, cases: Sequence[GoldenCase], repeat: int = 1, *, with_metamorphic: bool = True
) -> EvaluationReport:
    """Ask a grader for every case and judge the answers.

    Args:
        grader: asked in batches; one that keeps answers in a cache only repeats itself. Its cached answers do not count in
            the agreement.
        cases: with distinct ids and row ids.
        repeat: how often every case is asked; agreement needs at least 2.
        with_metamorphic: also ask for the changed inputs of every relation, about 14 per case.

    Raises:
        ValueError: no cases, or `repeat` below 1.
        GraderAnswerError: the grader answered other rows than it was asked.
    """
    if not cases or repeat < 1:
        raise ValueError(f"an evaluation needs cases and repeat >= 1, got {len(cases)} cases and {repeat}")
    inputs = [case.input for case in cases]
    repeats = [await ask(grader, inputs) for _ in range(repeat)]
    comparisons = await compare_relations(grader, repeats[0]) if with_metamorphic else []
    answers = [answer for answered in repeats for answer in answered]
    own = [answer for answer in answers if answer.absence is None]
    names = {case.input.row_id: case.id for case in cases}
    ungrounded = _ungrounded(own, names)
    return EvaluationReport(
        grader_version=grader.version,
        rules_version=RULES_VERSION,
        repeat=repeat,
        golden=tuple(_case_result(case, of_case) for case, *of_case in zip(cases, *repeats, strict=True)),
        comparisons=tuple(_named(comparison, names) for comparison in comparisons),
        agreement=repeat_agreement([[_fresh(answer) for answer in answered] for answered in repeats]),
        rule_distance=tuple(_rule_distance(name, own) for name in SCORED_METRICS),
        ungrounded_share=sum(bool(answer.grade.ungrounded) for answer in own) / len(own) if own else None,
        ungrounded=ungrounded,
        sources=_counted(answer.grade.grade_source for answer in answers if answer.given is not None),
        not_graded=_counted(answer.absence for answer in answers if answer.absence is not None),
        corrections=_counted(rule for answer in answers for rule in answer.corrections),
    )


def _case_result(case: GoldenCase, answers: Sequence[Answer]) -> CaseResult:
    """What was wrong, each reason once; with the number of answers it holds for where it does not hold for all."""
    found = Counter(reason for answer in answers for reason in check_grade(case, answer.grade))
    reasons = tuple(
        reason if times == len(answers) else f"{reason} ({times} of {len(answers)} times)"
        for reason, times in found.items()
    )
    return CaseResult(case_id=case.id, note=case.note, reasons=reasons)


def _named(comparison: Comparison, names: Mapping[str, str]) -> Comparison:
    """The comparison with case ids in place of row ids."""
    violations = tuple(
        violation.model_copy(update={"row_id": names[violation.row_id]})
        for violation in comparison.violations
    )
    return comparison.model_copy(update={"violations": violations})


def _fresh(answer: Answer) -> Judgement | None:
    """A judgement made now: a cached one repeats an earlier one and says nothing about repeatability."""
    return None if answer.grade.grade_source == "cache" else answer.judgement


def _rule_distance(name: str, answers: Sequence[Answer]) -> RuleDistance:
    differences = []
    for answer in answers:
        score = getattr(answer.grade.scores, name)
        rule_score = getattr(grade_by_rules(answer.item).scores, name)
        if score is not None and rule_score is not None:
            differences.append(abs(score - rule_score))
    n = len(differences)
    return RuleDistance(
        metric=name,
        n=n,
        share_different=sum(difference > 0 for difference in differences) / n if n else None,
        mean_absolute=sum(differences) / n if n else None,
    )


def _ungrounded(answers: Sequence[Answer], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for answer in answers:
        if answer.grade.ungrounded:
            case_id = names[answer.item.row_id]
            found[case_id] = tuple(dict.fromkeys((*found.get(case_id, ()), *answer.grade.ungrounded)))
    return found


def _counted(items: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(items).items()))
