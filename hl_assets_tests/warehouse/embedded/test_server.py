"""ClickHouse's HTTP interface over a real socket, with the ordinary client and with raw requests."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import clickhouse_connect
import numpy as np
import pandas as pd
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running


@pytest.fixture
def address(embedded_server: Path) -> tuple[str, int]:
    parts = urlsplit(ensure_running(embedded_server))
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@pytest.fixture
def database(warehouse: Warehouse) -> str:
    warehouse.ensure_tables([])
    return warehouse.database


@pytest.fixture(params=["plain", "lz4", "zstd", "gzip"])
def client(request: pytest.FixtureRequest, address: tuple[str, int], database: str) -> Iterator[Client]:
    """The ordinary client with its defaults (sessions and compression on), as people use it."""
    compress: Any = False if request.param == "plain" else request.param
    opened = clickhouse_connect.get_client(
        host=address[0], port=address[1], database=database, compress=compress
    )
    yield opened
    opened.close()


Answer = tuple[int, dict[str, str], bytes]


def ask(
    address: tuple[str, int],
    method: str = "GET",
    path: str = "/",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **parameters: str,
) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=30)
    target = f"{path}?{urlencode(parameters, quote_via=quote)}" if parameters else path
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def test_ping_and_root(address: tuple[str, int]) -> None:
    assert ask(address, path="/ping")[::2] == (200, b"Ok.\n")
    assert ask(address)[::2] == (200, b"Ok.\n")
    assert ask(address, "POST")[0] == 400
    assert ask(address, path="/elsewhere")[0] == 404


def test_query_in_url_body_or_both(address: tuple[str, int]) -> None:
    for answer in (
        ask(address, query="SELECT 1 AS a, 'x' AS b"),
        ask(address, "POST", body=b"SELECT 1 AS a, 'x' AS b"),
        ask(address, "POST", body=b"1 AS a, 'x' AS b", query="SELECT"),
    ):
        assert answer[0] == 200
        assert answer[2] == b"1\tx\n"


def test_formats(address: tuple[str, int]) -> None:
    assert ask(address, query="SELECT 1 AS a FORMAT JSONEachRow")[2] == b'{"a":1}\n'
    status, headers, body = ask(address, query="SELECT 1 AS a", default_format="CSVWithNames")
    assert (status, body, headers["x-clickhouse-format"]) == (200, b'"a"\n1\n', "CSVWithNames")
    headers = ask(address, headers={"X-ClickHouse-Format": "JSON"}, query="SELECT 1")[1]
    assert headers["content-type"].startswith("application/json")


def test_headers_describe_server_and_query(address: tuple[str, int]) -> None:
    headers = ask(address, query="SELECT number FROM numbers(10)", query_id="mine")[1]
    assert headers["x-clickhouse-query-id"] == "mine"
    assert headers["x-clickhouse-timezone"] == "UTC"
    assert headers["x-clickhouse-server-display-name"] == "hl-assets embedded"
    assert json.loads(headers["x-clickhouse-summary"])["read_rows"] == "10"
    assert (
        ask(address, query="SELECT timezone(), toString(toDateTime(0))")[2] == b"UTC\t1970-01-01 00:00:00\n"
    )


def test_settings_and_parameters_from_the_url(address: tuple[str, int]) -> None:
    sql = "SELECT getSetting('max_threads'), {x:String}, {n:UInt8}"
    answer = ask(address, query=sql, max_threads="3", param_x="a\\nb'é", param_n="7", session_id="ignored")
    assert answer[2].decode() == "3\ta\\nb\\'é\t7\n"
    status, headers, body = ask(address, query="SELECT 1", no_such_setting="1")
    assert (status, headers["x-clickhouse-exception-code"]) == (404, "115")
    assert b"no_such_setting" in body
    assert ask(address, query="SELECT 1", **{"a b": "1"})[1]["x-clickhouse-exception-code"] == "115"


def test_requests_do_not_leak_into_each_other(address: tuple[str, int], database: str) -> None:
    assert ask(address, "POST", query="SET max_threads = 7")[0] == 200
    assert ask(address, "POST", query=f"USE {database}")[0] == 200
    assert ask(address, "POST", query="CREATE TEMPORARY TABLE mine (a Int8)")[0] == 200
    for _ in range(5):
        assert (
            ask(address, query="SELECT getSetting('max_threads') = 7, currentDatabase()")[2]
            == b"0\tdefault\n"
        )
        assert ask(address, query="SELECT * FROM mine")[1]["x-clickhouse-exception-code"] == "60"


@pytest.mark.parametrize(
    ("sql", "status", "code", "said"),
    [
        ("SELECT nope", 404, 47, b"nope"),
        ("SELEC 1", 400, 62, b"Syntax error"),
        ("1 + 1", 400, 62, b"Syntax error"),
        ("SELECT 1; SELECT 2", 400, 62, b"Multi-statements"),
        ("SELECT * FROM nope.t", 404, 81, b"nope"),
        ("SELECT throwIf(number = 3, 'told you') FROM numbers(9)", 500, 395, b"told you"),
        (
            "SELECT sum(number) FROM system.numbers SETTINGS max_execution_time = 0.2",
            408,
            159,
            b"Timeout",
        ),
        ("SELECT {x:String}", 500, 456, b"`x`"),
        (
            "SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 1000000",
            500,
            241,
            b"limit",
        ),
    ],
)
def test_errors_are_clickhouses(
    address: tuple[str, int], sql: str, status: int, code: int, said: bytes
) -> None:
    found, headers, body = ask(address, "POST", body=sql.encode())
    assert (found, headers["x-clickhouse-exception-code"]) == (status, str(code))
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert said in body
    assert b"(version 2" in body
    assert ask(address, query="SELECT 1")[2] == b"1\n"


def test_get_only_reads(address: tuple[str, int], database: str) -> None:
    for sql in ("CREATE TABLE t (a Int8) ENGINE = Memory", f"DROP DATABASE {database}", "SYSTEM FLUSH LOGS"):
        status, headers, body = ask(address, query=sql, database=database)
        assert (status, headers["x-clickhouse-exception-code"]) == (500, "164")
        assert b"method GET implies readonly" in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_requests_of_web_pages_are_refused(address: tuple[str, int], headers: dict[str, str]) -> None:
    for path in ("/", "/ping", "/hl-assets/instance"):
        status, _, body = ask(address, path=path, headers=headers, query="SELECT 'secret'")
        assert status == 403
        assert b"secret" not in body
    assert ask(address, "POST", body=b"SELECT 'secret'", headers=headers)[0] == 403


def test_loopback_names_are_welcome(address: tuple[str, int]) -> None:
    for host in ("localhost", f"localhost:{address[1]}", f"[::1]:{address[1]}"):
        assert ask(address, headers={"Host": host}, query="SELECT 1")[0] == 200


def test_what_is_not_supported_says_so(address: tuple[str, int]) -> None:
    status, _, body = ask(address, query="SELECT 1", compress="1")
    assert status == 501
    assert b"compress" in body
    status, _, body = ask(address, "POST", body=b"xx", headers={"Content-Encoding": "br"})
    assert status == 400
    assert b"'br' is not supported" in body


def test_broken_insert_stores_nothing(address: tuple[str, int], database: str) -> None:
    ask(address, "POST", body=b"CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a", database=database)
    status, headers, _ = ask(
        address, "POST", body=b"INSERT INTO t FORMAT Native\n\x01\x05\x01a\x06UInt32ab", database=database
    )
    assert status == 400
    assert headers["x-clickhouse-exception-code"] == "33"
    assert ask(address, query="SELECT count() FROM t", database=database)[2] == b"0\n"


def test_an_insert_of_many_blocks_is_stored_whole(client: Client) -> None:
    client.command("CREATE TABLE wide (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    rows = 20_000  # of 400 bytes: the client sends blocks of about 2 MB, each compressed by itself
    client.insert_df("wide", pd.DataFrame({"a": np.arange(rows), "b": [f"{i:0400d}" for i in range(rows)]}))
    assert client.query("SELECT count(), uniqExact(b) FROM wide").result_rows == [(rows, rows)]


def test_ordinary_client_round_trip(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt32, b Nullable(String), c Float64) ENGINE = MergeTree ORDER BY a")
    frame = pd.DataFrame({"a": np.arange(50_000), "b": ["é", None] * 25_000, "c": np.arange(50_000) / 7})
    client.insert_df("t", frame)
    assert client.query("SELECT count(), sum(a), countIf(b IS NULL) FROM t").result_rows == [
        (50_000, 1249975000, 25_000)
    ]
    back = client.query_df("SELECT * FROM t ORDER BY a")
    assert back["c"].tolist() == frame["c"].tolist()
    client.raw_insert("t", ["a", "c"], b"1,2.5\n", fmt="CSV")
    assert client.command("SELECT count() FROM t") == 50_001
    found = client.query(
        "SELECT DISTINCT a FROM t WHERE a IN {xs:Array(UInt32)} ORDER BY a", {"xs": [7, 1, 3]}
    )
    assert found.result_rows == [(1,), (3,), (7,)]
    with pytest.raises(DatabaseError, match="code: 47") as caught:
        client.query("SELECT nope FROM t")
    assert caught.value.code == 47
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as stream:
        assert sum(len(block) for block in stream) == 200_000


def test_long_statements(address: tuple[str, int]) -> None:
    text = "é" * 120_000  # 240 kB; ClickHouse's own limit for a statement is 256 kB
    assert ask(address, "POST", body=f"SELECT length('{text}')".encode())[2] == b"240000\n"
    too_long = ask(address, "POST", body=f"SELECT length('{text}{text}')".encode())
    assert too_long[1]["x-clickhouse-exception-code"] == "62"
    assert b"max_query_size" in too_long[2]


def test_many_clients_at_once(address: tuple[str, int], database: str) -> None:
    def run(number: int) -> int:
        one = clickhouse_connect.get_client(host=address[0], port=address[1], database=database)
        one.command(f"CREATE TABLE t{number} (a UInt32) ENGINE = MergeTree ORDER BY a")
        for turn in range(5):
            one.insert("t" + str(number), [[turn]] * 100, ["a"])
            with pytest.raises(DatabaseError):
                one.query("SELECT nope")
        return int(one.command(f"SELECT count() FROM t{number}"))  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(8))) == [500] * 8


def test_statements_run_in_parallel(address: tuple[str, int]) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(address, query="SELECT sleep(0.5)")[0], range(6)))
    assert answers == [200] * 6
    assert time.monotonic() - began < 2.5


def test_a_client_that_hangs_up_harms_nobody(address: tuple[str, int]) -> None:
    for sent in (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nSELECT",
        b"GET /?query=SELECT%20sleep(0.3) HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ):
        connection = http.client.HTTPConnection(*address)
        connection.connect()
        assert connection.sock is not None
        connection.sock.sendall(sent)
        time.sleep(0.05)
        connection.close()
    assert ask(address, query="SELECT 1")[2] == b"1\n"
    assert threading.active_count() < 50
