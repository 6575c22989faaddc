"""Thinned curves: states of the points kept, flows and returns of everything in between."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.api.curves import thinned

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def point(
    hours: float, step_return: float | None, index: float, flow: float | None = 1.0, **more: Any
) -> dict[str, Any]:
    return {
        "ts": MONDAY + timedelta(hours=hours),
        "account_value": 100 * index,
        "pnl": hours,
        "flow": flow,
        "base": 100.0 + hours,
        "step_return": step_return,
        "return_index": index,
        "drawdown": 0.0,
        "epoch": 1,
        "flags": [],
        **more,
    }


START = {"flow": None, "base": None, "flags": ["start"]}


def test_a_day_is_its_newest_point_with_all_its_steps() -> None:
    points = [
        point(1, None, 1.0, **START),
        point(5, 0.1, 1.1),
        point(23, 0.1, 1.21, flags=["flow"]),
        point(25, -0.5, 0.605),
    ]
    first, second = thinned(points, "day")
    assert first["ts"] == MONDAY + timedelta(hours=23)
    assert (first["flow"], first["base"], first["flags"]) == (2.0, 105.0, ["start", "flow"])
    assert first["step_return"] == pytest.approx(0.21)
    assert second == points[3]


def test_a_bucket_of_the_start_alone_has_no_step() -> None:
    [only] = thinned([point(1, None, 1.0, **START)], "week")
    assert only["flow"] is None
    assert only["step_return"] is None


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    points = [point(1, 0.1, 1.1), point(2, None, 1.1, flow=None), point(3, 0.1, 1.2)]
    [merged] = thinned(points, "day")
    assert merged["flow"] is None
    assert merged["step_return"] is None
    assert merged["return_index"] == 1.2


def test_weeks_begin_on_monday() -> None:
    points = [point(-1, 0.0, 1.0), point(0, 0.0, 1.0), point(7 * 24 - 1, 0.0, 1.0), point(7 * 24, 0.0, 1.0)]
    assert [kept["ts"] for kept in thinned(points, "week")] == [points[i]["ts"] for i in (0, 2, 3)]


@given(st.lists(st.tuples(st.floats(0.01, 90), st.floats(-0.5, 0.5)), min_size=1, max_size=60))
def test_returns_compound_to_the_ratio_of_indices_whatever_the_step(steps: list[tuple[float, float]]) -> None:
    hours, index, points = 0.0, 1.0, [point(0, None, 1.0, **START)]
    for pause, step_return in steps:
        hours, index = hours + pause, index * (1 + step_return)
        points.append(point(hours, step_return, index))
    for step in ("hour", "day", "week"):
        kept = thinned(points, step)
        assert kept[-1]["return_index"] == points[-1]["return_index"]
        total = math.prod(1 + (one["step_return"] or 0.0) for one in kept)
        assert total == pytest.approx(index, rel=1e-9)
        assert math.fsum(one["flow"] or 0.0 for one in kept) == pytest.approx(len(steps))
