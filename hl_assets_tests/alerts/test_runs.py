"""Failures in a row."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.alerts.runs import FinishedRun, newest_streak, run_condition
from hl_assets_tests.alerts.builders import T0


def history(marks: str, *, told: int | None = None) -> list[FinishedRun]:
    """Runs from a text of F and s, oldest first; `told`: index of the run that an alert was delivered about."""
    runs = [
        FinishedRun(
            f"run-{n}", mark == "F", T0 + n * timedelta(minutes=10), told_at=T0 if n == told else None
        )
        for n, mark in enumerate(marks)
    ]
    return runs[::-1]


@pytest.mark.parametrize(
    ("marks", "crossing", "failures", "over"),
    [
        ("", None, 0, False),
        ("sss", None, 0, False),
        ("sF", None, 0, False),
        ("FsF", None, 0, False),
        ("FF", "run-1", 2, False),
        ("sFF", "run-2", 2, False),
        ("sFFF", "run-2", 3, False),
        ("FFsFF", "run-4", 2, False),
        ("FFs", "run-1", 2, True),
        ("FFFsF", "run-1", 3, True),
    ],
)
def test_the_run_that_reaches_two_in_a_row(
    marks: str, crossing: str | None, failures: int, over: bool
) -> None:
    streak = newest_streak(history(marks), 2)
    if crossing is None:
        assert streak is None
    else:
        assert streak is not None
        assert (streak.crossing.run_id, len(streak.runs), streak.over) == (crossing, failures, over)


@given(st.text("Fs", max_size=30), st.integers(1, 5))
def test_a_longer_row_keeps_its_episode(marks: str, threshold: int) -> None:
    before = newest_streak(history(marks), threshold)
    after = newest_streak(history(marks + "F"), threshold)
    if before is not None and not before.over:
        assert after is not None
        assert after.crossing == before.crossing
    assert (after is not None and not after.over) == (marks + "F").endswith("F" * threshold)


def test_the_condition_of_a_job() -> None:
    since = T0 - timedelta(days=1)
    found = run_condition("tick", history("sFFF"), 2, since=since)
    assert found is not None
    assert found.holds
    assert found.episode == "run-2"
    assert found.alert.key == "run_failed/tick"
    assert found.alert.title == "Job tick failed 3 times in a row"
    assert found.alert.facts["threshold_run"] == "run-2"


def test_what_is_over_matters_only_if_somebody_told_that_it_began() -> None:
    since = T0 - timedelta(days=1)
    assert run_condition("tick", history("FFs"), 2, since=since) is None
    found = run_condition("tick", history("FFs", told=1), 2, since=since)
    assert found is not None
    assert not found.holds


def test_failures_before_the_first_evaluation_are_the_past() -> None:
    assert run_condition("tick", history("FF"), 2, since=T0 + timedelta(hours=1)) is None
    assert run_condition("tick", history("FFF"), 2, since=T0 + timedelta(minutes=15)) is not None
