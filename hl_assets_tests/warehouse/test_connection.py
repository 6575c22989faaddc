"""The connection: tables that come into being by themselves, errors with a type, comments, threads, lost servers."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_connect
import pandas as pd
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from hl_assets.schemas import TABLES
from hl_assets.warehouse import connection, ddl, schema_changes
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running, status, stop
from hl_assets.warehouse.errors import (
    SchemaMismatchError,
    WarehouseError,
    WarehouseQueryError,
    WarehouseUnavailableError,
    is_transient,
)
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.selecting import select_rows
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, T0, address, marks, slot


def test_tables_appear_once_and_then_cost_two_queries(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.ensure_tables([MARKS, MARKS_BY_WALLET])
    calls: list[str] = []
    monkeypatch.setattr(warehouse, "command", lambda sql, parameters=None: calls.append(sql))
    warehouse.ensure_tables([MARKS, MARKS_BY_WALLET])
    assert calls == []
    described = warehouse.read_frame("DESCRIBE TABLE marks")
    assert list(described["name"]) == MARKS.column_names
    assert list(described["comment"]) == [ddl.comment_of(spec) for spec in MARKS.columns]


def test_every_contract_of_the_project_can_be_created_and_is_then_recognised(warehouse: Warehouse) -> None:
    warehouse.ensure_tables(TABLES)
    stored = warehouse.stored_objects(schema_changes.object_names(list(TABLES)))
    assert schema_changes.plan_changes(TABLES, stored) == schema_changes.Changes((), ())


def test_many_processes_may_create_at_once(warehouse: Warehouse) -> None:
    others = [Warehouse(warehouse._config) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.ensure_tables([MARKS]), others))
    assert warehouse.read_rows("SELECT count() FROM marks") == [(0,)]


def test_differing_table_is_reported_and_left_alone(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    warehouse.command("ALTER TABLE marks__versions MODIFY COLUMN mark Float32")
    warehouse.command("ALTER TABLE marks__versions ADD COLUMN extra String")
    with pytest.raises(SchemaMismatchError, match="column extra is not in the contract") as caught:
        warehouse.ensure_tables([MARKS])
    assert len(caught.value.differences) == 2
    assert "mark is Float32, the contract says Float64" in str(caught.value)


def test_tables_made_without_codecs_get_them_once_and_keep_their_rows(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [1.0, 2.0]), PROVENANCE)
    before = warehouse.read_table(MARKS)
    for table in ("marks__versions", ddl.PUBLICATIONS):
        names = warehouse.read_rows(
            "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}",
            {"d": warehouse.database, "t": table},
        )
        warehouse.command(
            f"ALTER TABLE {table} " + ", ".join(f"MODIFY COLUMN {n} REMOVE CODEC" for (n,) in names)
        )
    warehouse.ensure_tables([MARKS])
    stored = warehouse.stored_objects(schema_changes.object_names([MARKS]))
    assert stored["marks__versions"].codecs["as_of"] == "CODEC(Delta(4), ZSTD(1))"
    assert stored[ddl.PUBLICATIONS].codecs["inputs"] == "CODEC(ZSTD(9))"
    assert schema_changes.plan_changes([MARKS], stored) == schema_changes.Changes((), ())
    warehouse.command("OPTIMIZE TABLE marks__versions FINAL")
    pd.testing.assert_frame_equal(warehouse.read_table(MARKS), before)


def test_view_follows_its_contract(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    warehouse.ensure_tables([replace(MARKS, caution="Do not add.")])
    [(comment,)] = warehouse.read_rows(
        "SELECT comment FROM system.tables WHERE database = {d:String} AND name = 'marks'",
        {"d": warehouse.database},
    )
    assert "Do not add." in comment


def test_refused_statement_says_what_clickhouse_said(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    with pytest.raises(WarehouseQueryError, match="nothing_here") as caught:
        warehouse.read_frame("SELECT * FROM nothing_here")
    assert (caught.value.code, caught.value.name, caught.value.transient) == (60, "UNKNOWN_TABLE", False)
    with pytest.raises(WarehouseQueryError) as caught:
        warehouse.command("SELECT throwIf(1, 'told you')")
    assert caught.value.code == 395


def test_missing_database_says_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseQueryError, match="nothing has been published there yet") as caught:
        warehouse.read_rows("SELECT 1")
    assert caught.value.name == "UNKNOWN_DATABASE"


def test_log_comment_names_run_and_asset(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    told = warehouse.with_comment(run_id="r1").with_comment(asset="leaderboard")
    [(comment,)] = told.read_rows("SELECT getSetting('log_comment')")
    assert json.loads(comment) == {"run_id": "r1", "asset": "leaderboard"}
    [(comment, asynchronous)] = warehouse.read_rows(
        "SELECT getSetting('log_comment'), getSetting('async_insert')"
    )
    assert json.loads(comment) == {}
    assert asynchronous == 0


def test_threads_share_one_warehouse(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    publisher = Publisher(warehouse)

    def work(number: int) -> int:
        if number % 2:
            publisher.replace_slice(
                MARKS, slot(number), marks(slot(number), [float(number)] * number), PROVENANCE
            )
            return number
        return len(warehouse.read_table(MARKS)) * 0

    with ThreadPoolExecutor(8) as pool:
        published = sum(pool.map(work, range(16)))
    assert warehouse.read_rows("SELECT count() FROM marks") == [(published,)]


def test_reading_by_slot_range_and_value(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([MARKS])
    publisher = Publisher(warehouse)
    for number in range(4):
        publisher.replace_slice(MARKS, slot(number), marks(slot(number), [number, number + 0.5]), PROVENANCE)
    assert list(warehouse.read_table(MARKS, as_of=slot(2))["mark"]) == [2.0, 2.5]
    assert list(warehouse.read_table(MARKS, start=slot(1), end=slot(3), columns=["mark"])["mark"]) == [
        1,
        1.5,
        2,
        2.5,
    ]
    of_one = warehouse.read_table(MARKS, where={"wallet": address(1)}, order_by=["-as_of"], limit=2)
    assert list(of_one["mark"]) == [3.5, 2.5]
    of_some = warehouse.read_table(MARKS, where={"wallet": [address(0), address(9)], "mark": (0.0, 3.0)})
    assert list(of_some["mark"]) == [0.0, 3.0]
    assert warehouse.read_table(MARKS, where={"wallet": []}).empty
    with pytest.raises(ValueError, match=r"marks has no columns \['nope'\]"):
        warehouse.read_table(MARKS, where={"nope": 1})


def test_reading_binds_every_value() -> None:
    sql, parameters = select_rows(MARKS, as_of=T0, where={"wallet": "x' OR 1"}, limit=5)
    assert sql == (
        "SELECT `as_of`, `wallet`, `mark` FROM `marks` WHERE as_of = {as_of:DateTime('UTC')} "
        "AND `wallet` = {where_0:String} ORDER BY `as_of`, `wallet` LIMIT 5"
    )
    assert parameters == {"as_of": T0, "where_0": "x' OR 1"}


@pytest.mark.parametrize(
    ("code", "message", "heals"),
    [
        (210, "", True),
        (202, "", True),
        (209, "", True),
        (439, "", True),
        (241, "Memory limit (total) exceeded: would use 9 GiB", True),
        (241, "(total) memory limit exceeded: would use 3 GiB", True),
        (241, "Memory limit (for query) exceeded", False),
        (241, "Query memory limit exceeded", False),
        (60, "", False),
        (159, "", False),
        (None, "", False),
    ],
)
def test_only_what_heals_is_transient(code: int | None, message: str, heals: bool) -> None:
    assert is_transient(code, message) is heals


class _FailingClient:
    """Stands in for the driver's client and fails as told, then answers."""

    def __init__(self, failures: list[Exception]) -> None:
        self.server_settings: dict[str, Any] = {}
        self.failures = failures
        self.calls = 0

    def command(self, *_: Any, **__: Any) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return ""


@pytest.mark.parametrize(
    ("failures", "calls", "raised"),
    [
        ([], 1, None),
        ([OperationalError("connection reset")], 2, None),
        ([DatabaseError("busy", code=202)] * 3, 4, None),
        ([DatabaseError("busy", code=202)] * 4, 4, WarehouseUnavailableError),
        ([DatabaseError("(total) memory limit exceeded", code=241)], 2, None),
        ([DatabaseError("Query memory limit exceeded", code=241)], 1, WarehouseQueryError),
        ([DatabaseError("no such table", code=60)], 1, WarehouseQueryError),
    ],
)
def test_retries_only_what_heals(
    monkeypatch: pytest.MonkeyPatch,
    failures: list[Exception],
    calls: int,
    raised: type[WarehouseError] | None,
) -> None:
    client = _FailingClient(list(failures))
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    monkeypatch.setattr(connection, "_open_client", lambda *_: client)
    warehouse = Warehouse(WarehouseConfig(url="http://ch"))
    if raised is None:
        warehouse.command("SELECT 1")
    else:
        with pytest.raises(raised):
            warehouse.command("SELECT 1")
    assert client.calls == calls


def test_embedded_server_that_died_is_started_again(tmp_path: Path) -> None:
    with Warehouse(WarehouseConfig(home=tmp_path / "home", database="x")) as warehouse:
        warehouse.ensure_tables([MARKS])
        Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [1.0, 2.0]), PROVENANCE)
        before = status(tmp_path / "home")
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        assert list(warehouse.read_table(MARKS)["mark"]) == [1.0, 2.0]
        after = status(tmp_path / "home")
        assert after is not None
        assert after.pid != before.pid
    assert stop(tmp_path / "home")


def test_ordinary_client_reaches_the_same_rows(warehouse: Warehouse, embedded_server: Path) -> None:
    warehouse.ensure_tables([MARKS])
    Publisher(warehouse).replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
    client = clickhouse_connect.get_client(dsn=ensure_running(embedded_server), database=warehouse.database)
    assert client.query("SELECT mark FROM marks").result_rows == [(1.0,)]
    assert client.ping()


def test_closing_twice_and_using_again(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    warehouse.close()
    warehouse.close()
    assert warehouse.read_rows("SELECT 1") == [(1,)]
    assert threading.active_count() < 50


def test_answers_do_not_wait_for_acknowledgements(warehouse: Warehouse) -> None:
    """Nagle's algorithm would add 40 ms to every answer; the fastest of many shows whether it is off."""
    warehouse.ensure_tables([])

    def seconds() -> float:
        began = time.perf_counter()
        warehouse.read_rows("SELECT 1")
        return time.perf_counter() - began

    assert min(seconds() for _ in range(15)) < 0.03
