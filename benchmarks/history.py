"""A history of many slots for benchmarks: the real tick job against a local exchange, in a folder of its own.

Belongs here: making it. Does not belong here: measuring it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx

from hl_assets.cli import local_exchange
from hl_assets.definitions import build_defs
from hl_assets.jobs import console_log
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded import process as embedded

START = datetime(2026, 5, 30, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """What was made.

    Attributes:
        store: The warehouse that holds it.
        slots: Its slots, oldest first.
        bodies: The board's JSON body of each slot, as the exchange sent it.
        home: Folder of everything.
    """

    store: Warehouse
    slots: Sequence[datetime]
    bodies: Sequence[bytes]
    home: Path


@contextmanager
def made_history(
    home: Path, *, wallets: int, top_n: int, n_slots: int, every: timedelta, instance: dg.DagsterInstance
) -> Iterator[History]:
    """Tick through slots, and hand over what is stored.

    Args:
        home: An empty folder.
        wallets: Wallets of the exchange's board.
        top_n: Wallets fetched each slot.
        n_slots: How many slots.
        every: Time between slots.
        instance: Dagster's instance, which keeps the runs.
    """
    base = {"home": home, "sandbox_wallets": wallets, "top_n": top_n, "start_date": START.date()}
    base |= {"sandbox_weight_per_minute": 1_200_000}
    slots = [START + every * number for number in range(n_slots)]
    settings = Settings.load(**base, clock=START)
    bodies = []
    try:
        with local_exchange.running(local_exchange.start_process(settings, START)) as exchange:
            base |= exchange.settings_values(settings)
            for slot in slots:
                clock = {"mode": "frozen", "at": slot.isoformat()}
                httpx.put(f"{exchange.url}/sandbox/clock", json=clock, trust_env=False).raise_for_status()
                board = httpx.get(f"{exchange.url}/Mainnet/leaderboard", timeout=120, trust_env=False)
                bodies.append(board.raise_for_status().content)
                tick(Settings.load(**base, clock=slot), instance, slot)
        with Warehouse(warehouse_config(settings)) as store:
            yield History(store, slots, bodies, home)
    finally:
        embedded.stop(home / "clickhouse")


def tick(settings: Settings, instance: dg.DagsterInstance, slot: datetime) -> None:
    """Run the tick job of one slot."""
    build_defs(settings).resolve_job_def("tick").execute_in_process(
        instance=instance,
        partition_key=partition_key(slot),
        tags={SLOT_TAG: slot_text(slot)},
        run_config=console_log("ERROR"),
    )
