import json
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.names import HOSTILE_NAMES
from hl_assets.exchange.sandbox.source import Board
from hl_assets.exchange.sandbox.wire import EMPTY_BOARD, decimals, dollars, leaderboard_body, volumes


def board(names: list[str | None]) -> Board:
    rows = len(names)
    cells = np.arange(rows * 4, dtype=np.int64).reshape(rows, 4)
    return Board(
        addresses=[f"0x{row:040x}" for row in range(rows)],
        names=names,
        account_value=np.arange(rows, dtype=np.int64) * 1_500_000,
        pnl=-cells * 1_000_001,
        roi=cells / 7,
        volume=cells * 199,
    )


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0.0"),
        (-500_000_000, "-500.0"),
        (2_088_107, "2.088107"),
        (917_841_122_746_532, "917841122.7465319633"),
        (445_038_914_209_232, "445038914.2092319727"),
        (-1, "-0.000001"),
    ],
)
def test_dollars_carry_the_exchanges_digits(micro: int, text: str):
    assert dollars(np.array([micro])) == [text]


def test_volumes_and_ratios():
    assert volumes(np.array([547_487_924_361])) == ["5474879243.6099996567"]
    assert decimals(np.array([26412.0401190014, 9.3e-9, -1e-12])) == [
        "26412.0401190014",
        "0.0000000093",
        "0.0",
    ]


def test_every_recorded_decimal_is_printed_the_same(recorded_data: Path):
    response = json.loads((recorded_data / "api_samples" / "portfolio.json").read_text())["response"]
    rows = json.loads((recorded_data / "api_samples" / "leaderboard_12rows.json").read_text())["response"]
    texts = [
        text
        for _, window in response
        for key in ("accountValueHistory", "pnlHistory")
        for _, text in window[key]
    ]
    texts += [window["vlm"] for _, window in response]
    texts += [
        text
        for row in rows["leaderboardRows"]
        for _, cells in row["windowPerformances"]
        for text in cells.values()
    ]
    assert len(texts) > 900
    assert decimals(np.array([float(text) for text in texts])) == texts


@settings(deadline=None)
@given(st.integers(-(10**16), 10**16))
def test_no_digit_of_a_micro_dollar_is_lost_below_a_billion(amount: int):
    text = dollars(np.array([amount]))[0]
    assert float(text) == amount / 1e6
    if abs(amount) < 10**15:
        assert round(float(text) * 1e6) == amount


def test_layouts_hold_the_same_rows_as_a_json_library_writes_them():
    rows = board(["a", None, 'quote " and \\', "é"])
    compact, indented = leaderboard_body(rows, indented=False), leaderboard_body(rows, indented=True)
    document = json.loads(compact)
    assert json.loads(indented) == document
    assert indented == orjson.dumps(document, option=orjson.OPT_INDENT_2)
    assert compact == orjson.dumps(document)
    assert document["leaderboardRows"][1] == {
        "ethAddress": "0x" + "0" * 39 + "1",
        "accountValue": "1.5",
        "windowPerformances": [
            ["day", {"pnl": "-4.000004", "roi": "0.5714285714", "vlm": "7.96"}],
            ["week", {"pnl": "-5.000005", "roi": "0.7142857143", "vlm": "9.95"}],
            ["month", {"pnl": "-6.000006", "roi": "0.8571428571", "vlm": "11.94"}],
            ["allTime", {"pnl": "-7.000007", "roi": "1.0", "vlm": "13.93"}],
        ],
        "prize": 0,
        "displayName": None,
    }


def test_hostile_names_survive_the_round_trip():
    document = json.loads(leaderboard_body(board(list(HOSTILE_NAMES)), indented=True))
    assert [row["displayName"] for row in document["leaderboardRows"]] == list(HOSTILE_NAMES)


def test_an_empty_board():
    assert leaderboard_body(board([]), indented=True) == EMPTY_BOARD
    assert json.loads(EMPTY_BOARD) == {"leaderboardRows": []}
