"""Contracts of the leaderboard as the exchange published it: which slot saw which board, and the boards' rows."""

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


class LeaderboardSnapshots(pa.DataFrameModel):
    """Which board a slot saw: one row per slot, pointing at the slot under which that board's rows are stored.

    The exchange refreshes the board about once an hour, so several slots see the same body; its rows are stored once.
    """

    as_of: Slot = slot_column()
    observed_at: Instant = instant_column("When the response arrived")
    last_modified: Instant = instant_column("The response's Last-Modified header", nullable=True)
    body_sha256: str = column(
        "SHA-256 of the response body", clickhouse="String", str_matches=r"^[0-9a-f]{64}$"
    )
    board_as_of: Slot = slot_column("Slot under which the rows of this body are stored in leaderboard_rows")
    n_rows: int = count_column("Rows of the board")
    n_bytes: int = count_column("Size of the response body", unit="bytes")
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


class LeaderboardRows(pa.DataFrameModel):
    """One wallet on one distinct board, with the exchange's own figures for its four windows.

    `roi` is the exchange's: PnL over max(100 USD, starting account value + maximum net deposits). It is not a return.
    """

    as_of: Slot = slot_column("First slot that saw this board")
    wallet: str = wallet_column()
    display_name: str = column(
        "Name chosen by the account's owner: untrusted text", clickhouse="Nullable(String)", nullable=True
    )
    account_value: float = float_column(
        "Account value: spot, perps and vaults, unrealised PnL included", unit="USD"
    )
    prize: float = float_column("Prize the exchange attaches to the row", unit="USD")
    day_pnl: float = float_column("PnL of the last day", unit="USD")
    day_roi: float = float_column("Exchange's ROI of the last day", unit="fraction")
    day_volume: float = float_column("Volume of the last day", unit="USD")
    week_pnl: float = float_column("PnL of the last 7 days", unit="USD")
    week_roi: float = float_column("Exchange's ROI of the last 7 days", unit="fraction")
    week_volume: float = float_column("Volume of the last 7 days", unit="USD")
    month_pnl: float = float_column("PnL of the last 30 days", unit="USD")
    month_roi: float = float_column("Exchange's ROI of the last 30 days", unit="fraction")
    month_volume: float = float_column("Volume of the last 30 days", unit="USD")
    all_time_pnl: float = float_column("PnL since the account began", unit="USD")
    all_time_roi: float = float_column("Exchange's ROI since the account began", unit="fraction")
    all_time_volume: float = float_column("Volume since the account began", unit="USD")

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


LEADERBOARD_SNAPSHOTS = TableContract(
    name="leaderboard_snapshots",
    model=LeaderboardSnapshots,
    grain="slot",
    key=("as_of",),
    order_by=("as_of",),
    empty_is="error",
)
LEADERBOARD_ROWS = TableContract(
    name="leaderboard_rows",
    model=LeaderboardRows,
    grain="wallet x distinct board",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution=(
        "Windows overlap and contradict each other for wealth outside perps; never sum day, week and month. "
        "Vaults and system addresses are rows too, so sums over wallets count the same money twice."
    ),
    empty_is="error",
)
