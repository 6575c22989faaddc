"""Lasting facts: from which limit on, and never about the time before the first evaluation."""

from datetime import timedelta

import pytest

from hl_assets.alerts.conditions import (
    checks_alert,
    coverage_alert,
    missing_slots_alert,
    stale_alert,
    warehouse_alert,
)
from hl_assets.slots import SLOT
from hl_assets_tests.alerts.builders import T0

LONG_AGO = T0 - timedelta(days=30)
HALF_HOUR = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(("minutes", "stale"), [(0, False), (29, False), (30, True), (500, True)])
def test_stale_from_its_limit_on(minutes: int, stale: bool) -> None:
    found = stale_alert("wallet_scores", T0, now=T0 + minutes * MINUTE, since=LONG_AGO, stale_after=HALF_HOUR)
    assert (found is not None) == stale
    if found is not None:
        assert found.key == "stale/wallet_scores"
        assert found.title == "wallet_scores has no slot since 2026-05-31T12:00:00Z"
        assert found.facts["age_minutes"] == minutes


@pytest.mark.parametrize("newest", [None, T0 - timedelta(days=3)])
def test_a_platform_that_was_just_started_has_time_to_publish(newest: object) -> None:
    def found(minutes: int) -> object:
        now = T0 + minutes * MINUTE
        return stale_alert("wallet_scores", newest, now=now, since=T0, stale_after=HALF_HOUR)  # type: ignore[arg-type]

    assert found(29) is None
    assert found(30) is not None


def test_a_table_that_was_never_published_is_stale() -> None:
    found = stale_alert("leaderboard_snapshots", None, now=T0, since=LONG_AGO, stale_after=HALF_HOUR)
    assert found is not None
    assert found.title == "leaderboard_snapshots was never published"
    assert found.facts["age_minutes"] is None


def missing(scored: set[int], *, since_slots_ago: int = 1000, limit: int = 3, now_minutes: int = 5) -> object:
    """The alert when the slots so many slots ago are scored."""
    return missing_slots_alert(
        {T0 - n * SLOT for n in scored},
        now=T0 + now_minutes * MINUTE,
        since=T0 - since_slots_ago * SLOT,
        within=timedelta(hours=2),
        settled_after=HALF_HOUR,
        limit=limit,
    )


def test_missing_slots_are_counted_within_the_window_only() -> None:
    assert missing(set(range(20))) is None
    assert missing(set(range(20)) - {4, 5}) is None
    found = missing(set(range(20)) - {4, 5, 6})
    assert found is not None
    assert found.facts["missing"] == 3  # type: ignore[attr-defined]
    assert found.facts["wanted"] == 9  # type: ignore[attr-defined]
    assert found.facts["newest_missing"][0] == "2026-05-31T11:20:00Z"  # type: ignore[attr-defined]
    assert missing(set(range(12))) is None, "older slots do not count"


def test_slots_that_may_still_come_are_not_missing() -> None:
    assert missing(set(range(3, 20)), limit=1) is None
    assert missing(set(range(4, 20)), limit=1) is not None


def test_slots_before_the_first_evaluation_are_not_missing() -> None:
    assert missing(set(), since_slots_ago=3, limit=1) is None
    assert missing(set(), since_slots_ago=4, limit=1) is not None
    assert missing(set(), since_slots_ago=0, limit=1) is None


@pytest.mark.parametrize(("answered", "thin"), [(100, False), (90, False), (89, True), (0, True)])
def test_coverage_below_its_limit(answered: int, thin: bool) -> None:
    found = coverage_alert(T0, 100, answered, since=LONG_AGO, minimum=0.9)
    assert (found is not None) == thin


def test_coverage_of_nothing_or_of_the_past_says_nothing() -> None:
    assert coverage_alert(T0, 0, 0, since=LONG_AGO, minimum=0.9) is None
    assert coverage_alert(T0, 100, 0, since=T0 + SLOT, minimum=0.9) is None
    assert coverage_alert(T0, 100, 0, since=T0 + 5 * MINUTE, minimum=0.9) is not None, "in its own slot"


def test_failed_checks_are_named() -> None:
    assert checks_alert("tick", "run", T0, []) is None
    found = checks_alert("tick", "run", T0, [f"asset_{n}.contract" for n in range(12)])
    assert found is not None
    assert found.facts["failed"] == 12
    assert len(found.facts["checks"]) == 10  # type: ignore[arg-type]


def test_the_warehouse_alert_names_the_type_of_the_error_only() -> None:
    assert warehouse_alert("WarehouseUnavailableError").facts == {"error": "WarehouseUnavailableError"}
