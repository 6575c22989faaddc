"""Contract of equity curves: the points of a wallet with flow, return, index and drawdown, for queries and plots."""

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


class EquityCurves(pa.DataFrameModel):
    """One point of a wallet's flow-adjusted curve, as of the newest slot of a UTC day.

    The curve of a slot is made from `portfolio_points` dated at or before it, beginning with the first point at or above
    the funding floor. A row describes the step that ends at its point. Within a day only the newest slot's curves are
    kept, because each contains the ones before; a day's last ones stay.
    """

    as_of: Slot = slot_column("Slot the curve is as of: the newest of its UTC day")
    wallet: str = wallet_column()
    scope: str = column(
        "Part of the account the curve covers: all or perp",
        clickhouse="LowCardinality(String)",
        isin=list(SCOPES),
    )
    ts: Instant = instant_column("Instant of the point")
    account_value: float = float_column("Account value", unit="USD")
    pnl: float = float_column("Cumulative PnL since the account began", unit="USD")
    flow: float = float_column("Net deposit (+) or withdrawal (-) during the step", unit="USD", nullable=True)
    base: float = float_column("Capital at work during the step", unit="USD", nullable=True)
    step_return: float = float_column("PnL of the step / base", unit="fraction", nullable=True, ge=-1)
    return_index: float = float_column(
        "Product of (1 + step_return), 1.0 at the first funded point and again at the refunding after a wipe-out",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    drawdown: float = float_column(
        "Index / its running maximum - 1", unit="fraction", nullable=True, ge=-1, le=0
    )
    epoch: int = count_column("Funded period the point belongs to, from 1", unit="ordinal")
    flags: object = column(
        "start, flow, no_base, flow_dominated, clipped, wiped_out, ...", clickhouse="Array(String)"
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


EQUITY_CURVES = TableContract(
    name="equity_curves",
    model=EquityCurves,
    grain="point of a wallet's curve as of a day's newest slot",
    key=("as_of", "wallet", "scope", "ts"),
    order_by=("wallet", "scope", "as_of", "ts"),
    caution=(
        "Choose one `as_of`: every day repeats the curve up to then. `perp` is part of `all`. Account values are stocks; "
        "flows and returns belong to steps of different length."
    ),
)
