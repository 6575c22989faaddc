"""Start, publish and query times of the warehouse on the embedded ClickHouse, and the server's memory.

    python benchmarks/bench_warehouse.py [--rows 47500] [--slots 20] [--publications 50000]

Slices are boards of simulated wallets. The floor printed beside publishing is one plain insert of the same rows by the
same client; what is above it buys the check of the row count and the atomic commit. `--publications` fills the manifest
with that many further slots (52,560 are a year), because every query of a view reads it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from hl_assets.schemas import TABLES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.warehouse import ddl
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running, status, stop
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Provenance, Publisher

T0 = datetime(2026, 11, 1, tzinfo=UTC)
PROVENANCE = Provenance(run_id="bench", code_version="bench", origin="simulated")


def slot(number: int) -> datetime:
    return T0 + timedelta(minutes=10) * number


def board(as_of: datetime, n_rows: int, rng: np.random.Generator) -> pd.DataFrame:
    columns: dict[str, object] = {
        "as_of": pd.Series([as_of] * n_rows, dtype="datetime64[s, UTC]"),
        "wallet": [f"0x{number:040x}" for number in range(n_rows)],
        "display_name": [None if number % 3 else f"nämé {number}" for number in range(n_rows)],
    }
    numbers = {
        spec.name: rng.normal(0, 1e5, n_rows) for spec in LEADERBOARD_ROWS.columns if spec.name not in columns
    }
    return LEADERBOARD_ROWS.conform(columns | numbers)


def timed(label: str, call: Callable[[], object], repeat: int = 1) -> None:
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    spread = (
        ""
        if repeat == 1
        else f"   (best {min(seconds) * 1e3:.1f}, worst {max(seconds) * 1e3:.1f}, n={repeat})"
    )
    print(f"{label:<58}{statistics.median(seconds) * 1e3:>9.1f} ms{spread}")


def server_memory(home: Path) -> str:
    state = status(home)
    proc = Path(f"/proc/{state.pid}/status") if state else None
    if proc is None or not proc.is_file():
        return "unknown"
    fields = dict(line.split(":", 1) for line in proc.read_text().splitlines())
    return f"{int(fields['VmRSS'].split()[0]) / 1024:.0f} MB (peak {int(fields['VmHWM'].split()[0]) / 1024:.0f} MB)"


def bench(home: Path, n_rows: int, n_slots: int, n_publications: int) -> None:
    rng = np.random.default_rng(7)
    timed("server: start on an empty folder until it answers", lambda: ensure_running(home))
    timed("server: found running", lambda: ensure_running(home), 20)
    with Warehouse(WarehouseConfig(home=home, database="bench")) as store:
        timed("client: connect", lambda: store.server_version)
        timed(
            f"ensure_tables: create {len(TABLES)} tables and their views", lambda: store.ensure_tables(TABLES)
        )
        timed("ensure_tables: nothing to do", lambda: store.ensure_tables(TABLES), 20)
        measure(home, store, rng, n_rows, n_slots, n_publications)
    print(f"{'server: resident memory':<58}{server_memory(home)}")
    timed("server: stop", lambda: stop(home))
    timed("server: start with this data until it answers", lambda: ensure_running(home))
    stop(home)


def measure(
    home: Path, store: Warehouse, rng: np.random.Generator, n_rows: int, n_slots: int, n_publications: int
) -> None:
    publisher, manifest = Publisher(store), Manifest(store)
    boards = iter([board(slot(number), n_rows, rng) for number in range(n_slots)])
    numbers = iter(range(n_slots))
    plain = board(slot(0), n_rows, rng)
    store.command("CREATE TABLE plain AS leaderboard_rows__versions")
    types = {spec.name: spec.clickhouse_type for spec in LEADERBOARD_ROWS.columns}
    timed(f"floor: plain insert of {n_rows} rows", lambda: store.insert_once("plain", plain, types), 5)
    timed(
        f"publish: new slice of {n_rows} rows x {len(types)} columns",
        lambda: publisher.replace_slice(LEADERBOARD_ROWS, slot(next(numbers)), next(boards), PROVENANCE),
        n_slots,
    )
    timed(
        "publish: same slice again",
        lambda: publisher.replace_slice(LEADERBOARD_ROWS, slot(0), plain, PROVENANCE),
        3,
    )
    later = iter(range(1000, 1020))
    small = [(slot(number), board(slot(number), 100, rng)) for number in later]
    turn = iter(small)
    timed(
        "publish: new slice of 100 rows",
        lambda: publisher.replace_slice(LEADERBOARD_ROWS, *next(turn), PROVENANCE),
        len(small),
    )
    print(f"{'server: resident memory after publishing':<58}{server_memory(home)}")
    queries(store, manifest, "")
    store.command(
        f"INSERT INTO {ddl.PUBLICATIONS} (table_name, as_of, version, n_rows) SELECT 'leaderboard_rows', "
        f"toDateTime('2020-01-01 00:00:00', 'UTC') + 600 * number, 1, 0 FROM numbers({n_publications})"
    )
    queries(store, manifest, f" ({n_publications} further slots)")


def queries(store: Warehouse, manifest: Manifest, note: str) -> None:
    where = {"wallet": f"0x{7:040x}"}
    top = (
        "SELECT wallet, display_name, month_pnl FROM leaderboard_rows WHERE as_of = {t:DateTime('UTC')} "
        "ORDER BY month_pnl DESC LIMIT 100"
    )
    day = {"start": T0, "end": T0 + timedelta(days=1)}
    timed(
        f"query: one wallet at one slot{note}",
        lambda: store.read_table(LEADERBOARD_ROWS, as_of=T0, where=where),
        30,
    )
    timed(f"query: top 100 of one slot{note}", lambda: store.read_frame(top, {"t": T0}), 30)
    timed(f"query: a whole slice as a frame{note}", lambda: store.read_table(LEADERBOARD_ROWS, as_of=T0), 5)
    timed(
        f"query: one wallet through one day{note}",
        lambda: store.read_table(LEADERBOARD_ROWS, where=where, columns=["as_of", "month_pnl"], **day),
        20,
    )
    timed(f"manifest: newest slot{note}", lambda: manifest.latest_slot(LEADERBOARD_ROWS), 20)
    timed(f"manifest: slots of one day{note}", lambda: manifest.committed_on(LEADERBOARD_ROWS, T0.date()), 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=47_500)
    parser.add_argument("--slots", type=int, default=20)
    parser.add_argument("--publications", type=int, default=50_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench(Path(folder) / "clickhouse", chosen.rows, chosen.slots, chosen.publications)


if __name__ == "__main__":
    main()
