"""How long does a tick take, and where does the time go? `python -m benchmarks.bench_tick [wallets] [top_n]`.

A local exchange in a process of its own serves a board as large as the real one; its time to make and send the answers
counts as waiting for the exchange. The floors beside it: parsing the same body, and inserting the same rows with
clickhouse-connect alone.
"""

import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx

from hl_assets.assets.leaderboard import board_rows
from hl_assets.cli import local_exchange
from hl_assets.definitions import build_defs
from hl_assets.exchange.payloads import parse_leaderboard
from hl_assets.jobs import console_log
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded import process as embedded

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)


def run_tick(settings: Settings, instance: dg.DagsterInstance, slot: datetime) -> dict[str, float]:
    """Run one tick; seconds per step."""
    started = time.perf_counter()
    result = (
        build_defs(settings)
        .resolve_job_def("tick")
        .execute_in_process(
            instance=instance,
            partition_key=partition_key(slot),
            tags={SLOT_TAG: slot_text(slot)},
            run_config=console_log("ERROR"),
        )
    )
    total = time.perf_counter() - started
    steps = {
        s.step_key: (s.end_time or 0) - (s.start_time or 0)
        for s in instance.get_run_step_stats(result.run_id)
    }
    board = result.asset_materializations_for_node("leaderboard")[0].metadata
    fetch = float(board["fetch_seconds"].value) if board["fetched"].value else 0.0
    print(
        f"tick {slot_text(slot)}: {total:.2f} s; board of {board['rows'].value} rows, its fetch {fetch:.2f} s"
    )
    for step, seconds in steps.items():
        print(f"  {step:<20} {seconds:6.2f} s")
    print(
        f"  leaderboard without the exchange's time to make and send it: {steps['leaderboard'] - fetch:.2f} s"
    )
    return steps


def floors(settings: Settings, body: bytes) -> None:
    """The same bytes parsed, and the same rows inserted, with nothing around."""
    started = time.perf_counter()
    board = parse_leaderboard(body)
    parsed = time.perf_counter()
    rows = board_rows(board, SLOT)
    framed = time.perf_counter()
    types = {column.name: column.clickhouse_type for column in LEADERBOARD_ROWS.columns}
    with Warehouse(warehouse_config(settings)) as store:
        columns = ", ".join(f"`{name}` {kind}" for name, kind in types.items())
        store.command(
            f"CREATE TABLE IF NOT EXISTS bench_floor ({columns}) ENGINE = MergeTree ORDER BY wallet"
        )
        begun = time.perf_counter()
        store.insert_once("bench_floor", rows, types)
        print(
            f"floor: parse {parsed - started:.2f} s, frame {framed - parsed:.2f} s, plain insert {time.perf_counter() - begun:.2f} s"
        )


def main() -> None:
    wallets, top_n = (
        int(argument) for argument in (sys.argv[1:] + ["50000", "100"][len(sys.argv) - 1 :])[:2]
    )
    with tempfile.TemporaryDirectory() as folder:
        base = {
            "home": Path(folder),
            "sandbox_wallets": wallets,
            "top_n": top_n,
            "clock": SLOT,
            "start_date": SLOT.date(),
        }
        settings = Settings.load(**base)
        started = time.perf_counter()
        with (
            local_exchange.running(local_exchange.start_process(settings, SLOT)) as exchange,
            dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as instance,
        ):
            print(
                f"local exchange with {wallets:,} wallets ready after {time.perf_counter() - started:.1f} s"
            )
            settings = Settings.load(**base, **exchange.settings_values(settings))
            try:
                for hour in range(3):  # the first starts the embedded ClickHouse; each sees a new board
                    now = SLOT + timedelta(hours=hour)
                    httpx.put(
                        f"{exchange.url}/sandbox/clock", json={"mode": "frozen", "at": now.isoformat()}
                    ).raise_for_status()
                    body = httpx.get(f"{exchange.url}/Mainnet/leaderboard", timeout=120).content
                    run_tick(Settings.load(**{**settings_values(settings), "clock": now}), instance, now)
                floors(settings, body)
            finally:
                embedded.stop(Path(folder) / "clickhouse")
    print(
        f"body {len(body) / 1e6:.1f} MB; peak memory of the run's process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


def settings_values(settings: Settings) -> dict[str, object]:
    """Settings by field name."""
    return {name: getattr(settings, name) for name in Settings.model_fields}


if __name__ == "__main__":
    main()
