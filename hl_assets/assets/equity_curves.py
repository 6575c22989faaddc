"""Asset `equity_curves`: every wallet's curve as of the day's newest slot, for queries and plots.

Belongs here: reading the slot's points and storing their steps. Does not belong here: returns (`equity`), metrics.
"""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
import numpy as np
import pandas as pd

from hl_assets.assets.cohorts import read_cohort
from hl_assets.assets.curves import read_curves
from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.checks.results import Coverage
from hl_assets.equity.flags import StepFlag, StitchFlag, flag_names
from hl_assets.equity.ragged import segment_of
from hl_assets.equity.returns import ReturnRules, Steps, flow_adjusted_returns
from hl_assets.metrics.drawdown import drawdown_series
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

LINEAGE = Lineage(target=EQUITY_CURVES, upstream=(PORTFOLIO_FETCHES, PORTFOLIO_POINTS), newest_only=True)

_PERP_FAULT = "perp_" + flag_names(StitchFlag.PERP_BASELINE_FAULT)[0]
_FELL_BACK = flag_names(StitchFlag.FELL_BACK_TO_ALL)[0]


@slot_asset(
    EQUITY_CURVES,
    layer="derived",
    grain="wallet_x_point",
    group="metrics",
    owner="quant-research",
    deps=["portfolio_histories"],
    kinds=frozenset({"python", "numpy", "clickhouse"}),
    description=(
        "Account value, PnL, flow, return, index and drawdown of every point of every wallet covered, for both scopes, as "
        "of the newest slot of the day. The place to look at or plot a curve; metrics are computed from the same steps."
    ),
)
def equity_curves(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[DerivedResults]:
    """Derive the curves of the day's newest slot, and withdraw those of the day's earlier ones."""
    derivation = Derivation(LINEAGE, derive=lambda store, task: derive_curves(store, task, settings))
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_curves(store: Warehouse, task: SlotTask, settings: Settings) -> Derived:
    """Curves of the wallets a slot covers."""
    cohort = read_cohort(store, task, settings.max_data_age_hours)
    wallets = cohort.wallets
    flags_of = zip(wallets, cohort.frame["flags"], strict=True)
    faulty = [wallet for wallet, flags in flags_of if _PERP_FAULT in flags]
    rules = ReturnRules(funding_floor=settings.funding_floor_usd)
    # The perp series of the faulty books their whole balance as profit: what is known is the whole account.
    parts = [
        ("all", "all", wallets, ()),
        ("perp", "perp", [wallet for wallet in wallets if wallet not in set(faulty)], ()),
        ("perp", "all", faulty, (_FELL_BACK,)),
    ]
    frames = [
        curve_rows(
            flow_adjusted_returns(read_curves(store, chosen, read_scope, task.slot), rules),
            slot=task.slot,
            scope=scope,
            origin=task.origin,
            more_flags=more_flags,
        )
        for scope, read_scope, chosen, more_flags in parts
        if chosen
    ]
    frame = EQUITY_CURVES.conform(pd.concat(frames, ignore_index=True)) if frames else EQUITY_CURVES.empty()
    drawn = set(frame.loc[frame["scope"] == "all", "wallet"])
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=len(drawn),
            wanted=len(wallets),
            what="wallets with a funded point / covered wallets",
            missing=[(wallet, "never funded") for wallet in wallets if wallet not in drawn],
        ),
        metadata={
            "points_all": int((frame["scope"] == "all").sum()),
            "points_perp": int((frame["scope"] == "perp").sum()),
            "perp_fell_back_to_all": len(faulty),
        },
    )


def curve_rows(
    steps: Steps, *, slot: datetime, scope: str, origin: str, more_flags: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Rows of `equity_curves` for the steps of many wallets."""
    curves = steps.curves
    wallet = np.array(curves.wallets, dtype=object)[segment_of(np.arange(curves.n_points), curves.offsets)]
    patterns, pattern_of = np.unique(steps.flags, return_inverse=True)
    names = [[*flag_names(StepFlag(int(bits))), *more_flags] for bits in patterns]
    frame = pd.DataFrame(
        {
            "wallet": wallet,
            "scope": scope,
            "ts": pd.to_datetime(curves.ts_ms, unit="ms", utc=True),
            "account_value": curves.account_value,
            "pnl": curves.pnl,
            "flow": steps.flow,
            "base": steps.base,
            "step_return": steps.r,
            "return_index": steps.index,
            "drawdown": drawdown_series(steps),
            "epoch": steps.epoch,
            "flags": pd.Series([names[number] for number in pattern_of.ravel()], dtype=object),
            "origin": origin,
        }
    )
    return EQUITY_CURVES.conform(frame.assign(as_of=pd.Timestamp(slot)))
