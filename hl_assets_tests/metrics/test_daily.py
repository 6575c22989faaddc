"""The daily grid: hand-made days, and irregular boards against the scalar reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.equity.returns import flow_adjusted_returns
from hl_assets.metrics.catalog import METRICS
from hl_assets.metrics.daily import daily_quality, daily_returns
from hl_assets.metrics.shape import CurveShape
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS
from hl_assets_tests.metrics.daily_board import board, daily_metrics, ragged_wallets
from hl_assets_tests.metrics.test_wallet_metrics import assert_equals_reference

MIDNIGHT = START_MS - START_MS % DAY_MS


def at(hours, values, pnl=None):
    """A wallet with points at hours after a midnight; without flows unless a PnL is given."""
    ts = [MIDNIGHT + int(hour * HOUR_MS) for hour in hours]
    return ts, values, pnl if pnl is not None else [value - values[0] for value in values]


def grid(*wallets):
    steps = flow_adjusted_returns(board(*wallets))
    shape = CurveShape.of(steps)
    daily = daily_returns(steps, shape)
    coverage = daily_quality(daily, shape)["daily_coverage"].values
    return daily, coverage


class TestSampling:
    def test_a_day_is_sampled_at_its_last_point_and_nothing_is_interpolated(self):
        daily, coverage = grid(at([6, 20, 30, 45, 60, 70], [100, 110, 500, 121, 50, 133.1]))
        assert daily.r.tolist() == pytest.approx([0.1, 0.1])
        assert daily.n_days.tolist() == [2]
        assert coverage.tolist() == [1.0]

    def test_a_point_at_midnight_closes_the_day_before(self):
        daily, _ = grid(at([24, 48, 72], [100, 110, 99]))
        assert daily.r.tolist() == pytest.approx([0.1, -0.1])
        just_after, _ = grid(at([24 + 1 / 3600, 48, 72], [100, 110, 99]))
        assert just_after.r.tolist() == pytest.approx([-0.1])

    @pytest.mark.parametrize(
        ("hours_into_the_day", "n_days"), [(1 / 3600, 29), (11.9, 29), (12, 30), (24, 30)]
    )
    def test_a_day_that_is_not_over_is_not_missing(self, hours_into_the_day, n_days):
        daily, coverage = grid(at([*24 * np.arange(1, 31), 720 + hours_into_the_day], [100] * 31))
        assert daily.n_days.tolist() == [n_days]
        assert coverage.tolist() == [1.0]

    def test_two_points_of_one_night_have_no_coverage(self):
        _, coverage = grid(at([23, 25], [100, 110]))
        assert np.isnan(coverage).all()

    def test_a_step_over_a_missing_day_is_not_daily(self):
        daily, coverage = grid(at([12, 36, 84, 108], [100, 110, 220, 242]))
        assert daily.r.tolist() == pytest.approx([0.1, 0.1])
        assert daily.follows.tolist() == [False, False]
        assert coverage.tolist() == pytest.approx([2 / 4])

    def test_weekly_points_have_no_daily_step(self):
        weekly = at(np.arange(60) * 168 + 12, list(np.linspace(100, 200, 60)))
        daily, coverage = grid(weekly)
        assert daily.n_steps.tolist() == [0]
        assert coverage.tolist() == [0.0]
        table = compute_wallet_metrics(board(weekly))
        for name in ("volatility", "sharpe", "sortino", "skew", "kurtosis", "best_day_share", "psr"):
            assert table.null_reasons()[0][name] == "too_few_daily_steps"

    @pytest.mark.parametrize(
        ("hours", "counted"),
        [((12.5, 24.25), False), ((12, 24.5), True), ((11.5, 47.5), True), ((11.4, 47.5), False)],
    )
    def test_a_daily_step_lasts_half_a_day_to_a_day_and_a_half(self, hours, counted):
        daily, _ = grid(at(hours, [100, 110]))
        assert daily.n_steps.tolist() == [int(counted)]

    def test_flows_change_no_daily_return(self):
        with_flow = at([12, 36, 60], [100, 160, 176], [0, 10, 26])
        daily, _ = grid(with_flow)
        assert daily.r.tolist() == pytest.approx([10 / 150, 0.1])

    def test_steps_that_follow_each_other_are_known(self):
        daily, _ = grid(at([12, 36, 60, 84, 132, 156], [100] * 6), at([12, 36, 60], [100] * 3))
        assert daily.follows.tolist() == [False, True, True, False, False, True]
        assert daily.offsets.tolist() == [0, 4, 6]


class TestLives:
    def test_a_wipe_out_is_a_day_of_minus_one_and_the_days_after_it_are_no_steps(self):
        daily, coverage = grid(at([12, 36, 60, 84, 108], [100, 110, 0, 0, 0]))
        assert daily.r.tolist() == pytest.approx([0.1, -1.0])
        assert coverage.tolist() == [0.5]

    def test_the_window_starts_again_at_the_refunding(self):
        daily, _ = grid(at([12, 36, 60, 84, 108], [100, 0, 200, 220, 242], [0, -100, -100, -80, -58]))
        assert daily.r.tolist() == pytest.approx([0.1, 0.1])
        assert daily.n_days.tolist() == [2]

    def test_an_unknown_return_makes_the_daily_figures_null(self):
        hours = 12 + 24 * np.arange(40)
        values = [100.0 + place % 3 for place in range(40)]
        pnl = list(np.array(values) - 100)
        values[30], pnl[30] = -20.0, pnl[29] - 1
        table = compute_wallet_metrics(board(at(hours, values, pnl)))
        assert table.null_reasons()[0]["sharpe"] == "unknown_return"
        assert table.values["n_daily_steps"].tolist() == [29]

    def test_empty_boards_and_wallets(self):
        daily, coverage = grid(([], [], []), at([12, 36], [100, 110]), ([], [], []))
        assert daily.n_steps.tolist() == [0, 1, 0]
        assert np.isnan(coverage[[0, 2]]).all()
        assert grid()[0].r.size == 0


@pytest.mark.parametrize("seed", range(4))
def test_an_irregular_board_equals_the_scalar_reference(seed):
    wallets = ragged_wallets(seed)
    table = compute_wallet_metrics(board(*wallets))
    present = ~np.isnan(table.values["sharpe"])
    assert 15 < present.sum() < len(wallets)
    assert (table.values["n_wipeouts"] > 0).any()
    coverage = table.values["daily_coverage"][present]
    assert coverage.min() < 0.5
    assert coverage.max() > 0.85
    for row, wallet in enumerate(wallets):
        assert_equals_reference(table, row, [list(column) for column in wallet])


def test_neither_neighbours_nor_chunks_change_a_single_bit():
    wallets = ragged_wallets(9, 40)
    together = compute_wallet_metrics(board(*wallets))
    in_chunks = compute_wallet_metrics(board(*wallets), chunk_points=300)
    for row, wallet in enumerate(wallets):
        alone = compute_wallet_metrics(board(wallet))
        for metric in METRICS:
            values = together.values[metric.name]
            assert values[row].tobytes() == alone.values[metric.name][0].tobytes(), metric.name
    for name, values in together.values.items():
        assert values.tobytes() == in_chunks.values[name].tobytes(), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30), st.floats(0.5, 50))
def test_shifting_by_days_and_scaling_money_change_no_daily_figure(seed, days, factor):
    wallets = [wallet for wallet in ragged_wallets(seed, 6) if len(wallet[0])]
    plain = compute_wallet_metrics(board(*wallets))
    moved = compute_wallet_metrics(board(*((ts + days * DAY_MS, values, pnl) for ts, values, pnl in wallets)))
    daily = ("n_daily_steps", "daily_coverage", "volatility", "sharpe", "sortino", "skew", "kurtosis", "psr")
    for name in daily:
        assert plain.values[name].tobytes() == moved.values[name].tobytes()
    thousandfold = compute_wallet_metrics(
        board(*((ts, values * 1000 * factor, pnl * 1000 * factor) for ts, values, pnl in wallets))
    )
    # Thresholds in USD do not scale: compare wallets that no threshold touched either time.
    same = (plain.values["share_no_base"] == thousandfold.values["share_no_base"]) & (
        plain.values["n_flows"] == thousandfold.values["n_flows"]
    )
    same &= (plain.values["n_epochs"] == thousandfold.values["n_epochs"]) & (
        plain.values["data_points"] == thousandfold.values["data_points"]
    )
    for name in daily:
        left, right = plain.values[name][same], thousandfold.values[name][same]
        assert np.allclose(left, right, rtol=1e-7, atol=1e-9, equal_nan=True), name


def test_points_within_a_day_change_no_daily_figure():
    rng = np.random.default_rng(4)
    r = rng.normal(0.006, 0.02, 60)
    coarse = daily_metrics(r)
    closes = 1e7 * np.cumprod(np.append(1.0, 1.0 + r))
    hours, values = [], []
    for day, close in enumerate(closes):
        hours += [24 * day + 9, 24 * day + 22.2222]
        values += [close * (1 + rng.normal(0, 0.01)), close]
    fine = compute_wallet_metrics(board(at(hours, values)))
    for name in ("sharpe", "volatility", "skew", "kurtosis", "best_day_share", "n_daily_steps"):
        assert fine.values[name][0] == pytest.approx(coarse.values[name][0], rel=1e-9), name
