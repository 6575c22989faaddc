"""Daily risk and time under water: hand-computed curves, nulls, bounds and invariances."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS, curves, without_flows
from hl_assets_tests.metrics.daily_board import board, daily_metrics
from hl_assets_tests.metrics.test_metrics import One
from hl_assets_tests.metrics.test_reference_curves import curve_a, curve_b

ROOT_365 = np.sqrt(365)


def of(returns):
    table = daily_metrics(np.array(returns, dtype=np.float64))
    return {name: float(values[0]) for name, values in table.values.items()}, table.null_reasons()[0]


returns_strategy = st.lists(st.floats(-0.3, 0.4), min_size=20, max_size=60).filter(lambda r: np.std(r) > 1e-4)


@pytest.mark.parametrize(
    ("curve", "sharpe", "sortino", "volatility"),
    [
        (curve_a, 0.5288252244647, 0.7589952636001, 0.5300059212461),
        (curve_b, -1.7971862357855, -2.2953412369127, 0.3434628711873),
    ],
)
def test_reference_curves(curve, sharpe, sortino, volatility):
    values, _ = of(curve())
    assert values["sharpe"] == pytest.approx(sharpe, abs=1e-9)
    assert values["sortino"] == pytest.approx(sortino, abs=1e-9)
    assert values["volatility"] == pytest.approx(volatility, abs=1e-9)


class TestByHand:
    TWO_VALUES, _ = of([0.03, -0.01] * 10)

    def test_two_values_in_equal_number(self):
        deviation = np.sqrt(20 * 0.02**2 / 19)
        assert self.TWO_VALUES["volatility"] == pytest.approx(deviation * ROOT_365)
        assert self.TWO_VALUES["sharpe"] == pytest.approx(0.01 / deviation * ROOT_365)
        assert self.TWO_VALUES["sortino"] == pytest.approx(0.01 / np.sqrt(0.5 * 0.01**2) * ROOT_365)
        assert self.TWO_VALUES["skew"] == pytest.approx(0, abs=1e-9)
        assert self.TWO_VALUES["kurtosis"] == pytest.approx(1)
        assert self.TWO_VALUES["daily_autocorrelation"] == pytest.approx(-19 / 20)

    def test_best_day_share(self):
        logs = 10 * (np.log(1.03) + np.log(0.99))
        assert self.TWO_VALUES["best_day_share"] == pytest.approx(np.log(1.03) / logs)

    def test_one_day_made_it_all(self):
        values, _ = of([0.0] * 30 + [0.5])
        assert values["best_day_share"] == pytest.approx(1.0)
        assert values["skew"] > 5

    def test_the_best_day_of_a_record_that_loses_otherwise_exceeds_the_total(self):
        assert of([-0.001] * 25 + [0.5])[0]["best_day_share"] > 1


class TestNulls:
    def test_twenty_daily_steps_are_needed(self):
        rng = np.random.default_rng(1)
        r = rng.normal(0.01, 0.05, 20)
        assert "sharpe" not in of(r)[1]
        for name in ("volatility", "sharpe", "sortino", "skew", "kurtosis", "best_day_share", "psr"):
            assert of(r[:19])[1][name] == "too_few_daily_steps"

    @pytest.mark.parametrize(("negative", "is_null"), [(4, True), (5, False)])
    def test_sortino_needs_five_losing_days(self, negative, is_null):
        _, nulls = of([-0.01] * negative + [0.01] * 30)
        assert (nulls.get("sortino") == "too_few_negative_days") is is_null

    def test_constant_returns_have_a_volatility_but_no_ratio(self):
        values, nulls = of([0.001] * 30)
        assert values["volatility"] == pytest.approx(0, abs=1e-9)
        for name in ("sharpe", "skew", "kurtosis", "daily_autocorrelation", "psr", "min_trl_days"):
            assert nulls[name] == "no_variation"

    def test_an_idle_wallet(self):
        values, nulls = of([0.0] * 30)
        assert values["volatility"] == 0.0
        assert nulls["sharpe"] == "no_variation"
        assert nulls["best_day_share"] == "no_gain"

    def test_a_loss_has_no_best_day_share(self):
        assert of([0.05] + [-0.01] * 30)[1]["best_day_share"] == "no_gain"

    def test_a_wipe_out_is_a_daily_return_and_no_gain(self):
        values, nulls = of([0.02, -0.01] * 15 + [-1.0])
        assert values["n_daily_steps"] == 31
        assert values["sharpe"] < 0
        assert nulls["best_day_share"] == "no_gain"

    def test_a_losing_wallet_has_no_minimum_track_record(self):
        assert of([-0.02, 0.01] * 15)[1]["min_trl_days"] == "sharpe_not_positive"


class TestUnderWater:
    def test_every_step_counts_by_its_duration_with_the_drawdown_at_its_end(self):
        one = One(*without_flows([100, 80, 100, 50]), ts=[0, 3 * HOUR_MS, 4 * HOUR_MS, 10 * HOUR_MS])
        assert one.ulcer_index == pytest.approx(np.sqrt((3 * 0.2**2 + 6 * 0.5**2) / 10))
        assert one.time_under_water == pytest.approx(9 / 10)

    def test_an_untested_wallet_was_never_under_water(self):
        one = One(*without_flows([100, 110, 120]))
        assert one.ulcer_index == one.time_under_water == 0

    def test_the_time_between_two_lives_does_not_count(self):
        one = One(
            [100, 0, 50, 50, 40],
            [0, -100, -100, -100, -110],
            ts=[0, DAY_MS, 9 * DAY_MS, 10 * DAY_MS, 12 * DAY_MS],
        )
        assert one.time_under_water == pytest.approx(3 / 4)
        assert one.ulcer_index == pytest.approx(np.sqrt((1.0 + 2 * 0.2**2) / 4))

    def test_an_unknown_return_makes_it_unknown(self):
        one = One([100, -20, 100, 90], [0, -10, -10, -20])
        assert one.nulls["ulcer_index"] == one.nulls["time_under_water"] == "unknown_return"

    def test_without_a_step_there_is_no_time(self):
        one = One([50], [0])
        assert one.nulls["ulcer_index"] == "too_few_points"

    @given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=30), st.data())
    def test_a_point_added_at_an_unchanged_value_keeps_the_time_and_never_deepens(self, returns, data):
        values = 1e6 * np.cumprod(np.append(1.0, 1.0 + np.array(returns)))
        ts = START_MS + DAY_MS * np.arange(len(values))
        place = data.draw(st.integers(1, len(values) - 1))
        # The same step seen twice: half-way at its final value.
        more_ts = np.insert(ts, place, (ts[place - 1] + ts[place]) // 2)
        more = np.insert(values, place, values[place])
        plain = compute_wallet_metrics(board((ts, values, values - values[0]))).values
        split = compute_wallet_metrics(board((more_ts, more, more - more[0]))).values
        for name in ("ulcer_index", "time_under_water"):
            assert split[name][0] == pytest.approx(plain[name][0], rel=1e-7, abs=1e-9)


@settings(deadline=None)
@given(returns_strategy)
def test_bounds(returns):
    values, _ = of(returns)
    assert values["volatility"] > 0
    assert values["kurtosis"] >= 1 + values["skew"] ** 2 - 1e-6
    assert -1 <= values["daily_autocorrelation"] <= 1
    assert 0 <= values["psr"] <= 1
    assert (values["psr"] > 0.5) == (values["sharpe"] > 0) or values["psr"] == pytest.approx(0.5)
    assert 0 <= values["time_under_water"] <= 1
    assert 0 <= values["ulcer_index"] <= -values["max_drawdown"] + 1e-12
    assert values["ulcer_index"] ** 2 <= values["max_drawdown"] ** 2 * values["time_under_water"] + 1e-9
    if not np.isnan(values["best_day_share"]):
        assert values["best_day_share"] >= 1 / len(returns) - 1e-9
    if not np.isnan(values["sortino"]):
        assert np.sign(values["sortino"]) == np.sign(values["sharpe"])
        # At most every return is a loss: the downside never exceeds the root mean square.
        assert (
            abs(values["sortino"])
            >= abs(np.mean(returns)) / np.sqrt(np.mean(np.square(returns))) * ROOT_365 - 1e-6
        )


@settings(deadline=None)
@given(returns_strategy, st.randoms(use_true_random=False))
def test_the_order_of_days_changes_nothing_but_their_memory_and_the_drawdowns(returns, random):
    shuffled = list(returns)
    random.shuffle(shuffled)
    before, after = of(returns)[0], of(shuffled)[0]
    for name in ("volatility", "sharpe", "sortino", "skew", "kurtosis", "best_day_share", "psr", "roi"):
        assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-8, nan_ok=True), name


@settings(deadline=None)
@given(returns_strategy, st.floats(0.1, 0.9))
def test_less_leverage_scales_volatility_and_leaves_the_ratios(returns, leverage):
    full, part = of(returns)[0], of([leverage * r for r in returns])[0]
    assert part["volatility"] == pytest.approx(leverage * full["volatility"], rel=1e-6)
    for name in ("sharpe", "sortino", "skew", "kurtosis", "psr", "daily_autocorrelation"):
        assert part[name] == pytest.approx(full[name], rel=1e-5, abs=1e-6, nan_ok=True), name


@settings(deadline=None)
@given(returns_strategy, st.floats(0.001, 0.05))
def test_earning_more_every_day_raises_the_ratios_and_moves_no_spread(returns, extra):
    less, more = of(returns)[0], of([r + extra for r in returns])[0]
    assert more["volatility"] == pytest.approx(less["volatility"], rel=1e-6)
    assert more["sharpe"] > less["sharpe"]
    assert more["ulcer_index"] <= less["ulcer_index"] + 1e-12
    assert more["time_under_water"] <= less["time_under_water"] + 1e-12
    assume(not np.isnan(more["sortino"]))
    assert more["sortino"] > less["sortino"]


def test_wallets_of_a_board_do_not_mix():
    rng = np.random.default_rng(8)
    arrays = [rng.normal(0.001, 0.02, n) for n in (0, 25, 19, 200, 1, 40)]
    together = daily_metrics(*arrays)
    for row, returns in enumerate(arrays):
        alone = daily_metrics(returns)
        for name, values in together.values.items():
            assert values[row].tobytes() == alone.values[name][0].tobytes(), name


def test_a_flow_changes_no_daily_figure():
    r = np.random.default_rng(5).normal(0.006, 0.02, 60)
    values, pnl = [1e6], [0.0]
    for place, each in enumerate(r):
        flow = 5e5 if place % 9 == 4 else 0.0
        earned = (values[-1] + flow) * each
        values.append(values[-1] + flow + earned)
        pnl.append(pnl[-1] + earned)
    with_flows = compute_wallet_metrics(curves((values, pnl))).values
    plain = daily_metrics(r).values
    for name in ("volatility", "sharpe", "sortino", "skew", "kurtosis", "best_day_share", "ulcer_index"):
        assert with_flows[name][0] == pytest.approx(plain[name][0], rel=1e-9), name
