import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.exchange.errors import PayloadShapeError, UndecodableBodyError
from hl_assets.exchange.payloads import (
    LEADERBOARD_WINDOWS,
    PORTFOLIO_WINDOWS,
    Leaderboard,
    Portfolio,
    parse_leaderboard,
    parse_portfolio,
)
from hl_assets_tests.exchange.bodies import (
    START_MS,
    address,
    encoded,
    leaderboard_document,
    portfolio_document,
)

WALLET = "0x31ca8395cf837de08b24da3f660e77761dfb974b"
HOSTILE_NAMES = [
    "",
    "\x00\x01\x1b[31m",
    "\u202etxt.exe",
    "'; DROP TABLE wallets; --",
    "Ignore previous instructions",
    "\U0001f4a9" * 500,
    "a\\ud800b",
    "null",
]


def plain_leaderboard(document: Any) -> dict[str, Any]:
    """An independent, slow reading of the same document."""
    rows = document["leaderboardRows"]
    windows = [dict(row["windowPerformances"]) for row in rows]
    return {
        "wallets": [row["ethAddress"].lower() for row in rows],
        "display_names": [row["displayName"] for row in rows],
        "account_value": [float(row["accountValue"]) for row in rows],
        "prize": [float(row["prize"]) for row in rows],
        "performance": {
            name: [[float(window[name][key]) for window in windows] for key in ("pnl", "roi", "vlm")]
            for name in LEADERBOARD_WINDOWS
        },
    }


def as_plain_leaderboard(board: Leaderboard) -> dict[str, Any]:
    return {
        "wallets": board.wallets,
        "display_names": board.display_names,
        "account_value": board.account_value.tolist(),
        "prize": board.prize.tolist(),
        "performance": {
            name: [window.pnl.tolist(), window.roi.tolist(), window.volume.tolist()]
            for name, window in board.performance.items()
        },
    }


def plain_portfolio(document: Any) -> dict[str, Any]:
    def history(points: Any) -> list[tuple[int, float]]:
        return [(ts, float(text)) for ts, text in points]

    return {
        name: (history(window["accountValueHistory"]), history(window["pnlHistory"]), float(window["vlm"]))
        for name, window in (document or [])
    }


def as_plain_portfolio(portfolio: Portfolio) -> dict[str, Any]:
    return {
        name: (
            list(zip(window.ts_ms.tolist(), window.account_value.tolist(), strict=True)),
            list(zip(window.pnl_ts_ms.tolist(), window.pnl.tolist(), strict=True)),
            window.volume,
        )
        for name, window in portfolio.windows.items()
    }


# --- recorded answers ---


def test_the_recorded_leaderboard_round_trips(recorded_data: Path) -> None:
    document = json.loads((recorded_data / "api_samples" / "leaderboard_12rows.json").read_text())["response"]
    board = parse_leaderboard(encoded(document))
    assert len(board) == 12
    assert as_plain_leaderboard(board) == plain_leaderboard(document)
    assert board.account_value.dtype == np.float64
    assert board.performance["allTime"].pnl[1] == -500.0
    assert board.account_value[1] == 15938949839.5765972137


def test_every_recorded_portfolio_is_read_exactly(recorded_data: Path) -> None:
    files = sorted((recorded_data / "api_samples").glob("portfolio*.json"))
    assert files
    for file in files:
        recording = json.loads(file.read_text())
        portfolio = parse_portfolio(encoded(recording["response"]), recording["request"]["user"])
        assert portfolio.wallet == recording["request"]["user"]
        assert tuple(portfolio.windows) == PORTFOLIO_WINDOWS
        assert as_plain_portfolio(portfolio) == plain_portfolio(recording["response"])
        assert portfolio.windows["allTime"].account_value[0] == 0.0  # the synthetic first point is left in


# --- what is accepted ---


def test_windows_are_read_by_name_whatever_their_order() -> None:
    document = leaderboard_document()
    expected = plain_leaderboard(document)
    for row in document["leaderboardRows"]:
        row["windowPerformances"].reverse()
    assert as_plain_leaderboard(parse_leaderboard(encoded(document))) == expected
    pairs = portfolio_document()
    assert as_plain_portfolio(parse_portfolio(encoded(pairs[::-1]), WALLET)) == plain_portfolio(pairs)


def test_further_keys_are_accepted() -> None:
    document = leaderboard_document()
    expected = plain_leaderboard(document)
    document["version"] = 2
    document["leaderboardRows"][1]["tier"] = {"name": "gold"}
    document["leaderboardRows"][1]["windowPerformances"][0][1]["fees"] = 5
    assert as_plain_leaderboard(parse_leaderboard(encoded(document))) == expected
    pairs = portfolio_document()
    pairs[0][1]["fees"] = None
    assert as_plain_portfolio(parse_portfolio(encoded(pairs), WALLET)) == plain_portfolio(pairs)


def test_addresses_are_lowered() -> None:
    document = leaderboard_document(1)
    document["leaderboardRows"][0]["ethAddress"] = "0x" + "AB" * 20
    assert parse_leaderboard(encoded(document)).wallets == ["0x" + "ab" * 20]
    assert parse_portfolio(b"[]", WALLET.upper().replace("X", "x")).wallet == WALLET


@pytest.mark.parametrize("body", [b"[]", b"null", b" null\n"])
def test_an_address_without_a_portfolio_has_no_windows(body: bytes) -> None:
    portfolio = parse_portfolio(body, WALLET)
    assert portfolio.is_empty
    assert portfolio.windows == {}


def test_an_empty_leaderboard_has_no_rows() -> None:
    board = parse_leaderboard(b'{"leaderboardRows":[]}')
    assert len(board) == 0
    assert all(len(window.pnl) == 0 for window in board.performance.values())


def test_histories_of_different_instants_and_lengths_stay_apart() -> None:
    pairs = portfolio_document()
    pairs[0][1]["pnlHistory"] = [[START_MS + 5, "1.0"]]
    pairs[1][1]["accountValueHistory"] = []
    portfolio = parse_portfolio(encoded(pairs), WALLET)
    assert portfolio.windows["day"].pnl_ts_ms.tolist() == [START_MS + 5]
    assert len(portfolio.windows["day"].ts_ms) == 3
    assert portfolio.windows["week"].account_value.shape == (0,)
    assert not portfolio.is_empty


def test_points_keep_the_order_and_repetitions_they_were_sent_with() -> None:
    pairs = portfolio_document()
    sent = [[START_MS + 9, "3.0"], [START_MS, "1.0"], [START_MS, "2.0"]]
    pairs[2][1]["accountValueHistory"] = sent
    window = parse_portfolio(encoded(pairs), WALLET).windows["month"]
    assert window.ts_ms.tolist() == [ts for ts, _ in sent]
    assert window.account_value.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_display_names_are_data(name: str) -> None:
    document = leaderboard_document()
    document["leaderboardRows"][0]["displayName"] = name
    assert parse_leaderboard(encoded(document)).display_names[0] == name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r"\ud800", "\ufffd"),
        (r"a\udc00b", "a\ufffdb"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud800\ud83d\ude00\udfff", "\ufffd\U0001f600\ufffd"),
        (r"\\ud800", r"\ud800"),
    ],
)
def test_lone_surrogates_in_a_name_cost_only_themselves(sent: str, kept: str) -> None:
    document = leaderboard_document()
    document["leaderboardRows"][1]["displayName"] = "PLACEHOLDER"
    body = encoded(document).replace(b"PLACEHOLDER", sent.encode())
    board = parse_leaderboard(body)
    assert board.display_names[1] == kept
    board.display_names[1].encode("utf-8")
    document["leaderboardRows"][1]["displayName"] = kept
    assert as_plain_leaderboard(board) == plain_leaderboard(document)


def test_a_fault_beside_a_lone_surrogate_is_still_found() -> None:
    document = leaderboard_document()
    document["leaderboardRows"][0]["displayName"] = "\ud800"
    document["leaderboardRows"][2]["accountValue"] = None
    with pytest.raises(PayloadShapeError) as caught:
        parse_leaderboard(encoded(document))
    assert (caught.value.path, caught.value.value) == ("$.leaderboardRows[2].accountValue", "None")


def test_arrays_cannot_be_changed_by_their_readers() -> None:
    board = parse_leaderboard(encoded(leaderboard_document()))
    with pytest.raises(ValueError, match="read-only"):
        board.account_value[0] = 1.0


# --- what is refused, and how it is named ---

ROW = "$.leaderboardRows[1]"
FAULTY_LEADERBOARDS: dict[str, tuple[str, Any, str, str]] = {
    # name: (path of the mutated place within row 1, new value, path reported, value reported)
    "account value a number": ("accountValue", 5.5, f"{ROW}.accountValue", "5.5"),
    "account value null": ("accountValue", None, f"{ROW}.accountValue", "None"),
    "account value NaN": ("accountValue", "NaN", f"{ROW}.accountValue", "'NaN'"),
    "account value infinite": ("accountValue", "-inf", f"{ROW}.accountValue", "'-inf'"),
    "account value beyond floats": ("accountValue", "9" * 400, f"{ROW}.accountValue", "'99999999"),
    "account value with exponent": ("accountValue", "1e5", f"{ROW}.accountValue", "'1e5'"),
    "account value with newline": ("accountValue", "1\n", f"{ROW}.accountValue", "'1\\n'"),
    "account value with spaces": ("accountValue", " 1", f"{ROW}.accountValue", "' 1'"),
    "account value with underscore": ("accountValue", "1_000", f"{ROW}.accountValue", "'1_000'"),
    "account value in foreign digits": ("accountValue", "\u0661", f"{ROW}.accountValue", "'\\u0661'"),
    "account value empty": ("accountValue", "", f"{ROW}.accountValue", "''"),
    "pnl a number": ("windowPerformances.0.1.pnl", 7, f"{ROW}.windowPerformances[0][1].pnl", "7"),
    "roi beyond floats": (
        "windowPerformances.2.1.roi",
        "1" + "0" * 309,
        f"{ROW}.windowPerformances[2][1].roi",
        "'1000000",
    ),
    "volume a boolean": ("windowPerformances.3.1.vlm", True, f"{ROW}.windowPerformances[3][1].vlm", "True"),
    "unknown window": ("windowPerformances.1.0", "year", f"{ROW}.windowPerformances[1][0]", "'year'"),
    "window's name a number": ("windowPerformances.1.0", 7, f"{ROW}.windowPerformances[1][0]", "7"),
    "window repeated": (
        "windowPerformances.1.0",
        "day",
        f"{ROW}.windowPerformances",
        "[day, day, month, allTime]",
    ),
    "window an object": (
        "windowPerformances.1",
        {},
        f"{ROW}.windowPerformances[1]",
        "an object with keys []",
    ),
    "windows an object": (
        "windowPerformances",
        {"day": {}},
        f"{ROW}.windowPerformances",
        "an object with keys ['day']",
    ),
    "windows missing": ("windowPerformances", [], f"{ROW}.windowPerformances", "an array of 0"),
    "address too short": ("ethAddress", "0x12", f"{ROW}.ethAddress", "'0x12'"),
    "address a number": ("ethAddress", 12, f"{ROW}.ethAddress", "12"),
    "address repeated": (
        "ethAddress",
        address(1).upper().replace("X", "x"),
        f"{ROW}.ethAddress",
        f"'{address(1)}'",
    ),
    "prize a string": ("prize", "0", f"{ROW}.prize", "'0'"),
    "prize a boolean": ("prize", False, f"{ROW}.prize", "False"),
    "prize null": ("prize", None, f"{ROW}.prize", "None"),
    "name a number": ("displayName", 5, f"{ROW}.displayName", "a int"),
    "name an array": ("displayName", ["secret"], f"{ROW}.displayName", "a list"),
}


def placed(document: Any, path: str, value: Any) -> Any:
    """The document with the value at the dotted path."""
    target = document
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps[:-1]:
        target = target[step]
    target[steps[-1]] = value
    return document


@pytest.mark.parametrize(
    ("where", "value", "path", "found"), FAULTY_LEADERBOARDS.values(), ids=FAULTY_LEADERBOARDS
)
def test_a_faulty_leaderboard_is_refused_by_path_and_value(
    where: str, value: Any, path: str, found: str
) -> None:
    document = placed(leaderboard_document(), f"leaderboardRows.1.{where}", value)
    with pytest.raises(PayloadShapeError) as caught:
        parse_leaderboard(encoded(document))
    error = caught.value
    assert error.path == path
    assert error.value.startswith(found)
    assert error.endpoint == "leaderboard"
    assert error.kind == "payload_shape"
    assert not error.transient
    assert path in str(error)
    assert found in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "field", ["ethAddress", "accountValue", "windowPerformances", "prize", "displayName"]
)
def test_a_missing_field_is_named(field: str) -> None:
    document = leaderboard_document()
    document["leaderboardRows"][2]["displayName"] = "confidential"
    del document["leaderboardRows"][2][field]
    with pytest.raises(PayloadShapeError) as caught:
        parse_leaderboard(encoded(document))
    assert caught.value.path == f"$.leaderboardRows[2].{field}"
    assert caught.value.value.startswith("nothing in an object with keys")
    assert "confidential" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "path", "found"),
    [
        (b"null", "$", "None"),
        (b"[]", "$", "an array of 0"),
        (b"{}", "$.leaderboardRows", "nothing in an object with keys []"),
        (b'{"leaderboardRows":null}', "$.leaderboardRows", "None"),
        (b'{"leaderboardRows":{}}', "$.leaderboardRows", "an object with keys []"),
        (b'{"leaderboardRows":[null]}', "$.leaderboardRows[0]", "None"),
    ],
)
def test_a_leaderboard_of_another_kind_is_refused(body: bytes, path: str, found: str) -> None:
    with pytest.raises(PayloadShapeError) as caught:
        parse_leaderboard(body)
    assert (caught.value.path, caught.value.value) == (path, found)


FAULTY_PORTFOLIOS: dict[str, tuple[str, Any, str, str]] = {
    "value a number": ("0.1.accountValueHistory.2.1", 5.0, "$[0][1].accountValueHistory[2][1]", "5.0"),
    "value infinite": (
        "0.1.accountValueHistory.2.1",
        "Infinity",
        "$[0][1].accountValueHistory[2][1]",
        "'Infinity'",
    ),
    "value beyond floats": (
        "0.1.accountValueHistory.2.1",
        "8" * 400,
        "$[0][1].accountValueHistory[2][1]",
        "'888",
    ),
    "pnl null": ("4.1.pnlHistory.0.1", None, "$[4][1].pnlHistory[0][1]", "None"),
    "pnl beyond floats": ("4.1.pnlHistory.0.1", "-" + "8" * 400, "$[4][1].pnlHistory[0][1]", "'-888"),
    "instant a string": ("0.1.pnlHistory.1.0", str(START_MS), "$[0][1].pnlHistory[1][0]", f"'{START_MS}'"),
    "instant a float": (
        "0.1.pnlHistory.1.0",
        START_MS + 0.5,
        "$[0][1].pnlHistory[1][0]",
        str(START_MS + 0.5),
    ),
    "instant in seconds": (
        "0.1.pnlHistory.1.0",
        START_MS // 1000,
        "$[0][1].pnlHistory[1][0]",
        str(START_MS // 1000),
    ),
    "instant in microseconds": (
        "0.1.pnlHistory.1.0",
        START_MS * 1000,
        "$[0][1].pnlHistory[1][0]",
        str(START_MS * 1000),
    ),
    "instant beyond int64": ("0.1.pnlHistory.1.0", 10**30, "$[0][1].pnlHistory[1][0]", "1000000"),
    "point of three": ("2.1.pnlHistory.1", [START_MS, "1", "2"], "$[2][1].pnlHistory[1]", "an array of 3"),
    "point of one": ("2.1.pnlHistory.1", [START_MS], "$[2][1].pnlHistory[1]", "an array of 1"),
    "history null": ("2.1.pnlHistory", None, "$[2][1].pnlHistory", "None"),
    "volume a number": ("7.1.vlm", 0, "$[7][1].vlm", "0"),
    "volume beyond floats": ("7.1.vlm", "7" * 400, "$[7][1].vlm", "'777"),
    "unknown window": ("3.0", "year", "$[3][0]", "'year'"),
    "window repeated": (
        "3.0",
        "day",
        "$",
        "[day, week, month, day, perpDay, perpWeek, perpMonth, perpAllTime]",
    ),
    "window null": ("3.1", None, "$[3][1]", "None"),
    "pair of one": ("3", ["allTime"], "$[3]", "an array of 1"),
}


@pytest.mark.parametrize(
    ("where", "value", "path", "found"), FAULTY_PORTFOLIOS.values(), ids=FAULTY_PORTFOLIOS
)
def test_a_faulty_portfolio_is_refused_by_path_and_value(
    where: str, value: Any, path: str, found: str
) -> None:
    with pytest.raises(PayloadShapeError) as caught:
        parse_portfolio(encoded(placed(portfolio_document(), where, value)), WALLET)
    error = caught.value
    assert error.path == path
    assert error.value.startswith(found)
    assert error.wallet == WALLET
    assert error.endpoint == "portfolio"
    assert WALLET in str(error)


@pytest.mark.parametrize("field", ["accountValueHistory", "pnlHistory", "vlm"])
def test_a_missing_field_of_a_portfolio_is_named(field: str) -> None:
    document = portfolio_document()
    del document[5][1][field]
    with pytest.raises(PayloadShapeError) as caught:
        parse_portfolio(encoded(document), WALLET)
    assert caught.value.path == f"$[5][1].{field}"


@pytest.mark.parametrize("kept", [1, 4, 7])
def test_a_missing_window_of_a_portfolio_is_refused(kept: int) -> None:
    with pytest.raises(PayloadShapeError) as caught:
        parse_portfolio(encoded(portfolio_document()[:kept]), WALLET)
    assert caught.value.path == "$"
    assert "perpAllTime" not in caught.value.value


@pytest.mark.parametrize("body", [b"{}", b'"day"', b"0", b"false"])
def test_a_portfolio_of_another_kind_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadShapeError) as caught:
        parse_portfolio(body, WALLET)
    assert caught.value.path == "$"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><head><title>502 Bad Gateway</title></head></html>",
        encoded(leaderboard_document())[:-40],
        encoded(leaderboard_document()) + b"x",
        b'{"leaderboardRows":[], "x": NaN}',
        b'{"leaderboardRows":[], "x": "\xff"}'[:-3],
        b"[" * 200_000,
        b'{"leaderboardRows":[{"displayName":"\\ud800"',
    ],
    ids=["empty", "html", "cut", "trailing", "NaN", "cut in text", "deep", "cut after a surrogate"],
)
def test_a_body_that_is_no_json_is_told_apart(body: bytes) -> None:
    for parse in (parse_leaderboard, lambda body: parse_portfolio(body, WALLET)):
        with pytest.raises(UndecodableBodyError) as caught:
            parse(body)
        assert caught.value.kind == "invalid_json"
        assert f"{len(body)} bytes" in str(caught.value)


# --- no mutation is half read ---


def leaf_paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaf_paths(child, (*path, key))


BOARD = leaderboard_document()
PORTFOLIO = portfolio_document(points=2)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["0.0", "-1", "nan", "inf", "1e9", "0x" + "1" * 40, "day", "perpDay", START_MS, "9" * 320]
    ),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """The document with one node (leaf or container) replaced or removed."""
    path = draw(st.sampled_from(list(leaf_paths(document))))
    document = copy.deepcopy(document)
    target = document
    for key in path[:-1]:
        target = target[key]
    if draw(st.booleans()):
        target[path[-1]] = draw(JSON_VALUES)
    else:
        del target[path[-1]]
    return document


@given(mutated(BOARD))
def test_a_mutated_leaderboard_is_refused_or_read_exactly(document: Any) -> None:
    try:
        board = parse_leaderboard(encoded(document))
    except PayloadShapeError:
        return
    assert as_plain_leaderboard(board) == plain_leaderboard(document)
    for row in document["leaderboardRows"]:
        assert [type(row["accountValue"]), len(row["windowPerformances"])] == [str, 4]


@given(mutated(PORTFOLIO))
def test_a_mutated_portfolio_is_refused_or_read_exactly(document: Any) -> None:
    try:
        portfolio = parse_portfolio(encoded(document), WALLET)
    except PayloadShapeError:
        return
    assert as_plain_portfolio(portfolio) == plain_portfolio(document)
    assert len(portfolio.windows) == 8
