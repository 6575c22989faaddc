"""A slot's scores as rows of `wallet_scores` and `score_runs`.

Belongs here: bringing the domain's results into the tables' form. Does not belong here: what they are made of
(`assets.score_inputs`), how a score is computed (`scoring`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hl_assets.assets.metric_rows import metric_table
from hl_assets.assets.score_inputs import GRADE_SCORES, History, ScoringRules, SlotInputs
from hl_assets.assets.summaries import median
from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.exchange.addresses import is_system_address
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import GATES, assess_eligibility
from hl_assets.metrics.significance import effective_days
from hl_assets.metrics.trust import TrustLabel
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.schemas.vaults import VAULTS
from hl_assets.scoring.entities import EntityFlag, EntityLimits, entity_flags
from hl_assets.scoring.funnel import count_gates
from hl_assets.scoring.scores import SCORES, SlotScores, score_slot
from hl_assets.scoring.trend import StoredScores, Trend, TrendReason, rank_changes, score_trend

RANK_COLUMNS = {
    "weighted_score": "calculated_rank",
    "quant_score": "quant_rank",
    "rule_score": "rule_rank",
    "agent_score": "agent_rank",
    "adjusted_score": "adjusted_rank",
}
FETCH_GATES = {"failed": "fetch_failed", "empty": "no_portfolio"}
"""Status of a fetch without points -> the gate that the wallet failed."""
NOT_MEASURED = "not_measured"
"""The gate of wallets that answered and have no metrics: these were derived before the answer came."""

_MODEL_SOURCES = ("llm", "cache")
_FROM_METRICS = {
    "trust": "trust",
    "trust_quality": "trust_quality",
    "trust_significance": "trust_significance",
    "sample_days": "performance_span_days",
    "effective_days": "daily_autocorrelation",
}
"""Column of ours -> figure of `wallet_metrics` whose null reason it shares."""


@dataclass(frozen=True)
class ScoredSlot:
    """A slot's rows of `wallet_scores` and its row of `score_runs`."""

    frame: pd.DataFrame
    run: pd.DataFrame


def scored_rows(inputs: SlotInputs, history: History, rules: ScoringRules) -> ScoredSlot:
    """Scores, trend, flags and the slot's summary, as rows."""
    metrics = inputs.metrics
    table = metric_table(metrics, rules.returns)
    scored = score_slot(
        table.wallets,
        table.scored(),
        assess_eligibility(table, rules.config.eligibility),
        grader_scores=inputs.grades[GRADE_SCORES].to_numpy(np.float64),
        valid_grade=_valid_grades(inputs.grades),
        trust=metrics["trust"].to_numpy(np.float64),
        trust_reasons=[why.get("trust") for why in metrics["null_reasons"]],
        config=rules.config,
    )
    weighted = scored.scores["weighted_score"]
    trend = score_trend(
        weighted.values,
        int(inputs.slot.timestamp()),
        _stored_scores(history, table.wallets),
        window_days=rules.trend_days,
    )
    then = None if history.reference is None else _floats(history.ranks.reindex(list(table.wallets)))
    climbed, unknown = rank_changes(weighted.rank, then)
    columns = {
        **_score_columns(scored),
        **_metric_columns(metrics),
        **_trend_columns(trend),
        "rank_change": pd.Series(climbed).astype("Int64"),
        "entity_flags": _listed(_flags(inputs, table.wallets, rules.limits)),
        "null_reasons": _null_reasons(scored, metrics, trend, unknown),
    }
    frame = WALLET_SCORES.conform(pd.DataFrame(columns, index=range(len(metrics))))
    return ScoredSlot(frame, _run_row(inputs, history, rules, frame))


def _valid_grades(grades: pd.DataFrame) -> BoolArray:
    """Whose grade is valid and a model's."""
    valid = (grades["status"] == "graded") & grades["grade_source"].isin(_MODEL_SOURCES)
    return valid.to_numpy(np.bool_)


def _stored_scores(history: History, wallets: tuple[str, ...]) -> StoredScores:
    position = pd.Series(np.arange(len(wallets)), index=list(wallets))
    return StoredScores(
        wallet=position.reindex(history.scores["wallet"]).to_numpy(np.int64),
        ts_s=history.scores["ts_s"].to_numpy(np.int64),
        score=_floats(history.scores["score"]),
    )


def _score_columns(scored: SlotScores) -> dict[str, Any]:
    table = scored.table
    columns: dict[str, Any] = {
        "wallet": list(table.wallets),
        "percentile_mean": table.percentile_mean,
        "is_eligible": table.eligible,
        "ineligible_reason": pd.Series(list(table.ineligible_reasons), dtype=object),
        "n_metrics_scored": table.n_metrics_scored,
        "missing_metrics": _listed(table.missing_metrics),
        "score_source": pd.Series(np.where(scored.from_grader, "grader", "rules"), dtype=object).where(
            table.eligible, None
        ),
        "config_hash": table.config.config_hash(),
        "config_version": table.config.version,
    }
    for name, rank in RANK_COLUMNS.items():
        columns[name] = scored.scores[name].values
        columns[rank] = pd.Series(scored.scores[name].rank).astype("Int64")
    for position, name in enumerate(SCORED_METRICS):
        columns[f"{name}_percentile"] = table.percentiles[:, position]
        columns[f"{name}_score"] = table.scores[:, position]
    return columns


def _metric_columns(metrics: pd.DataFrame) -> dict[str, Any]:
    """What is taken over from the metrics: trust, its components, sample sizes, origin."""
    n_steps = metrics["n_daily_steps"].to_numpy(np.float64)
    taken = (
        "as_of",
        "trust",
        "trust_label",
        "trust_quality",
        "trust_significance",
        "n_daily_steps",
        "origin",
    )
    return {
        **{name: metrics[name].array for name in taken},
        "sample_days": metrics["performance_span_days"].to_numpy(),
        "effective_days": effective_days(n_steps, metrics["daily_autocorrelation"].to_numpy(np.float64)),
    }


def _trend_columns(trend: Trend) -> dict[str, Any]:
    return {
        "trend_slope": trend.slope,
        "trend_direction": pd.Series(trend.direction, dtype=object),
        "trend_points": trend.points,
        "trend_span_days": trend.span_days,
    }


def _flags(inputs: SlotInputs, wallets: tuple[str, ...], limits: EntityLimits) -> list[tuple[str, ...]]:
    volume = inputs.fetches.set_index("wallet")["all_time_volume"].reindex(list(wallets))
    return entity_flags(
        is_vault=np.array([wallet in inputs.vaults for wallet in wallets], dtype=np.bool_),
        is_system_address=np.array([is_system_address(wallet) for wallet in wallets], dtype=np.bool_),
        all_time_volume=_floats(volume),
        share_flow_dominated=_floats(inputs.metrics["share_flow_dominated"]),
        best_day_share=_floats(inputs.metrics["best_day_share"]),
        limits=limits,
    )


def _null_reasons(
    scored: SlotScores, metrics: pd.DataFrame, trend: Trend, unknown_change: "np.ndarray[Any, Any]"
) -> "pd.Series[Any]":
    """Per wallet: name of each null score, trend or taken figure -> why."""
    labels = {int(reason): reason.label for reason in TrendReason}
    rows = []
    for row, of_metrics in enumerate(metrics["null_reasons"]):
        why = {name: scored.scores[name].reasons[row] for name in SCORES}
        why |= {name: of_metrics.get(figure) for name, figure in _FROM_METRICS.items()}
        if trend.reasons[row]:
            why["trend_slope"] = labels[int(trend.reasons[row])]
        if unknown_change[row]:
            why["rank_change"] = labels[int(unknown_change[row])]
        rows.append({name: reason for name, reason in why.items() if reason is not None})
    return pd.Series(rows, dtype=object)


def _run_row(inputs: SlotInputs, history: History, rules: ScoringRules, frame: pd.DataFrame) -> pd.DataFrame:
    """The slot's row of `score_runs`."""
    ranked = frame[frame["is_eligible"]]
    gates = count_gates(_first_failed(inputs, frame), [*FETCH_GATES.values(), NOT_MEASURED, *GATES])
    row = {
        "as_of": inputs.slot,
        "config_hash": rules.config.config_hash(),
        "config_version": rules.config.version,
        "config": rules.config.canonical_json(),
        "trend_days": rules.trend_days,
        "entity_limits": rules.limits.named(),
        "n_wallets": len(inputs.fetches),
        "n_scored": len(frame),
        "n_eligible": len(ranked),
        "funnel_entered": {gate.name: gate.entered for gate in gates},
        "funnel_passed": {gate.name: gate.passed for gate in gates},
        "wallets_by_source": _counts(ranked["score_source"], ("grader", "rules")),
        "wallets_by_trust": _counts(ranked["trust_label"], list(TrustLabel)),
        "wallets_by_flag": _counts(ranked["entity_flags"].explode(), list(EntityFlag)),
        "median_weighted_score": median(ranked["weighted_score"]),
        "median_quant_score": median(ranked["quant_score"]),
        "median_adjusted_score": median(ranked["adjusted_score"]),
        "median_trust": median(ranked["trust"]),
        "n_with_trend": int(frame["trend_slope"].notna().sum()),
        "rank_reference_as_of": history.reference,
        "vaults_as_of": inputs.vaults_as_of,
        "input_versions": {
            WALLET_METRICS.name: ", ".join(sorted(set(inputs.metrics["formula_version"]))),
            AI_GRADES.name: ", ".join(sorted(set(inputs.grades["grader_version"].dropna()))),
        },
        "input_hashes": {
            WALLET_METRICS.name: _hash_of_rows(inputs.metrics[_plain_columns(WALLET_METRICS)]),
            AI_GRADES.name: _hash_of_rows(inputs.grades.reset_index()),
            PORTFOLIO_FETCHES.name: _hash_of_rows(inputs.fetches),
            VAULTS.name: _hash_of_rows(pd.DataFrame({"wallet": sorted(inputs.vaults)}, dtype=object)),
        },
        "origin": inputs.origin,
    }
    return SCORE_RUNS.conform(pd.DataFrame([row]))


def _first_failed(inputs: SlotInputs, frame: pd.DataFrame) -> list[str | None]:
    """Per wanted wallet the first gate it failed, None if it is ranked."""
    reasons = frame.set_index("wallet")["ineligible_reason"].to_dict()
    return [
        FETCH_GATES[status] if status in FETCH_GATES else reasons.get(wallet, NOT_MEASURED)
        for wallet, status in inputs.fetches[["wallet", "status"]].itertuples(index=False, name=None)
    ]


def _counts(values: "pd.Series[Any]", names: Sequence[str]) -> dict[str, int]:
    counts = values.value_counts().to_dict()
    return {str(name): int(counts.get(name, 0)) for name in names}


def _plain_columns(table: TableContract) -> list[str]:
    """Columns whose values are no lists or maps."""
    return [c.name for c in table.columns if not c.clickhouse_type.startswith(("Array", "Map"))]


def _hash_of_rows(frame: pd.DataFrame) -> str:
    """16 hexadecimal digits of the SHA-256 of the rows, in the order of their wallets."""
    rows = frame.sort_values("wallet", kind="stable")
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy(np.uint64)
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


def _listed(rows: Sequence[Sequence[str]]) -> "pd.Series[Any]":
    return pd.Series([list(names) for names in rows], dtype=object)


def _floats(values: "pd.Series[Any]") -> FloatArray:
    return np.asarray(values.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
