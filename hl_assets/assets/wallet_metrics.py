"""Asset `wallet_metrics`: risk and return of every wallet fetched in a slot, from points dated at or before it.

Belongs here: reading the slot's points and handing them to the domain. Does not belong here: formulas (`metrics`).
"""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
import pandas as pd

from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.describe import definition_metadata
from hl_assets.assets.metric_rows import metric_rows
from hl_assets.assets.reconcile import Derivation, Derived
from hl_assets.checks.results import Coverage, check_specs
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules
from hl_assets.failures import RETRY_WAREHOUSE
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.partitions import daily
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

SCOPE = "all"

# Rows come in the order the slots saw them, so that of contradicting points the first seen is the one that counts.
_POINTS_SQL = """
SELECT wallet, toUnixTimestamp64Milli(ts) AS ts_ms, account_value, pnl
FROM portfolio_points
WHERE wallet IN {wallets:Array(String)} AND scope = {scope:String} AND segment = ''
    AND as_of <= {slot:DateTime('UTC')} AND ts <= {slot:DateTime('UTC')}
ORDER BY wallet, ts, as_of
"""


@dg.asset(
    deps=["portfolio_histories"],
    description=(
        "Max drawdown, ROI, CAGR, Calmar, average drawdown, recovery factor, daily risk, significance, trust and data quality "
        "of every wallet fetched in a slot, on its flow-adjusted return index: deposits and withdrawals change no ratio. Reads only points dated at or "
        "before the slot. What cannot be computed is null, with the reason."
    ),
    group_name="metrics",
    kinds={"python", "numpy", "clickhouse"},
    owners=["team:quant-research"],
    tags={"layer": "derived", "grain": "wallet_x_slot"},
    pool="clickhouse_write",
    partitions_def=daily,
    retry_policy=RETRY_WAREHOUSE,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    check_specs=check_specs("wallet_metrics", partitions_def=daily, coverage=True),
    metadata=definition_metadata(WALLET_METRICS),
)
def wallet_metrics(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Derive the metrics of the day's stale slots."""
    derivation = Derivation(
        target=WALLET_METRICS,
        upstream=(PORTFOLIO_FETCHES, PORTFOLIO_POINTS),
        derive=lambda store, slot: derive_metrics(store, slot, settings),
    )
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_metrics(store: Warehouse, slot: datetime, settings: Settings) -> Derived:
    """Metrics of the wallets a slot fetched."""
    fetches = store.read_table(PORTFOLIO_FETCHES, as_of=slot, columns=["wallet", "status"])
    wallets = sorted(fetches.loc[fetches["status"] == "ok", "wallet"])
    points = store.read_frame(_POINTS_SQL, {"wallets": wallets, "scope": SCOPE, "slot": slot})
    curves = RaggedCurves.from_columns(
        points["wallet"].to_numpy(object),
        points["ts_ms"],
        points["account_value"],
        points["pnl"],
        wallets=wallets,
    )
    table = compute_wallet_metrics(curves, ReturnRules(funding_floor=settings.funding_floor_usd))
    comparison = compare_wallets(table, assess_eligibility(table))
    frame = metric_rows(table, comparison, slot=slot, scope=SCOPE, origin=settings.origin)
    unusable = frame.loc[frame["roi"].isna(), ["wallet", "null_reasons"]]
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=len(frame) - len(unusable),
            wanted=len(wallets),
            what="wallets with a return / fetched wallets",
            missing=[
                (wallet, reasons["roi"]) for wallet, reasons in unusable.itertuples(index=False, name=None)
            ],
        ),
        metadata={
            "points": curves.n_points,
            "median_roi": _median(frame["roi"]),
            "median_max_drawdown": _median(frame["max_drawdown"]),
            "share_null_cagr": float(frame["cagr"].isna().mean()) if len(frame) else None,
            "median_largest_gap_hours": _median(frame["largest_gap_hours"]),
            "share_null_sharpe": float(frame["sharpe"].isna().mean()) if len(frame) else None,
            "wallets_compared": int(frame["dsr_n"].max()) if len(frame) else 0,
            "high_trust": int((frame["trust_label"] == "high").sum()),
        },
    )


def _median(values: "pd.Series[float]") -> float | None:
    median = values.median()
    return None if pd.isna(median) else float(median)
