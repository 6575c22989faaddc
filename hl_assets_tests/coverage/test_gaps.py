"""Gaps, shares and the picture of a history of slots."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.coverage.gaps import (
    STATUSES,
    Share,
    covered_share,
    find_gaps,
    longest_gap,
    status_grid,
)
from hl_assets.coverage.vocabulary import Cause, Status
from hl_assets.slots import SLOT

START = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
LETTERS = {
    "l": ("live", None),
    "u": ("unchanged", None),
    "r": ("reconstructed", "scheduler_down"),
    "p": ("partial", "step_failed"),
    "d": ("missing", "scheduler_down"),
    "o": ("missing", "schedule_off"),
    "b": ("missing", "before_observation"),
}


def history(letters: str, start: datetime = START) -> pd.DataFrame:
    """A row per letter."""
    return pd.DataFrame(
        {
            "as_of": pd.date_range(start, periods=len(letters), freq="10min"),
            "status": [LETTERS[letter][0] for letter in letters],
            "cause": pd.Series([LETTERS[letter][1] for letter in letters], dtype=object),
            "cause_detail": pd.Series([None] * len(letters), dtype=object),
        }
    )


def test_a_gap_is_adjacent_slots_of_one_cause_also_over_midnight() -> None:
    gaps = find_gaps(history("lldddddddoul"))
    assert [gap.text for gap in gaps] == [
        "2026-11-20 23:20 to 2026-11-21 00:20 (7 slots): scheduler_down",
        "2026-11-21 00:30 (1 slot): schedule_off",
    ]
    assert gaps[0].reconstruction.endswith(
        "--from 2026-11-20T23:20:00Z --to 2026-11-21T00:20:00Z --every 10m`"
    )


def test_a_gap_within_a_day_names_the_day_once_and_partial_slots_say_so() -> None:
    morning = START.replace(hour=13, minute=10)
    assert [gap.text for gap in find_gaps(history("dddddd", morning))] == [
        "2026-11-20 13:10 to 14:00 (6 slots): scheduler_down"
    ]
    assert find_gaps(history("p"))[0].text == "2026-11-20 23:00 (1 slot): partial, step_failed"


def test_rows_that_do_not_follow_each_other_are_two_gaps() -> None:
    rows = pd.concat([history("dd"), history("d", START + 5 * SLOT)], ignore_index=True)
    assert [gap.slots for gap in find_gaps(rows)] == [2, 1]


def test_the_longest_gap_goes_over_causes() -> None:
    found = longest_gap(history("dldpol"))
    assert found is not None
    assert (found.slots, found.cause) == (3, "scheduler_down and step_failed and schedule_off")
    assert longest_gap(history("lurb")) is None


def test_slots_before_observation_count_neither_as_gaps_nor_in_shares() -> None:
    rows = history("bbblud")
    assert covered_share(rows) == Share(2, 3)
    assert [gap.slots for gap in find_gaps(rows)] == [1]


def test_a_share_of_a_span_and_of_nothing() -> None:
    rows = history("ddll")
    assert covered_share(rows, START + 2 * SLOT).share == 1.0
    assert covered_share(rows, START + timedelta(days=9)).share is None


@given(st.text(alphabet="".join(LETTERS), max_size=60))
def test_gaps_hold_exactly_the_slots_that_shares_miss(letters: str) -> None:
    rows, gaps = history(letters), find_gaps(history(letters))
    share = covered_share(rows)
    assert sum(gap.slots for gap in gaps) == share.slots - share.covered
    assert all((gap.last - gap.first) // SLOT + 1 == gap.slots for gap in gaps)
    longest = longest_gap(rows)
    assert (longest.slots if longest else 0) >= max((gap.slots for gap in gaps), default=0)


def test_the_picture_has_a_row_per_day_and_blanks_where_nothing_is_known() -> None:
    grid = status_grid(history("ldup" + "l" * 4), date(2026, 11, 20), date(2026, 11, 22))
    assert grid.shape == (3, 144)
    assert [STATUSES[code] for code in grid[0, 138:]] == [
        "live",
        "missing",
        "unchanged",
        "partial",
        "live",
        "live",
    ]
    assert [STATUSES[code] for code in grid[1, :2]] == ["live", "live"]
    assert (grid >= 0).sum() == 8
    assert (status_grid(history("ll"), date(2026, 1, 1), date(2026, 1, 1)) == -1).all()


def test_letters_are_words_of_the_vocabulary() -> None:
    assert {status for status, _ in LETTERS.values()} == set(map(str, Status))
    assert {cause for _, cause in LETTERS.values() if cause} <= set(map(str, Cause))
    assert np.int8(len(STATUSES)) == 5
