"""Contract of the quarantine: slots whose derivation failed, set aside with the reason until they are replayed or waived."""

import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    instant_column,
    origin_column,
    slot_column,
)

QUARANTINE_EVENTS = ("quarantined", "released", "waived")


class QuarantinedSlots(pa.DataFrameModel):
    """Something happened to a slot that could not be derived; the newest event of a table's slot counts.

    A slot in quarantine is left out by later runs, so that it blocks nothing, until its sources or the code change or
    somebody replays it. What was published of it before stays published.
    """

    as_of: Slot = slot_column("The slot that could not be derived")
    table_name: str = column("Table whose rows of the slot failed", clickhouse="LowCardinality(String)")
    recorded_at: Instant = instant_column("When it happened")
    event: str = column(
        "quarantined (deriving it failed), released (derived after all), waived (somebody accepts that it is missing)",
        clickhouse="LowCardinality(String)",
        isin=list(QUARANTINE_EVENTS),
    )
    reason: str = column("What is wrong with the slot, or why it is waived or released", clickhouse="String")
    inputs: object = column(
        "Upstream table -> version that it was derived from", clickhouse="Map(String, UInt64)"
    )
    code_version: str = column(
        "Version of the code that failed or succeeded", clickhouse="LowCardinality(String)"
    )
    run_id: str = column("Run that found out; empty if somebody waived it by hand", clickhouse="String")
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


QUARANTINED_SLOTS = TableContract(
    name="quarantined_slots",
    model=QuarantinedSlots,
    grain="event of a table's slot",
    key=("as_of", "table_name", "recorded_at"),
    order_by=("table_name", "as_of", "recorded_at"),
    caution="Events, not slots: the newest one of a table's slot says how it stands.",
    storage="ledger",
)
