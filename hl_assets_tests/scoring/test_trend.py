"""Trend: against scipy's Theil-Sen, thinning, directions, reasons, rank changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from hl_assets.scoring.trend import (
    StoredScores,
    TrendReason,
    directions,
    rank_changes,
    score_trend,
)

NOW = 1_780_000_200
HOUR, DAY = 3600, 86_400


def trend_of(current, earlier, window_days=7.0):
    """Trend of wallets with `earlier[wallet] = {age in seconds: score}`."""
    rows = [
        (wallet, NOW - age, score) for wallet, scores in enumerate(earlier) for age, score in scores.items()
    ]
    wallet, ts, score = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    stored = StoredScores(np.array(wallet, np.int64), np.array(ts, np.int64), np.array(score, np.float64))
    return score_trend(np.array(current, np.float64), NOW, stored, window_days=window_days)


@st.composite
def scores_of_a_week(draw):
    """At most one score per 6 hours of age, so that thinning leaves all of them."""
    bins = draw(st.lists(st.integers(1, 27), min_size=3, max_size=20, unique=True))
    return {
        hours * 6 * HOUR + draw(st.integers(0, 35)) * 600: draw(st.sampled_from(np.arange(20.0, 101.0, 2.5)))
        for hours in bins
    }


@given(st.lists(st.tuples(st.floats(20, 100), scores_of_a_week()), min_size=1, max_size=5))
def test_the_slope_is_scipys(wallets):
    trend = trend_of([current for current, _ in wallets], [earlier for _, earlier in wallets])
    for row, (current, earlier) in enumerate(wallets):
        ages = np.array([0, *earlier])
        if ages.max() < 3 * DAY:
            assert trend.reasons[row] == TrendReason.SPAN_UNDER_3_DAYS
            continue
        expected = theilslopes([current, *earlier.values()], -ages / (7 * DAY)).slope
        assert trend.slope[row] == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert trend.points[row] == len(ages)
        assert trend.span_days[row] == ages.max() / DAY


@given(scores_of_a_week(), st.floats(-50, 50), st.permutations(range(3)))
def test_wallets_do_not_touch_each_other_and_order_does_not_matter(earlier, shift, order):
    everybody = [earlier, {age: score + shift for age, score in earlier.items()}, {}]
    alone = trend_of([60.0], [earlier])
    together = trend_of([60.0, 60.0 + shift, 50.0], everybody)
    turned = trend_of([[60.0, 60.0 + shift, 50.0][k] for k in order], [everybody[k] for k in order])
    np.testing.assert_array_equal(together.slope[:1], alone.slope)
    np.testing.assert_allclose(together.slope[1:2], alone.slope, atol=1e-9)  # shifting changes no slope
    np.testing.assert_array_equal(turned.slope, together.slope[list(order)])


@given(st.integers(0, 2**32))
def test_a_week_of_slots_is_thinned_to_the_newest_of_each_6_hours(seed):
    rng = np.random.default_rng(seed)  # hypothesis would choose every score by itself, and take seconds
    earlier = {600 * slot: rng.uniform(20, 100) for slot in range(1, 1200)}  # some older than the window
    thinned = {}
    for age in sorted(earlier, reverse=True):
        if 6 * HOUR <= age <= 7 * DAY:
            thinned[age // (6 * HOUR)] = age
    kept = {age: earlier[age] for age in thinned.values()}
    full, once = trend_of([50.0], [earlier]), trend_of([50.0], [kept])
    assert full.points[0] == len(kept) + 1 == 29
    assert full.slope[0] == once.slope[0]
    assert full.slope[0] == pytest.approx(
        theilslopes([50.0, *kept.values()], -np.array([0, *kept]) / (7 * DAY)).slope
    )


def test_a_day_of_ticks_costs_four_scores():
    assert trend_of([50.0], [{600 * slot: 50.0 for slot in range(1, 144)}]).points[0] == 4


def test_a_straight_line_has_its_slope_per_seven_days():
    earlier = {days * DAY: 60.0 - 1.5 * days for days in range(1, 7)}
    trend = trend_of([60.0], [earlier])
    assert trend.slope[0] == pytest.approx(10.5)
    assert trend.direction[0] == "up"
    assert trend_of([60.0], [earlier], window_days=4).slope[0] == pytest.approx(10.5)


def test_one_odd_score_moves_no_steady_line():
    earlier = {days * DAY: 60.0 for days in range(1, 7)} | {3 * DAY: 100.0}
    assert trend_of([60.0], [earlier]).slope[0] == 0.0


@pytest.mark.parametrize(
    ("current", "earlier", "reason"),
    [
        (np.nan, {DAY: 50, 2 * DAY: 50, 3 * DAY: 50, 4 * DAY: 50}, TrendReason.NOT_ELIGIBLE),
        (50, {DAY: 50, 4 * DAY: 50}, TrendReason.TOO_FEW_SCORES),
        (50, {HOUR: 50, DAY: 50, DAY + HOUR: 50, 4 * DAY: np.nan}, TrendReason.TOO_FEW_SCORES),
        (50, {DAY: 50, 2 * DAY: 50, 3 * DAY - 600: 50}, TrendReason.SPAN_UNDER_3_DAYS),
        (50, {DAY: 50, 2 * DAY: 50, 3 * DAY: 50}, TrendReason.PRESENT),
        (50, {DAY: 50, 2 * DAY: 50, 7 * DAY: 50}, TrendReason.PRESENT),
        (50, {DAY: 50, 2 * DAY: 50, 7 * DAY + 1: 50}, TrendReason.TOO_FEW_SCORES),
    ],
)
def test_too_little_says_why(current, earlier, reason):
    trend = trend_of([current], [earlier])
    assert trend.reasons[0] == reason
    assert np.isnan(trend.slope[0]) == (reason != TrendReason.PRESENT) == (trend.direction[0] is None)


def test_directions_begin_beyond_two_points():
    slopes = np.array([2.0, 2.001, -2.0, -2.001, 0.0, np.nan])
    assert directions(slopes).tolist() == ["stable", "up", "stable", "down", "stable", None]


def test_nobody_has_no_trend():
    assert len(trend_of([], []).slope) == 0


@pytest.mark.parametrize(
    ("earlier", "current", "message"),
    [([{0: 50.0}], [50.0], "not older"), ([{DAY: 50.0}], [], "no wallet")],
)
def test_what_does_not_fit_is_refused(earlier, current, message):
    with pytest.raises(ValueError, match=message):
        trend_of(current, earlier)
    with pytest.raises(ValueError, match="do not fit"):
        StoredScores(np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(2))
    with pytest.raises(ValueError, match="positive"):
        trend_of([50.0], [{}], window_days=0)


def test_a_climb_is_positive_and_unknown_says_why():
    change, reasons = rank_changes(np.array([3.0, 5.0, 2.0, np.nan]), np.array([7.0, 1.0, np.nan, 4.0]))
    assert change[:2].tolist() == [4, -4]
    assert np.isnan(change[2:]).all()
    assert [TrendReason(code).label for code in reasons] == [
        "present",
        "present",
        "not_ranked_then",
        "not_eligible",
    ]
    change, reasons = rank_changes(np.array([3.0, np.nan]), None)
    assert np.isnan(change).all()
    assert [TrendReason(code).label for code in reasons] == ["no_slot_a_day_ago", "not_eligible"]
