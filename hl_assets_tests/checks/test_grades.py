"""The checks of grades: each passes on good grades and fails on the fault it is there for."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

from hl_assets.checks.grades import (
    GRADE_CHECKS,
    answers_finding,
    balance_finding,
    budget_finding,
    caps_finding,
    grounded_finding,
    provenance_finding,
    rederivation_finding,
)
from hl_assets.checks.results import Finding, finding_result
from hl_assets.grading.rules import RuleGrader
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input

CALL = "c" * 32
WALLETS = [f"0x{number:040x}" for number in range(30)]


def graded(**changes: Any) -> pd.DataFrame:
    """The columns of `ai_grades` that the checks read, for thirty wallets graded by a model; changed as told."""
    grade = asyncio.run(RuleGrader().grade([grade_input()]))[0]
    assert grade.scores is not None
    styles = ["Swing Trader", "Systematic Quant"] * 15
    rows = pd.DataFrame(
        {
            "wallet": WALLETS,
            "status": "graded",
            "status_reasons": [[] for _ in WALLETS],
            "grade_source": "llm",
            "call_id": CALL,
            "fallback": None,
            "trading_style": styles,
            "confidence": "High",
            "ungrounded": [[] for _ in WALLETS],
            **{f"{name}_score": float(getattr(grade.scores, name) or 0) for name in SCORED_METRICS},
        }
    )
    return rows.assign(**changes)


def measured(**changes: Any) -> pd.DataFrame:
    """The metrics behind them."""
    values = grade_input().metrics.model_dump()
    return pd.DataFrame({"wallet": WALLETS, "data_span_days": 400.0, **values}).assign(**changes)


def first(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """The frame with one value of its first row changed."""
    changed = frame.copy()
    changed[column] = [value, *changed[column].iloc[1:]]
    return changed


GOOD: Mapping[str, Callable[[], Finding]] = {
    "provenance": lambda: provenance_finding(graded(), WALLETS, frozenset({CALL})),
    "rederives": lambda: rederivation_finding({}, 30),
    "caps": lambda: caps_finding(graded(), measured()),
    "grounded": lambda: grounded_finding(graded()),
    "class_balance": lambda: balance_finding(graded()),
    "valid_answers": lambda: answers_finding(graded(), None, 0.1),
    "budget": lambda: budget_finding(graded(), {"usd_of_run": 0.1}),
}
BAD: Mapping[str, Callable[[], Finding]] = {
    "provenance: a wallet without a grade": lambda: provenance_finding(
        graded().iloc[1:], WALLETS, frozenset({CALL})
    ),
    "provenance: a wallet with two": lambda: provenance_finding(
        pd.concat([graded(), graded().iloc[:1]]), WALLETS, frozenset({CALL})
    ),
    "provenance: a stranger": lambda: provenance_finding(graded(), WALLETS[1:], frozenset({CALL})),
    "provenance: a call that is not stored": lambda: provenance_finding(graded(), WALLETS, frozenset()),
    "provenance: a model's grade without a call": lambda: provenance_finding(
        first(graded(), "call_id", None), WALLETS, frozenset({CALL})
    ),
    "provenance: rules with a call": lambda: provenance_finding(
        first(graded(), "grade_source", "rules"), WALLETS, frozenset({CALL})
    ),
    "provenance: a model's grade that is a fallback": lambda: provenance_finding(
        first(graded(), "fallback", "refused"), WALLETS, frozenset({CALL})
    ),
    "rederives": lambda: rederivation_finding({WALLETS[0]: "roi_score"}, 30),
    "caps: untested drawdown": lambda: caps_finding(
        first(graded(), "max_drawdown_score", 80.0), first(measured(), "max_drawdown", -0.049)
    ),
    "caps: growth beyond 500 %": lambda: caps_finding(
        first(graded(), "cagr_score", 80.0), first(measured(), "cagr", 5.1)
    ),
    "caps: score of a null": lambda: caps_finding(graded(), first(measured(), "calmar_ratio", float("nan"))),
    "caps: confidence on 29 days": lambda: caps_finding(graded(), first(measured(), "data_span_days", 29.0)),
    "caps: confidence on unknown days": lambda: caps_finding(
        graded(), first(measured(), "data_span_days", float("nan"))
    ),
    "grounded": lambda: grounded_finding(graded(ungrounded=[["73 %"] for _ in WALLETS])),
    "class_balance": lambda: balance_finding(graded(trading_style="Swing Trader")),
    "valid_answers: failures": lambda: answers_finding(
        graded(grade_source=["failed"] * 4 + ["llm"] * 26), None, 0.1
    ),
    "valid_answers: nobody could be asked": lambda: answers_finding(graded(), "the key was refused", 0.1),
    "budget": lambda: budget_finding(first(graded(), "fallback", "budget_day"), {"usd_of_run": 0.1}),
}


def test_every_check_is_tried() -> None:
    names = {kind.name for kind in GRADE_CHECKS}
    assert set(GOOD) == names
    assert {name.split(":")[0] for name in BAD} == names


@pytest.mark.parametrize("name", GOOD)
def test_good_grades_pass(name: str) -> None:
    finding = GOOD[name]()
    assert finding.kind.name == name
    assert finding.passed
    assert not finding.samples


@pytest.mark.parametrize("name", BAD)
def test_the_fault_fails(name: str) -> None:
    finding = BAD[name]()
    assert finding.kind.name == name.split(":", maxsplit=1)[0]
    assert not finding.passed
    assert finding.blocks == finding.kind.blocking


def test_what_failed_is_named() -> None:
    result = finding_result(BAD["caps: untested drawdown"]())
    assert not result.passed
    assert result.severity.value == "ERROR"
    assert result.metadata["samples"].records[0].data["wallet"] == WALLETS[0]
    assert result.metadata["wrong"].value == 1


def test_few_grades_of_one_style_are_no_news() -> None:
    assert balance_finding(graded(trading_style="Swing Trader").iloc[:19]).passed
    assert balance_finding(graded(trading_style=None)).passed


def test_a_slot_without_a_model_passes_what_is_about_models() -> None:
    rules = graded(grade_source="rules", call_id=None)
    assert provenance_finding(rules, WALLETS, frozenset()).passed
    assert grounded_finding(rules).passed
    assert answers_finding(rules, None, 0.0).passed
