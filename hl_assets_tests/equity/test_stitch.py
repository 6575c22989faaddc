import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.flags import PointFlag, StitchFlag, flag_names
from hl_assets.equity.stitch import stitch_portfolio
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS, portfolio, recorded_portfolio, window


def at(*days):
    return [START_MS + int(day * DAY_MS) for day in days]


def test_windows_join_at_shared_timestamps_with_one_pnl_baseline():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10, 20), [100.0, 120.0, 130.0], [0.0, 20.0, 30.0]),
            window("month", at(10, 15, 20), [120.0, 125.0, 130.0], [0.0, 5.0, 10.0]),
            window("day", at(15, 15.5), [125.0, 126.0], [0.0, 1.0]),
        )
    ).all
    assert points.ts_ms.tolist() == at(0, 10, 15, 15.5, 20)
    assert points.account_value.tolist() == [100.0, 120.0, 125.0, 126.0, 130.0]
    assert points.pnl.tolist() == [0.0, 20.0, 25.0, 26.0, 30.0]
    assert points.segments == ("",)
    assert points.flags == StitchFlag(0)


def test_a_window_without_a_shared_timestamp_stays_a_segment_and_is_never_matched_to_a_neighbour():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10, 20), [100.0, 120.0, 130.0], [0.0, 20.0, 30.0]),
            window("week", [each + 1 for each in at(10, 20)], [120.0, 130.0], [0.0, 10.0]),
        )
    ).all
    assert points.segments == ("", "week")
    assert points.segment.tolist() == [0, 0, 0, 1, 1]
    assert points.pnl.tolist() == [0.0, 20.0, 30.0, 0.0, 10.0]
    assert points.point_flags.tolist() == [0, 0, 0, PointFlag.UNSTITCHED, PointFlag.UNSTITCHED]
    assert flag_names(points.flags) == ("unstitched_window",)
    ts, _, _ = points.anchored()
    assert ts.tolist() == at(0, 10, 20)


def test_a_later_window_can_bridge_an_earlier_one():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 30), [100.0, 130.0], [0.0, 30.0]),
            window("month", at(10, 20), [110.0, 120.0], [0.0, 10.0]),
            window("week", at(20, 30), [120.0, 130.0], [0.0, 10.0]),
        )
    ).all
    assert points.segments == ("",)
    assert points.ts_ms.tolist() == at(0, 10, 20, 30)
    assert points.pnl.tolist() == [0.0, 10.0, 20.0, 30.0]


def test_shared_timestamps_that_disagree_on_the_offset_are_not_stitched():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10, 20), [100.0, 120.0, 130.0], [0.0, 20.0, 30.0]),
            window("month", at(10, 15, 20), [120.0, 125.0, 130.0], [0.0, 5.0, 10.00001]),
        )
    ).all
    assert points.segments == ("", "month")
    assert points.flags == StitchFlag.INCONSISTENT_OFFSET | StitchFlag.UNSTITCHED_WINDOW
    assert len(points) == 6


@pytest.mark.parametrize(("offset_error", "stitched"), [(9e-7, True), (1.1e-6, False)])
def test_the_tolerance_is_a_millionth_of_a_dollar(offset_error, stitched):
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10, 20), [100.0, 120.0, 130.0], [0.0, 20.0, 30.0]),
            window("month", at(10, 20), [120.0, 130.0], [0.0, 10.0 + offset_error]),
        )
    ).all
    assert (points.segments == ("",)) is stitched


def test_the_tolerance_grows_where_doubles_are_coarser_than_the_exchange():
    size = 1.6e10
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10, 20), [size] * 3, [0.0, size, size]),
            window("month", at(10, 20), [size] * 2, [0.0, 4e-6]),
        )
    ).all
    assert points.segments == ("",)


def test_a_contradicted_account_value_is_kept_first_flagged_and_counted():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 10), [100.0, 120.0], [0.0, 20.0]),
            window("month", at(10, 15), [121.0, 125.0], [0.0, 5.0]),
        )
    ).all
    assert points.account_value.tolist() == [100.0, 120.0, 125.0]
    assert points.point_flags.tolist() == [0, PointFlag.CONTRADICTED, 0]
    assert points.flags == StitchFlag.CONTRADICTION
    assert points.n_contradictions == 1


def test_inside_a_window_pairs_sorts_and_deduplicates():
    points = stitch_portfolio(
        portfolio(
            window(
                "allTime",
                at(5, 0, 0, 2, 7),
                [105.0, 100.0, 100.0, 102.0, 107.0],
                [0.0, 5.0, 2.0, 3.0, 2.0],
                at(0, 5, 2, 2, 3),
            )
        )
    ).all
    assert points.ts_ms.tolist() == at(0, 2, 5)
    assert points.account_value.tolist() == [100.0, 102.0, 105.0]
    assert points.pnl.tolist() == [0.0, 2.0, 5.0]
    assert (points.n_unpaired, points.n_duplicates, points.n_contradictions) == (2, 1, 1)
    assert points.point_flags.tolist() == [0, PointFlag.CONTRADICTED, 0]
    assert points.flags == StitchFlag.UNPAIRED | StitchFlag.DUPLICATE | StitchFlag.CONTRADICTION


@pytest.mark.parametrize(
    ("lead_ms", "dropped"), [(HOUR_MS, True), (HOUR_MS + 1, False), (HOUR_MS - 1, False)]
)
def test_the_synthetic_first_point_is_the_one_exactly_an_hour_before(lead_ms, dropped):
    points = stitch_portfolio(
        portfolio(
            window(
                "allTime",
                [START_MS, START_MS + lead_ms, START_MS + DAY_MS],
                [0.0, 50.0, 60.0],
                [0.0, 0.0, 10.0],
            ),
            window(
                "month",
                [START_MS, START_MS + lead_ms, START_MS + DAY_MS],
                [0.0, 50.0, 60.0],
                [0.0, 0.0, 10.0],
            ),
        )
    ).all
    assert bool(points.flags & StitchFlag.SYNTHETIC_DROPPED) is dropped
    assert len(points) == (2 if dropped else 3)


def test_a_real_zero_an_hour_before_the_next_point_of_a_shorter_window_is_no_synthetic_point():
    points = stitch_portfolio(
        portfolio(
            window("allTime", at(0, 30), [100.0, 60.0], [0.0, 0.0]),
            window("day", [*at(29), at(29)[0] + HOUR_MS, *at(30)], [0.0, 50.0, 60.0], [0.0, 0.0, 0.0]),
        )
    ).all
    assert points.account_value.tolist() == [100.0, 0.0, 50.0, 60.0]


def test_only_the_repeated_synthetic_point_itself_is_dropped_from_shorter_windows():
    born = [START_MS, START_MS + HOUR_MS]
    emptied = [at(29)[0], at(29)[0] + HOUR_MS]
    points = stitch_portfolio(
        portfolio(
            window("allTime", [*born, *at(30)], [0.0, 100.0, 60.0], [0.0, 0.0, 0.0]),
            window("month", [*born, *at(30)], [0.0, 100.0, 60.0], [0.0, 0.0, 0.0]),
            window("day", [*emptied, *at(30)], [0.0, 50.0, 60.0], [0.0, 0.0, 0.0]),
        )
    ).all
    assert points.account_value.tolist() == [100.0, 0.0, 50.0, 60.0]


def test_points_below_the_funding_floor_are_not_lost():
    points = stitch_portfolio(
        portfolio(window("allTime", at(0, 1, 2), [0.0, 3.0, 50.0], [0.0, 0.0, 0.0]))
    ).all
    assert points.account_value.tolist() == [0.0, 3.0, 50.0]


def test_a_portfolio_without_points_or_windows():
    stitched = stitch_portfolio(portfolio(window("allTime", [], [], []), window("day", [], [], [])))
    assert len(stitched.all) == len(stitched.perp) == 0
    assert stitched.all.flags == StitchFlag(0)
    assert len(stitch_portfolio(portfolio()).all) == 0


def test_without_alltime_no_point_is_anchored():
    points = stitch_portfolio(
        portfolio(
            window("allTime", [], [], []),
            window("month", at(0, 5), [10.0, 11.0], [0.0, 1.0]),
            window("day", at(5, 6), [11.0, 12.0], [0.0, 1.0]),
        )
    ).all
    assert points.segments == ("", "month")
    assert points.segment.tolist() == [1, 1, 1]
    assert points.flags == StitchFlag.NO_ANCHOR
    assert len(points.anchored()[0]) == 0


class TestPerpBaseline:
    """A perp window that books the whole opening balance as PnL."""

    FAULTY = window("perpAllTime", at(40, 47, 54), [0.0, 5_000.0, 5_100.0], [0.0, 5_000.0, 5_100.0])
    PERP_DAY = window("perpDay", at(53.5, 54), [5_090.0, 5_100.0], [0.0, 10.0])

    def test_it_is_rejected_where_scope_all_has_another_pnl_at_that_instant(self):
        stitched = stitch_portfolio(
            portfolio(
                window("allTime", at(0, 47, 54), [100.0, 5_000.0, 5_100.0], [0.0, -70.0, 30.0]),
                self.FAULTY,
                self.PERP_DAY,
            )
        )
        assert stitched.perp.rejected == ("perpAllTime",)
        assert flag_names(stitched.perp.flags) == ("no_anchor", "perp_baseline_fault")
        assert stitched.perp.account_value.tolist() == [5_090.0, 5_100.0]  # its own points only
        fallback = stitched.curve("perp")
        assert fallback.scope == "perp"
        assert fallback.account_value.tolist() == [100.0, 5_000.0, 5_100.0]
        assert fallback.flags & StitchFlag.FELL_BACK_TO_ALL
        assert stitched.curve("all") is stitched.all

    def test_it_is_rejected_where_the_account_held_money_before(self):
        stitched = stitch_portfolio(
            portfolio(
                window("allTime", at(0, 46, 54), [100.0, 5_000.0, 5_100.0], [0.0, -70.0, 30.0]), self.FAULTY
            )
        )
        assert stitched.perp.rejected == ("perpAllTime",)

    @pytest.mark.parametrize(
        "everything",
        [
            window(
                "allTime", at(47, 54), [5_000.0, 5_100.0], [5_000.0, 5_100.0]
            ),  # agrees: it was all earned
            window(
                "allTime", at(48, 54), [5_050.0, 5_100.0], [5_050.0, 5_100.0]
            ),  # says nothing about that time
            window("allTime", [], [], []),
        ],
    )
    def test_it_is_kept_where_scope_all_does_not_disagree(self, everything):
        stitched = stitch_portfolio(portfolio(everything, self.FAULTY))
        assert stitched.perp.rejected == ()
        assert stitched.curve("perp") is stitched.perp

    def test_an_ordinary_opening_deposit_is_no_fault(self):
        stitched = stitch_portfolio(
            portfolio(
                window("allTime", at(0, 47, 54), [100.0, 5_000.0, 5_100.0], [0.0, -70.0, 30.0]),
                window("perpAllTime", at(40, 47, 54), [0.0, 5_000.0, 5_100.0], [0.0, 3.0, 103.0]),
            )
        )
        assert stitched.perp.rejected == ()

    def test_an_unknown_scope_is_refused(self):
        with pytest.raises(ValueError, match="all, perp"):
            stitch_portfolio(portfolio()).curve("spot")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            window("day", at(0, 1), [1.0], [0.0, 1.0]),
            "window day: 2 timestamps but 1 values of account_value",
        ),
        (window("day", at(0), [1.0], [np.nan]), "window day: pnl at .* is nan"),
    ],
)
def test_malformed_windows_are_named(bad, message):
    with pytest.raises(EquityInputError, match=message):
        stitch_portfolio(portfolio(bad))


@given(
    n=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
    cuts=st.tuples(st.integers(0, 38), st.integers(0, 38), st.integers(0, 38)),
)
def test_any_thinned_and_rebased_windows_of_one_series_stitch_back_to_it(n, seed, cuts):
    """Windows are subsets of one true series, rebased; whatever shares a timestamp must come back as that series."""
    rng = np.random.default_rng(seed)
    ts = START_MS + np.cumsum(rng.integers(1, DAY_MS, n))
    values, pnl = rng.uniform(0, 1e7, n), np.round(rng.normal(0, 1e6, n), 6)
    windows, kept = [], set()
    for name, cut in zip(("allTime", "month", "week", "day"), (0, *sorted(cuts)), strict=True):
        begin = min(cut, n - 1)
        chosen = np.flatnonzero(rng.random(n) < 0.5)
        chosen = np.union1d(
            chosen[chosen >= begin], [n - 1]
        )  # the last point is the request itself, in every window
        windows.append(window(name, ts[chosen], values[chosen], pnl[chosen] - pnl[chosen[0]]))
        kept |= set(chosen.tolist())
    points = stitch_portfolio(portfolio(*windows)).all
    order = sorted(kept)
    assert points.ts_ms.tolist() == ts[order].tolist()
    assert np.array_equal(points.account_value, values[order])
    shifts = points.pnl - pnl[order]
    assert np.ptp(shifts) < 1e-6
    assert points.segments == ("",)


@pytest.fixture(scope="module")
def response(recorded_data):
    return recorded_portfolio(recorded_data)


class TestRecordedResponse:
    """The real response of a vault with many flows and the perp baseline fault."""

    def test_every_shared_timestamp_agrees_to_a_millionth_of_a_dollar(self, response):
        points = stitch_portfolio(response).all
        assert points.segments == ("",)
        assert points.flags == StitchFlag.SYNTHETIC_DROPPED
        assert points.n_contradictions == 0
        by_ts = {int(ts): place for place, ts in enumerate(points.ts_ms)}
        seen = 0
        for name in ("allTime", "month", "week", "day"):
            series = response.windows[name]
            places = [by_ts[int(ts)] for ts in series.ts_ms if int(ts) in by_ts]
            present = [int(ts) in by_ts for ts in series.ts_ms]
            assert sum(not each for each in present) == (1 if name == "allTime" else 0)  # the synthetic point
            assert np.array_equal(points.account_value[places], series.account_value[present])
            offsets = points.pnl[places] - series.pnl[present]
            assert np.ptp(offsets) <= 1e-6
            seen += len(places)
        assert len(points) == 159
        assert seen == 197  # 38 points are in more than one window

    def test_the_perp_baseline_fault_is_found_and_scope_all_read_instead(self, response):
        stitched = stitch_portfolio(response)
        assert stitched.perp.rejected == ("perpAllTime",)
        assert stitched.perp.segments == ("", "perpMonth")
        assert len(stitched.perp) == 89
        curve = stitched.curve("perp")
        assert np.array_equal(curve.pnl, stitched.all.pnl)
        assert float(curve.pnl[-1]) == pytest.approx(650_509.577425, abs=1e-6)  # not the faulty +41,400,103

    def test_without_the_fault_perp_stitches_by_itself(self, response):
        windows = dict(response.windows)
        series = windows["perpAllTime"]
        windows["perpAllTime"] = dataclasses.replace(
            series,
            ts_ms=series.ts_ms[1:],
            account_value=series.account_value[1:],
            pnl_ts_ms=series.pnl_ts_ms[1:],
            pnl=series.pnl[1:] - series.pnl[1],
        )
        perp = stitch_portfolio(dataclasses.replace(response, windows=windows)).perp
        assert perp.segments == ("",)
        assert perp.rejected == ()

    def test_a_wallet_takes_less_than_two_milliseconds(self, response):
        durations = []
        for _ in range(20):
            begin = time.perf_counter()
            stitch_portfolio(response)
            durations.append(time.perf_counter() - begin)
        assert min(durations) < 0.002
