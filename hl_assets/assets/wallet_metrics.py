"""Asset `wallet_metrics`: risk and return of every wallet a slot covers, from points dated at or before it.

Belongs here: reading the slot's points and handing them to the domain. Does not belong here: formulas (`metrics`).
"""

from collections.abc import Iterator

import dagster as dg

from hl_assets.assets.cohorts import read_cohort
from hl_assets.assets.curves import read_curves
from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.metric_rows import metric_rows
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.summaries import mean, median
from hl_assets.checks.results import Coverage
from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.plots import distribution_png
from hl_assets.resources.scoring import eligibility_rules
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

SCOPE = "all"
LINEAGE = Lineage(
    target=WALLET_METRICS,
    upstream=(PORTFOLIO_FETCHES, PORTFOLIO_POINTS),
    reconstructed_from=(RECONSTRUCTED_COHORTS,),
)

# The exchange's own ROI of the same wallets, from the board that the slot saw.
_EXCHANGE_ROI_SQL = """
SELECT wallet, day_roi, week_roi, month_roi, all_time_roi
FROM leaderboard_rows
WHERE as_of IN (SELECT board_as_of FROM leaderboard_snapshots WHERE as_of = {slot:DateTime('UTC')})
    AND wallet IN {wallets:Array(String)}
"""


@slot_asset(
    WALLET_METRICS,
    layer="derived",
    grain="wallet_x_slot",
    group="metrics",
    owner="quant-research",
    deps=["portfolio_histories", "reconstructed_cohorts"],
    kinds=frozenset({"python", "numpy", "clickhouse"}),
    description=(
        "Max drawdown, ROI, CAGR, Calmar, average drawdown, recovery factor, daily risk, significance, trust and data "
        "quality of every wallet that a slot covers, on its flow-adjusted return index: deposits and withdrawals change no "
        "ratio. Reads only points dated at or before the slot. What cannot be computed is null, with the reason."
    ),
)
def wallet_metrics(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Derive the metrics of the day's stale slots."""
    derivation = Derivation(LINEAGE, derive=lambda store, task: derive_metrics(store, task, settings))
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_metrics(store: Warehouse, task: SlotTask, settings: Settings) -> Derived:
    """Metrics of the wallets a slot covers."""
    cohort = read_cohort(store, task, settings.max_data_age_hours)
    wallets = cohort.wallets
    curves = read_curves(store, wallets, SCOPE, task.slot, seen_until=cohort.seen_until)
    table = compute_wallet_metrics(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    comparison = compare_wallets(table, assess_eligibility(table, eligibility_rules(settings)))
    exchange_roi = store.read_frame_of(_EXCHANGE_ROI_SQL, "wallets", wallets, {"slot": task.slot})
    frame = metric_rows(
        table,
        comparison,
        slot=task.slot,
        scope=SCOPE,
        origin=task.origin,
        exchange_roi=exchange_roi,
        data_age_hours=cohort.data_age_hours.to_numpy(float),
    )
    unusable = frame.loc[frame["roi"].isna(), ["wallet", "null_reasons"]]
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=len(frame) - len(unusable),
            wanted=len(wallets),
            what="wallets with a return / covered wallets",
            missing=[
                (wallet, reasons["roi"]) for wallet, reasons in unusable.itertuples(index=False, name=None)
            ],
        ),
        metadata={
            "points": curves.n_points,
            "median_data_age_hours": median(frame["data_age_hours"]),
            "oldest_data_age_hours": None if frame.empty else float(frame["data_age_hours"].max()),
            "median_roi": median(frame["roi"]),
            "median_max_drawdown": median(frame["max_drawdown"]),
            "share_null_cagr": float(frame["cagr"].isna().mean()) if len(frame) else None,
            "median_largest_gap_hours": median(frame["largest_gap_hours"]),
            "largest_gap_hours": None if frame.empty else float(frame["largest_gap_hours"].max()),
            "mean_share_flow_dominated": mean(frame["share_flow_dominated"]),
            "share_null_sharpe": float(frame["sharpe"].isna().mean()) if len(frame) else None,
            "wallets_compared": int(frame["dsr_n"].max()) if len(frame) else 0,
            "high_trust": int((frame["trust_label"] == "high").sum()),
        },
        draw=lambda: {
            "distribution": distribution_png(frame["roi"].to_numpy(), frame["max_drawdown"].to_numpy())
        },
    )
