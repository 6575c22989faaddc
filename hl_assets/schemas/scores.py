"""Contracts of scores: every wallet's scores, ranks, trust and trend in a slot, how the slot was scored, and re-scorings."""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from hl_assets.metrics.trust import TrustLabel
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
from hl_assets.scoring.entities import EntityFlag
from hl_assets.scoring.trend import Direction

_HEX16 = r"^[0-9a-f]{16}$"


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


def _points_column(description: str, *, ge: float = 20) -> Any:
    return float_column(description, unit="points", nullable=True, ge=ge, le=100)


def _rank_column(score: str) -> Any:
    return nullable_count_column(
        f"Dense rank by {score}, 1 is best, ties by percentile_mean and then address; null where {score} is",
        unit="rank",
        ge=1,
    )


def _config_hash_column() -> Any:
    return column(
        "First 16 hexadecimal digits of the SHA-256 of the scoring configuration, weights included",
        clickhouse="LowCardinality(String)",
        str_matches=_HEX16,
    )


def _config_version_column() -> Any:
    return column("Version of the scoring formulas, part of the hash", clickhouse="LowCardinality(String)")


class WalletScores(pa.DataFrameModel):
    """A wallet's scores and ranks among the eligible wallets of a slot; ineligible wallets are rows with the reason.

    `weighted_score` decides `calculated_rank`. The other scores stand beside it with a rank of their own. What is null says
    why in `null_reasons`.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    calculated_rank: pd.Int64Dtype = _rank_column("weighted_score")
    weighted_score: float = _points_column(
        "Weighted mean of the six discrete scores, a model's where it gave a valid grade, else the rules'; a null metric "
        "counts as the lowest score"
    )
    quant_score: float = _points_column(
        "100 x weighted mean of the six percentiles: continuous, no AI. A null metric counts as 0, a capped one as at most "
        "0.6",
        ge=0,
    )
    quant_rank: pd.Int64Dtype = _rank_column("quant_score")
    rule_score: float = _points_column("As weighted_score, with the rules' discrete scores for every wallet")
    rule_rank: pd.Int64Dtype = _rank_column("rule_score")
    agent_score: float = _points_column(
        "Plain mean of the six discrete scores of a model's valid grade; a null metric counts as the lowest score"
    )
    agent_rank: pd.Int64Dtype = _rank_column("agent_score")
    adjusted_score: float = _points_column("50 + (weighted_score - 50) x trust / 100")
    adjusted_rank: pd.Int64Dtype = _rank_column("adjusted_score")
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
    trust: float = float_column(
        "How far the wallet's figures can be believed, 0 to 100, from wallet_metrics",
        unit="percent",
        nullable=True,
        ge=0,
        le=100,
    )
    trust_label: str = column(
        "Word for it, from wallet_metrics",
        clickhouse="LowCardinality(String)",
        isin=[label.value for label in TrustLabel],
    )
    trust_quality: float = float_column(
        "Component of trust: quality of the data", unit="fraction", nullable=True, ge=0, le=1
    )
    trust_significance: float = float_column(
        "Component of trust: probability that the true Sharpe ratio is above 0",
        unit="fraction",
        nullable=True,
        ge=0,
        le=1,
    )
    sample_days: float = float_column(
        "Days of performance that the figures rest on: performance_span_days of wallet_metrics",
        unit="days",
        nullable=True,
        ge=0,
    )
    n_daily_steps: int = count_column("Daily returns among them, from wallet_metrics")
    effective_days: float = float_column(
        "Independent days that say as much: n_daily_steps x (1 - rho) / (1 + rho), rho their autocorrelation if positive",
        unit="days",
        nullable=True,
        ge=0,
    )
    trend_slope: float = float_column(
        "Theil-Sen slope of the wallet's weighted scores of the last days (score_runs.trend_days) under the same "
        "configuration, one score per 6 hours, this slot's included",
        unit="points/7 days",
        nullable=True,
    )
    trend_direction: str = column(
        "up (slope above 2), down (below -2) or stable",
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
        isin=[direction.value for direction in Direction],
    )
    trend_points: int = count_column("Scores that the slope rests on")
    trend_span_days: float = float_column(
        "From the oldest of them to this slot", unit="days", nullable=True, ge=0
    )
    rank_change: pd.Int64Dtype = column(
        "calculated_rank in score_runs.rank_reference_as_of minus calculated_rank now: positive if the wallet climbed",
        clickhouse="Nullable(Int32)",
        unit="rank",
        nullable=True,
    )
    entity_flags: object = column(
        "What the account may be other than a trader: " + ", ".join(flag.value for flag in EntityFlag),
        clickhouse="Array(String)",
    )
    null_reasons: object = column(
        "Score, trend or rank change -> why it is null", clickhouse="Map(String, String)"
    )
    config_hash: str = _config_hash_column()
    config_version: str = _config_version_column()
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class RescoredScores(WalletScores):
    """A wallet's scores in a stored slot under another scoring configuration than the one its slot was published with.

    Written by `hl-assets rescore`; `wallet_scores` is not touched. A slot's slice holds the rows of every such
    configuration.
    """

    config_name: str = column("Name given to the configuration", clickhouse="LowCardinality(String)")
    config: str = column(
        "The configuration as canonical JSON, the text that was hashed", clickhouse="LowCardinality(String)"
    )

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class ScoreRuns(pa.DataFrameModel):
    """How a slot was scored: configuration, what went in, who passed which gate, and what came out.

    Published together with the slot's `wallet_scores`, in one step. The versions of the upstream slices are in
    `publications.inputs`; here are hashes of what was read, which are equal when the content was.
    """

    as_of: Slot = slot_column()
    config_hash: str = _config_hash_column()
    config_version: str = _config_version_column()
    config: str = column("The configuration as canonical JSON, the text that was hashed", clickhouse="String")
    trend_days: float = float_column("Window of trend and rank change", unit="days", gt=0)
    entity_limits: object = column("Entity flag -> limit it was set by", clickhouse="Map(String, Float64)")
    n_wallets: int = count_column("Wallets the slot wanted: rows of portfolio_fetches")
    n_scored: int = count_column("Rows of wallet_scores: wallets with metrics")
    n_eligible: int = count_column("Of these, ranked ones")
    funnel_entered: object = column(
        "Gate -> wallets that came to it, in order", clickhouse="Map(String, UInt32)"
    )
    funnel_passed: object = column(
        "Gate -> wallets that passed it, in order", clickhouse="Map(String, UInt32)"
    )
    wallets_by_source: object = column(
        "Whose discrete scores were used -> ranked wallets", clickhouse="Map(String, UInt32)"
    )
    wallets_by_trust: object = column("Trust label -> ranked wallets", clickhouse="Map(String, UInt32)")
    wallets_by_flag: object = column(
        "Entity flag -> ranked wallets with it", clickhouse="Map(String, UInt32)"
    )
    median_weighted_score: float = _points_column("Median of the ranked wallets")
    median_quant_score: float = _points_column("Median of the ranked wallets", ge=0)
    median_adjusted_score: float = _points_column("Median of the ranked wallets that have one")
    median_trust: float = float_column(
        "Median of the ranked wallets that have one", unit="percent", nullable=True, ge=0, le=100
    )
    n_with_trend: int = count_column("Wallets with a trend")
    rank_reference_as_of: Slot = column(
        "Slot that rank_change compares with: the newest scored one at least 24 hours and at most trend_days older, under "
        "the same configuration; null if there is none",
        clickhouse="Nullable(DateTime('UTC'))",
        unit="UTC",
        nullable=True,
    )
    vaults_as_of: Slot = column(
        "List of vaults that was used, the newest at or before the slot; null if none was known: nobody is flagged vault then",
        clickhouse="Nullable(DateTime('UTC'))",
        unit="UTC",
        nullable=True,
    )
    input_versions: object = column(
        "Upstream table -> version of its formulas or of its graders", clickhouse="Map(String, String)"
    )
    input_hashes: object = column(
        "Upstream table -> hash of the rows read, whatever their order", clickhouse="Map(String, String)"
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


_CAUTION = (
    "Percentiles and ranks are relative to one slot's eligible wallets: never average them over slots of different size. "
    "Scores of different config_hash are not one scale."
)

WALLET_SCORES = TableContract(
    name="wallet_scores",
    model=WalletScores,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution=_CAUTION,
)
SCORE_RUNS = TableContract(
    name="score_runs",
    model=ScoreRuns,
    grain="slot",
    key=("as_of",),
    order_by=("as_of",),
    caution="Counts of wallets are stocks of a slot: never sum them over slots.",
    empty_is="error",
)
RESCORED_SCORES = TableContract(
    name="rescored_scores",
    model=RescoredScores,
    grain="wallet x slot x configuration",
    key=("as_of", "config_hash", "wallet"),
    order_by=("as_of", "config_hash", "wallet"),
    caution=f"Choose one `config_hash`: a slot repeats its wallets for every configuration. {_CAUTION}",
)
