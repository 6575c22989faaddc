"""`kill -9` of a writer between any two steps, and of the embedded server while it writes."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import status, stop
from hl_assets.warehouse.publish import Publisher
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, T0, marks, slot
from hl_assets_tests.warehouse.crashing_writer import NEW_VALUES, STEPS, publish_and_die

OLD_VALUES = [1.0, 2.0, 3.0]


def _everything_seen(store: Warehouse) -> dict[str, list[float]]:
    sql = "SELECT as_of, mark FROM {table} ORDER BY as_of, wallet"
    found: dict[str, list[float]] = {}
    for table in ("marks", "marks_by_wallet"):
        for as_of, mark in store.read_rows(sql.format(table=table)):
            found.setdefault(f"{table} {as_of:%H:%M}", []).append(mark)
    return found


OLD = {"marks 00:00": OLD_VALUES, "marks 00:10": OLD_VALUES, "marks_by_wallet 00:00": OLD_VALUES}
NEW = {"marks 00:00": NEW_VALUES, "marks_by_wallet 00:00": NEW_VALUES}


@pytest.mark.parametrize("step", ["begin", *STEPS])
def test_killed_writer_leaves_everything_old_or_everything_new(
    warehouse: Warehouse, embedded_server: Path, step: str
) -> None:
    warehouse.ensure_tables([MARKS, MARKS_BY_WALLET])
    publisher = Publisher(warehouse, retain_seconds=0)
    for contract, when in ((MARKS, T0), (MARKS, slot(1)), (MARKS_BY_WALLET, T0)):
        publisher.replace_slice(contract, when, marks(when, OLD_VALUES), PROVENANCE)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([publish_and_die.__module__])
    writer = context.Process(target=publish_and_die, args=(embedded_server, warehouse.database, step))
    writer.start()
    writer.join(60)
    assert writer.exitcode == -signal.SIGKILL
    assert _everything_seen(warehouse) == (NEW if step in {"_commit", "_clean_up"} else OLD)
    publisher.replace_slice(
        MARKS, T0, marks(T0, [4.0]), PROVENANCE
    )  # heals the slot, removes what was left over
    assert warehouse.read_rows("SELECT mark FROM marks WHERE as_of = {t:DateTime('UTC')}", {"t": T0}) == [
        (4.0,)
    ]
    stored = "SELECT count() FROM marks__versions WHERE as_of = {t:DateTime('UTC')}"
    deadline = time.monotonic() + 30
    while warehouse.read_rows(stored, {"t": T0}) != [(1,)]:
        assert time.monotonic() < deadline, "left-over rows stay"


def test_killed_server_keeps_what_it_acknowledged_and_slices_stay_whole(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rows = 2000
    acknowledged: list[int] = []
    failures: list[BaseException] = []
    enough = threading.Event()
    with Warehouse(WarehouseConfig(home=home, database="x")) as warehouse:
        warehouse.ensure_tables([MARKS])

        def write() -> None:
            publisher = Publisher(warehouse)
            try:
                for generation in range(10_000):
                    if enough.is_set():
                        return
                    when = slot(generation % 3)
                    publisher.replace_slice(MARKS, when, marks(when, [float(generation)] * rows), PROVENANCE)
                    acknowledged.append(generation)
            except BaseException as error:
                failures.append(error)
                raise

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(2):
            _wait_for_growth(acknowledged, failures)
            served = status(home)
            assert served is not None
            os.kill(served.pid, signal.SIGKILL)
        _wait_for_growth(acknowledged, failures)
        enough.set()
        writer.join()
        assert not failures
        seen = warehouse.read_rows(
            "SELECT as_of, count(), min(mark), max(mark) FROM marks GROUP BY as_of ORDER BY 1"
        )
        newest = {generation % 3: float(generation) for generation in acknowledged}
        assert seen == [(slot(number), rows, newest[number], newest[number]) for number in range(3)]
    assert stop(home)


def test_killed_server_leaves_old_or_new_whole(tmp_path: Path) -> None:
    """Without a second attempt: whatever the killed server had of the last slice, it is all of it or none."""
    home = tmp_path / "home"
    with Warehouse(WarehouseConfig(home=home, database="x")) as warehouse:
        warehouse.ensure_tables([MARKS])
        Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [0.0] * 5000), PROVENANCE)
        for delay in (0.01, 0.04):
            served = status(home)
            assert served is not None
            timer = threading.Timer(delay, os.kill, (served.pid, signal.SIGKILL))
            timer.start()
            Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [1.0 + delay] * 4000), PROVENANCE)
            timer.join()
            counted = warehouse.read_rows("SELECT count(), min(mark) = max(mark), min(mark) FROM marks")
            assert counted == [(4000, 1, 1.0 + delay)]
    stop(home)


def _wait_for_growth(acknowledged: list[int], failures: list[BaseException]) -> None:
    goal = len(acknowledged) + 2
    deadline = time.monotonic() + 60
    while len(acknowledged) < goal and not failures:
        assert time.monotonic() < deadline, "nothing was written for a minute"
        time.sleep(0.005)
