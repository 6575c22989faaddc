"""Is it skill: published numbers, hand-computed cases, the scalar reference, and what no implementation may break."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.significance import (
    Prior,
    annual,
    effective_days,
    estimate_prior,
    expected_best_sharpe,
    min_track_record,
    per_day,
    posterior,
    probabilistic_sharpe,
    variance_factor,
    winsorised,
)
from hl_assets_tests.metrics.scalar_daily import NORMAL, factor_of

sharpes = st.floats(-1, 1)
skews = st.floats(-3, 3)


def one(value):
    return np.array([float(value)])


def psr(sr, n, skew=0.0, kurtosis=3.0, benchmark=0.0):
    return float(probabilistic_sharpe(one(sr), one(n), one(skew), one(kurtosis), benchmark)[0])


def min_trl(sr, skew=0.0, kurtosis=3.0, benchmark=0.0, confidence=0.95):
    return float(min_track_record(one(sr), one(skew), one(kurtosis), benchmark, confidence)[0])


class TestProbabilisticSharpe:
    def test_published_example(self):
        """Bailey and Lopez de Prado 2012: 24 monthly returns, annual Sharpe 1.59, skewness -2.448, kurtosis 10.164: the
        probability of a Sharpe ratio above 0 is 0.982 if returns are taken for normal and 0.913 as they are."""
        sr = 0.458
        assert psr(sr, 24) == pytest.approx(0.982, abs=0.001)
        assert psr(sr, 24, -2.448, 10.164) == pytest.approx(0.913, abs=0.001)

    def test_by_hand(self):
        assert psr(0.0, 100) == 0.5
        assert psr(0.1, 101) == pytest.approx(NORMAL.cdf(0.1 * 10 / np.sqrt(1.005)))
        assert psr(0.1, 101, benchmark=0.1) == 0.5

    @given(sharpes, st.integers(20, 2000), skews, st.floats(0, 20))
    def test_equals_the_scalar_reference_and_is_a_probability(self, sr, n, skew, excess):
        kurtosis = 1 + skew**2 + excess
        value = psr(sr, n, skew, kurtosis)
        assert 0 <= value <= 1
        expected = NORMAL.cdf(sr * np.sqrt(n - 1) / np.sqrt(factor_of(sr, skew, kurtosis)))
        assert value == pytest.approx(expected, abs=1e-12)

    @given(st.floats(0.01, 0.5), st.integers(20, 1000), st.integers(1, 1000))
    def test_a_longer_record_proves_more(self, sr, n, more):
        assert psr(sr, n + more) >= psr(sr, n)
        assert psr(-sr, n + more) <= psr(-sr, n)

    @given(st.floats(0.01, 0.5), skews, st.floats(0, 5), st.floats(0.1, 20))
    def test_fat_tails_prove_less(self, sr, skew, excess, fatter):
        kurtosis = 1 + skew**2 + excess
        assert psr(sr, 100, skew, kurtosis + fatter) <= psr(sr, 100, skew, kurtosis)

    @given(sharpes, skews, st.floats(0, 20))
    def test_the_variance_is_never_negative(self, sr, skew, excess):
        factor = variance_factor(one(sr), one(skew), one(1 + skew**2 + excess))[0]
        assert factor >= max((1 - skew * sr / 2) ** 2 - 1e-9, 1e-9)

    def test_an_absent_figure_stays_absent(self):
        assert np.isnan(psr(np.nan, 100, np.nan, np.nan))


class TestMinimumTrackRecord:
    def test_published_example(self):
        """Same paper: an annual Sharpe ratio of 2 over 1 with daily normal returns needs 2.73 years (of 250 days) at 95 %."""
        root = np.sqrt(250)
        assert min_trl(2 / root, benchmark=1 / root) / 250 == pytest.approx(2.73, abs=0.01)

    @given(st.floats(0.02, 0.8), skews, st.floats(0, 20))
    def test_after_it_psr_reaches_the_confidence(self, sr, skew, excess):
        kurtosis = 1 + skew**2 + excess
        length = min_trl(sr, skew, kurtosis)
        assert length >= 1
        if length > 2:
            assert psr(sr, length, skew, kurtosis) == pytest.approx(0.95, abs=1e-9)

    def test_without_a_positive_sharpe_none_suffices(self):
        assert np.isnan(min_trl(0.0))
        assert np.isnan(min_trl(-0.1))
        assert np.isnan(min_trl(0.1, benchmark=0.1))


class TestDeflatedSharpe:
    @pytest.mark.parametrize(("trials", "expected"), [(100, 0.9004), (46, 0.9505)])
    def test_published_example(self, trials, expected):
        """Bailey and Lopez de Prado 2014, numerical example: annual Sharpe 2.5 over 1,250 days (250 a year), skewness -3,
        kurtosis 10, variance of the annual Sharpe ratios tried 1/2. After 100 trials the DSR is 0.9004, after 46 0.9505."""
        benchmark = expected_best_sharpe(0.5 / 250, trials)
        if trials == 100:
            assert benchmark == pytest.approx(0.1132, abs=5e-5)
        assert psr(2.5 / np.sqrt(250), 1_250, -3.0, 10.0, benchmark) == pytest.approx(expected, abs=5e-5)


class TestBestOfMany:
    @pytest.mark.parametrize(
        ("days", "n", "expected"), [(30, 100, 8.8), (30, 45_000, 14.7), (365, 100, 2.5), (365, 45_000, 4.2)]
    )
    def test_luck_alone(self, days, n, expected):
        """Wallets without skill: the variance of a daily Sharpe ratio is 1 / (days - 1), or 1 / days."""
        best = [expected_best_sharpe(365 / each, n) for each in (days - 1, days)]
        assert min(abs(value - expected) for value in best) < 0.1

    def test_it_is_the_mean_of_the_largest_of_n_draws(self):
        draws = np.random.default_rng(3).standard_normal((4_000, 1_000)).max(axis=1)
        assert expected_best_sharpe(1.0, 1_000) == pytest.approx(draws.mean(), abs=0.02)

    @given(st.integers(2, 10_000), st.floats(0, 5), st.floats(1, 3))
    def test_more_or_more_scattered_competitors_raise_it(self, n, variance, factor):
        assert expected_best_sharpe(variance, n + 1) >= expected_best_sharpe(variance, n)
        assert expected_best_sharpe(variance * factor, 100) >= expected_best_sharpe(variance, 100)

    @pytest.mark.parametrize(("variance", "n"), [(1.0, 1), (-1.0, 10), (float("nan"), 10)])
    def test_nonsense_is_refused(self, variance, n):
        with pytest.raises(ValueError, match="n >= 2"):
            expected_best_sharpe(variance, n)


class TestEmpiricalBayes:
    def test_by_hand(self):
        """Noise 1 for all: 8 / (tau^2 + 1) = n - 1 = 2 gives tau^2 = 3, and the mean is the plain one."""
        y, noise = np.array([-2.0, 0.0, 2.0]), np.ones(3)
        prior = estimate_prior(y, noise)
        assert prior.variance == pytest.approx(3.0)
        assert prior.mean == pytest.approx(0.0)
        mean, deviation = posterior(y, noise, prior)
        assert mean == pytest.approx(0.75 * y)
        assert deviation == pytest.approx(np.sqrt([0.75] * 3))

    @given(
        st.lists(st.tuples(st.floats(-3, 3), st.floats(1e-3, 3)), min_size=3, max_size=30),
    )
    def test_the_weighted_squares_sum_to_the_degrees_of_freedom(self, wallets):
        y, noise = np.array(wallets).T
        prior = estimate_prior(y, noise)
        weights = 1 / (prior.variance + noise)
        assert prior.mean == pytest.approx(np.average(y, weights=weights))
        surplus = np.sum(weights * (y - prior.mean) ** 2) - (len(y) - 1)
        assert surplus <= 1e-6 if prior.variance == 0 else abs(surplus) <= 1e-6 * len(y)

    def test_noisy_short_records_do_not_hide_what_long_ones_show(self):
        rng = np.random.default_rng(3)
        noise = np.append(np.full(500, 0.001), np.full(500, 0.2))
        found = []
        for _ in range(20):
            y = rng.normal(0.0, 0.05, 1_000) + rng.normal(0.0, np.sqrt(noise))
            found.append(np.sqrt(estimate_prior(y, noise).variance))
        assert np.mean(found) == pytest.approx(0.05, rel=0.05)
        assert np.std(found) < 0.005

    def test_differences_that_are_noise_shrink_to_the_mean(self):
        prior = estimate_prior(np.array([0.1, 0.2, 0.3]), np.full(3, 5.0))
        assert prior.variance == 0
        mean, deviation = posterior(np.array([0.1, 0.2, 0.3]), np.full(3, 5.0), prior)
        assert mean == pytest.approx([0.2] * 3)
        assert deviation.tolist() == [0, 0, 0]

    @given(st.lists(st.floats(-1, 1), min_size=3, max_size=30), st.floats(1e-3, 1), st.floats(0, 5))
    def test_the_posterior_lies_between_the_prior_and_the_sight(self, values, noise, variance):
        y = np.array(values)
        mean, deviation = posterior(y, np.full(len(y), noise), Prior(0.1, variance, len(y)))
        assert (np.minimum(y, 0.1) - 1e-12 <= mean).all()
        assert (mean <= np.maximum(y, 0.1) + 1e-12).all()
        assert (deviation <= np.sqrt(min(noise, variance)) + 1e-12).all()
        assert (np.diff(mean[np.argsort(y)]) >= -1e-12).all()

    def test_it_beats_the_raw_estimate_where_the_truth_is_known(self):
        rng = np.random.default_rng(12)
        truth = rng.normal(0.03, 0.05, 5_000)
        noise = 1.0 / rng.integers(20, 400, 5_000)
        y = truth + rng.normal(0, np.sqrt(noise))
        prior = estimate_prior(y, noise)
        assert prior.mean == pytest.approx(0.03, abs=0.004)
        assert np.sqrt(prior.variance) == pytest.approx(0.05, abs=0.006)
        mean, deviation = posterior(y, noise, prior)
        assert np.mean((mean - truth) ** 2) < 0.5 * np.mean((y - truth) ** 2)
        within = np.abs(mean - truth) < 1.96 * deviation
        assert within.mean() == pytest.approx(0.95, abs=0.01)

    def test_winsorising_pulls_in_the_counted_ones_percentiles(self):
        values = np.append(np.arange(101.0), [1e9, np.nan])
        counted = np.append(np.ones(101, np.bool_), [False, False])
        result = winsorised(values, counted)
        assert result[[0, 1, 50, 99, 100, 101]].tolist() == [1, 1, 50, 99, 99, 99]
        assert np.isnan(result[102])


class TestEffectiveDays:
    def test_by_hand(self):
        n = np.full(5, 100.0)
        rho = np.array([0.0, 0.5, 0.9, -0.5, 0.999])
        assert effective_days(n, rho) == pytest.approx([100, 100 / 3, 10 / 1.9, 100, 2])

    @given(st.floats(20, 1e4), st.floats(-1, 1))
    def test_never_more_than_there_are_nor_fewer_than_two(self, n, rho):
        assert 2 <= effective_days(one(n), one(rho))[0] <= n


def test_annual_and_daily_sharpe_are_inverse():
    assert annual(per_day(one(2.5)))[0] == pytest.approx(2.5)
    assert annual(one(1.0))[0] == pytest.approx(np.sqrt(365))
