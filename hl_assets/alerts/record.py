"""The ledger of what was delivered: writing and reading `alerts`.

Belongs here: messages as rows. Does not belong here: what is delivered (`turning`).
"""

from collections.abc import Sequence

import msgspec
import pandas as pd

from hl_assets.alerts.state import Sent
from hl_assets.schemas.alerts import ALERTS
from hl_assets.slots import slot_of
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries


def record_sent(store: Warehouse, sent: Sequence[Sent]) -> None:
    """Append delivered messages; one appended before is stored once.

    Raises:
        WarehouseError: They may or may not be stored.
    """
    if sent:
        append_entries(store, ALERTS, ALERTS.conform(pd.DataFrame([_row(found) for found in sent])))


def read_sent(store: Warehouse, limit: int) -> pd.DataFrame:
    """The newest messages of the ledger, newest first."""
    return store.read_table(ALERTS, order_by=("-delivered_at", "-message_id"), limit=limit)


def _row(sent: Sent) -> dict[str, object]:
    message = sent.message
    alert = message.alert
    return {
        "as_of": slot_of(message.decided_at),
        "message_id": message.id,
        "event": message.event,
        "alert_key": alert.key,
        "kind": alert.kind,
        "severity": alert.severity,
        "title": alert.title,
        "facts": msgspec.json.encode(alert.facts).decode(),
        "about_slot": None if alert.slot is None else pd.Timestamp(alert.slot),
        "first_seen": pd.Timestamp(message.first_seen),
        "decided_at": pd.Timestamp(message.decided_at),
        "delivered_at": pd.Timestamp(sent.delivered_at),
        "number": message.number,
        "held_back": message.held_back,
        "attempts": sent.attempts,
        "status_code": sent.status,
        "origin": message.origin,
    }
