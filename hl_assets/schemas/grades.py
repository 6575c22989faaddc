"""Contract of grades: a trader's style, sustainability, risks and discrete scores, with where they come from."""

from typing import Any

import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Slot,
    TableContract,
    column,
    float_column,
    origin_column,
    slot_column,
    wallet_column,
)

LEVELS = ("High", "Medium", "Low")
DISCRETE_SCORES = (20.0, 40.0, 60.0, 80.0, 100.0)
GRADE_SOURCES = ("llm", "cache", "rules", "failed")


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
        "llm, cache, rules or failed", clickhouse="LowCardinality(String)", isin=list(GRADE_SOURCES)
    )
    grader_version: str = column("Version of the grader", clickhouse="LowCardinality(String)")
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
    input_hash: str = column(
        "SHA-256 of the canonical, bucketed input", clickhouse="String", str_matches=r"^[0-9a-f]{64}$"
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
