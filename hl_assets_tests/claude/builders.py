"""Profiles, answers, ledgers and wallets for the tests of asking."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

from hl_assets.claude.asking import record_of
from hl_assets.claude.budget import Budget
from hl_assets.claude.client import make_client
from hl_assets.claude.grader import AskLimits, ClaudeGrader
from hl_assets.claude.prices import PRICES, Usage
from hl_assets.claude.profile import GraderProfile
from hl_assets.claude.prompt import load_prompt
from hl_assets.claude.question import question_of
from hl_assets.claude.reading import Reading
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.messages_api import TEST_KEY

MODEL = "claude-haiku-5-5"
NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
PRICE = PRICES[MODEL]
UNLIMITED = {"per_run_usd": 1_000.0, "per_day_usd": 1_000.0, "spent_today_usd": 0.0}
METRICS = ("max_drawdown", "roi", "cagr", "calmar_ratio", "avg_drawdown", "recovery_factor")


def clock() -> datetime:
    return NOW


def profile(**changes) -> GraderProfile:
    return GraderProfile(**({"model": MODEL, "effort": "low", "prompt": load_prompt()} | changes))


def wallets(count: int):
    """Inputs that differ in what the model sees; the first forty are estimated at the same tokens."""
    return [
        grade_input(
            row_id=f"row-{number}",
            max_drawdown=round(-0.1011 - number / 10_000, 4),
            percentiles={"roi": round((number % 10) / 10 + 0.05, 2)},
            quality={"data_points": 150 + number},
        )
        for number in range(count)
    ]


def answer(**changes) -> dict:
    """A valid answer to the builders' wallet."""
    return {
        "reasoning": dict.fromkeys(METRICS, "Stands at percentile 50."),
        "scores": dict.fromkeys(METRICS, 60),
        "hidden_risks": ["The gap of 14 days hides falls."],
        "unique_characteristics": [],
        "trading_style": "Unclassified",
        "sustainability": "Medium",
        "confidence": "High",
        "overall_assessment": "A return of 80 % with a drawdown of 20 %.",
    } | changes


def answer_text(**changes) -> str:
    return json.dumps(answer(**changes))


def stored_call(
    item, outcome="graded", *, asked_with=None, call_id="a" * 32, attempt=1, at=NOW, text=None, client=None
):
    """A call as the ledger has it."""
    used = asked_with or profile()
    raw = answer_text() if text is None else text
    result = Reading(outcome, None, "end_turn", raw, Usage(1_000, 300), None)
    return record_of(
        question_of(used, item, attempt),
        replace(result, error=None if outcome == "graded" else "it went wrong"),
        call_id=call_id,
        requested_at=at,
        price=PRICE,
        client=client or offline_client(),
        latency_seconds=1.0,
    )


def offline_client():
    return make_client(TEST_KEY, "http://127.0.0.1:9")


class MemoryLedger:
    """Keeps calls in memory; may be told to be slow or to fail."""

    def __init__(self, *, seconds=0.0, error=None):
        self.calls, self.begun = [], 0
        self._seconds, self._error = seconds, error

    async def record(self, call):
        self.begun += 1
        if self._seconds:
            await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        self.calls.append(call)


def grader(client, ledger=None, *, budget=None, used=None, **settings) -> ClaudeGrader:
    return ClaudeGrader(
        client,
        used or profile(),
        ledger=ledger if ledger is not None else MemoryLedger(),
        budget=budget or Budget(**UNLIMITED),
        clock=clock,
        **{"limits": AskLimits(), "price": PRICE, **settings},
    )
