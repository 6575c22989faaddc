"""Contract of the ledger of alerts: every message that the webhook acknowledged."""

import pandas as pd
import pandera.pandas as pa

from hl_assets.alerts.alert import EVENTS, KINDS, SEVERITIES
from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    count_column,
    instant_column,
    nullable_count_column,
    origin_column,
    slot_column,
)


class Alerts(pa.DataFrameModel):
    """A message about an alert that the webhook acknowledged.

    What is not delivered yet is not here but in the state of Dagster's sensor `alerts`; while the warehouse is away, delivered
    messages wait there too. See docs/alerts.md.
    """

    as_of: Slot = slot_column("Slot in which the message was decided")
    message_id: str = column(
        "Id of the message: the header webhook-id", clickhouse="String", str_matches=r"^msg_[0-9a-f]{32}$"
    )
    event: str = column(
        "opened, repeated or resolved for what lasts, occurred for what happens at an instant",
        clickhouse="LowCardinality(String)",
        isin=list(EVENTS),
    )
    alert_key: str = column("What it is about, e.g. stale/wallet_scores", clickhouse="String")
    kind: str = column("Kind of fact", clickhouse="LowCardinality(String)", isin=list(KINDS))
    severity: str = column(
        "info, warning or error", clickhouse="LowCardinality(String)", isin=list(SEVERITIES)
    )
    title: str = column("One sentence", clickhouse="String")
    facts: str = column("Numbers and words behind it, as a JSON object", clickhouse="String")
    about_slot: Slot = column(
        "Slot it is about; null if none", clickhouse="Nullable(DateTime('UTC'))", unit="UTC", nullable=True
    )
    first_seen: Instant = instant_column("When the alert began")
    decided_at: Instant = instant_column("When the message was decided")
    delivered_at: Instant = instant_column("When it was acknowledged")
    number: int = count_column("How often the episode was told, this message included")
    held_back: int = count_column("Occurrences of the key since its last message that were not told")
    attempts: int = count_column("Requests made")
    status_code: pd.Int64Dtype = nullable_count_column(
        "HTTP status of the acknowledgement; null where the run-failure sensor delivered it", unit=""
    )
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


ALERTS = TableContract(
    name="alerts",
    model=Alerts,
    grain="message",
    key=("as_of", "message_id"),
    order_by=("as_of", "message_id"),
    caution="An alert that lasts is several messages: opened, repeated, resolved. Count keys or openings, not rows.",
    storage="ledger",
)
