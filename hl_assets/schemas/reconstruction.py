"""Contract of reconstructed cohorts: whom a slot that nobody observed is made of, and from which histories."""

import pandera.pandas as pa

from hl_assets.schemas.contract import (
    RECONSTRUCTED,
    Instant,
    Slot,
    TableContract,
    column,
    count_column,
    float_column,
    instant_column,
    slot_column,
    wallet_column,
)

GRAINS = ("1d", "1h", "10m")


class ReconstructedCohorts(pa.DataFrameModel):
    """A wallet that a reconstructed slot covers: its history was fetched later and reaches back beyond the slot.

    A slot that nobody observed is computed from points dated at or before it. Its wallets are those that some slot at or
    after it fetched, so they are survivors: who had left the board before anything was stored cannot be among them. The rows
    fix what the reconstruction used; whatever is stored later, it comes out the same again.
    """

    as_of: Slot = slot_column("10-minute slot that is reconstructed")
    wallet: str = wallet_column()
    every: str = column(
        "Grain that was asked for: 1d, 1h or 10m", clickhouse="LowCardinality(String)", isin=list(GRAINS)
    )
    known_through: Slot = slot_column(
        "Newest slot whose answers were used; points that a later slot was the first to see do not count"
    )
    confirmed_by: Slot = slot_column("First slot at or after this one that fetched the wallet")
    hindsight_days: float = float_column(
        "How much later that was: the longer, the more survivorship", unit="days", ge=0
    )
    newest_point: Instant = instant_column("Newest stored point dated at or before the slot")
    n_points: int = count_column("Stored points dated at or before the slot")
    origin: str = column(
        "Where the facts come from: always reconstructed",
        clickhouse="LowCardinality(String)",
        isin=[RECONSTRUCTED],
    )

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


RECONSTRUCTED_COHORTS = TableContract(
    name="reconstructed_cohorts",
    model=ReconstructedCohorts,
    grain="wallet x reconstructed slot",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution=(
        "Survivors only: shares and averages over these wallets say nothing about all traders of that time. Never pool "
        "reconstructed slots with observed ones."
    ),
    empty_is="error",
)
