"""Hand-computed figures, null reasons and flags of tiny curves."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets.metrics.catalog import FORMULA_VERSION, METRICS, SCORED_METRICS
from hl_assets.metrics.drawdown import drawdown_series, episode_lows
from hl_assets.metrics.flags import MetricFlag
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS, WALLET, curves, without_flows


class One:
    """The metrics of a single wallet, by name."""

    def __init__(self, values, pnl, ts=None, step_ms=DAY_MS):
        times = START_MS + step_ms * np.arange(len(values)) if ts is None else START_MS + np.array(ts)
        self.table = compute_wallet_metrics(
            RaggedCurves.from_columns([WALLET] * len(values), times, values, pnl, wallets=[WALLET])
        )
        self.nulls = self.table.null_reasons()[0]
        self.flags = self.table.flag_names()[0]

    def __getattr__(self, name):
        return float(self.table.values[name][0])


class TestGrowth:
    def test_roi_is_of_the_index_and_not_of_the_account_value(self):
        one = One([100, 330, 300], [0, 20, -10])  # 20 on 310, then -30 on 330
        assert one.roi == pytest.approx((1 + 20 / 310) * (1 - 30 / 330) - 1)
        assert one.roi_account_value == pytest.approx(2.0)

    def test_cagr_counts_elapsed_years_of_365_25_days(self):
        one = One(*without_flows([100, 121]), ts=[0, 2 * 31_557_600_000])
        assert one.cagr == pytest.approx(0.1)
        assert one.nulls["cagr_short"] == "span_of_90_days_or_more"
        assert "annualised_short" not in one.flags

    @pytest.mark.parametrize(("days", "is_short"), [(89.999, True), (90, False)])
    def test_under_90_days_only_cagr_short_is_shown(self, days, is_short):
        one = One(*without_flows([100, 90, 110]), ts=[0, DAY_MS, int(days * DAY_MS)])
        annual = 1.1 ** (365.25 / days) - 1
        assert (one.cagr_short if is_short else one.cagr) == pytest.approx(annual)
        assert ("cagr" in one.nulls) is is_short
        assert ("calmar_ratio" in one.nulls) is is_short
        assert ("annualised_short" in one.flags) is is_short
        if is_short:
            assert one.nulls["cagr"] == one.nulls["calmar_ratio"] == "span_under_90_days"

    def test_what_no_number_can_hold_is_null(self):
        one = One(*without_flows([100, 90, 900]), step_ms=60_000)
        assert one.nulls["cagr_short"] == "not_finite"
        assert np.isnan(one.cagr_short)

    def test_a_wiped_out_wallet_lost_everything(self):
        one = One(*without_flows([100, 150, 0, 0]), step_ms=60 * DAY_MS)
        assert one.roi == one.cagr == one.max_drawdown == one.calmar_ratio == one.recovery_factor == -1.0


class TestWipeOutAndRefunding:
    """roi and cagr describe the newest life; drawdowns, dollars and data quality the whole record."""

    ONE = One(
        [100, 0, 0, 200, 180, 240],
        [0, -100, -100, -100, -120, -60],
        ts=[day * DAY_MS for day in (0, 10, 20, 30, 60, 130)],
    )

    def test_growth_starts_again(self):
        assert self.ONE.roi == pytest.approx(0.2)
        assert self.ONE.cagr == pytest.approx(1.2 ** (365.25 / 100) - 1)
        assert self.ONE.performance_span_days == 100
        assert self.ONE.performance_start_ms == START_MS + 30 * DAY_MS

    def test_the_loss_is_not_forgotten(self):
        assert self.ONE.max_drawdown == -1.0
        assert self.ONE.avg_drawdown == pytest.approx((-1.0 - 0.1) / 2)
        assert self.ONE.n_drawdowns == 2
        assert self.ONE.recovery_factor == pytest.approx(0.2)
        assert self.ONE.n_wipeouts == 1
        assert self.ONE.n_epochs == 2
        assert self.ONE.total_pnl == -60
        assert self.ONE.net_flow == 200
        assert self.ONE.data_span_days == 130
        assert {"wiped_out", "refunded"} <= set(self.ONE.flags)

    def test_a_refunding_of_one_point_has_no_return_yet_but_a_drawdown(self):
        one = One([100, 0, 50], [0, -100, -100])
        assert one.nulls["roi"] == one.nulls["recovery_factor"] == "too_few_points"
        assert one.max_drawdown == -1.0

    def test_withdrawing_everything_and_coming_back_resets_nothing(self):
        one = One([100, 60, 0, 100, 110], [0, -40, -40, -40, -30])
        assert one.roi == pytest.approx(-0.34)
        assert one.max_drawdown == pytest.approx(-0.4)
        assert one.n_epochs == 2
        assert one.n_wipeouts == 0
        assert "refunded" in one.flags
        assert "wiped_out" not in one.flags


class TestDrawdowns:
    def test_the_running_maximum_starts_at_one(self):
        assert One(*without_flows([100, 90, 95])).max_drawdown == pytest.approx(-0.1)

    def test_average_counts_episodes_and_the_open_one(self):
        one = One(*without_flows([100, 90, 95, 100, 120, 60, 130, 104]))
        assert one.n_drawdowns == 3
        assert one.avg_drawdown == pytest.approx((-0.1 - 0.5 - 0.2) / 3)
        assert one.max_drawdown == pytest.approx(-0.5)

    def test_a_return_to_the_maximum_ends_an_episode_whatever_the_rounding(self):
        lows = np.random.default_rng(3).uniform(0.3, 0.9, 50)
        values = [100.0]
        for low in lows:
            values += [
                100.0 * low,
                100.0,
            ]  # most of these have no exact double: the product misses 1.0 by rounding
        one = One(*without_flows(values))
        assert one.n_drawdowns == 50
        assert one.avg_drawdown == pytest.approx(np.mean(lows) - 1)

    def test_an_untested_wallet_has_zero_drawdown_and_no_ratio(self):
        one = One(*without_flows([100, 110, 120]), step_ms=100 * DAY_MS)
        assert one.max_drawdown == one.avg_drawdown == one.n_drawdowns == 0
        assert one.nulls["calmar_ratio"] == one.nulls["recovery_factor"] == "no_drawdown"
        assert "untested" in one.flags

    def test_a_loss_is_a_drawdown_of_the_index_and_a_withdrawal_is_none(self):
        one = One([100, 40, 44], [0, 0, 4])
        assert one.max_drawdown == 0
        assert one.max_drawdown_account_value == pytest.approx(-0.6)

    def test_series_and_episodes_of_several_wallets(self):
        steps = flow_adjusted_returns(
            curves(without_flows([100, 50, 75]), ([], []), without_flows([10, 20, 10, 20, 5]))
        )
        fall = drawdown_series(steps)
        assert fall.tolist() == pytest.approx([0, -0.5, -0.25, 0, 0, -0.5, 0, -0.75])
        lows, wallet = episode_lows(fall, steps.curves.offsets)
        assert lows.tolist() == pytest.approx([-0.5, -0.5, -0.75])
        assert wallet.tolist() == [0, 2, 2]


class TestDollars:
    def test_flows_and_pnl(self):
        one = One([100, 160, 120, 118], [0, 10, 20, 18])
        assert one.net_flow == pytest.approx(0)
        assert one.gross_flow == pytest.approx(100)
        assert one.n_flows == 2
        assert one.total_pnl == pytest.approx(18)
        assert one.account_value == 118
        assert one.recovery_usd == pytest.approx(18 / 2)

    def test_recovery_usd_is_signed_and_null_without_a_fall(self):
        assert One(*without_flows([100, 40, 70])).recovery_usd == pytest.approx(-0.5)
        assert One(*without_flows([100, 140, 170])).nulls["recovery_usd"] == "no_pnl_fall"

    def test_rounding_of_pnl_is_no_fall(self):
        one = One([1e6, 1e6, 1_000_010], [650_509.577425, 650_509.5774249999, 650_519.577425])
        assert one.nulls["recovery_usd"] == "no_pnl_fall"

    def test_a_fall_too_small_to_divide_by_is_none_and_no_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert One([100, 100, 100], [1e-310, 0, 1e300]).nulls["recovery_usd"] == "no_pnl_fall"

    @given(
        st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=20),
    )
    def test_account_value_is_explained_by_pnl_and_flows(self, points):
        values = [1e5, *(value for value, _ in points)]
        pnl = [0.0, *(earned for _, earned in points)]
        one = One(values, pnl)
        noise = len(values) * 2.0  # flows below 1 USD or a millionth count as none
        assert one.total_pnl + one.net_flow == pytest.approx(values[-1] - values[0], abs=noise)
        assert one.gross_flow >= abs(one.net_flow) - 1e-6


class TestDataQuality:
    def test_intervals(self):
        one = One(*without_flows([100, 90, 100, 90]), ts=[0, 2 * HOUR_MS, 4 * HOUR_MS, 10 * HOUR_MS])
        assert one.data_points == 4
        assert one.data_span_days == pytest.approx(10 / 24)
        assert one.avg_interval_hours == pytest.approx(10 / 3)
        assert one.interval_cv_percent == pytest.approx(100 * np.std([2, 2, 6]) / (10 / 3))
        assert one.is_uniform == 0
        assert one.largest_gap_hours == 6
        assert one.first_ts_ms == START_MS
        assert one.last_ts_ms == START_MS + 10 * HOUR_MS
        assert "short_history" in one.flags

    def test_jitter_under_five_percent_is_uniform(self):
        assert One(*without_flows([100] * 3), ts=[0, 100_000, 204_000]).is_uniform == 1

    def test_one_interval_says_nothing_about_spacing(self):
        one = One(*without_flows([100, 110]))
        assert one.avg_interval_hours == 24
        assert one.nulls["interval_cv_percent"] == one.nulls["is_uniform"] == "too_few_points"

    def test_shares_are_of_steps(self):
        one = One([100, 300, 3, 4, 900, 30_000], [0, 0, -297, -296, 600, 29_700])
        assert one.share_flow_dominated == 1 / 5
        assert one.share_no_base == 2 / 5
        assert one.share_clipped == 1 / 5
        assert {"flow_dominated", "no_base", "clipped"} <= set(one.flags)

    def test_contradictions_are_counted(self):
        one = One([100, 110, 120], [0, 10, 20], ts=[0, DAY_MS, DAY_MS])
        assert one.n_contradictions == 1
        assert "contradicted" in one.flags

    def test_a_wallet_below_the_floor_now_is_flagged(self):
        assert "unfunded_now" in One([100, 5], [0, 0]).flags
        assert "unfunded_now" not in One([100, 10], [0, 0]).flags


class TestNulls:
    @pytest.mark.parametrize(
        ("values", "reason", "never_null"),
        [
            ([], "no_points", set()),
            ([3, 9], "never_funded", set()),
            (
                [50],
                "too_few_points",
                {
                    "account_value",
                    "data_span_days",
                    "performance_span_days",
                    "first_ts_ms",
                    "last_ts_ms",
                    "performance_start_ms",
                },
            ),
        ],
    )
    def test_without_points_every_figure_but_counts_is_null_with_the_reason(self, values, reason, never_null):
        one = One(values, [0] * len(values))
        expected = {metric.name for metric in METRICS if metric.nullable} - never_null
        assert one.nulls == dict.fromkeys(expected, reason)
        for metric in METRICS:
            assert np.isnan(one.table.values[metric.name][0]) == (metric.name in expected)

    def test_an_unknown_return_makes_the_index_figures_null(self):
        one = One([100, -20, 100, 90], [0, -10, -10, -20])
        for name in ("roi", "cagr_short", "max_drawdown", "avg_drawdown", "recovery_factor"):
            assert one.nulls[name] == "unknown_return"
        assert one.total_pnl == -20
        assert one.n_unknown_returns == 1
        assert {"unknown_return", "negative_equity"} <= set(one.flags)

    def test_after_a_wipe_out_an_earlier_unknown_hides_nothing_of_the_deepest_drawdown(self):
        one = One([100, -20, 100, 0, 50, 55], [0, -10, -10, -110, -110, -105])
        assert one.max_drawdown == -1
        assert one.nulls["avg_drawdown"] == "unknown_return"
        assert one.roi == pytest.approx(0.1)

    def test_every_reason_has_a_meaning(self):
        assert all(reason.meaning for reason in NullReason)

    def test_a_column_refuses_a_nan_without_a_reason(self):
        with pytest.raises(ValueError, match="1 values are NaN"):
            Column.of(np.array([1.0, np.nan, np.nan]), (np.array([False, True, False]), NullReason.NO_POINTS))

    def test_the_strongest_reason_is_given_first(self):
        everything = np.array([True, True])
        column = Column.of(
            np.zeros(2), (np.array([True, False]), NullReason.NO_POINTS), (everything, NullReason.NO_DRAWDOWN)
        )
        assert column.reasons.tolist() == [NullReason.NO_POINTS, NullReason.NO_DRAWDOWN]


def test_the_table_publishes_exactly_the_catalogue_in_its_order():
    table = compute_wallet_metrics(curves(without_flows([100, 90, 110])))
    names = [metric.name for metric in METRICS]
    assert list(table.values) == list(table.reasons) == names
    assert len(set(names)) == len(names)
    assert set(SCORED_METRICS) <= set(names)
    assert names[:6] == list(SCORED_METRICS)
    assert table.formula_version == FORMULA_VERSION
    assert table.scored().shape == (1, 6)
    for metric in METRICS:
        assert metric.description
        assert (metric.kind == "bool") == (metric.name.startswith("is_"))


def test_the_floor_given_is_the_floor_used():
    table = compute_wallet_metrics(curves(([50, 200, 210], [0, 0, 10])), ReturnRules(funding_floor=100.0))
    assert table.values["data_points"].tolist() == [2]
    assert table.rules.funding_floor == 100.0


def test_flags_have_distinct_bits():
    bits = [flag.value for flag in MetricFlag]
    assert len(set(bits)) == len(bits)
    assert all(bit & (bit - 1) == 0 for bit in bits)
