"""What statements to ClickHouse say they are for, and the page's SQL that joins its query log to Dagster's runs."""

import json
import re
from datetime import timedelta

import httpx
import pandas as pd
import pytest

from hl_assets.jobs import ASSETS_IN_ORDER, DAILY_ASSETS, FRESHNESS_CHECK
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.observability.conftest import Ticked
from hl_assets_tests.observability.recording_proxy import Statement
from hl_assets_tests.pipeline.conftest import DAY, SLOT

PAGE = REPOSITORY / "docs" / "observability.md"
_OPENING = re.compile(
    r"SELECT version\(\)|SELECT name, value|system\.settings|SELECT 1 AS check", re.IGNORECASE
)
"""What clickhouse-connect asks when it opens a connection, before it is told anything."""


def ours(statements: tuple[Statement, ...] | list[Statement]) -> list[Statement]:
    return [one for one in statements if not (not one.comment and _OPENING.search(one.text))]


def test_every_statement_of_a_tick_says_run_asset_and_slot(ticked: Ticked) -> None:
    statements = ours(ticked.statements)
    assert len(statements) > 50
    for one in statements:
        assert one.comment["run_id"] == ticked.run_id, one.text
        assert one.comment["job"] == "tick"
        assert one.comment["partition"] == DAY
        assert one.comment["slot"] == slot_text(SLOT)
    assets = {one.comment["asset"] for one in statements}
    assert assets == {*ASSETS_IN_ORDER, *DAILY_ASSETS, FRESHNESS_CHECK}


def test_inserts_say_it_too(ticked: Ticked) -> None:
    inserts = [one for one in ticked.statements if one.text.startswith("INSERT INTO")]
    stored = {match[1] for one in inserts if (match := re.search(r"`(\w+)__versions`", one.text))}
    assert {"leaderboard_rows", "portfolio_points", "wallet_scores"} <= stored
    assert all(one.comment["run_id"] == ticked.run_id for one in inserts)


def test_a_slot_that_is_derived_later_is_named_and_not_the_ticks(ticked: Ticked) -> None:
    before = len(ticked.proxy.statements)
    earlier = SLOT - timedelta(minutes=10)
    with WarehouseResource(ticked.stored, "simulated").open("r", "wallet_metrics", slot="x") as session:
        of_slot = session.of_slot(earlier)
        of_slot.store.read_rows("SELECT 1")
        of_slot.manifest.committed_together([])
        assert of_slot.run_id == "r"
    told = [one.comment for one in ticked.proxy.statements[before:] if one.comment.get("slot") != "x"]
    assert [one for one in told if one] == [
        {"asset": "wallet_metrics", "run_id": "r", "slot": slot_text(earlier)}
    ] * 2


def test_statements_of_the_api_say_route_and_request(ticked: Ticked, api: httpx.Client) -> None:
    before = len(ticked.proxy.statements)
    wallet = api.get("/v1/leaderboard").json()["data"][0]["wallet"]
    answer = api.get(f"/v1/wallets/{wallet}/scores", headers={"X-Request-ID": "mine.1"})
    assert answer.status_code == 200
    comments = [one.comment for one in ours(ticked.proxy.statements[before:])]
    mine = [comment for comment in comments if comment.get("request_id") == "mine.1"]
    assert {comment["route"] for comment in mine} == {"/v1/wallets/{address}/scores"}
    assert all({"route", "request_id"} <= set(comment) for comment in comments)
    assert wallet not in json.dumps(comments), "an address is what a client sent"


# The page's SQL


def queries() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_pages_sql_joins_the_query_log_to_runs(ticked: Ticked, warehouse: Warehouse) -> None:
    """The embedded engine keeps no query log, so its columns stand in a table of their own, with what the tick said."""
    warehouse.ensure_tables([])
    warehouse.command(
        "CREATE TABLE query_log (event_time DateTime('UTC'), type String, query_kind String, query String, "
        "log_comment String, query_duration_ms UInt64, read_rows UInt64, read_bytes UInt64, written_rows UInt64, "
        "memory_usage UInt64, exception String) ENGINE = Memory"
    )
    statements = ours(ticked.statements)
    logged = pd.DataFrame(
        {
            "event_time": [pd.Timestamp.now("UTC").floor("s")] * len(statements),
            "type": ["QueryFinish"] * len(statements),
            "query_kind": ["Select"] * len(statements),
            "query": [one.text for one in statements],
            "log_comment": [json.dumps(one.comment) for one in statements],
            **dict.fromkeys(
                ("query_duration_ms", "read_rows", "read_bytes", "written_rows", "memory_usage"), 10
            ),
            "exception": [""] * len(statements),
        }
    )
    types = {
        "event_time": "DateTime('UTC')",
        **dict.fromkeys(("type", "query_kind", "query", "log_comment"), "String"),
        **dict.fromkeys(
            ("query_duration_ms", "read_rows", "read_bytes", "written_rows", "memory_usage"), "UInt64"
        ),
        "exception": "String",
    }
    warehouse.insert_once("query_log", logged, types)
    assert len(queries()) >= 2
    per_asset, *others = [
        sql.replace("system.query_log", "query_log").replace("RUN_ID", ticked.run_id) for sql in queries()
    ]
    frame = warehouse.read_frame(per_asset.rstrip().rstrip(";"))
    assert set(frame["asset"]) == {one.comment["asset"] for one in statements}
    assert frame["statements"].sum() == len(statements)
    assert frame["read_rows"].sum() == 10 * len(statements)
    for sql in others:
        warehouse.read_frame(sql.rstrip().rstrip(";"))


@pytest.mark.parametrize("column", ["run_id", "asset", "slot", "route", "request_id"])
def test_the_page_names_what_a_comment_holds(column: str) -> None:
    assert f"`{column}`" in PAGE.read_text(encoding="utf-8")
