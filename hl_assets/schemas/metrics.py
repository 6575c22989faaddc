"""Contract of wallet metrics: the risk and return figures of a wallet as of a slot, with the reasons of their nulls.

Names, units and meanings of the figures come from `hl_assets.metrics.catalog`; limits and storage are said here.
"""

from typing import Any

import pandas as pd
import pandera.pandas as pa

from hl_assets.metrics.catalog import COMPARISON_METRICS, METRICS
from hl_assets.metrics.trust import TrustLabel
from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    count_column,
    float_column,
    instant_column,
    origin_column,
    slot_column,
    wallet_column,
)
from hl_assets.schemas.portfolio import SCOPES

_CATALOG = {metric.name: metric for metric in (*METRICS, *COMPARISON_METRICS)}

# Kurtosis is at least 1 by definition; rounding may take it a little below.
_LEAST_KURTOSIS = 1 - 1e-9


def _figure(name: str, **checks: Any) -> Any:
    """A float of the catalogue."""
    return float_column(_CATALOG[name].description, unit=_CATALOG[name].unit, nullable=True, **checks)


def _count(name: str) -> Any:
    """A count of the catalogue."""
    return count_column(_CATALOG[name].description)


def _instant(name: str) -> Any:
    """An instant of the catalogue, stored as an instant instead of milliseconds."""
    return instant_column(_CATALOG[name].description, nullable=True)


def _exchange_roi(window: str) -> Any:
    """The exchange's own ROI, beside ours so that the difference is visible."""
    return float_column(
        f"Raw twin of roi: the exchange's own ROI of {window}, PnL over max(100 USD, starting value + net deposits)",
        unit="fraction",
        nullable=True,
    )


class WalletMetrics(pa.DataFrameModel):
    """A wallet's performance as of a slot, on its flow-adjusted return index, from points dated at or before the slot.

    A metric that cannot be computed is null and `null_reasons` says why. Deposits and withdrawals change no ratio.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    scope: str = column(
        "Part of the account the curve covers: all or perp",
        clickhouse="LowCardinality(String)",
        isin=list(SCOPES),
    )
    max_drawdown: float = _figure("max_drawdown", ge=-1, le=0)
    roi: float = _figure("roi", ge=-1)
    cagr: float = _figure("cagr", ge=-1)
    calmar_ratio: float = _figure("calmar_ratio")
    avg_drawdown: float = _figure("avg_drawdown", ge=-1, le=0)
    recovery_factor: float = _figure("recovery_factor")
    cagr_short: float = _figure("cagr_short", ge=-1)
    ulcer_index: float = _figure("ulcer_index", ge=0, le=1)
    time_under_water: float = _figure("time_under_water", ge=0, le=1)
    volatility: float = _figure("volatility", ge=0)
    sharpe: float = _figure("sharpe")
    sortino: float = _figure("sortino")
    skew: float = _figure("skew")
    kurtosis: float = _figure("kurtosis", ge=_LEAST_KURTOSIS)
    best_day_share: float = _figure("best_day_share", ge=0)
    daily_autocorrelation: float = _figure("daily_autocorrelation", ge=-1, le=1)
    n_daily_steps: int = _count("n_daily_steps")
    daily_coverage: float = _figure("daily_coverage", ge=0, le=1)
    psr: float = _figure("psr", ge=0, le=1)
    min_trl_days: float = _figure("min_trl_days", ge=1)
    dsr: float = _figure("dsr", ge=0, le=1)
    dsr_benchmark: float = _figure("dsr_benchmark", ge=0)
    dsr_n: int = _count("dsr_n")
    eb_sharpe: float = _figure("eb_sharpe")
    eb_sharpe_sd: float = _figure("eb_sharpe_sd", ge=0)
    trust: float = _figure("trust", ge=0, le=100)
    trust_quality: float = _figure("trust_quality", ge=0, le=1)
    trust_significance: float = _figure("trust_significance", ge=0, le=1)
    trust_label: str = column(
        "How far the figures can be believed: insufficient (under 30 days or 30 daily steps, no capital at work, or "
        "nothing to compare with), low (trust under 60), medium, high (trust from 85 and a record of min_trl_days)",
        clickhouse="LowCardinality(String)",
        isin=[label.value for label in TrustLabel],
    )
    recovery_usd: float = _figure("recovery_usd")
    total_pnl: float = _figure("total_pnl")
    net_flow: float = _figure("net_flow")
    gross_flow: float = _figure("gross_flow", ge=0)
    n_flows: int = _count("n_flows")
    account_value: float = _figure("account_value")
    roi_account_value: float = _figure("roi_account_value")
    max_drawdown_account_value: float = _figure("max_drawdown_account_value", le=0)
    exchange_roi_day: float = _exchange_roi("the last day")
    exchange_roi_week: float = _exchange_roi("the last 7 days")
    exchange_roi_month: float = _exchange_roi("the last 30 days")
    exchange_roi_all_time: float = _exchange_roi("the account's life")
    data_points: int = _count("data_points")
    data_span_days: float = _figure("data_span_days", ge=0)
    performance_span_days: float = _figure("performance_span_days", ge=0)
    avg_interval_hours: float = _figure("avg_interval_hours", ge=0)
    interval_cv_percent: float = _figure("interval_cv_percent", ge=0)
    is_uniform: pd.BooleanDtype = column(
        _CATALOG["is_uniform"].description, clickhouse="Nullable(Bool)", nullable=True
    )
    largest_gap_hours: float = _figure("largest_gap_hours", ge=0)
    share_flow_dominated: float = _figure("share_flow_dominated", ge=0, le=1)
    share_clipped: float = _figure("share_clipped", ge=0, le=1)
    share_no_base: float = _figure("share_no_base", ge=0, le=1)
    share_clean_steps: float = _figure("share_clean_steps", ge=0, le=1)
    n_epochs: int = _count("n_epochs")
    n_wipeouts: int = _count("n_wipeouts")
    n_drawdowns: int = _count("n_drawdowns")
    n_unknown_returns: int = _count("n_unknown_returns")
    n_contradictions: int = _count("n_contradictions")
    first_ts: Instant = _instant("first_ts_ms")
    last_ts: Instant = _instant("last_ts_ms")
    performance_start: Instant = _instant("performance_start_ms")
    data_age_hours: float = float_column(
        "Age of the wallet's newest answer when the slot began; 0 for one that the slot fetched itself. Null where it was not "
        "asked for: figures computed outside a slot",
        unit="h",
        nullable=True,
        ge=0,
    )
    null_reasons: object = column("Figure -> why it is null", clickhouse="Map(String, String)")
    flags: object = column(
        "What a reader should know: annualised_short, untested, ...", clickhouse="Array(String)"
    )
    formula_version: str = column("Version of the definitions", clickhouse="LowCardinality(String)")
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


WALLET_METRICS = TableContract(
    name="wallet_metrics",
    model=WalletMetrics,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="Ratios cannot be summed or averaged over wallets of different spans; a vault's PnL is also its depositors'.",
)
