"""Asset `wallet_scores`: scores, ranks, trust and trend of every wallet of a slot, and how the slot was scored.

Belongs here: deriving, describing and drawing a slot's ranking. Does not belong here: what is read for it and its rows
(`assets.score_inputs`, `assets.score_rows`), how a score or rank is computed (`scoring`).
"""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from hl_assets.assets.curves import read_curves
from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.score_inputs import ScoringRules, SlotInputs, read_history, read_inputs
from hl_assets.assets.score_rows import scored_rows
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.summaries import median
from hl_assets.checks.freshness import freshness_policy
from hl_assets.checks.results import Coverage
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets.plots import Line, index_png
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse

LINEAGE = Lineage(
    target=WALLET_SCORES,
    upstream=(WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES),
    reconstructed_from=(WALLET_METRICS, AI_GRADES, RECONSTRUCTED_COHORTS),
    others=(SCORE_RUNS,),
    reads_own_past=True,
)


@slot_asset(
    WALLET_SCORES,
    layer="derived",
    grain="wallet_x_slot",
    group="scoring",
    owner="quant-research",
    deps=["wallet_metrics", "ai_grades", "portfolio_histories", "reconstructed_cohorts", "vaults"],
    freshness_policy=freshness_policy(Settings()),
    description=(
        "The ranking of a slot: percentiles of six metrics among eligible wallets, discrete scores (a model's where it gave "
        "a valid grade, else the rules'), their weighted mean and a dense rank; beside it the scores without AI, by rules, by "
        "the model and shrunk by trust, the trend of the last days, and what the account may be other than a trader. "
        "Ineligible wallets are rows that say why. `score_runs` says how the slot was scored."
    ),
)
def wallet_scores(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Rank the wallets of the day's stale slots."""
    derivation = Derivation(LINEAGE, derive=lambda store, task: derive_scores(store, task, settings))
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_scores(store: Warehouse, task: SlotTask, settings: Settings) -> Derived:
    """Scores and ranks of the wallets of a slot, and how it was scored."""
    rules = ScoringRules.from_settings(settings)
    inputs = read_inputs(store, task.slot, task.origin)
    history = read_history(store, WALLET_SCORES, rules, inputs)
    scored = scored_rows(inputs, history, rules)
    ranked = scored.frame[scored.frame["is_eligible"]]
    return Derived(
        frame=scored.frame,
        others=[scored.run],
        coverage=Coverage(
            done=len(ranked),
            wanted=len(scored.frame),
            what="ranked / wallets with metrics",
            missing=[
                (wallet, why)
                for wallet, why in scored.frame[["wallet", "ineligible_reason"]].itertuples(
                    index=False, name=None
                )
                if why is not None
            ],
        ),
        metadata={
            "ranked": len(ranked),
            "scored_by_grader": int((ranked["score_source"] == "grader").sum()),
            "median_weighted_score": median(ranked["weighted_score"]),
            "median_trust": median(ranked["trust"]),
            "with_trend": int(scored.frame["trend_slope"].notna().sum()),
            "flagged": int((scored.frame["entity_flags"].map(len) > 0).sum()),
            "config_hash": rules.config.config_hash(),
        },
        draw=lambda: {"ten_best": _best_curves(store, inputs, scored.frame, settings)},
    )


def _best_curves(store: Warehouse, inputs: SlotInputs, scores: pd.DataFrame, settings: Settings) -> bytes:
    """Return indices of the ten best wallets; addresses only, no names that traders chose."""
    best = scores[scores["is_eligible"]].sort_values("calculated_rank").head(10)
    curves = read_curves(store, list(best["wallet"]), "all", inputs.slot, seen_until=inputs.seen_until)
    steps = flow_adjusted_returns(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    offsets = steps.curves.offsets
    lines = [
        Line(f"#{rank} {wallet[:8]}", steps.curves.ts_ms[begin:end], steps.index[begin:end])
        for rank, wallet, begin, end in zip(
            best["calculated_rank"], best["wallet"], offsets[:-1], offsets[1:], strict=True
        )
    ]
    return index_png(
        lines, f"Return index of the ten best as of {slot_text(inputs.slot)} (1.0 when first funded)"
    )
