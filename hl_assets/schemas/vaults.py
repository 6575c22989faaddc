"""Contract of the exchange's list of vaults: which addresses are pooled money and not one trader."""

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

RELATIONSHIPS = ("normal", "parent", "child")
"""`parent`: a vault that trades through child vaults (HLP); its figures contain theirs."""


class Vaults(pa.DataFrameModel):
    """One vault on the exchange's list, which is fetched once per UTC day.

    The list names every vault ever made, closed ones included. An address that is not on it is no vault as far as the
    exchange says.
    """

    as_of: Slot = slot_column("Slot that fetched the list: the first of its UTC day that could")
    wallet: str = wallet_column()
    name: str = column("Name chosen by the vault's leader: untrusted text", clickhouse="String")
    leader: str = column(
        "Address of its leader, lower case", clickhouse="String", str_matches=r"^0x[0-9a-f]{40}$"
    )
    tvl: float = float_column("Money in the vault", unit="USD")
    is_closed: bool = column("Whether it is closed", clickhouse="Bool")
    relationship: str = column(
        "normal, parent or child", clickhouse="LowCardinality(String)", isin=list(RELATIONSHIPS)
    )
    created_at: Instant = instant_column("When it was made")
    observed_at: Instant = instant_column("When the list arrived")
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


VAULTS = TableContract(
    name="vaults",
    model=Vaults,
    grain="vault x UTC day",
    key=("as_of", "wallet"),
    order_by=("as_of", "wallet"),
    caution="`tvl` is a stock, and a parent vault's contains its children's: never sum it over days or relationships.",
)
