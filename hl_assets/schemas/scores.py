"""Contract of scores: percentiles, discrete scores, the weighted score and the rank of every wallet of a slot."""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Slot,
    TableContract,
    column,
    count_column,
    float_column,
    nullable_count_column,
    origin_column,
    slot_column,
    wallet_column,
)
from hl_assets.schemas.grades import DISCRETE_SCORES


def _percentile_column(metric: str) -> Any:
    return float_column(
        f"Mid-rank percentile of {metric} among the slot's eligible wallets; higher is better",
        unit="fraction",
        nullable=True,
        ge=0,
        le=1,
    )


def _score_column(metric: str) -> Any:
    return float_column(
        f"Discrete score of {metric} that entered weighted_score",
        unit="points",
        nullable=True,
        isin=list(DISCRETE_SCORES),
    )


class WalletScores(pa.DataFrameModel):
    """A wallet's score and rank among the eligible wallets of a slot; ineligible wallets are rows with the reason."""

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    calculated_rank: pd.Int64Dtype = nullable_count_column(
        "Dense rank, 1 is best; null if not eligible", unit="rank", ge=1
    )
    weighted_score: float = float_column(
        "Weighted mean of the six discrete scores; a null metric counts as the lowest score",
        unit="points",
        nullable=True,
        ge=20,
        le=100,
    )
    percentile_mean: float = float_column(
        "Weighted mean of the six percentiles, a null one counted as 0; breaks ties",
        unit="fraction",
        nullable=True,
        ge=0,
        le=1,
    )
    is_eligible: bool = column("Whether the wallet is ranked", clickhouse="Bool")
    ineligible_reason: str = column(
        "First gate the wallet failed", clickhouse="LowCardinality(Nullable(String))", nullable=True
    )
    max_drawdown_percentile: float = _percentile_column("max_drawdown")
    roi_percentile: float = _percentile_column("roi")
    cagr_percentile: float = _percentile_column("cagr")
    calmar_ratio_percentile: float = _percentile_column("calmar_ratio")
    avg_drawdown_percentile: float = _percentile_column("avg_drawdown")
    recovery_factor_percentile: float = _percentile_column("recovery_factor")
    max_drawdown_score: float = _score_column("max_drawdown")
    roi_score: float = _score_column("roi")
    cagr_score: float = _score_column("cagr")
    calmar_ratio_score: float = _score_column("calmar_ratio")
    avg_drawdown_score: float = _score_column("avg_drawdown")
    recovery_factor_score: float = _score_column("recovery_factor")
    n_metrics_scored: int = count_column("Metrics of the six that the score rests on")
    missing_metrics: object = column("Metrics without a score", clickhouse="Array(String)")
    score_source: str = column(
        "Whose discrete scores were used: grader (a model's valid grade) or rules; null if not ranked",
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
    )
    config_hash: str = column(
        "Hash of the scoring configuration, weights included", clickhouse="LowCardinality(String)"
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


WALLET_SCORES = TableContract(
    name="wallet_scores",
    model=WalletScores,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="Percentiles and ranks are relative to one slot's eligible wallets: never average them over slots of different size.",
)
