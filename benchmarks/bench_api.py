"""Latency and throughput of the REST API beside its bare queries, and its memory over many requests.

    python -m benchmarks.bench_api [--clients 16] [--requests 50000] [--wallets 200] [--board 47500]

One slot of made-up wallets is published into an embedded ClickHouse and served by `hl-assets serve` in a process of its own;
the load comes from this process. Beside the API stand the statements it runs, through the same client library, in this
process: by one thread (its latency) and by as many threads as there are clients (what they could get without the API).

- cold: every request reads the warehouse (another `as_of`, so nothing is kept);
- hot: what clients meet who ask for the same newest slot, answered from the snapshot's cache;
- wallets: pages of all wallets in turn.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from hl_assets.api.queries import ANALYSIS_COLUMNS, Selection, ranked_sql, wallet_statements
from hl_assets.api.snapshots import Snapshots
from hl_assets.cli.serve import READY_PREFIX
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import ColumnSpec, TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.slots import slot_of
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running, stop
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance

DATABASE = "hl_assets_sandbox"
PROVENANCE = Provenance(run_id="bench", code_version="bench", origin="simulated")
HIDDEN = ["vault", "system_address", "zero_volume"]


def address(number: int) -> str:
    return f"0x{number:040x}"


def made_up(contract: TableContract, as_of: datetime, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of a contract: right types, plausible sizes, meaningless values."""
    columns = {spec.name: _values(spec, as_of, rows, rng) for spec in contract.columns}
    for name, found in contract.schema.columns.items():
        limits = {check.name: check.statistics for check in found.checks}
        if "isin" in limits:
            columns[name] = limits["isin"]["allowed_values"][0]
        elif str(found.dtype) == "float64" and limits:
            least = limits.get("greater_than_or_equal_to", {"min_value": -1})["min_value"]
            most = limits.get("less_than_or_equal_to", {"max_value": least + 1})["max_value"]
            columns[name] = rng.uniform(least, most, rows).round(6)
    columns |= {"wallet": [address(number) for number in range(rows)]} if "wallet" in columns else {}
    known = {
        "is_eligible": True,
        "calculated_rank": np.arange(1, rows + 1),
        "status": "graded" if contract is AI_GRADES else "ok",
        "board_as_of": as_of,
    }
    columns |= {name: value for name, value in known.items() if name in columns}
    return contract.conform(pd.DataFrame(columns, index=range(rows)))


def _values(spec: ColumnSpec, as_of: datetime, rows: int, rng: np.random.Generator) -> Any:
    kind = spec.clickhouse_type
    simple: dict[str, Callable[[], Any]] = {
        "DateTime": lambda: as_of,
        "Array": lambda: [["one note of some length about it"] for _ in range(rows)],
        "Map(String, String)": lambda: [{"cagr": "span_under_90_days"} for _ in range(rows)],
        "Map(String": lambda: [{"gate": 1} for _ in range(rows)],
        "Float64": lambda: rng.uniform(0, 1, rows).round(6),
        "Int": lambda: rng.integers(1, 100, rows),
        "Bool": lambda: False,
        "String": lambda: "a word or two of text",
    }
    return next(make() for name, make in simple.items() if name in kind)


def fill(store: Warehouse, slot: datetime, wallets: int, board: int) -> None:
    rng = np.random.default_rng(7)
    store.ensure_tables(TABLES)
    publisher = Publisher(store)

    def publish(table: TableContract, rows: int, inputs: dict[str, int]) -> int:
        frame = made_up(table, slot, rows, rng)
        if "entity_flags" in frame:
            frame["entity_flags"] = [[] for _ in range(rows)]
        done = publisher.replace_slice(table, slot, frame, replace(PROVENANCE, inputs=inputs))
        assert done.version is not None
        return done.version

    publish(LEADERBOARD_ROWS, board, {})
    publish(LEADERBOARD_SNAPSHOTS, 1, {})
    fetches = publish(PORTFOLIO_FETCHES, wallets, {})
    metrics = publish(WALLET_METRICS, wallets, {PORTFOLIO_FETCHES.name: fetches})
    grades = publish(AI_GRADES, wallets, {WALLET_METRICS.name: metrics})
    inputs = {PORTFOLIO_FETCHES.name: fetches, WALLET_METRICS.name: metrics, AI_GRADES.name: grades}
    publish(WALLET_SCORES, wallets, inputs)
    publish(SCORE_RUNS, 1, inputs)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """`hl-assets serve` over the folder's data: its URL and process id."""
    environment = {
        **os.environ,
        "HL_ASSETS_HOME": str(folder),
        "API_RATE_PER_MINUTE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "hl_assets.cli", "serve", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix(READY_PREFIX).split()[0], process.pid
    finally:
        process.terminate()
        process.wait(30)


def memory_mb(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def report(label: str, seconds: list[float], elapsed: float, beside: float | None = None) -> None:
    p50, p99 = (float(np.quantile(seconds, share)) * 1e3 for share in (0.5, 0.99))
    ratio = (
        "" if beside is None else f"   p50 {p50 / beside:.2f}x, p99 {p99 / beside:.2f}x the bare query's p50"
    )
    print(f"{label:<62}{p50:>8.1f}{p99:>9.1f} ms{len(seconds) / elapsed:>9.0f}/s{ratio}")


def bare(
    store: Warehouse, statements: Callable[[], list[tuple[str, dict[str, Any]]]], threads: int, times: int
) -> list[float]:
    seconds: list[float] = []

    def work() -> None:
        for _ in range(times):
            wanted = statements()
            began = time.perf_counter()
            for sql, parameters in wanted:
                store.read_rows(sql, parameters)
            seconds.append(time.perf_counter() - began)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return seconds


async def load(url: str, paths: Iterator[str], clients: int, requests: int) -> tuple[list[float], float]:
    """Keep-alive clients in a loop, each asking again as soon as it has its answer."""
    seconds: list[float] = []
    left = itertools.count(requests, -1)
    host, port = url.removeprefix("http://").split(":")

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while next(left) > 0:
            began = time.perf_counter()
            writer.write(
                f"GET {next(paths)} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n".encode("ascii")
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            seconds.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return seconds, time.perf_counter() - began


def measure(store: Warehouse, url: str, pid: int, slot: datetime, chosen: argparse.Namespace) -> None:
    clients = chosen.clients
    snapshot = Snapshots(store, patience=0).at(None)
    ranking = ranked_sql(snapshot, Selection(limit=100, hidden_flags=HIDDEN), ANALYSIS_COLUMNS)
    pages = itertools.cycle([address(number) for number in range(chosen.wallets)])
    instants = itertools.count(1)

    def cold() -> str:
        return (
            (slot + timedelta(milliseconds=next(instants)))
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )

    for name, statements, cold_path, hot_path in (
        (
            "/wallets?top_n=100",
            lambda: [ranking],
            lambda: f"/v1/leaderboard?limit=100&as_of={cold()}",
            lambda: "/wallets?top_n=100",
        ),
        (
            "a wallet's page",
            lambda: wallet_statements(snapshot, next(pages)),
            lambda: f"/v1/wallets/{next(pages)}?as_of={cold()}",
            lambda: f"/v1/wallets/{next(pages)}",
        ),
    ):
        print(f"\n{name}{'':<{62 - len(name)}}     p50      p99     rate")
        bare(store, statements, 1, 5)
        alone = bare(store, statements, 1, chosen.bare)
        p50 = statistics.median(alone) * 1e3
        report("bare query, one thread", alone, sum(alone))
        began = time.perf_counter()
        together = bare(store, statements, clients, max(1, chosen.bare // 4))
        report(f"bare query, {clients} threads", together, time.perf_counter() - began, p50)
        loaded = statistics.median(together) * 1e3
        for label, path, requests in (
            (f"API, {clients} clients, every answer read from the warehouse", cold_path, chosen.cold),
            (f"API, {clients} clients, newest slot", hot_path, chosen.hot),
        ):
            paths = iter(path, None)
            asyncio.run(load(url, paths, clients, 2 * clients))
            seconds, elapsed = asyncio.run(load(url, paths, clients, requests))
            report(label, seconds, elapsed, p50)
            print(f"{'':<62}   against {clients} threads of it: p50 {np.median(seconds) * 1e3 / loaded:.2f}x")
    soak(url, pid, clients, chosen)


def soak(url: str, pid: int, clients: int, chosen: argparse.Namespace) -> None:
    numbers = itertools.count()

    def path() -> str:
        number = next(numbers)
        kind = number % 4
        if kind == 0:
            return "/wallets?top_n=100"
        if kind == 1:
            return f"/v1/wallets/{address(number % chosen.wallets)}"
        if kind == 2:
            return f"/v1/leaderboard?limit={number % 200 + 1}"
        return "/readyz"

    paths = iter(path, None)
    print(f"\nmemory of the API's process: {memory_mb(pid):.0f} MB")
    done = 0
    for share in (0.1, 0.5, 1.0):
        wanted = int(chosen.requests * share) - done
        _, elapsed = asyncio.run(load(url, paths, clients, wanted))
        done += wanted
        print(f"  after {done:>7,} requests{'':<20}{memory_mb(pid):>8.0f} MB{wanted / elapsed:>9.0f}/s")
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    print("  " + "; ".join(line for line in text.splitlines() if line.startswith("hl_assets_api_cache_")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=50_000, help="requests of the memory test")
    parser.add_argument("--cold", type=int, default=600, help="requests that read the warehouse")
    parser.add_argument("--hot", type=int, default=5_000, help="requests for the newest slot")
    parser.add_argument("--bare", type=int, default=60, help="runs of the bare query")
    parser.add_argument("--wallets", type=int, default=200)
    parser.add_argument("--board", type=int, default=47_500)
    chosen = parser.parse_args()
    slot = slot_of(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "clickhouse"
        ensure_running(home)
        try:
            with Warehouse(WarehouseConfig(home=home, database=DATABASE)) as store:
                fill(store, slot, chosen.wallets, chosen.board)
                with serving(folder) as (url, pid):
                    measure(store, url, pid, slot, chosen)
        finally:
            stop(home)


if __name__ == "__main__":
    main()
