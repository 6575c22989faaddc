import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.randomness import Stream, stream_keys, wallet_keys
from hl_assets.exchange.sandbox.sampling import Sampler
from hl_assets_tests.exchange.sandbox.instants import DAY, EPOCH_MS

ORIGIN = EPOCH_MS - 1_100 * DAY
MINUTE = 60_000


def sampler(seed: int = 1, age_days: float = 400.0, busy: bool = False) -> Sampler:
    key = wallet_keys(seed, np.array([1], dtype=np.uint64))
    grid = Sampler(
        origin_ms=ORIGIN,
        phase_ms=seed % 20 * MINUTE,
        jitter_key=stream_keys(key, Stream.SAMPLE_JITTER),
        pattern_key=stream_keys(key, Stream.SAMPLE_PATTERN),
        first=0,
        busy=busy,
    )
    return grid.starting(grid.point_after(EPOCH_MS - int(age_days * DAY)))


def minutes(instants: np.ndarray) -> np.ndarray:
    return np.diff(instants) / MINUTE


NOWS = [EPOCH_MS + 7_654_321 * step for step in range(60)]


@pytest.mark.parametrize("now", NOWS[::12])
def test_day_is_every_two_hours_or_two_hours_twenty(now: int):
    day = sampler().windows(now)["day"]
    assert set(np.rint(minutes(day)).tolist()) == {120, 140}
    assert 24 * 60 <= (now - day[0]) / MINUTE <= 26.4 * 60


@pytest.mark.parametrize("now", NOWS[::12])
def test_week_is_coarser_in_its_older_part(now: int):
    week = sampler().windows(now)["week"]
    old, new = week[week < now - 5 * DAY], week[week > now - 4 * DAY]
    assert set(np.rint(minutes(old)).tolist()) <= {240, 260, 280}
    assert set(np.rint(minutes(new)).tolist()) == {120, 140}
    assert 7.0 <= (now - week[0]) / DAY <= 7.2


@pytest.mark.parametrize("now", NOWS[::12])
def test_month_is_daily_then_every_nine_hours(now: int):
    month = sampler().windows(now)["month"]
    old, new = month[month < now - 7 * DAY], month[month > now - 7 * DAY]
    assert np.all((minutes(old) > 21.6 * 60) & (minutes(old) < 26.4 * 60))
    assert minutes(old).mean() == pytest.approx(24 * 60, rel=0.01)
    assert set(np.rint(minutes(new)).tolist()) <= {500, 520, 540, 560}
    assert 30.0 <= (now - month[0]) / DAY <= 31.1


def test_all_time_is_fortnightly_weekly_daily_then_finer():
    now = EPOCH_MS
    every = sampler(age_days=400).windows(now)["allTime"]
    steps = np.diff(every) / DAY
    age = (now - every[1:]) / DAY
    assert np.allclose(steps[(age > 195)][1:], 14, atol=0.15)
    assert np.allclose(steps[(age > 45) & (age < 165)], 7, atol=0.15)
    assert np.allclose(steps[(age > 8) & (age < 28)], 1, atol=0.12)
    assert np.allclose(steps[age < 6], 1060 / 1440, atol=0.001)


def test_an_account_over_two_years_old_has_no_daily_tail():
    every = sampler(age_days=900).windows(EPOCH_MS)["allTime"]
    recent = every[every > EPOCH_MS - 30 * DAY]
    assert 2 <= recent.size <= 4
    assert np.allclose(np.diff(recent) / DAY, 9, atol=0.15)


def test_counts_of_points_match_the_recorded_ones():
    """12-13, 61-66, 41-48 and 35-104 points were recorded, the moving last one included."""
    counts = {name: [] for name in ("day", "week", "month", "allTime")}
    for seed, now in enumerate(NOWS):
        for name, instants in sampler(seed, age_days=40 + 17 * seed).windows(now).items():
            counts[name].append(instants.size + 1)
    assert set(counts["day"]) <= {12, 13, 14}
    assert np.mean(np.isin(counts["day"], [12, 13])) > 0.95
    assert 61 <= min(counts["week"]) <= max(counts["week"]) <= 66
    assert 43 <= min(counts["month"]) <= max(counts["month"]) <= 46
    assert 30 <= min(counts["allTime"]) <= max(counts["allTime"]) <= 104


def test_a_busy_account_has_more_points_in_a_day():
    assert 40 <= sampler(busy=True).windows(EPOCH_MS)["day"].size <= 50


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), age=st.floats(0.01, 1_000), later=st.integers(0, 600 * DAY))
def test_windows_share_their_samples_and_sit_on_the_grid(seed: int, age: float, later: int):
    grid, now = sampler(seed, age), EPOCH_MS + later
    windows = grid.windows(now)
    for instants in windows.values():
        assert np.all(np.diff(instants) > 0)
        assert np.all(instants < now)
        jitter = (instants - ORIGIN - grid.phase_ms) % (20 * MINUTE)
        assert np.all(jitter < 150)
    assert np.isin(windows["day"], windows["week"]).all()
    first = grid.instants(np.array([grid.first]))[0]
    if first < now:
        assert windows["allTime"][0] == first
        inside = windows["month"][windows["month"] >= now - 7 * DAY]
        assert np.isin(inside, np.append(windows["week"], first)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), later=st.integers(1, 30 * DAY))
def test_every_window_shows_samples_that_a_day_window_once_showed(seed: int, later: int):
    grid = sampler(seed, age_days=300)
    once = np.unique(np.concatenate([grid.windows(EPOCH_MS - day * DAY)["day"] for day in range(35)]))
    for instants in grid.windows(EPOCH_MS + later).values():
        recent = instants[(instants > EPOCH_MS - 34 * DAY) & (instants < EPOCH_MS)]
        assert np.isin(recent, once).all()
