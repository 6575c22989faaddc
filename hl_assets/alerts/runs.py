"""Failures in a row: when a job is worth an alert, and when it is over.

Belongs here: pure functions on a job's run history. Does not belong here: reading it from Dagster (`hl_assets.sensors`).

A run that Dagster repeats by itself because its process died is not finished business and is left out by whoever reads the
history; cancelled runs say neither yes nor no.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from hl_assets.alerts.alert import Alert, Fact
from hl_assets.alerts.turning import JOB_KEYS, Condition


@dataclass(frozen=True)
class FinishedRun:
    """A run that succeeded or failed.

    Attributes:
        run_id: Dagster's id.
        failed: Whether it failed.
        ended_at: When it ended.
        slot: The slot it was for, if one.
        told_at: When an alert about this run was delivered by the run-failure sensor.
    """

    run_id: str
    failed: bool
    ended_at: datetime
    slot: datetime | None = None
    told_at: datetime | None = None


@dataclass(frozen=True)
class Streak:
    """Failures in a row, at least as many as the threshold.

    Attributes:
        runs: The failed runs, oldest first.
        crossing: The run that reached the threshold.
        over: Whether a later run succeeded.
    """

    runs: tuple[FinishedRun, ...]
    crossing: FinishedRun
    over: bool


def newest_streak(history: Sequence[FinishedRun], threshold: int) -> Streak | None:
    """The newest row of failures that reached a threshold, None if there is none.

    Args:
        history: Finished runs of one job, newest first.
        threshold: Failures in a row.
    """
    rows = [(failed, tuple(runs)) for failed, runs in groupby(history, key=attrgetter("failed"))]
    for index, (failed, runs) in enumerate(rows):
        if failed and len(runs) >= threshold:
            oldest_first = runs[::-1]
            return Streak(oldest_first, oldest_first[threshold - 1], over=index > 0)
    return None


def run_condition(
    job: str, history: Sequence[FinishedRun], threshold: int, *, since: datetime
) -> Condition | None:
    """The condition `run_failed` of a job.

    A row of failures whose last one ended before the first evaluation is the past. One that is over matters only if somebody
    told that it began.

    Args:
        job: The job.
        history: Its finished runs, newest first.
        threshold: Failures in a row.
        since: First evaluation.
    """
    streak = newest_streak(history, threshold)
    if streak is None or streak.runs[-1].ended_at < since or (streak.over and not streak.crossing.told_at):
        return None
    return Condition(
        failure_alert(job, streak, threshold),
        episode=streak.crossing.run_id,
        began_at=streak.crossing.ended_at,
        told_at=streak.crossing.told_at,
        holds=not streak.over,
    )


def failure_alert(job: str, streak: Streak, threshold: int) -> Alert:
    """The alert about a row of failures."""
    newest = streak.runs[-1]
    count = len(streak.runs)
    facts: dict[str, Fact] = {
        "job": job,
        "failures_in_a_row": count,
        "threshold": threshold,
        "threshold_run": streak.crossing.run_id,
        "newest_run": newest.run_id,
        "first_run": streak.runs[0].run_id,
        "failing_since": streak.runs[0].ended_at.isoformat(),
    }
    times = "once" if count == 1 else f"{count} times in a row"
    title = f"Job {job} failed {times}"
    return Alert(f"{JOB_KEYS}{job}", "run_failed", "error", title, facts, newest.slot)
