"""Agreement with ffn, empyrical-reloaded and quantstats to 1e-9, and where their definitions differ, by how much and why.

202 curves of daily returns: the two reference curves and 200 random ones of different length, drift and tails.
"""

import empyrical
import ffn
import numpy as np
import pandas as pd
import pytest
import quantstats.stats as qs
import scipy.special
import scipy.stats

from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.significance import expected_best_sharpe, per_day, probabilistic_sharpe
from hl_assets.metrics.trust import compare_wallets
from hl_assets_tests.metrics.daily_board import daily_metrics
from hl_assets_tests.metrics.test_reference_curves import curve_a, curve_b

N_RANDOM = 200
TOLERANCE = 1e-9


def random_returns(rng):
    n = int(rng.integers(90, 500))
    scale = rng.uniform(0.002, 0.06)
    shocks = rng.standard_normal(n) if rng.random() < 0.5 else np.clip(rng.standard_t(3, n), -12, 12)
    return np.clip(rng.normal(0, 0.1) * scale + scale * shocks, -0.8, 3.0)


class Curve:
    """One curve as the libraries want it."""

    def __init__(self, returns):
        self.n = len(returns)
        self.returns = pd.Series(returns, index=pd.date_range("2023-01-02", periods=self.n))
        self.prices = pd.Series(
            np.cumprod(np.append(1.0, 1.0 + returns)), index=pd.date_range("2023-01-01", periods=self.n + 1)
        )
        self.drawdown = ffn.to_drawdown_series(self.prices)


@pytest.fixture(scope="module")
def returns():
    rng = np.random.default_rng(2024)
    return [curve_a(), curve_b(), *(random_returns(rng) for _ in range(N_RANDOM))]


@pytest.fixture(scope="module")
def theirs(returns):
    return [Curve(each) for each in returns]


@pytest.fixture(scope="module")
def ours(returns):
    return daily_metrics(*returns).values


def adjusted_skew(population, n):
    """Fisher-Pearson's adjusted skewness (pandas, quantstats) from the population's."""
    return population * np.sqrt(n * (n - 1)) / (n - 2)


def adjusted_excess_kurtosis(population, n):
    """The unbiased excess kurtosis (pandas, quantstats) from the population's raw one."""
    return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (population - 3) + 6)


SAME = {
    "ffn max drawdown": ("max_drawdown", lambda c: ffn.calc_max_drawdown(c.prices)),
    "ffn average drawdown": ("avg_drawdown", lambda c: ffn.drawdown_details(c.drawdown)["drawdown"].mean()),
    "ffn number of drawdowns": ("n_drawdowns", lambda c: len(ffn.drawdown_details(c.drawdown))),
    "ffn cagr": ("cagr", lambda c: ffn.calc_cagr(c.prices)),
    "ffn calmar": ("calmar_ratio", lambda c: ffn.core.calc_calmar_ratio(c.prices)),
    "ffn sharpe": ("sharpe", lambda c: ffn.calc_sharpe(c.returns, nperiods=365)),
    "ffn sortino": ("sortino", lambda c: ffn.calc_sortino_ratio(c.returns, nperiods=365)),
    "empyrical max drawdown": ("max_drawdown", lambda c: empyrical.max_drawdown(c.returns)),
    "empyrical sharpe": ("sharpe", lambda c: empyrical.sharpe_ratio(c.returns, annualization=365)),
    "empyrical sortino": ("sortino", lambda c: empyrical.sortino_ratio(c.returns, annualization=365)),
    "empyrical volatility": (
        "volatility",
        lambda c: empyrical.annual_volatility(c.returns, annualization=365),
    ),
    "empyrical roi": ("roi", lambda c: empyrical.cum_returns_final(c.returns)),
    "quantstats roi": ("roi", lambda c: qs.comp(c.returns)),
    "quantstats max drawdown": ("max_drawdown", lambda c: qs.max_drawdown(c.returns)),
    "quantstats sharpe": ("sharpe", lambda c: qs.sharpe(c.returns, periods=365)),
    "quantstats sortino": ("sortino", lambda c: qs.sortino(c.returns, periods=365)),
    "quantstats volatility": ("volatility", lambda c: qs.volatility(c.returns, periods=365)),
    "scipy skew": ("skew", lambda c: scipy.stats.skew(c.returns)),
    "scipy kurtosis": ("kurtosis", lambda c: scipy.stats.kurtosis(c.returns, fisher=False)),
}


@pytest.mark.parametrize("name", SAME)
def test_same_definition_same_figure(name, ours, theirs):
    metric, library = SAME[name]
    expected = np.array([float(library(curve)) for curve in theirs])
    assert np.isfinite(expected).all()
    assert len(expected) >= 200
    assert np.abs(ours[metric] - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


@pytest.fixture(scope="module")
def from_the_paper(returns):
    """PSR(0), MinTRL, DSR and its benchmark straight from the papers' formulas and the daily returns, with scipy alone."""
    normal = scipy.stats.norm
    sr = np.array([r.mean() / r.std(ddof=1) for r in returns])
    n = np.array([len(r) for r in returns])
    g3 = np.array([scipy.stats.skew(r) for r in returns])
    g4 = np.array([scipy.stats.kurtosis(r, fisher=False) for r in returns])
    variance = 1.0 - g3 * sr + (g4 - 1.0) / 4.0 * sr**2
    count, gamma = len(returns), -scipy.special.digamma(1.0)
    best = (1.0 - gamma) * normal.ppf(1.0 - 1.0 / count) + gamma * normal.ppf(1.0 - 1.0 / (count * np.e))
    benchmark = sr.std(ddof=1) * best
    return {
        "psr": normal.cdf(sr * np.sqrt(n - 1) / np.sqrt(variance)),
        "min_trl_days": np.where(sr > 0, 1.0 + variance * (normal.ppf(0.95) / sr) ** 2, np.nan),
        "dsr": normal.cdf((sr - benchmark) * np.sqrt(n - 1) / np.sqrt(variance)),
        "dsr_benchmark": np.full(count, benchmark * np.sqrt(365)),
    }


@pytest.mark.parametrize("name", ["psr", "min_trl_days", "dsr", "dsr_benchmark"])
def test_significance_is_the_papers(name, returns, from_the_paper):
    table = daily_metrics(*returns)
    compared = compare_wallets(table, assess_eligibility(table))
    values = table.values[name] if name in table.values else compared.columns[name].values
    np.testing.assert_allclose(values, from_the_paper[name], rtol=TOLERANCE, atol=TOLERANCE)
    assert np.isfinite(values).sum() > 50


class TestOtherDefinitions:
    """What the libraries define differently, turned into their figure exactly."""

    def check(self, converted, expected):
        assert np.allclose(converted, expected, rtol=TOLERANCE, atol=TOLERANCE)

    @pytest.mark.parametrize("library", [empyrical.cagr, None], ids=["empyrical", "quantstats"])
    def test_cagr_counts_points_instead_of_time(self, library, ours, theirs):
        """They take n / 365 years, whatever the dates; elapsed years of 365.25 days differ by a day in four years here, and
        beyond all use where points are irregular."""
        for row, curve in enumerate(theirs):
            expected = (
                library(curve.returns, annualization=365) if library else qs.cagr(curve.returns, periods=365)
            )
            by_points = (1.0 + ours["cagr"][row]) ** (365 / 365.25) - 1.0
            self.check(by_points, expected)
            assert expected != pytest.approx(ours["cagr"][row], rel=1e-9)

    @pytest.mark.parametrize("library", [empyrical.calmar_ratio, None], ids=["empyrical", "quantstats"])
    def test_calmar_inherits_their_cagr(self, library, ours, theirs):
        for row, curve in enumerate(theirs):
            expected = (
                library(curve.returns, annualization=365)
                if library
                else qs.calmar(curve.returns, periods=365)
            )
            by_points = (1.0 + ours["cagr"][row]) ** (365 / 365.25) - 1.0
            self.check(by_points / abs(ours["max_drawdown"][row]), expected)

    def test_quantstats_ulcer_index_divides_by_one_less(self, ours, theirs):
        for row, curve in enumerate(theirs):
            self.check(
                ours["ulcer_index"][row] * np.sqrt(curve.n / (curve.n - 1)), qs.ulcer_index(curve.returns)
            )

    def test_ffn_ulcer_index_is_in_percent_and_counts_the_starting_point(self, ours, theirs):
        for row, curve in enumerate(theirs):
            expected = ffn.core.to_ulcer_index(curve.prices)
            self.check(100 * ours["ulcer_index"][row] * np.sqrt(curve.n / (curve.n + 1)), expected)

    def test_quantstats_moments_are_bias_corrected_and_its_kurtosis_is_excess(self, ours, theirs):
        """PSR's derivation uses population moments, and raw kurtosis."""
        for row, curve in enumerate(theirs):
            self.check(adjusted_skew(ours["skew"][row], curve.n), qs.skew(curve.returns))
            expected = qs.kurtosis(curve.returns)
            self.check(adjusted_excess_kurtosis(ours["kurtosis"][row], curve.n), expected)

    @pytest.mark.parametrize(
        "library",
        [
            qs.probabilistic_sharpe_ratio,
            lambda r: ffn.core.calc_deflated_sharpe_ratio(r, [0.0], nperiods=365),
        ],
        ids=["quantstats", "ffn"],
    )
    def test_psr_with_bias_corrected_moments_is_theirs(self, library, ours, theirs):
        for row, curve in enumerate(theirs):
            sr = per_day(ours["sharpe"][row : row + 1])
            skew = adjusted_skew(ours["skew"][row : row + 1], curve.n)
            kurtosis = adjusted_excess_kurtosis(ours["kurtosis"][row : row + 1], curve.n) + 3.0
            expected = library(curve.returns)
            self.check(probabilistic_sharpe(sr, np.array([float(curve.n)]), skew, kurtosis)[0], expected)
            assert ours["psr"][row] == pytest.approx(expected, abs=0.02)

    def test_ffn_expected_best_sharpe(self):
        for n in (2, 10, 100, 45_000):
            for deviation in (0.01, 0.3, 2.0):
                expected = ffn.core.calc_expected_max_sharpe(n, deviation)
                self.check(expected_best_sharpe(deviation**2, n), expected)

    def test_quantstats_recovery_factor_adds_returns_without_compounding_and_drops_the_sign(
        self, ours, theirs
    ):
        for row, curve in enumerate(theirs):
            expected = abs(curve.returns.sum()) / abs(ours["max_drawdown"][row])
            self.check(expected, qs.recovery_factor(curve.returns))

    def test_quantstats_finds_no_drawdown_in_a_curve_that_falls_at_once_and_never_recovers(
        self, ours, theirs
    ):
        """It looks for the first day below the maximum after one at it, and forgets the starting 1.0."""
        curve_b_row = 1
        details = qs.drawdown_details(qs.to_drawdown_series(theirs[curve_b_row].returns))
        assert len(details) == 0
        assert ours["n_drawdowns"][curve_b_row] == 1
