"""Do parts, merges and deletions stay healthy over many slots? `python -m benchmarks parts`.

A week of 10-minute slots is published on the embedded ClickHouse as the assets publish it: one real tick's rows dated anew,
every table in the commits that its asset makes, the board hourly, the curves of the day's newest slot with those before
withdrawn, every tenth slot derived twice, and the daily sweep. Reported per hundred slots: seconds of a slot, active
parts of the fullest partition, unfinished mutations, rows stored per row that can be seen.

Slots follow each other within a second here, so replaced rows are kept for half a second instead of a minute.

`python -m benchmarks.bench_parts [slots] [wallets]`
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd

from benchmarks.history import START, made_history
from hl_assets.maintenance.upkeep import SLICE_TABLES, sweep_tables
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.schemas.tracking import TRACKED_WALLETS
from hl_assets.slots import SLOT, SLOTS_PER_DAY
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Provenance, Publisher, Slice, Withdrawal

RAW: Sequence[tuple[TableContract, ...]] = ((PORTFOLIO_FETCHES, PORTFOLIO_POINTS),)
DERIVED: Sequence[tuple[TableContract, ...]] = (
    (TRACKED_WALLETS,),
    (WALLET_METRICS,),
    (AI_GRADES,),
    (WALLET_SCORES, SCORE_RUNS),
)
PROVENANCE = Provenance(run_id="bench", code_version="bench", origin="simulated")
STATE = """SELECT max(n) AS fullest, sum(n) AS parts, sum(bytes), sum(stored) FROM (
    SELECT table, partition_id, count() AS n, sum(bytes_on_disk) AS bytes, sum(rows) AS stored FROM system.parts
    WHERE database = {database:String} AND active GROUP BY table, partition_id)"""
MUTATIONS = "SELECT count() FROM system.mutations WHERE database = {database:String} AND NOT is_done"

Rows = Mapping[str, pd.DataFrame]


def dated(rows: Rows, contract: TableContract, slot: datetime) -> Slice:
    """The tick's rows as those of another slot."""
    frame = rows[contract.name].assign(as_of=pd.Series([slot], dtype="datetime64[s, UTC]").iloc[0])
    if contract is LEADERBOARD_SNAPSHOTS:
        frame = frame.assign(board_as_of=pd.Timestamp(board_of(slot)))
    return Slice(contract, slot, contract.conform(frame))


def board_of(slot: datetime) -> datetime:
    return slot.replace(minute=0)


def publish_slot(publisher: Publisher, rows: Rows, slot: datetime, *, twice: bool) -> None:
    """Everything that a tick publishes."""
    board = [dated(rows, LEADERBOARD_SNAPSHOTS, slot)]
    if board_of(slot) == slot:
        board.append(dated(rows, LEADERBOARD_ROWS, slot))
    publisher.publish(board, PROVENANCE)
    for tables in RAW:
        publisher.publish([dated(rows, table, slot) for table in tables], PROVENANCE)
    for _ in range(2 if twice else 1):
        for tables in DERIVED:
            publisher.publish([dated(rows, table, slot) for table in tables], PROVENANCE)
        publisher.publish([dated(rows, EQUITY_CURVES, slot)], PROVENANCE)
    before = slot - SLOT
    if before.date() == slot.date():
        publisher.publish([], PROVENANCE, withdraw=[Withdrawal(EQUITY_CURVES, before)])


def report(store: Warehouse, number: int, seconds: Sequence[float]) -> None:
    bound = {"database": store.database}
    fullest, parts, size, stored = store.read_rows(STATE, bound)[0]
    unfinished = store.read_rows(MUTATIONS, bound)[0][0]
    tables = [contract.name for contract in SLICE_TABLES]
    seen = sum(store.read_rows(f"SELECT count() FROM {table}")[0][0] for table in tables)
    print(
        f"  {number:>6}{statistics.median(seconds):>10.3f}{max(seconds):>9.2f}{parts:>8}{fullest:>9}{unfinished:>11}"
        f"{size / 1e6:>10.1f}{stored / max(seen, 1):>9.2f}",
        flush=True,
    )


def main() -> None:
    slots, wallets = (int(argument) for argument in (sys.argv[1:] + ["1000", "20"][len(sys.argv) - 1 :])[:2])
    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral() as instance,
        made_history(
            Path(folder), wallets=2_000, top_n=wallets, n_slots=1, every=SLOT, instance=instance
        ) as history,
    ):
        rows = {contract.name: history.store.read_table(contract) for contract in SLICE_TABLES}
        # A later slot sees some three new points of a wallet and scope, not the whole history again.
        rows[PORTFOLIO_POINTS.name] = rows[PORTFOLIO_POINTS.name].groupby(["wallet", "scope"]).tail(3)
        measure(history.store, rows, slots)


def measure(store: Warehouse, rows: Rows, slots: int) -> None:
    publisher = Publisher(store, retain_seconds=0.5)
    print(
        f"{slots} slots; rows of a slot: "
        + ", ".join(f"{name} {len(frame):,}" for name, frame in rows.items())
    )
    print("   after    s/slot  longest   parts  fullest  mutations        MB   stored/seen")
    seconds: list[float] = []
    sweeps: list[float] = []
    for number in range(1, slots + 1):
        slot = START + timedelta(days=1) + number * SLOT
        began = time.perf_counter()
        publish_slot(publisher, rows, slot, twice=number % 10 == 0)
        seconds.append(time.perf_counter() - began)
        if number % SLOTS_PER_DAY == 0:
            began = time.perf_counter()
            sweep_tables(publisher, lambda: 1e9)
            sweeps.append(time.perf_counter() - began)
        if number % max(slots // 10, 1) == 0:
            report(store, number, seconds[-(slots // 10) :])
    time.sleep(1)
    began = time.perf_counter()
    swept = sweep_tables(publisher, lambda: 1e9)
    sweeps.append(time.perf_counter() - began)
    print(
        f"  the daily sweep takes {statistics.median(sweeps):.2f} s (longest {max(sweeps):.2f}); the last: {swept}"
    )
    report(store, slots, seconds[-(slots // 10) :])
    first, last = seconds[: slots // 10], seconds[-(slots // 10) :]
    print(
        f"  a slot takes {statistics.median(last) / statistics.median(first):.2f} times as long in the last tenth as in the "
        f"first; {len(Manifest(store).committed(EQUITY_CURVES))} slots of curves are published"
    )


if __name__ == "__main__":
    main()
