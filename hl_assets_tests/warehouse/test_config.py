"""CLICKHOUSE_URL is understood or refused with a reason, and its password never shows."""

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.warehouse.config import Endpoint, WarehouseConfig, parse_clickhouse_url
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import ClickHouseUrlError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ch", Endpoint(host="ch", port=8123)),
        ("https://ch", Endpoint(host="ch", port=8443, secure=True)),
        ("clickhouse://ch", Endpoint(host="ch", port=8123)),
        ("clickhouse://ch?secure=true", Endpoint(host="ch", port=8443, secure=True)),
        ("http://ch:9999/scores", Endpoint(host="ch", port=9999, database="scores")),
        ("http://ann@ch/", Endpoint(host="ch", port=8123, username="ann")),
        (
            "https://ann:p%40ss%2F%23@ch/db?verify=no&ca_cert=/etc/ca.pem&server_host_name=other",
            Endpoint(
                host="ch",
                port=8443,
                secure=True,
                username="ann",
                password="p@ss/#",
                database="db",
                verify=False,
                ca_cert="/etc/ca.pem",
                server_host_name="other",
            ),
        ),
        ("http://[::1]:8123", Endpoint(host="::1", port=8123)),
        ("  http://ch  ", Endpoint(host="ch", port=8123)),
    ],
)
def test_understands(url: str, expected: Endpoint) -> None:
    assert parse_clickhouse_url(url) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ch:8123", "scheme"),
        ("ch", "no scheme"),
        ("tcp://ch:9000", "scheme 'tcp'"),
        ("http://", "names no host"),
        ("http://ann:secret@", "names no host"),
        ("http://ann:sec#ret@ch:8123", "percent-encoded"),
        ("http://ann:secret@ch:port", "not a number from 1 to 65535"),
        ("http://ann:secret@ch:70000", "not a number from 1 to 65535"),
        ("http://ann:secret@ch:0", "not a number from 1 to 65535"),
        ("http://ch/db/table", "more than a database"),
        ("http://ch?timeout=3", "unknown options ['timeout']"),
        ("https://ch?verify=perhaps", "verify='perhaps'"),
        ("https://ch?secure=false", "keep one of them"),
        ("http://[::1", "not a URL"),
    ],
)
def test_refuses_with_a_reason(url: str, said: str) -> None:
    with pytest.raises(ClickHouseUrlError) as caught:
        parse_clickhouse_url(url)
    assert said in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@given(st.text(max_size=20))
def test_password_survives_and_never_shows(tail: str) -> None:
    password = f"pass wörd:{tail}"
    url = f"https://ann:{quote(password, safe='')}@ch.example:8443/db"
    endpoint, config = parse_clickhouse_url(url), WarehouseConfig(url=url)
    assert endpoint.password == password
    shown = f"{endpoint!r} {endpoint} {config!r} {Warehouse(config)!r}"
    assert "wörd" not in shown
    assert quote("wörd") not in shown


def test_unreachable_server_is_named_without_its_password() -> None:
    warehouse = Warehouse(
        WarehouseConfig(url="http://ann:hunter2@127.0.0.1:9/db", attempts=1, connect_timeout_seconds=1)
    )
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9") as caught:
        warehouse.read_rows("SELECT 1")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_native_port_is_suspected() -> None:
    assert "native protocol" in parse_clickhouse_url("http://ch:9000").hint


def test_database_is_the_configured_one_then_the_urls() -> None:
    url = "http://ch/from_url"
    assert Warehouse(WarehouseConfig(url=url)).database == "from_url"
    assert Warehouse(WarehouseConfig(url=url, database="chosen")).database == "chosen"
    assert Warehouse(WarehouseConfig(url="http://ch")).database == "hl_assets"


def test_somewhere_is_needed() -> None:
    with pytest.raises(ClickHouseUrlError, match="neither"):
        WarehouseConfig()


def test_database_name_must_be_an_identifier() -> None:
    with pytest.raises(ValueError, match="not a usable SQL name"):
        Warehouse(WarehouseConfig(url="http://ch", database="a`; DROP DATABASE b"))
