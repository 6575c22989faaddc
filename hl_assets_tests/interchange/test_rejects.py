import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.interchange.errors import InterchangeError
from hl_assets.interchange.rejects import Reject, RejectLog, broken_rows
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
ROWS = 12

# What can be done to one row, and the rule it breaks. Every damage leaves the others' rules alone.
DAMAGES: dict[str, tuple[str, object, str]] = {
    "address": ("wallet", "0xABC", "wallet"),
    "status": ("status", "maybe", "status"),
    "origin": ("origin", "rumour", "origin"),
    "negative wait": ("elapsed_seconds", -1.0, "elapsed_seconds"),
    "unknown wait": ("elapsed_seconds", None, "elapsed_seconds"),
    "infinite volume": ("day_volume", float("-inf"), "day_volume"),
    "negative count": ("n_points", -1, "n_points"),
    "large count": ("weight", 2**32, "weight"),
    "unknown count": ("attempts", pd.NA, "attempts"),
    "off the grid": ("as_of", pd.Timestamp("2026-05-31T12:15Z"), "as_of"),
    "another's key": ("wallet", "0x" + f"{ROWS:040x}", "key"),
}


def fetches() -> pd.DataFrame:
    """Good rows, as a file gives them: integers that may be unknown."""
    n = ROWS + 1
    counts = ["selection_rank", "attempts", "weight", "n_points", "n_new_points", "n_contradictions"]
    columns: dict[str, object] = {
        "as_of": pd.Series([SLOT] * n, dtype="datetime64[ms, UTC]"),
        "wallet": [f"0x{number:040x}" for number in range(n)],
        "selected_by": ["top:month:pnl"] * n,
        "status": ["ok"] * n,
        "error_kind": [None] * n,
        "error": [None] * n,
        "elapsed_seconds": np.ones(n),
        "observed_at": pd.Series([SLOT] * n, dtype="datetime64[ms, UTC]"),
        "flags": [["odd"] for _ in range(n)],
        "origin": ["live"] * n,
        **{name: pd.Series([1] * n, dtype="Int64") for name in counts},
        **{f"{window}_volume": np.full(n, np.nan) for window in ("day", "week", "month", "all_time")},
    }
    return pd.DataFrame({name: columns[name] for name in PORTFOLIO_FETCHES.column_names})


def test_good_rows_break_nothing() -> None:
    assert broken_rows(PORTFOLIO_FETCHES, fetches()) == []


@settings(max_examples=40)
@given(damaged=st.dictionaries(st.integers(0, ROWS - 1), st.sampled_from(sorted(DAMAGES)), max_size=ROWS))
def test_exactly_the_damaged_rows_are_found_under_the_rule_they_break(damaged: dict[int, str]) -> None:
    frame = fetches()
    for row, name in damaged.items():
        column, value, _ = DAMAGES[name]
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
    for column in ("elapsed_seconds", "day_volume"):
        frame[column] = frame[column].astype(float)
    for column in ("n_points", "weight", "attempts"):
        frame[column] = frame[column].astype("Int64")
    frame["as_of"] = frame["as_of"].astype("datetime64[ms, UTC]")
    found = {
        (row, broken.column) for broken in broken_rows(PORTFOLIO_FETCHES, frame) for row in broken.values
    }
    expected = {(row, DAMAGES[name][2]) for row, name in damaged.items()}
    if "another's key" in damaged.values():
        expected.add((ROWS, "key"))  # the row whose key it took cannot be told from it
    assert found == expected


def test_the_log_writes_ascii_lines_and_only_when_there_is_something(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectLog(path) as log:
        assert not path.exists()
        for number in range(7):
            log.add(
                Reject(
                    "file", f"row {number}", "name", "rule", "'v'", {"name": "\u202e\x1b", "x": float("inf")}
                )
            )
    assert log.total == 7
    assert len(log.samples["name", "rule"]) == 5
    lines = path.read_bytes().splitlines()
    assert len(lines) == 7
    assert lines[0].isascii()
    assert json.loads(lines[0])["row"] == {"name": "\u202e\x1b", "x": "inf"}


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with (
        RejectLog(tmp_path / "missing" / "rejects.jsonl") as log,
        pytest.raises(InterchangeError, match="--rejects"),
    ):
        log.add(Reject("file", "", "", "rule", "", {}))
