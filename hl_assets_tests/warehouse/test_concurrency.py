"""Readers and writers at the same time: every reader sees one whole version."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Publisher, Slice
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, T0, marks, slot


@pytest.fixture
def store(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_tables([MARKS, MARKS_BY_WALLET])
    return warehouse


def test_readers_see_one_whole_version_while_it_is_replaced(store: Warehouse) -> None:
    def rows_of(generation: int) -> int:
        return 200 + generation % 7

    publisher = Publisher(store)
    done = threading.Event()
    torn: list[tuple[object, ...]] = []
    reads = 0
    sql = "SELECT count(), min(mark), max(mark) FROM marks WHERE as_of = {t:DateTime('UTC')}"
    publisher.replace_slice(MARKS, T0, marks(T0, [0.0] * rows_of(0)), PROVENANCE)

    def read() -> None:
        nonlocal reads
        last = -1.0
        while not done.is_set():
            [(count, low, high)] = store.read_rows(sql, {"t": T0})
            if low != high or count != rows_of(int(low)) or low < last:
                torn.append((count, low, high, last))
            last = low
            reads += 1

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for written in range(1, 9):
        publisher.replace_slice(MARKS, T0, marks(T0, [float(written)] * rows_of(written)), PROVENANCE)
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert reads >= 20


@pytest.mark.parametrize("pause_first", [True, False], ids=["before the manifest", "before the rows"])
def test_a_query_that_pauses_between_its_snapshots_sees_a_whole_slice(
    store: Warehouse, pause_first: bool
) -> None:
    """The public view's own conditions, with a pause put before or after the manifest's snapshot is taken."""
    publisher = Publisher(store)
    publisher.replace_slice(MARKS, T0, marks(T0, [1.0] * 5), PROVENANCE)
    pause = "(SELECT sleep(1)) = 0"
    current = f"(as_of, _version) IN ({ddl.current_versions(MARKS)})"
    conditions = f"{pause} AND {current}" if pause_first else f"{current} AND {pause}"
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(
            store.read_rows, f"SELECT count(), max(mark) FROM {ddl.rows_view(MARKS)} WHERE {conditions}"
        )
        time.sleep(0.4)
        for mark in (2.0, 3.0):
            publisher.replace_slice(MARKS, T0, marks(T0, [mark] * 7), PROVENANCE)
        assert slow.result() == ([(7, 3.0)] if pause_first else [(5, 1.0)])


def test_of_two_writers_that_race_the_later_one_is_seen_whole(store: Warehouse) -> None:
    class Waiting(Publisher):
        """Stands still between storing its rows and committing them."""

        def _commit(self, *arguments: object) -> None:
            stored.set()
            assert may_commit.wait(30)
            super()._commit(*arguments)  # type: ignore[arg-type]

    stored, may_commit = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        earlier = pool.submit(
            Waiting(store, retain_seconds=0).replace_slice, MARKS, T0, marks(T0, [1.0] * 3), PROVENANCE
        )
        assert stored.wait(30)
        later = Publisher(store, retain_seconds=0).replace_slice(MARKS, T0, marks(T0, [2.0] * 5), PROVENANCE)
        may_commit.set()
        lost = earlier.result()
    assert [found.table for found in lost.superseded] == ["marks"]
    assert later.superseded == ()
    assert store.read_rows("SELECT count(), min(mark), max(mark) FROM marks") == [(5, 2.0, 2.0)]
    assert Manifest(store).committed(MARKS)[T0].version == later.version


def test_a_writer_leaves_the_rows_of_a_later_one_alone(store: Warehouse) -> None:
    class Overtaken(Publisher):
        """Lets a later writer store its rows, but not commit them, just before its own commit."""

        def _commit(self, *arguments: object) -> None:
            begun = Stopping(store, retain_seconds=0)
            with pytest.raises(KeyboardInterrupt):
                begun.replace_slice(MARKS, T0, marks(T0, [9.0] * 9), PROVENANCE)
            super()._commit(*arguments)  # type: ignore[arg-type]

    class Stopping(Publisher):
        def _commit(self, *arguments: object) -> None:
            raise KeyboardInterrupt

    Overtaken(store, retain_seconds=0).replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    counts = store.read_rows("SELECT count() FROM marks__versions GROUP BY _version ORDER BY _version")
    assert counts == [(1,), (9,)]
    assert store.read_rows("SELECT mark FROM marks") == [(1.0,)]


def test_many_writers_on_one_slice_and_on_slices_of_their_own(store: Warehouse) -> None:
    def write(number: int) -> None:
        publisher = Publisher(store, retain_seconds=0)
        own = slot(1 + number)
        for turn in range(2):
            values = [float(number * 10 + turn)] * (5 + number)
            publisher.publish(
                [Slice(MARKS, T0, marks(T0, values)), Slice(MARKS, own, marks(own, values))], PROVENANCE
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    shared: dict[datetime, tuple[int, float, float]] = {}
    for as_of, *rest in store.read_rows(
        "SELECT as_of, count(), min(mark), max(mark) FROM marks GROUP BY as_of"
    ):
        shared[as_of] = (rest[0], rest[1], rest[2])
    count, low, high = shared.pop(T0)
    assert low == high
    assert count == 5 + int(low) // 10
    assert shared == {
        slot(1 + number): (5 + number, number * 10 + 1.0, number * 10 + 1.0) for number in range(4)
    }
