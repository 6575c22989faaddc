"""Contracts of portfolio histories: what each slot asked for and got, and the points it saw first."""

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

FETCH_STATUSES = ("ok", "empty", "failed")
"""`empty`: the exchange answered that this address has no portfolio (an agent address, say)."""
SCOPES = ("all", "perp")


class PortfolioFetches(pa.DataFrameModel):
    """One wallet that a slot wanted: what came of it. A failure is a row, never an absence.

    A slot's fetches are filled, not overwritten: running the slot again fetches only what is missing or failed.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    selection_rank: int = count_column("Place in the order of asking, 1 is first", unit="rank")
    selected_by: str = column(
        "Why the wallet was picked: top:<window>:<measure>, or of a plan over the whole board: tracked, moved (the board "
        "shows a move since its newest answer), stale, new, uncertain (its rank may be in the top), cohort",
        clickhouse="LowCardinality(String)",
    )
    status: str = column(
        "ok, empty (no portfolio at this address) or failed",
        clickhouse="LowCardinality(String)",
        isin=list(FETCH_STATUSES),
    )
    error_kind: str = column(
        "Kind of failure (timeout, rate_limited, server_error, rejected, payload_shape, ...)",
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
    )
    error: str = column("What failed and what to do", clickhouse="Nullable(String)", nullable=True)
    attempts: int = count_column("Requests made, retries included")
    weight: int = count_column("Request weight spent", unit="weight")
    elapsed_seconds: float = float_column(
        "The whole fetch: waiting for the budget and retries included", unit="s", ge=0
    )
    observed_at: Instant = instant_column("When the answer arrived or the last attempt failed")
    n_points: int = count_column("Points of both scopes after stitching")
    n_new_points: int = count_column("Points not stored before")
    n_contradictions: int = count_column("Points stored before with another value; both are kept")
    flags: object = column(
        "What was odd: unstitched windows, perp_baseline_fault, duplicates, ...", clickhouse="Array(String)"
    )
    day_volume: float = float_column("Volume of the last day", unit="USD", nullable=True)
    week_volume: float = float_column("Volume of the last 7 days", unit="USD", nullable=True)
    month_volume: float = float_column("Volume of the last 30 days", unit="USD", nullable=True)
    all_time_volume: float = float_column("Volume since the account began", unit="USD", nullable=True)
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class PortfolioPoints(pa.DataFrameModel):
    """One point of a wallet's history, stored with the slot that saw it first.

    Points are never moved or coarsened. A later answer with another value for the same instant is stored too, marked
    `contradicts`; readers take the value seen first. Readers join a segment of its own to the curve once any point they
    may see connects the two.
    """

    as_of: Slot = slot_column("Slot that saw the point first")
    wallet: str = wallet_column()
    scope: str = column(
        "all (spot, perps and vaults) or perp", clickhouse="LowCardinality(String)", isin=list(SCOPES)
    )
    segment: str = column(
        "Empty for the curve anchored at the account's beginning; else the window that shared no instant with it, and the "
        "slot that saw it first: one PnL baseline each",
        clickhouse="LowCardinality(String)",
    )
    ts: Instant = instant_column("Instant of the point")
    account_value: float = float_column("Account value", unit="USD")
    pnl: float = float_column(
        "Cumulative PnL since the account's beginning; in a segment of its own, since the start of the window that was "
        "stored first",
        unit="USD",
    )
    contradicts: bool = column("An earlier slot stored another value for this instant", clickhouse="Bool")
    observed_at: Instant = instant_column("When the answer with this point arrived")

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


PORTFOLIO_FETCHES = TableContract(
    name="portfolio_fetches",
    model=PortfolioFetches,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="Volumes of the four windows overlap: never sum them.",
    empty_is="error",
)
PORTFOLIO_POINTS = TableContract(
    name="portfolio_points",
    model=PortfolioPoints,
    grain="point of a wallet's history",
    key=("as_of", "wallet", "scope", "segment", "ts"),
    order_by=("wallet", "scope", "segment", "ts", "as_of"),
    caution="`perp` is part of `all`: never sum scopes. Account values are stocks: never sum over time.",
)
