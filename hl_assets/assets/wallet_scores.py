"""Asset `wallet_scores`: percentiles, discrete scores, weighted score and rank of every wallet of a slot.

Belongs here: bringing metrics and grades of a slot together and storing the ranking. Does not belong here: how a score
or rank is computed (`scoring`).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from hl_assets.assets.curves import read_curves
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.metric_rows import metric_table
from hl_assets.assets.reconcile import Derivation, Derived
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.checks.freshness import freshness_policy
from hl_assets.checks.results import Coverage
from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import capped_scores, discrete_scores
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.plots import Line, index_png
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.scoring.rank import ScoreTable, choose_scores, score_wallets
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse

_GRADE_SCORES = [f"{name}_score" for name in SCORED_METRICS]


@slot_asset(
    WALLET_SCORES,
    layer="derived",
    grain="wallet_x_slot",
    group="scoring",
    owner="quant-research",
    deps=["wallet_metrics", "ai_grades"],
    freshness_policy=freshness_policy(Settings()),
    description=(
        "The ranking of a slot: percentiles of six metrics among eligible wallets, discrete scores (a model's where it gave "
        "a valid grade, else the rules'), their weighted mean, and a dense rank. Ineligible wallets are rows that say why."
    ),
)
def wallet_scores(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Rank the wallets of the day's stale slots."""
    derivation = Derivation(
        target=WALLET_SCORES,
        upstream=(WALLET_METRICS, AI_GRADES),
        derive=lambda store, slot: derive_scores(store, slot, settings),
    )
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_scores(store: Warehouse, slot: datetime, settings: Settings) -> Derived:
    """Scores and ranks of the wallets of a slot."""
    rows = store.read_table(WALLET_METRICS, as_of=slot)
    table = metric_table(rows, ReturnRules(funding_floor=settings.funding_floor_usd))
    eligibility = assess_eligibility(table)
    metrics = table.scored()
    percentiles = percentile_matrix(metrics, eligibility.eligible)
    rule_scores = capped_scores(discrete_scores(percentiles), metrics)
    scores, from_grader = choose_scores(rule_scores, *_model_grades(store, slot, table.wallets))
    ranked = score_wallets(table.wallets, scores, percentiles, eligibility)
    frame = score_rows(ranked, from_grader, rows)
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=int(eligibility.eligible.sum()),
            wanted=len(rows),
            what="ranked / wallets with metrics",
            missing=[
                (w, why) for w, why in zip(table.wallets, eligibility.reasons, strict=True) if why is not None
            ],
        ),
        metadata={
            "ranked": int(eligibility.eligible.sum()),
            "scored_by_grader": int(from_grader.sum()),
            "median_weighted_score": float(np.nanmedian(ranked.weighted_score))
            if eligibility.eligible.any()
            else None,
            "config_hash": ranked.config_hash,
        },
        draw=lambda: {"ten_best": _best_curves(store, slot, frame, settings)},
    )


def _best_curves(store: Warehouse, slot: datetime, scores: pd.DataFrame, settings: Settings) -> bytes:
    """Return indices of the ten best wallets; addresses only, no names that traders chose."""
    best = scores[scores["is_eligible"]].sort_values("calculated_rank").head(10)
    curves = read_curves(store, list(best["wallet"]), "all", slot)
    steps = flow_adjusted_returns(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    offsets = steps.curves.offsets
    lines = [
        Line(f"#{rank} {wallet[:8]}", steps.curves.ts_ms[begin:end], steps.index[begin:end])
        for rank, wallet, begin, end in zip(
            best["calculated_rank"], best["wallet"], offsets[:-1], offsets[1:], strict=True
        )
    ]
    return index_png(lines, f"Return index of the ten best as of {slot_text(slot)} (1.0 when first funded)")


def _model_grades(store: Warehouse, slot: datetime, wallets: tuple[str, ...]) -> tuple[FloatArray, BoolArray]:
    """Discrete scores that a model gave, in the order of the wallets, and whose grade is valid."""
    columns = ["wallet", "status", "grade_source", *_GRADE_SCORES]
    grades = (
        store.read_table(AI_GRADES, as_of=slot, columns=columns).set_index("wallet").reindex(list(wallets))
    )
    valid = (grades["status"] == "graded") & grades["grade_source"].isin(["llm", "cache"])
    return grades[_GRADE_SCORES].to_numpy(np.float64), valid.to_numpy(np.bool_)


def score_rows(ranked: ScoreTable, from_grader: BoolArray, metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of `wallet_scores` for a ranking in the order of the metric rows it is of."""
    columns: dict[str, Any] = {
        "as_of": metrics["as_of"].to_numpy(),
        "wallet": list(ranked.wallets),
        "calculated_rank": pd.Series(ranked.rank).astype("Int64"),
        "weighted_score": ranked.weighted_score,
        "percentile_mean": ranked.percentile_mean,
        "is_eligible": ranked.eligible,
        "ineligible_reason": pd.Series(list(ranked.ineligible_reasons), dtype=object),
        "n_metrics_scored": ranked.n_metrics_scored,
        "missing_metrics": pd.Series([list(names) for names in ranked.missing_metrics], dtype=object),
        "score_source": pd.Series(np.where(from_grader, "grader", "rules"), dtype=object).where(
            ranked.eligible, None
        ),
        "config_hash": ranked.config_hash,
        "origin": metrics["origin"].to_numpy(),
    }
    for position, name in enumerate(SCORED_METRICS):
        columns[f"{name}_percentile"] = ranked.percentiles[:, position]
        columns[f"{name}_score"] = ranked.scores[:, position]
    return WALLET_SCORES.conform(pd.DataFrame(columns, index=range(len(ranked.wallets))))
