"""Contracts of grades: a trader's style, sustainability, risks and discrete scores, and every call that was made for them."""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    count_column,
    float_column,
    instant_column,
    nullable_count_column,
    origin_column,
    slot_column,
    wallet_column,
)

LEVELS = ("High", "Medium", "Low")
DISCRETE_SCORES = (20.0, 40.0, 60.0, 80.0, 100.0)
GRADE_SOURCES = ("llm", "cache", "rules", "failed")
FALLBACKS = ("refused", "budget_run", "budget_day", "unavailable", "deadline", "gave_up", "not_asked")
CALL_OUTCOMES = (
    "graded",
    "refused",
    "truncated",
    "invalid_answer",
    "unexpected_stop",
    "unavailable",
    "rejected",
)
CALL_MODES = ("realtime", "batch")
BATCH_STATUSES = ("intended", "submitted", "collected", "abandoned", "lost")
_SHA256 = r"^[0-9a-f]{64}$"
_HEX32 = r"^[0-9a-f]{32}$"


def _score_column(metric: str) -> Any:
    return float_column(
        f"Discrete score of {metric}: 20, 40, 60, 80 or 100",
        unit="points",
        nullable=True,
        isin=list(DISCRETE_SCORES),
    )


class AiGrades(pa.DataFrameModel):
    """A wallet's grade as of a slot: words and discrete scores, with the grader that gave them.

    No ranked number depends on it unless it is valid. `status` says why a wallet was not graded.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    status: str = column(
        "graded; insufficient_data: too little to judge, nobody was asked; failed: asked, no valid answer",
        clickhouse="LowCardinality(String)",
        isin=["graded", "insufficient_data", "failed"],
    )
    status_reasons: object = column("Why the wallet is not graded", clickhouse="Array(String)")
    grade_source: str = column(
        "llm (asked for this slot), cache (a stored answer to an input of the same bucket), rules or failed",
        clickhouse="LowCardinality(String)",
        isin=list(GRADE_SOURCES),
    )
    grader_version: str = column("Version of the grader", clickhouse="LowCardinality(String)")
    fallback: str = column(
        "Why the rules graded in the model's place: " + ", ".join(FALLBACKS),
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
        isin=list(FALLBACKS),
    )
    call_id: str = column(
        "Call in `grade_calls` that the grade comes from",
        clickhouse="Nullable(String)",
        nullable=True,
        str_matches=_HEX32,
    )
    trading_style: str = column(
        "Style, or Unclassified", clickhouse="LowCardinality(Nullable(String))", nullable=True
    )
    sustainability: str = column(
        "High, Medium or Low", clickhouse="LowCardinality(Nullable(String))", nullable=True, isin=list(LEVELS)
    )
    confidence: str = column(
        "High, Medium or Low", clickhouse="LowCardinality(Nullable(String))", nullable=True, isin=list(LEVELS)
    )
    hidden_risks: object = column("Risks the figures hide", clickhouse="Array(String)")
    unique_characteristics: object = column("What sets the trader apart", clickhouse="Array(String)")
    reasoning: object = column("Metric -> reasoning", clickhouse="Map(String, String)")
    overall_assessment: str = column("Assessment in words", clickhouse="Nullable(String)", nullable=True)
    max_drawdown_score: float = _score_column("max_drawdown")
    roi_score: float = _score_column("roi")
    cagr_score: float = _score_column("cagr")
    calmar_ratio_score: float = _score_column("calmar_ratio")
    avg_drawdown_score: float = _score_column("avg_drawdown")
    recovery_factor_score: float = _score_column("recovery_factor")
    edge_rules: object = column("Rules of code that changed the grader's answer", clickhouse="Array(String)")
    ungrounded: object = column(
        "Numbers in the prose that are not in the input the model was given", clickhouse="Array(String)"
    )
    rule_disagreement: float = float_column(
        "Mean absolute difference of a model's six scores to those of the rules",
        unit="points",
        nullable=True,
        ge=0,
    )
    input_hash: str = column(
        "SHA-256 of the canonical, bucketed input", clickhouse="String", str_matches=_SHA256
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class GradeCalls(pa.DataFrameModel):
    """One request to the model: the exact input, the raw answer, tokens, money, and what came of it.

    Written the moment an answer is there, before anything is made of it, and never changed: it is the bill, the audit trail
    and the cache of grades.
    """

    as_of: Slot = slot_column("Slot that the wallet was to be graded for")
    wallet: str = wallet_column()
    call_id: str = column("Unique id of the call", clickhouse="String", str_matches=_HEX32)
    grade_key: str = column(
        "SHA-256 of bucketed input, prompt, schema, model and effort: equal keys need no second call",
        clickhouse="String",
        str_matches=_SHA256,
    )
    input_hash: str = column("SHA-256 of the bucketed input", clickhouse="String", str_matches=_SHA256)
    canonical_input: str = column("The exact text the model was given", clickhouse="String", codec="ZSTD(9)")
    attempt: int = count_column("1; 2 for a repetition with twice the tokens after a truncation")
    mode: str = column(
        "realtime or batch (half price)", clickhouse="LowCardinality(String)", isin=list(CALL_MODES)
    )
    batch_id: str = column("The service's id of the batch", clickhouse="Nullable(String)", nullable=True)
    requested_at: Instant = instant_column("When it was sent")
    latency_seconds: float = float_column(
        "Until the answer; unknown in a batch", unit="s", nullable=True, ge=0
    )
    model: str = column("Model asked", clickhouse="LowCardinality(String)")
    effort: str = column("Effort asked", clickhouse="LowCardinality(String)")
    max_tokens: int = count_column("Most tokens the answer might have", unit="tokens")
    prompt_version: str = column("Version of the prompt", clickhouse="LowCardinality(String)")
    prompt_hash: str = column(
        "SHA-256 of the prompt", clickhouse="LowCardinality(String)", str_matches=_SHA256
    )
    schema_hash: str = column(
        "SHA-256 of the answer's JSON schema", clickhouse="LowCardinality(String)", str_matches=_SHA256
    )
    outcome: str = column(
        "What came of it: " + ", ".join(CALL_OUTCOMES),
        clickhouse="LowCardinality(String)",
        isin=list(CALL_OUTCOMES),
    )
    stop_reason: str = column(
        "The service's stop reason", clickhouse="LowCardinality(Nullable(String))", nullable=True
    )
    request_id: str = column("The service's id of the request", clickhouse="Nullable(String)", nullable=True)
    raw_answer: str = column(
        "The answer's text as it came", clickhouse="Nullable(String)", nullable=True, codec="ZSTD(9)"
    )
    input_tokens: pd.Int64Dtype = nullable_count_column("Uncached tokens read", unit="tokens")
    output_tokens: pd.Int64Dtype = nullable_count_column("Tokens written", unit="tokens")
    cache_read_tokens: pd.Int64Dtype = nullable_count_column(
        "Prompt tokens from the service's cache", unit="tokens"
    )
    cache_write_tokens: pd.Int64Dtype = nullable_count_column(
        "Prompt tokens put into the service's cache", unit="tokens"
    )
    estimated_usd: float = float_column(
        "Cost by the price table; 0 where nothing is billed", unit="USD", nullable=True, ge=0
    )
    error_kind: str = column("Kind of failure", clickhouse="LowCardinality(Nullable(String))", nullable=True)
    error: str = column("What failed", clickhouse="Nullable(String)", nullable=True)
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class GradeBatches(pa.DataFrameModel):
    """One state that a batch of calls reached; the newest state of an intent counts.

    An intent is stored before it is submitted and its id before it is polled, so that a process that dies with a batch under
    way is followed by one that collects it.
    """

    as_of: Slot = slot_column("Oldest slot that the batch grades for")
    intent_id: str = column("Id of the intent, made here", clickhouse="String", str_matches=_HEX32)
    status: str = column(
        "State reached: " + ", ".join(BATCH_STATUSES),
        clickhouse="LowCardinality(String)",
        isin=list(BATCH_STATUSES),
    )
    batch_id: str = column("The service's id of the batch", clickhouse="Nullable(String)", nullable=True)
    intended_at: Instant = instant_column("Before it was submitted")
    submitted_at: Instant = instant_column("When the service took it", nullable=True)
    n_requests: int = count_column("Requests in it")
    content: str = column(
        "Its requests as JSON, with the state `intended` only", clickhouse="Nullable(String)", nullable=True
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


AI_GRADES = TableContract(
    name="ai_grades",
    model=AiGrades,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="Scores of different graders or prompt versions are not one scale.",
)
GRADE_CALLS = TableContract(
    name="grade_calls",
    model=GradeCalls,
    grain="request to the model",
    key=("as_of", "wallet", "call_id"),
    order_by=("wallet", "grade_key", "as_of", "call_id"),
    caution="`estimated_usd` and tokens sum to the bill; grades do not: a grade may rest on a call of an earlier slot.",
    storage="ledger",
)
GRADE_BATCHES = TableContract(
    name="grade_batches",
    model=GradeBatches,
    grain="state of a batch",
    key=("as_of", "intent_id", "status"),
    order_by=("intent_id", "status", "as_of"),
    caution="A batch is several rows, one a state: never sum `n_requests` over them.",
    storage="ledger",
)
