"""A small grading request for the tests of the stand-in itself; it shares nothing with the real prompt."""

import json
from typing import Any, Literal

from anthropic import transform_schema
from pydantic import BaseModel, ConfigDict

MODEL = "claude-haiku-5-5"
Score = Literal[20, 40, 60, 80, 100]


class Scores(BaseModel):
    model_config = ConfigDict(extra="forbid")
    max_drawdown: Score | None
    roi: Score


class Reasons(BaseModel):
    model_config = ConfigDict(extra="forbid")
    max_drawdown: str
    roi: str


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    row_id: str
    style: Literal["Swing Trader", "Trend Follower", "Unclassified"]
    confidence: Literal["High", "Medium", "Low"]
    hidden_risks: list[str]
    reasoning: Reasons
    overall_assessment: str
    scores: Scores


SCHEMA = transform_schema(Verdict)


def row(number: int, *, max_drawdown: float = 0.9, roi: float = 0.3) -> dict[str, Any]:
    """Input of one wallet; the keyword arguments are percentiles."""
    return {
        "row_id": f"row-{number}",
        "metrics": {"max_drawdown": -0.25 - number / 10_000, "roi": 1.5 + number / 100},
        "percentiles": {"max_drawdown": max_drawdown, "roi": roi},
    }


def request(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Arguments of `messages.create`."""
    return {
        "model": MODEL,
        "max_tokens": 1_000,
        "system": "Grade the trader.",
        "messages": [{"role": "user", "content": json.dumps(row(number))}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        **changes,
    }
