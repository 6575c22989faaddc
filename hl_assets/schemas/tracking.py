"""Contracts of the wallets that stay followed: their status slot by slot, and who asked for them by hand."""

import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    float_column,
    instant_column,
    origin_column,
    slot_column,
    wallet_column,
)

TRACKED_STATUSES = ("active", "off_board", "dormant", "wiped_out")
TRACKED_REASONS = (
    "on_board",
    "left_board",
    "no_move",
    "emptied",
    "lost_everything",
    "no_points",
    "no_board",
)
WATCH_ACTIONS = ("watch", "unwatch")


class TrackedWallets(pa.DataFrameModel):
    """A wallet that stays followed as of a slot: in the top within TRACK_DAYS, or watched by hand.

    Wallets that lose leave the board; without these rows a history of the board would be one of survivors.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    since: Slot = slot_column(
        "First slot of the last TRACK_DAYS that had it in the top, or that it was watched in"
    )
    last_in_top: Slot = column(
        "Newest slot that had it in the top; null if only watched",
        clickhouse="Nullable(DateTime('UTC'))",
        unit="UTC",
        nullable=True,
    )
    watched: bool = column("Whether somebody asked for it (`hl-assets watch`)", clickhouse="Bool")
    status: str = column(
        "active, off_board, dormant (no move for 7 days, or withdrawn to nothing), wiped_out (trading lost everything)",
        clickhouse="LowCardinality(String)",
        isin=list(TRACKED_STATUSES),
    )
    reason: str = column(
        "Why that status: "
        + ", ".join(TRACKED_REASONS)
        + " (no_points: none is stored yet, the board alone decides; no_board: none is stored for the slot, the curve alone decides)",
        clickhouse="LowCardinality(String)",
        isin=list(TRACKED_REASONS),
    )
    last_on_board: Slot = column(
        "First slot of the newest board of the last TRACK_DAYS that shows it; null if none does",
        clickhouse="Nullable(DateTime('UTC'))",
        unit="UTC",
        nullable=True,
    )
    last_moved: Instant = instant_column(
        "Newest point whose account value or PnL differs from the point before; null if none does",
        nullable=True,
    )
    last_point: Instant = instant_column("Newest point; null if none is stored", nullable=True)
    account_value: float = float_column("Account value at that point", unit="USD", nullable=True)
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class WatchRequests(pa.DataFrameModel):
    """Somebody asked to follow a wallet, or no longer to; the newest request of a wallet counts."""

    as_of: Slot = slot_column("Slot in which it was asked")
    wallet: str = wallet_column()
    requested_at: Instant = instant_column("When it was asked")
    action: str = column("watch or unwatch", clickhouse="LowCardinality(String)", isin=list(WATCH_ACTIONS))
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


TRACKED_WALLETS = TableContract(
    name="tracked_wallets",
    model=TrackedWallets,
    grain="wallet x slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="Account values are stocks: never sum them over time.",
)
WATCH_REQUESTS = TableContract(
    name="watch_requests",
    model=WatchRequests,
    grain="request",
    key=("as_of", "wallet", "requested_at"),
    order_by=("wallet", "requested_at", "as_of"),
    storage="ledger",
)
