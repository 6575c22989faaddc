"""`hl-assets alerts test` and `list`: trying the webhook, and what was delivered.

Belongs here: what these commands say. Does not belong here: delivering (`alerts.webhook`), the ledger (`alerts.record`).
"""

import json
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from hl_assets.alerts.alert import Alert, Message
from hl_assets.alerts.record import read_sent
from hl_assets.alerts.webhook import DeliveryError
from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.resources.alerts import webhook_of
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas.alerts import ALERTS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

_TEST_SECONDS = 30.0
_SHOWN = ("delivered_at", "event", "severity", "kind", "title")


def send_test(values: dict[str, object]) -> int:
    """Post a test alert; returns 0 if it was acknowledged.

    Raises:
        CommandError: No webhook is set.
    """
    settings = Settings.load(**values)
    webhook = webhook_of(settings)
    if webhook is None:
        raise CommandError(
            "ALERT_WEBHOOK_URL is not set; set it and ALERT_WEBHOOK_SECRET (docs/alerts.md says how to make one)"
        )
    message = _test_message(settings)
    try:
        receipt = webhook.deliver(message, within_seconds=_TEST_SECONDS)
    except DeliveryError as error:
        sys.stderr.write(f"not delivered after {_requests(error.attempts)}: {error}\n")
        return 1
    sys.stdout.write(
        f"delivered: status {receipt.status} after {_requests(receipt.attempts)} in {receipt.seconds:.2f} s, "
        f"id {message.id}\n"
    )
    return 0


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _test_message(settings: Settings) -> Message:
    now = datetime.now(UTC)
    alert = Alert(
        "test", "test", "info", "Test of the webhook; nothing is wrong", {"source": settings.source}
    )
    name = f"msg_{uuid.uuid4().hex}"
    return Message(name, "test", alert, settings.origin, settings.database, first_seen=now, decided_at=now)


def list_alerts(values: dict[str, object], rows: int, *, as_json: bool) -> None:
    """Print the newest alerts of the ledger."""
    settings = Settings.load(**values)
    with Warehouse(warehouse_config(settings), comment={"command": "hl-assets"}) as store:
        store.ensure_tables([ALERTS])
        frame = read_sent(store, rows)
    if as_json:
        records = [_record(row) for row in frame.to_dict("records")]
        sys.stdout.write(json.dumps(records, ensure_ascii=False) + "\n")
    elif frame.empty:
        sys.stdout.write(f"no alert was delivered yet (source {settings.source})\n")
    else:
        make_console().print(_table(frame))


def _record(row: dict[Any, Any]) -> dict[str, Any]:
    """A row as JSON values: facts as an object, instants as ISO text, null where there is none."""
    plain = {str(name): _plain(value) for name, value in row.items()}
    return plain | {"facts": json.loads(plain["facts"])}


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.item() if hasattr(value, "item") else value


def _table(frame: pd.DataFrame) -> Table:
    table = Table(header_style="bold")
    for name in _SHOWN:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in frame[list(_SHOWN)].itertuples(index=False, name=None):
        at, *words = row
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", *(Text(str(word)) for word in words))
    return table
