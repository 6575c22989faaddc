"""`hl-assets grade-eval`: how good the configured grader is, for people and as JSON.

Belongs here: choosing the grader, reading a file of cases, rendering the report. Does not belong here: judging
(`hl_assets.grading.evaluation`).
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hl_assets.claude.budget import Budget
from hl_assets.claude.calls import GradeCall
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.grading.evaluation.agreement import FieldAgreement
from hl_assets.grading.evaluation.golden import GoldenCase, GoldenFileError, golden_cases, parse_cases
from hl_assets.grading.evaluation.metamorphic import Comparison
from hl_assets.grading.evaluation.report import CaseResult, EvaluationReport, RuleDistance, evaluate
from hl_assets.grading.rules import RuleGrader
from hl_assets.progress import Progress, announce
from hl_assets.resources.grader import GraderResource
from hl_assets.settings import Settings

_SHOWN = 20
_PATIENCE_SECONDS = 3600.0
"""An evaluation has no slot to be done in."""


def run_grade_eval(
    repeat: int, cases: Path | None, console: Console, *, as_json: bool, with_metamorphic: bool
) -> int:
    """Evaluate the configured grader and print the report.

    Args:
        repeat: How often every case is asked.
        cases: File of cases, instead of the golden set.
        console: Where to print.
        as_json: Print the report as one JSON object on standard output instead.
        with_metamorphic: Also hold the grader to the metamorphic relations.

    Returns:
        The exit status: 1 when a golden case failed or a relation was violated.

    Raises:
        CommandError: The file cannot be read or is no set of cases.
    """
    resource = GraderResource.from_settings(Settings.load())
    if not as_json:
        console.print(resource.why, highlight=False, soft_wrap=True)
    with progress_bar(console):
        report = asyncio.run(_evaluate(resource, _cases(cases), repeat, with_metamorphic=with_metamorphic))
    if as_json:
        sys.stdout.write(report.model_dump_json() + "\n")
    else:
        for part in rendered(report):
            console.print(part, highlight=False, soft_wrap=isinstance(part, Text))
    return 0 if report.passed else 1


class _Tally:
    """Counts the calls of an evaluation; a `CallLedger`. They are about no wallet, so `grade_calls` is not their place."""

    def __init__(self) -> None:
        self.calls, self.usd = 0, 0.0

    async def record(self, call: GradeCall) -> None:
        """Count a call."""
        self.calls += 1
        self.usd += call.estimated_usd or 0.0


async def _evaluate(
    resource: GraderResource, cases: Sequence[GoldenCase], repeat: int, *, with_metamorphic: bool
) -> EvaluationReport:
    if resource.model is None:
        return await evaluate(RuleGrader(), cases, repeat, with_metamorphic=with_metamorphic)
    from hl_assets.claude.grader import ClaudeGrader  # noqa: PLC0415 - see hl_assets.resources.grader

    access, tally = resource.model, _Tally()
    async with access.client() as client:
        grader = ClaudeGrader(
            client,
            access.profile,
            ledger=tally,
            budget=Budget(
                per_run_usd=access.budget_run_usd, per_day_usd=access.budget_day_usd, spent_today_usd=0.0
            ),
            price=access.price,
            clock=resource.now,
            limits=replace(access.limits, deadline_seconds=_PATIENCE_SECONDS),
            on_progress=lambda done, total, failed: announce(Progress("answers", done, total, failed)),
        )
        report = await evaluate(grader, cases, repeat, with_metamorphic=with_metamorphic)
    if grader.trouble is not None:
        raise CommandError(grader.trouble)
    return report.with_cost(estimated_usd=tally.usd, calls=tally.calls)


def _cases(path: Path | None) -> Sequence[GoldenCase]:
    if path is None:
        return golden_cases()
    try:
        return parse_cases(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"cannot read {path}: {error}. --cases takes a file of JSON lines in the form of the golden set"
        ) from error
    except GoldenFileError as error:
        raise CommandError(str(error)) from error


def rendered(report: EvaluationReport) -> Iterator[Text | Table]:
    """The report for a terminal: verdict first, then what is wrong, then the figures."""
    yield from _verdict(report)
    if report.failures:
        yield _failure_table(report.failures)
    if report.violations:
        yield _violation_table(report.comparisons)
    if report.comparisons:
        yield _relation_table(report.comparisons)
    if report.repeat > 1:
        yield _agreement_table(report.agreement, report.repeat)
    yield _distance_table(report.rule_distance, report.rules_version)
    yield from _remarks(report)


def _verdict(report: EvaluationReport) -> Iterator[Text]:
    passed = len(report.golden) - len(report.failures)
    asked = "once" if report.repeat == 1 else f"{report.repeat} times"
    yield Text(f"Grader {report.grader_version}, every case asked {asked}", style="bold")
    yield Text(
        f"Golden cases: {passed} of {len(report.golden)} passed",
        style="green" if not report.failures else "red",
    )
    if not report.comparisons:
        yield Text("Metamorphic relations: not run", style="yellow")
        return
    compared = sum(comparison.compared for comparison in report.comparisons)
    yield Text(
        f"Metamorphic relations: {len(report.violations)} violations in {compared} comparisons",
        style="green" if not report.violations else "red",
    )


def _failure_table(failures: Sequence[CaseResult]) -> Table:
    table = _table("Failed golden cases")
    for heading in ("case", "what it is", "what was wrong"):
        table.add_column(heading, overflow="fold")
    for result in failures:
        table.add_row(Text(result.case_id), Text(result.note), Text("\n".join(result.reasons)))
    return table


def _violation_table(comparisons: Sequence[Comparison]) -> Table:
    violations = [violation for comparison in comparisons for violation in comparison.violations]
    table = _table("Violations")
    for heading in ("relation", "case", "how"):
        table.add_column(heading, overflow="fold")
    for violation in violations[:_SHOWN]:
        table.add_row(Text(violation.relation), Text(violation.row_id), Text(violation.what))
    if len(violations) > _SHOWN:
        table.caption = f"{len(violations) - _SHOWN} more: --json shows all"
        table.caption_justify = "left"
    return table


def _relation_table(comparisons: Sequence[Comparison]) -> Table:
    table = _table("Metamorphic relations")
    table.add_column("relation", no_wrap=True)
    for heading in ("compared", "violated"):
        table.add_column(heading, justify="right")
    table.add_column("what must hold", overflow="fold")
    for comparison in comparisons:
        violated = len(comparison.violations)
        table.add_row(
            Text(comparison.relation),
            str(comparison.compared),
            Text(str(violated), style="red" if violated else ""),
            Text(comparison.sentence),
        )
    return table


def _agreement_table(agreement: Sequence[FieldAgreement], repeat: int) -> Table:
    table = _table(f"Agreement of {repeat} repeats")
    table.add_column("field", no_wrap=True)
    for heading in ("pairs", "equal", "kappa"):
        table.add_column(heading, justify="right")
    table.add_column("weights", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for field in agreement:
        kappa = "-" if field.kappa is None else f"{field.kappa:.3f}"
        row = (field.field, str(field.n_pairs), _share(field.exact), kappa, field.weights, field.reason or "")
        table.add_row(*row)
    return table


def _distance_table(distances: Sequence[RuleDistance], rules_version: str) -> Table:
    table = _table(f"Distance from the rule grader ({rules_version})")
    table.add_column("score", no_wrap=True)
    for heading in ("answers", "different", "mean |difference|"):
        table.add_column(heading, justify="right")
    for distance in distances:
        points = "-" if distance.mean_absolute is None else f"{distance.mean_absolute:.1f}"
        table.add_row(distance.metric, str(distance.n), _share(distance.share_different), points)
    return table


def _remarks(report: EvaluationReport) -> Iterator[Text]:
    yield Text(f"Answers quoting a number that is not in the input: {_share(report.ungrounded_share)}")
    for case_id, numbers in report.ungrounded.items():
        yield Text(f"  {case_id}: {', '.join(numbers)}")
    yield Text(f"Sources of the answers: {_counts(report.sources)}")
    yield Text(f"Not graded by the grader itself: {_counts(report.not_graded)}")
    yield Text(f"Corrected by the edge rules: {_counts(report.corrections)}")
    if report.calls is not None:
        yield Text(f"Calls to the model: {report.calls}")
    if report.estimated_usd is not None:
        yield Text(f"Estimated cost: {report.estimated_usd:.4f} USD")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
