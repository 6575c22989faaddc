"""The publish verbs: what readers see, what is stored, what is refused."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import InvalidSliceError, RowCountMismatchError, WarehouseUnavailableError
from hl_assets.warehouse.manifest import Manifest, Publication
from hl_assets.warehouse.publish import (
    Provenance,
    Publisher,
    Slice,
    Withdrawal,
    invisible_versions,
)
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, SLOT, T0, marks, slot

DAY = date(2026, 11, 1)


@pytest.fixture
def store(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_tables([MARKS, MARKS_BY_WALLET])
    return warehouse


@pytest.fixture
def publisher(store: Warehouse) -> Publisher:
    return Publisher(store)


def seen(store: Warehouse, table: str = "marks") -> dict[datetime, list[float]]:
    """What a person's SQL sees, by slot."""
    rows = store.read_rows(
        f"SELECT as_of, groupArray(mark) FROM (SELECT * FROM {table} ORDER BY ALL) GROUP BY as_of"
    )
    return dict(rows)


def versions(store: Warehouse, table: str = "marks") -> int:
    """How many versions of rows are stored."""
    return int(store.read_rows(f"SELECT uniqExact(as_of, _version) FROM {table}__versions")[0][0])


def mutations(store: Warehouse) -> int:
    sql = "SELECT count() FROM system.mutations WHERE database = {database:String}"
    return int(store.read_rows(sql, {"database": store.database})[0][0])


def test_twice_is_once(store: Warehouse, publisher: Publisher) -> None:
    frame = marks(T0, [1.0, 2.0])
    first = publisher.replace_slice(MARKS, T0, frame, PROVENANCE)
    before = store.read_table(MARKS)
    again = publisher.replace_slice(MARKS, T0, frame, PROVENANCE)
    pd.testing.assert_frame_equal(store.read_table(MARKS), before)
    assert (first.rows, first.replaced_rows, first.slices[0].replaced_rows) == (2, 0, None)
    assert (again.rows, again.replaced_rows) == (2, 2)
    assert first.version is not None
    assert again.version is not None
    assert again.version > first.version


def test_a_new_slot_costs_no_mutation(store: Warehouse, publisher: Publisher) -> None:
    for number in range(3):
        publisher.replace_slice(MARKS, slot(number), marks(slot(number), [1.0]), PROVENANCE)
    assert mutations(store) == 0


def test_shrunk_and_emptied_leave_no_stale_row(store: Warehouse, publisher: Publisher) -> None:
    publisher.replace_slice(MARKS, slot(1), marks(slot(1), [9.0]), PROVENANCE)
    for values in ([1.0, 2.0, 3.0], [1.0], [], [4.0]):
        publisher.replace_slice(MARKS, T0, marks(T0, values), PROVENANCE)
        assert seen(store) == {slot(1): [9.0]} | ({T0: values} if values else {})
    publisher.replace_slice(MARKS, T0, marks(T0, []), PROVENANCE)
    assert Manifest(store).committed(MARKS)[T0].n_rows == 0


def test_withdrawn_is_not_empty(store: Warehouse, publisher: Publisher) -> None:
    publisher.replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    result = publisher.withdraw(MARKS, [T0], PROVENANCE)
    assert result.withdrawn == (T0,)
    assert (result.rows, result.replaced_rows) == (0, 1)
    assert seen(store) == {}
    assert Manifest(store).committed(MARKS) == {}
    publisher.replace_slice(MARKS, T0, marks(T0, [2.0]), PROVENANCE)
    assert seen(store) == {T0: [2.0]}


def test_day_is_settled_from_its_window(store: Warehouse, publisher: Publisher) -> None:
    tomorrow = T0 + timedelta(days=1)
    for when in (slot(0), slot(1), slot(143), tomorrow):
        publisher.replace_slice(MARKS, when, marks(when, [1.0]), PROVENANCE)
    frames = {slot(1): marks(slot(1), [2.0, 3.0]), slot(2): marks(slot(2), [])}
    result = publisher.replace_day(MARKS, DAY, frames, PROVENANCE, inputs={slot(1): {"up": 5}})
    assert seen(store) == {slot(1): [2.0, 3.0], tomorrow: [1.0]}
    assert result.withdrawn == (slot(0), slot(143))
    committed = Manifest(store).committed_on(MARKS, DAY)
    assert list(committed) == [slot(1), slot(2)]
    assert committed[slot(1)].inputs == {"up": 5}
    publisher.replace_day(MARKS, DAY, {}, PROVENANCE)
    assert seen(store) == {tomorrow: [1.0]}


def test_slots_outside_the_day_are_refused(publisher: Publisher) -> None:
    with pytest.raises(InvalidSliceError, match="not on 2026-11-01"):
        publisher.replace_day(MARKS, DAY, {T0 - SLOT: marks(T0 - SLOT, [1.0])}, PROVENANCE)


def test_several_tables_and_slots_are_one_publication(store: Warehouse, publisher: Publisher) -> None:
    publisher.replace_slice(MARKS, slot(2), marks(slot(2), [8.0]), PROVENANCE)
    slices = [
        Slice(MARKS, slot(0), marks(slot(0), [1.0]), inputs={"a": 1}, origin="reconstructed"),
        Slice(MARKS_BY_WALLET, slot(0), marks(slot(0), [2.0])),
        Slice(MARKS, slot(1), marks(slot(1), [3.0])),
    ]
    provenance = Provenance("run-2", "1.1", "live", {"b": 2})
    result = publisher.publish(slices, provenance, withdraw=[Withdrawal(MARKS, slot(2))])
    assert seen(store) == {slot(0): [1.0], slot(1): [3.0]}
    assert seen(store, "marks_by_wallet") == {slot(0): [2.0]}
    lines = store.read_rows(
        "SELECT table_name, as_of, n_rows, inputs, origin, code_version, run_id, withdrawn FROM publications "
        "WHERE version = {version:UInt64} ORDER BY table_name, as_of",
        {"version": result.version},
    )
    both: Mapping[str, Any] = {"a": 1, "b": 2}
    assert lines == [
        ("marks", slot(0), 1, both, "reconstructed", "1.1", "run-2", False),
        ("marks", slot(1), 1, {"b": 2}, "live", "1.1", "run-2", False),
        ("marks", slot(2), 0, {"b": 2}, "live", "1.1", "run-2", True),
        ("marks_by_wallet", slot(0), 1, {"b": 2}, "live", "1.1", "run-2", False),
    ]


def test_a_commit_of_many_slices_is_one_part(store: Warehouse, publisher: Publisher) -> None:
    parts = (
        "SELECT count() FROM system.parts WHERE active AND table = 'publications' AND database = {d:String}"
    )
    inputs = {f"upstream_table_number_{number}": 2**63 for number in range(20)}
    slots = [T0 + number * SLOT for number in range(5000)]
    publisher.withdraw(MARKS, slots, Provenance("r", "c", "live", inputs))
    assert store.read_rows(parts, {"d": store.database}) == [(1,)]


def test_a_backfill_of_many_days_is_inserted_in_parts_clickhouse_accepts(
    store: Warehouse, publisher: Publisher
) -> None:
    days = [
        T0 + timedelta(days=number) for number in range(101)
    ]  # one insert may touch at most 100 partitions
    result = publisher.publish([Slice(MARKS_BY_WALLET, day, marks(day, [1.0])) for day in days], PROVENANCE)
    assert result.rows == 101
    assert len(seen(store, "marks_by_wallet")) == 101


def test_nothing_to_publish_is_no_publication(store: Warehouse, publisher: Publisher) -> None:
    assert publisher.publish([], PROVENANCE).version is None
    assert store.read_rows("SELECT count() FROM publications") == [(0,)]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (marks(slot(1), [1.0]), "1 rows are of other slots, such as 2026-11-01 00:10:00"),
        (pd.concat([marks(T0, [1.0])] * 2), r"1 rows repeat a key .*0x0000"),
        (marks(T0, [1.0]).drop(columns="mark"), "missing columns"),
        (marks(T0, [float("nan")]), "1 null values"),
    ],
)
def test_bad_slices_are_refused_and_nothing_is_written(
    store: Warehouse, publisher: Publisher, frame: pd.DataFrame, said: str
) -> None:
    with pytest.raises(InvalidSliceError, match=said):
        publisher.publish([Slice(MARKS, slot(5), marks(slot(5), [1.0])), Slice(MARKS, T0, frame)], PROVENANCE)
    assert versions(store) == 0
    assert seen(store) == {}


@pytest.mark.parametrize("when", [datetime(2026, 11, 1), T0.replace(microsecond=1)])
def test_slots_are_aware_whole_seconds(publisher: Publisher, when: datetime) -> None:
    with pytest.raises(InvalidSliceError, match="timezone-aware and whole seconds"):
        publisher.replace_slice(MARKS, when, marks(T0, [1.0]), PROVENANCE)


def test_a_slice_is_named_once(publisher: Publisher) -> None:
    one = Slice(MARKS, T0, marks(T0, [1.0]))
    with pytest.raises(InvalidSliceError, match="named twice"):
        publisher.publish([one], PROVENANCE, withdraw=[Withdrawal(MARKS, T0)])


class _Losing(Publisher):
    """Stores one row less than it was given, as a server that drops rows would."""

    def _insert_rows(self, changes: Any, version: int) -> None:
        shorter = [
            type(change)(change.contract, change.as_of, change.frame.iloc[1:], change.inputs, change.origin)
            for change in changes
        ]
        super()._insert_rows(shorter, version)


def test_lost_rows_are_noticed_and_nothing_is_published(store: Warehouse, publisher: Publisher) -> None:
    publisher.replace_slice(MARKS, T0, marks(T0, [1.0, 2.0]), PROVENANCE)
    with pytest.raises(RowCountMismatchError, match="3 rows sent, 2 stored"):
        _Losing(store).replace_slice(MARKS, T0, marks(T0, [7.0, 8.0, 9.0]), PROVENANCE)
    assert seen(store) == {T0: [1.0, 2.0]}


class _Interrupted(Publisher):
    """Loses the connection in the middle of a step: before or after the server did it, once or always."""

    def __init__(self, store: Warehouse, step: str, *, arrived: bool, times: int = 1) -> None:
        super().__init__(store)
        self.left = times
        inner = store.insert_once

        def insert_once(table: str, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
            interrupted = self.left > 0 and table.startswith(step)
            if not interrupted or arrived:
                inner(table, frame, types)
            if interrupted:
                self.left -= 1
                raise WarehouseUnavailableError("connection lost", unreachable=True)

        store.insert_once = insert_once  # type: ignore[method-assign]


@pytest.mark.parametrize("step", ["marks", "publications"])
@pytest.mark.parametrize("arrived", [False, True])
def test_a_lost_connection_is_repeated_without_doubling(store: Warehouse, step: str, arrived: bool) -> None:
    frame = marks(T0, [1.0, 2.0])
    result = _Interrupted(store, step, arrived=arrived, times=2).replace_slice(MARKS, T0, frame, PROVENANCE)
    assert seen(store) == {T0: [1.0, 2.0]}
    assert result.rows == 2
    assert Manifest(store).committed(MARKS)[T0].version == result.version


def test_a_connection_that_stays_lost_is_an_error_and_the_old_slice_stays(store: Warehouse) -> None:
    Publisher(store).replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    with pytest.raises(WarehouseUnavailableError, match="connection lost"):
        _Interrupted(store, "marks", arrived=True, times=99).replace_slice(
            MARKS, T0, marks(T0, [2.0]), PROVENANCE
        )
    assert seen(store) == {T0: [1.0]}


def test_rows_sent_twice_by_the_driver_are_noticed_and_sent_again(store: Warehouse) -> None:
    inner = store.insert_once
    doubled = []

    def insert_once(table: str, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
        inner(table, frame, types)
        if not doubled:
            doubled.append(True)
            inner(table, frame, types)

    store.insert_once = insert_once  # type: ignore[method-assign]
    Publisher(store).replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    assert seen(store) == {T0: [1.0]}


class _Counted:
    """Versions 100, 200, ...; or as told."""

    def __init__(self, *given: int) -> None:
        self.given = list(given)

    def next(self, above: int) -> int:
        return max(self.given.pop(0), above + 1)

    def begun_before(self, seconds: float) -> int:
        return 10**6


def test_a_clock_set_back_still_publishes(store: Warehouse) -> None:
    publisher = Publisher(store, versions=_Counted(500, 3))
    publisher.replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    assert publisher.replace_slice(MARKS, T0, marks(T0, [2.0]), PROVENANCE).version == 501
    assert seen(store) == {T0: [2.0]}


def test_replaced_rows_stay_for_a_while_and_go_with_the_next_publication(store: Warehouse) -> None:
    lasting, brief = Publisher(store, retain_seconds=3600), Publisher(store, retain_seconds=0)
    lasting.replace_slice(MARKS, T0, marks(T0, [1.0, 1.0]), PROVENANCE)
    assert lasting.replace_slice(MARKS, T0, marks(T0, [2.0]), PROVENANCE).removed_rows == 0
    assert versions(store) == 2
    assert brief.replace_slice(MARKS, T0, marks(T0, [3.0]), PROVENANCE).removed_rows == 3
    brief.sweep(MARKS)  # waits for the deletion
    assert versions(store) == 1
    assert seen(store) == {T0: [3.0]}


def test_sweep_removes_what_publishing_does_not_come_back_to(store: Warehouse) -> None:
    given_out = _Counted(100, 200, 300, 400)
    lasting = Publisher(store, versions=given_out, retain_seconds=3600)
    publisher = Publisher(store, versions=given_out, retain_seconds=0)
    lasting.replace_slice(MARKS_BY_WALLET, T0, marks(T0, [1.0]), PROVENANCE)
    lasting.replace_slice(MARKS, slot(0), marks(slot(0), [1.0]), PROVENANCE)
    lasting.replace_slice(MARKS, slot(1), marks(slot(1), [1.0]), PROVENANCE)
    lasting.withdraw(MARKS, [slot(0)], PROVENANCE)
    types = {spec.name: spec.clickhouse_type for spec in MARKS.columns} | {"_version": "UInt64"}
    for when, version in ((slot(1), 250), (slot(1), 2 * 10**6), (slot(2), 7), (slot(2), 3 * 10**6)):
        store.insert_once("marks__versions", marks(when, [5.0, 6.0]).assign(_version=version), types)
    # The withdrawn row, and versions 250 and 7 of writers that died; what is younger may be alive.
    assert publisher.sweep(MARKS) == 5
    assert publisher.sweep(MARKS) == 0
    left = store.read_rows("SELECT as_of, _version, count() FROM marks__versions GROUP BY ALL ORDER BY ALL")
    assert left == [(slot(1), 300, 1), (slot(1), 2 * 10**6, 2), (slot(2), 3 * 10**6, 2)]
    assert seen(store) == {slot(1): [1.0]}
    assert versions(store, "marks_by_wallet") == 1


def test_a_withdrawal_also_clears_what_was_withdrawn_earlier_that_day(store: Warehouse) -> None:
    lasting, brief = Publisher(store, retain_seconds=3600), Publisher(store, retain_seconds=0)
    for number in (0, 1, 2, 200):  # 200 is the next day's
        lasting.replace_slice(MARKS, slot(number), marks(slot(number), [1.0]), PROVENANCE)
    lasting.withdraw(MARKS, [slot(0), slot(200)], PROVENANCE)
    assert brief.withdraw(MARKS, [slot(1)], PROVENANCE).removed_rows == 2  # its own and that of slot 0
    assert brief.sweep(MARKS) >= 1  # of slot 200; waits for the deletions
    assert versions(store) == 1
    assert seen(store) == {slot(2): [1.0]}


def test_rows_withdrawn_a_moment_ago_outlive_the_next_withdrawal(store: Warehouse) -> None:
    lasting = Publisher(store, retain_seconds=3600)
    for number in range(3):
        lasting.replace_slice(MARKS, slot(number), marks(slot(number), [1.0]), PROVENANCE)
    assert [lasting.withdraw(MARKS, [slot(number)], PROVENANCE).removed_rows for number in range(2)] == [0, 0]
    assert versions(store) == 3


def test_a_sweep_of_a_range_leaves_other_slots_alone(store: Warehouse) -> None:
    publisher = Publisher(store, retain_seconds=3600)
    for number in (0, 200):
        publisher.replace_slice(MARKS, slot(number), marks(slot(number), [1.0]), PROVENANCE)
        publisher.withdraw(MARKS, [slot(number)], PROVENANCE)
    assert Publisher(store, retain_seconds=0).sweep(MARKS, slot(100)) == 1
    assert Publisher(store, retain_seconds=0).sweep(MARKS, end=slot(100)) == 1


def test_compact_gives_the_space_of_deleted_rows_back(store: Warehouse) -> None:
    publisher = Publisher(store, retain_seconds=0)
    old, new = slot(0), slot(60 * 144)  # another month
    publisher.replace_slice(MARKS, old, marks(old, [float(n) for n in range(5_000)]), PROVENANCE)
    publisher.replace_slice(MARKS, new, marks(new, [1.0] * 50), PROVENANCE)
    assert publisher.compact(MARKS) == []
    publisher.withdraw(MARKS, [old], PROVENANCE)
    publisher.sweep(MARKS)
    sql = (
        "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts "
        "WHERE database = {d:String} AND table = 'marks__versions' AND active"
    )
    ((masked_bytes, masked_rows),) = store.read_rows(sql, {"d": store.database})
    assert masked_rows == 5_050
    assert publisher.compact(MARKS) == ["202611"]
    store.command(
        "ALTER TABLE marks__versions APPLY DELETED MASK SETTINGS mutations_sync = 2"
    )  # waits for it
    ((bytes_left, rows_left),) = store.read_rows(sql, {"d": store.database})
    assert rows_left == 50
    assert bytes_left < masked_bytes / 5
    assert publisher.compact(MARKS) == []
    assert seen(store) == {new: [1.0] * 50}


def test_sweep_of_an_empty_table(store: Warehouse, publisher: Publisher) -> None:
    assert publisher.sweep(MARKS) == 0


def _publication(version: int, seconds: int, *, withdrawn: bool = False) -> Publication:
    return Publication("t", T0, version, 1, published_at=T0 + timedelta(seconds=seconds), withdrawn=withdrawn)


@pytest.mark.parametrize(
    ("stored", "published", "now", "doomed"),
    [
        ([1, 2], [], 0, set()),
        ([1], [(1, 0)], 999, set()),
        ([1, 2], [(2, 0)], 0, {1}),
        ([2, 3], [(2, 0)], 999, set()),
        ([1, 2], [(1, 0), (2, 100)], 159, set()),
        ([1, 2], [(1, 0), (2, 100)], 160, {1}),
        ([1, 2, 3], [(1, 0), (2, 100), (3, 150)], 160, {1}),
        ([1, 2, 3], [(1, 0), (3, 150)], 160, {2}),
        ([1, 2, 3], [(1, 0), (3, 40), (2, 100)], 100, {1, 2}),
    ],
)
def test_which_versions_nobody_can_see(
    stored: list[int], published: list[tuple[int, int]], now: int, doomed: set[int]
) -> None:
    publications = [_publication(version, seconds) for version, seconds in published]
    found = invisible_versions(stored, publications, T0 + timedelta(seconds=now), timedelta(seconds=60))
    assert found == doomed


_SLOTS = st.integers(0, 3)
_VALUES = st.lists(st.integers(0, 9).map(float), max_size=4)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("slice"), _SLOTS, _VALUES),
        st.tuples(st.just("withdraw"), _SLOTS, st.none()),
        st.tuples(st.just("day"), st.none(), st.dictionaries(_SLOTS, _VALUES, max_size=3)),
    ),
    min_size=1,
    max_size=5,
)


@given(steps=_STEPS, retain=st.sampled_from([0.0, 60.0]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_equals_a_dictionary(
    store: Warehouse, steps: list[tuple[Any, ...]], retain: float
) -> None:
    publisher = Publisher(store, retain_seconds=retain)
    publisher.replace_day(MARKS, DAY, {}, PROVENANCE)
    model: dict[datetime, list[float]] = {}
    for kind, number, payload in steps:
        if kind == "slice":
            publisher.replace_slice(MARKS, slot(number), marks(slot(number), payload), PROVENANCE)
            model[slot(number)] = payload
        elif kind == "withdraw":
            publisher.withdraw(MARKS, [slot(number)], PROVENANCE)
            model.pop(slot(number), None)
        else:
            frames = {slot(found): marks(slot(found), values) for found, values in payload.items()}
            publisher.replace_day(MARKS, DAY, frames, PROVENANCE)
            model = {slot(found): values for found, values in payload.items()}
        table = store.read_table(MARKS)
        found = {when.to_pydatetime(): list(rows["mark"]) for when, rows in table.groupby("as_of")}
        assert found == {when: values for when, values in model.items() if values}
        committed = Manifest(store).committed_on(MARKS, DAY)
        assert {when: publication.n_rows for when, publication in committed.items()} == {
            when: len(values) for when, values in model.items()
        }
