"""Contract of wallet metrics: the risk and return figures of a wallet as of a slot, with the reasons of their nulls."""

import pandera.pandas as pa

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
    max_drawdown: float = float_column(
        "Largest fall of the index from its running maximum; <= 0; a lower bound where points are far apart",
        unit="fraction",
        nullable=True,
        ge=-1,
        le=0,
    )
    roi: float = float_column("Index at the end minus 1", unit="fraction", nullable=True, ge=-1)
    cagr: float = float_column(
        "Index at the end to the power 1/years, minus 1", unit="fraction/year", nullable=True, ge=-1
    )
    calmar_ratio: float = float_column("cagr / |max_drawdown|", unit="ratio", nullable=True)
    avg_drawdown: float = float_column(
        "Mean of the lows of all drawdown episodes, the open one included; <= 0",
        unit="fraction",
        nullable=True,
        ge=-1,
        le=0,
    )
    recovery_factor: float = float_column("roi / |max_drawdown|, signed", unit="ratio", nullable=True)
    cagr_short: float = float_column(
        "CAGR of a span under 90 days: shown, never ranked", unit="fraction/year", nullable=True, ge=-1
    )
    recovery_usd: float = float_column(
        "Net PnL / largest fall of cumulative PnL, signed", unit="ratio", nullable=True
    )
    total_pnl: float = float_column("PnL from the first to the last point", unit="USD", nullable=True)
    account_value: float = float_column("Account value at the last point", unit="USD", nullable=True)
    net_flow: float = float_column("Deposits minus withdrawals", unit="USD", nullable=True)
    gross_flow: float = float_column("Deposits plus withdrawals", unit="USD", nullable=True, ge=0)
    n_flows: int = count_column("Steps with a deposit or withdrawal")
    n_epochs: int = count_column(
        "Times the account was funded from nothing; above 1: it was wiped out or emptied"
    )
    roi_account_value: float = float_column(
        "Raw twin of roi: change of account value over its start, deposits included",
        unit="fraction",
        nullable=True,
    )
    max_drawdown_account_value: float = float_column(
        "Raw twin of max_drawdown: largest fall of account value, withdrawals included",
        unit="fraction",
        nullable=True,
    )
    data_points: int = count_column("Points of the curve")
    data_span_days: float = float_column("From the first to the last point", unit="days", nullable=True, ge=0)
    avg_interval_hours: float = float_column(
        "Mean interval between points", unit="hours", nullable=True, ge=0
    )
    interval_cv_percent: float = float_column(
        "Coefficient of variation of the intervals", unit="percent", nullable=True, ge=0
    )
    is_uniform: bool = column("Whether that coefficient is below 5 %", clickhouse="Bool")
    largest_gap_hours: float = float_column(
        "Longest interval between points", unit="hours", nullable=True, ge=0
    )
    share_flow_dominated: float = float_column(
        "Share of steps whose flow is at least half of their base", unit="fraction", nullable=True, ge=0, le=1
    )
    share_clipped: float = float_column(
        "Share of steps whose return was clipped", unit="fraction", nullable=True, ge=0, le=1
    )
    first_ts: Instant = instant_column("First point of the curve", nullable=True)
    last_ts: Instant = instant_column("Last point of the curve", nullable=True)
    null_reasons: object = column("Metric -> why it is null", clickhouse="Map(String, String)")
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
