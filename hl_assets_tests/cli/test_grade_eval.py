"""`hl-assets grade-eval` by rule as a person uses it, and how a bad report looks."""

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hl_assets.cli.grade_eval import rendered
from hl_assets.grading.evaluation.golden import golden_cases
from hl_assets.grading.evaluation.report import EvaluationReport, evaluate
from hl_assets.grading.rules import RULES_VERSION
from hl_assets_tests.cli.test_run import Shell
from hl_assets_tests.grading.evaluation.graders import Altered, moody, uncapped

CASES = golden_cases()


def grade_eval(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "hl_assets.cli", "grade-eval", *arguments],
        cwd=folder, env=inherited, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def printed(report: EvaluationReport) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for part in rendered(report):
        console.print(part)
    return out.getvalue()


def test_the_rules_pass_without_a_key_or_a_warehouse(tmp_path: Path) -> None:
    done = grade_eval(tmp_path, "--repeat", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Grader {RULES_VERSION}, every case asked 2 times" in done.stdout
    assert f"Golden cases: {len(CASES)} of {len(CASES)} passed" in done.stdout
    assert "Metamorphic relations: 0 violations in " in done.stdout
    assert "Agreement of 2 repeats" in done.stdout
    assert "Distance from the rule grader" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_whole_report_and_nothing_else(tmp_path: Path) -> None:
    done = grade_eval(tmp_path, "--json", "--no-metamorphic")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["passed"] is True
    assert [result["case_id"] for result in report["golden"]] == [case.id for case in CASES]
    assert report["comparisons"] == []


def test_a_failed_case_ends_with_status_1_and_its_reason(tmp_path: Path) -> None:
    (steady,) = [case for case in CASES if case.id == "steady-best"]
    impossible = json.loads(steady.model_dump_json())
    impossible["expect"]["scores"]["roi"] = [20, 20]
    (tmp_path / "mine.jsonl").write_text(json.dumps(impossible), encoding="utf-8")
    done = grade_eval(tmp_path, "--cases", "mine.jsonl")
    assert done.returncode == 1, done.stderr
    assert "Golden cases: 0 of 1 passed" in done.stdout
    assert "ROI scored 100, expected 20 to 20" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cases", "missing.jsonl"], "cannot read missing.jsonl"),
        (["--cases", "."], "cannot read ."),
        (["--cases", "bad.jsonl"], "bad.jsonl line 1 is not a case"),
        (["--cases", "latin.jsonl"], "cannot read latin.jsonl"),
        (["--repeat", "0"], "--repeat"),
    ],
    ids=" ".join,
)
def test_mistakes_get_one_clear_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}", encoding="utf-8")
    (tmp_path / "latin.jsonl").write_bytes("é".encode("latin-1"))
    status = Shell(tmp_path).call("grade-eval", *arguments)
    printed = capfd.readouterr()
    assert status == 2, printed.out
    assert says in printed.err
    assert "Traceback" not in printed.err


def test_a_bad_grader_is_shown_with_all_that_is_wrong() -> None:
    text = printed(asyncio.run(evaluate(uncapped(), CASES)))
    assert "Max drawdown was scored above 60" in text
    assert "more: --json shows all" in text
    assert "Corrected by the edge rules: confidence_short_history" in text
    text = printed(asyncio.run(evaluate(moody(), CASES, 2, with_metamorphic=False)))
    assert "Failed golden cases" in text
    assert "Metamorphic relations: not run" in text


def test_markup_in_a_case_or_an_answer_is_text() -> None:
    odd = CASES[0].model_copy(update={"id": "[red]x[/nope]", "note": "[/] [bold]"})
    wrong = Altered(lambda grade, item: {"trading_style": "Breakout", "ungrounded": ("[/] 7",)})
    text = printed(asyncio.run(evaluate(wrong, [odd], with_metamorphic=False)))
    assert "[red]x[/nope]" in text
    assert "[/] [bold]" in text
    assert "[/] 7" in text


def test_costs_are_shown_where_known() -> None:
    report = asyncio.run(evaluate(moody(), CASES[:3], with_metamorphic=False))
    assert "USD" not in printed(report)
    text = printed(report.with_cost(estimated_usd=0.0123, calls=3))
    assert "Calls to the model: 3" in text
    assert "Estimated cost: 0.0123 USD" in text
