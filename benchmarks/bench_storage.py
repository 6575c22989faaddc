"""What do the tables cost on disk, and which codecs and sort keys are best? `python -m benchmarks storage`.

On the embedded ClickHouse, with what the real tick job stores: ticks of 100 wallets of a 5,000-wallet board, and boards of
47,500 wallets by themselves. With HL_ASSETS_TEST_DATA also the recorded board panel, so that no codec is chosen for a
habit of the simulation. Every figure is of one merged part per partition: what is there in the long run. The hourly curves
that the day withdrew stand for the daily ones of a month.

`python -m benchmarks.bench_storage [ticks] [board hours]`
"""

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx
import pandas as pd
import pyarrow as pa

from benchmarks.history import START, made_history
from hl_assets.assets.leaderboard import board_rows
from hl_assets.cli import local_exchange
from hl_assets.exchange.payloads import parse_leaderboard
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse

CODECS = (
    "LZ4",
    "ZSTD(1)",
    "ZSTD(3)",
    "ZSTD(9)",
    "Delta, ZSTD(1)",
    "DoubleDelta, ZSTD(1)",
    "T64, ZSTD(1)",
    "Gorilla, ZSTD(1)",
    "FPC, ZSTD(1)",
)
FAMILIES: Mapping[str, Callable[[str], bool]] = {
    "instant": lambda kind: "DateTime" in kind,
    "float": lambda kind: kind in {"Float64", "Nullable(Float64)"},
    "integer": lambda kind: "Int" in kind and "Map" not in kind,
    "bool": lambda kind: "Bool" in kind,
    "word": lambda kind: kind.startswith("LowCardinality"),
    "text": lambda kind: kind in {"String", "Nullable(String)"},
    "collection": lambda kind: kind.startswith(("Array", "Map")),
}
FITS: Mapping[str, tuple[str, ...]] = {
    "Delta": ("instant", "integer", "float", "bool"),
    "DoubleDelta": ("instant", "integer"),
    "T64": ("instant", "integer", "bool"),
    "Gorilla": ("float",),
    "FPC": ("float",),
}
KEYS: Sequence[tuple[TableContract, tuple[str, ...]]] = (
    (LEADERBOARD_ROWS, ("wallet", "as_of")),
    (WALLET_METRICS, ("wallet", "as_of")),
    (EQUITY_CURVES, ("as_of", "wallet", "scope", "ts")),
)
COLUMNS_SQL = """SELECT column, sum(column_data_compressed_bytes), sum(rows) FROM system.parts_columns
WHERE database = {database:String} AND table = {table:String} AND active GROUP BY column"""
TABLE_SQL = """SELECT sum(bytes_on_disk), sum(rows) FROM system.parts
WHERE database = {database:String} AND table = {table:String} AND active"""


def family(kind: str) -> str:
    return next(name for name, fits in FAMILIES.items() if fits(kind))


def fitting(codec: str, kind: str) -> bool:
    families = FITS.get(codec.split(",", maxsplit=1)[0])
    return families is None or family(kind) in families


# What is stored


def bytes_of(store: Warehouse, table: str) -> tuple[int, int]:
    """Bytes on disk, index and marks included, and rows; the table is merged first."""
    store.command(f"OPTIMIZE TABLE {ddl.identifier(table)} FINAL")
    return store.read_rows(TABLE_SQL, {"database": store.database, "table": table})[0]  # type: ignore[return-value]


def bytes_by_column(store: Warehouse, table: str) -> tuple[dict[str, int], int]:
    """Compressed bytes by column, and rows, of a table whose parts keep a file per column; it is merged first."""
    store.command(f"OPTIMIZE TABLE {ddl.identifier(table)} FINAL")
    rows = store.read_rows(COLUMNS_SQL, {"database": store.database, "table": table})
    return {column: size for column, size, _ in rows}, rows[0][2]


def copy_table(
    store: Warehouse, contract: TableContract, name: str, *, codec: str | None, order: Sequence[str]
) -> float:
    """Copy a table under another codec (None: as the contract says) and sort key; seconds of the insert."""
    columns = ", ".join(
        f"{ddl.identifier(column)} {kind}"
        + (f" CODEC({codec})" if codec and fitting(codec, kind) else " CODEC(LZ4)" if codec else "")
        for column, kind in ddl.stored_columns(contract).items()
    )
    order_by = ", ".join(map(ddl.identifier, order))
    store.command(f"DROP TABLE IF EXISTS {name}")
    shape = f"({columns})" if codec else f"AS {ddl.stored_table(contract)}"
    store.command(
        f"CREATE TABLE {name} {shape} ENGINE = MergeTree PARTITION BY {contract.partition_by} ORDER BY ({order_by}) "
        "SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
    )
    began = time.perf_counter()
    store.command(f"INSERT INTO {name} SELECT * FROM {ddl.stored_table(contract)}")
    return time.perf_counter() - began


def seconds_of(store: Warehouse, sql: str, parameters: Mapping[str, object], repeat: int = 9) -> float:
    """Median seconds of a query on the server's side, without the client's decoding."""
    found = []
    for _ in range(repeat):
        began = time.perf_counter()
        store.read_bytes(sql, parameters, output="Null")
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def stored_tables(store: Warehouse) -> Iterator[TableContract]:
    for contract in TABLES:
        if store.read_rows(f"SELECT count() FROM {ddl.stored_table(contract)}")[0][0]:
            yield contract


# The reports


def report_codecs(store: Warehouse, tables: Sequence[TableContract]) -> None:
    """Bytes per row of every table and of every family of column types under each codec."""
    print(
        "\nbytes per row, every applicable column under one codec (else LZ4); insert and full read, ratio to LZ4"
    )
    by_family: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    print(f"  {'':<24}" + "".join(f"{codec.replace(', ZSTD(1)', '+Z1'):>16}" for codec in CODECS))
    for contract in tables:
        cells, floor = [], (0.0, 0.0)
        for codec in CODECS:
            insert = copy_table(store, contract, "trial", codec=codec, order=contract.order_by)
            sizes, rows = bytes_by_column(store, "trial")
            read = seconds_of(store, "SELECT * FROM trial", {}, 5)
            floor = (insert, read) if codec == "LZ4" else floor
            cells.append(f"{sum(sizes.values()) / rows:8.1f} {insert / floor[0]:3.1f} {read / floor[1]:3.1f}")
            for column, kind in ddl.stored_columns(contract).items():
                if fitting(codec, kind):
                    by_family[family(kind), contract.name][codec] = (
                        by_family[family(kind), contract.name].get(codec, 0) + sizes[column] / rows
                    )
                    by_family[f"{contract.name}.{column}", ""][codec] = sizes[column] / rows
        print(f"  {contract.name:<24}" + "".join(f"{cell:>16}" for cell in cells))
    print("\nbytes per row by family of types")
    for (name, table), sizes in sorted(by_family.items()):
        if table:
            best = min(sizes, key=lambda codec: sizes[codec])
            text = "  ".join(
                f"{codec.replace(', ZSTD(1)', '+Z1')} {size:.2f}" for codec, size in sizes.items()
            )
            print(f"  {name:<11}{table:<24}best {best:<20} {text}")
    print("\ncolumns of at least 2 bytes a row under ZSTD(1), where another codec saves over a tenth")
    for (name, table), sizes in sorted(by_family.items()):
        best = min(sizes, key=lambda codec: sizes[codec])
        if not table and sizes["ZSTD(1)"] >= 2 and sizes[best] < 0.9 * sizes["ZSTD(1)"]:
            text = "  ".join(
                f"{codec.replace(', ZSTD(1)', '+Z1')} {size:.2f}" for codec, size in sizes.items()
            )
            print(f"  {name:<42}best {best:<20} {text}")


def report_keys(store: Warehouse) -> None:
    """Bytes, insert and the platform's queries under the contract's sort key and another."""
    print(
        "\nsort keys: bytes per row; ms of an insert of everything, one slot, one wallet's history, top 100 of a slot"
    )
    for contract, other in KEYS:
        slot, wallet = store.read_rows(
            f"SELECT max(as_of), any(wallet) FROM {ddl.stored_table(contract)} LIMIT 1"
        )[0]
        measure = {"leaderboard_rows": "month_pnl", "wallet_metrics": "roi", "equity_curves": "drawdown"}[
            contract.name
        ]
        for order in (contract.order_by, other):
            insert = copy_table(store, contract, "trial", codec=None, order=order)
            size, rows = bytes_of(store, "trial")
            bound = {"slot": slot, "wallet": wallet}
            queries = (
                "SELECT * FROM trial WHERE as_of = {slot:DateTime('UTC')}",
                "SELECT * FROM trial WHERE wallet = {wallet:String} ORDER BY as_of",
                f"SELECT wallet, {measure} FROM trial WHERE as_of = {{slot:DateTime('UTC')}} ORDER BY {measure} DESC LIMIT 100",
            )
            times = "  ".join(f"{seconds_of(store, sql, bound) * 1e3:7.1f}" for sql in queries)
            print(
                f"  {contract.name:<20}{', '.join(order):<28}{size / rows:8.1f} B "
                f"{insert * 1e3:8.0f}  {times}   ({rows:,} rows)"
            )


def report_tables(store: Warehouse) -> None:
    """Bytes per row and rows per slot of every table as the contracts create it."""
    print("\nas the contracts create them")
    for contract in TABLES:
        size, rows = bytes_of(store, ddl.stored_table(contract))
        if rows:
            slots = store.read_rows(f"SELECT uniqExact(as_of) FROM {contract.name}")[0][0]
            visible = store.read_rows(f"SELECT count() FROM {contract.name}")[0][0]
            print(
                f"  {contract.name:<24}{size / rows:8.1f} bytes/row {visible / max(slots, 1):10.1f} rows/slot "
                f"({visible:,} rows of {slots} slots, {rows:,} stored)"
            )
    size, rows = bytes_of(store, ddl.PUBLICATIONS)
    print(f"  {ddl.PUBLICATIONS:<24}{size / rows:8.1f} bytes/row ({rows:,} rows)")


def report_boards(store: Warehouse, bodies: Sequence[bytes]) -> None:
    """The board's JSON against its rows in ClickHouse, for the same snapshots."""
    sizes, rows = bytes_by_column(store, ddl.stored_table(LEADERBOARD_ROWS))
    per_row = bytes_of(store, ddl.stored_table(LEADERBOARD_ROWS))[0] / rows
    wallets = rows / len(bodies)
    raw = sum(map(len, bodies)) / rows
    packed = {
        level: len(pa.Codec("zstd", compression_level=level).compress(bodies[-1], asbytes=True)) / wallets
        for level in (3, 19)  # of the last board only: level 19 takes a quarter of a minute for each
    }
    print(f"\nboards: {len(bodies)} distinct ones of {wallets:,.0f} wallets; bytes per leaderboard row")
    print(f"  {'':<28}{'a distinct board':>18}{'a slot, each kept':>20}{'a slot, distinct kept':>24}")
    ours = {"ClickHouse": per_row, "JSON": raw} | {
        f"JSON, zstd -{level}": size for level, size in packed.items()
    }
    for name, size in ours.items():
        print(
            f"  {name:<28}{size:18.1f}{size:20.1f}{size / SLOTS_PER_BOARD:24.1f}   "
            f"{size / per_row:6.2f} x ClickHouse"
        )
    print("  (six slots see one board: the exchange refreshes it hourly; the platform keeps a board once)")
    print(
        "  by column: "
        + "  ".join(
            f"{name} {size / rows:.2f}" for name, size in sorted(sizes.items(), key=lambda item: -item[1])
        )
    )


SLOTS_PER_BOARD = 6


def boards(hours: int, wallets: int = 47_500) -> Iterator[tuple[datetime, bytes]]:
    """The hourly boards of a simulated population."""
    settings = Settings.load(sandbox_wallets=wallets, home=Path(tempfile.gettempdir()))
    with local_exchange.running(local_exchange.start_process(settings, START)) as exchange:
        for hour in range(hours):
            slot = START + timedelta(hours=hour)
            clock = {"mode": "frozen", "at": slot.isoformat()}
            httpx.put(f"{exchange.url}/sandbox/clock", json=clock, trust_env=False).raise_for_status()
            yield slot, httpx.get(f"{exchange.url}/Mainnet/leaderboard", timeout=300, trust_env=False).content


def store_boards(store: Warehouse, made: Iterator[tuple[datetime, bytes]]) -> list[bytes]:
    """Replace what leaderboard_rows holds by these boards; their bodies."""
    table = ddl.stored_table(LEADERBOARD_ROWS)
    store.command(f"TRUNCATE TABLE {table}")
    bodies = []
    for slot, body in made:
        rows = board_rows(parse_leaderboard(body), slot).assign(**{ddl.VERSION_COLUMN: time.time_ns()})
        store.insert_once(table, rows, ddl.stored_columns(LEADERBOARD_ROWS))
        bodies.append(body)
    return bodies


def store_panel(store: Warehouse, folder: Path) -> None:
    """Replace what leaderboard_rows holds by the recorded panel: real values, of the windows that it has."""
    panel = pd.read_csv(
        folder / "leaderboard_panel" / "leaderboard_top500_panel.csv.gz", keep_default_na=False
    )
    panel["as_of"] = pd.to_datetime(panel["snapshot_utc"], utc=True).dt.floor("10min").dt.as_unit("s")
    wide = panel.pivot_table(
        index=["as_of", "address"], columns="list", values=["pnl", "roi", "volume"], aggfunc="first"
    )
    first = panel.groupby(["as_of", "address"])[["displayName", "accountValue"]].first()
    columns = dict.fromkeys(LEADERBOARD_ROWS.column_names, 0.0)
    rows = first.reset_index().rename(columns={"address": "wallet", "accountValue": "account_value"})
    rows["display_name"] = rows.pop("displayName").replace("", None)
    for (what, window), values in wide.items():
        rows[f"{ {'daily': 'day', 'weekly': 'week'}[window] }_{what}"] = values.fillna(0.0).to_numpy()
    frame = LEADERBOARD_ROWS.conform(rows.assign(**{n: v for n, v in columns.items() if n not in rows}))
    table = ddl.stored_table(LEADERBOARD_ROWS)
    store.command(f"TRUNCATE TABLE {table}")
    store.insert_once(table, frame.assign(**{ddl.VERSION_COLUMN: 1}), ddl.stored_columns(LEADERBOARD_ROWS))


def main() -> None:
    ticks, hours = (int(argument) for argument in (sys.argv[1:] + ["24", "12"][len(sys.argv) - 1 :])[:2])
    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral() as instance,
        made_history(
            Path(folder), wallets=5_000, top_n=100, n_slots=ticks, every=timedelta(hours=1), instance=instance
        ) as history,
    ):
        measure(history.store, hours)


def measure(store: Warehouse, hours: int) -> None:
    report_tables(store)
    bodies = store_boards(store, boards(hours))
    report_boards(store, bodies)
    report_keys(store)
    report_codecs(store, list(stored_tables(store)))
    recorded = os.environ.get("HL_ASSETS_TEST_DATA")
    if recorded is None:
        print("\nwithout HL_ASSETS_TEST_DATA the recorded panel is left out")
        return
    store_panel(store, Path(recorded))
    print("\nthe recorded panel (columns of windows that it lacks are 0)")
    report_codecs(store, [LEADERBOARD_ROWS])


if __name__ == "__main__":
    print(f"made at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    main()
