"""Trust among the wallets of a slot."""

import numpy as np
import pytest

from hl_assets.metrics.catalog import COMPARISON_METRICS
from hl_assets.metrics.eligibility import Eligibility, assess_eligibility
from hl_assets.metrics.normal import normal_cdf
from hl_assets.metrics.significance import annual
from hl_assets.metrics.trust import TrustLabel, compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, START_MS
from hl_assets_tests.metrics.daily_board import (
    board,
    daily_board,
    daily_metrics,
    from_returns,
    ragged_wallets,
)
from hl_assets_tests.metrics.scalar_daily import comparison as scalar_comparison


def skilled_board(n=200, seed=1, days=(40, 400)):
    """Returns of wallets with different true Sharpe ratios."""
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(0.05, 0.15), 1.0, rng.integers(*days)) * 0.02 for _ in range(n)]


def compared(table):
    return compare_wallets(table, assess_eligibility(table))


def values_of(result):
    return {name: column.values for name, column in result.columns.items()}


class TestAgainstTheScalarReference:
    @pytest.mark.parametrize("seed", range(3))
    def test_irregular_board(self, seed):
        table = compute_wallet_metrics(board(*ragged_wallets(seed, 80)))
        eligibility = assess_eligibility(table)
        result = compare_wallets(table, eligibility)
        counted = np.flatnonzero(eligibility.eligible & ~np.isnan(table.values["sharpe"]))
        assert 20 < len(counted) < len(table)
        rows = scalar_comparison(
            [
                (
                    table.values["sharpe"][row] / np.sqrt(365),
                    *(
                        table.values[name][row]
                        for name in ("n_daily_steps", "skew", "kurtosis", "daily_autocorrelation")
                    ),
                )
                for row in counted
            ]
        )
        for row, expected in zip(counted, rows, strict=True):
            for name, value in expected.items():
                assert result.columns[name].values[row] == pytest.approx(value, rel=1e-9, abs=1e-9), name
        for row in set(range(len(table))) - set(counted.tolist()):
            for metric in COMPARISON_METRICS:
                if metric.nullable and metric.name != "trust_quality":
                    assert np.isnan(result.columns[metric.name].values[row])
            assert result.labels[row] == "insufficient"
            assert result.columns["dsr_n"].values[row] == len(counted)


class TestComponents:
    TABLE = daily_metrics(*skilled_board())
    RESULT = compared(TABLE)
    VALUES = values_of(RESULT)

    def test_trust_is_the_product_of_its_published_components(self):
        quality = self.TABLE.values["daily_coverage"] * self.TABLE.values["share_clean_steps"]
        significance = normal_cdf(self.VALUES["eb_sharpe"] / self.VALUES["eb_sharpe_sd"])
        assert self.VALUES["trust_quality"] == pytest.approx(quality)
        assert self.VALUES["trust_significance"] == pytest.approx(significance)
        assert self.VALUES["trust"] == pytest.approx(100 * quality * significance)
        assert ((self.VALUES["trust"] >= 0) & (self.VALUES["trust"] <= 100)).all()

    def test_labels_follow_trust_span_and_record(self):
        trust = self.VALUES["trust"]
        long_enough = self.TABLE.values["performance_span_days"] >= self.TABLE.values["min_trl_days"]
        expected = np.where(trust < 60, "low", np.where((trust >= 85) & long_enough, "high", "medium"))
        assert self.RESULT.labels.tolist() == expected.tolist()
        assert set(self.RESULT.labels) == {"low", "medium", "high"}

    def test_the_posterior_is_closer_together_than_the_sharpe_ratios(self):
        assert self.RESULT.prior is not None
        assert self.RESULT.prior.n == 200
        sharpe = self.TABLE.values["sharpe"]
        assert np.var(self.VALUES["eb_sharpe"]) < np.var(sharpe)
        centre = float(annual(np.array([self.RESULT.prior.mean]))[0])
        inner = np.abs(self.VALUES["eb_sharpe"] - centre) <= np.abs(sharpe - centre) + 1e-9
        assert inner.all()

    def test_being_the_best_of_many_proves_less_than_being_good(self):
        assert (self.VALUES["dsr"] <= self.TABLE.values["psr"]).all()
        assert (self.VALUES["dsr_n"] == 200).all()
        assert len(set(self.VALUES["dsr_benchmark"])) == 1

    def test_missing_days_and_doubtful_steps_lower_it(self):
        returns = skilled_board()[:30]
        complete = [(START_MS + DAY_MS * np.arange(len(r) + 1), *from_returns(r)) for r in returns]
        # A gap of half the record's length, late in it: the same daily steps but one, over more days.
        ts, values, pnl = complete[0]
        gapped = (np.where(np.arange(len(ts)) > len(ts) - 5, ts + DAY_MS * len(ts), ts), values, pnl)
        full = values_of(compared(compute_wallet_metrics(board(*complete))))
        less = values_of(compared(compute_wallet_metrics(board(gapped, *complete[1:]))))
        assert less["trust_quality"][0] == pytest.approx(full["trust_quality"][0] / 2, rel=0.02)
        assert less["trust"][0] < 0.6 * full["trust"][0]

    def test_the_order_of_wallets_changes_nothing(self):
        order = np.random.default_rng(0).permutation(200)
        arrays = skilled_board()
        shuffled = values_of(compared(daily_metrics(*(arrays[place] for place in order))))
        for name, values in self.VALUES.items():
            assert shuffled[name] == pytest.approx(values[order], rel=1e-9), name

    def test_every_null_has_a_reason(self):
        table = compute_wallet_metrics(board(*ragged_wallets(5, 80)))
        for column in compared(table).columns.values():
            assert (np.isnan(column.values) == column.null).all()


class TestNoSkillAtAll:
    """Thirty days of luck: no wallet may come out as proven."""

    def test_luck_is_not_trusted(self):
        rng = np.random.default_rng(30)
        table = daily_metrics(*(rng.normal(0, 0.02, 60) for _ in range(400)))
        best = np.nanmax(table.values["psr"])
        result = compared(table)
        assert best > 0.99
        assert np.nanmax(result.columns["dsr"].values) < 0.95
        assert (result.labels != TrustLabel.HIGH.value).all()

    def test_without_differences_beyond_noise_significance_is_null(self):
        rng = np.random.default_rng(2)
        shape = rng.normal(0, 0.02, 60)
        table = daily_metrics(*(rng.permutation(shape) for _ in range(20)))
        result = compared(table)
        assert result.prior is not None
        assert result.prior.variance == 0
        assert result.columns["eb_sharpe_sd"].values == pytest.approx(np.zeros(20))
        assert np.ptp(result.columns["eb_sharpe"].values) == pytest.approx(0, abs=1e-9)
        assert np.isnan(result.columns["trust"].values).all()
        assert set(result.labels) == {"insufficient"}


class TestInsufficient:
    def labels(self, *extra_wallets):
        usual = [(START_MS + DAY_MS * np.arange(len(r) + 1), *from_returns(r)) for r in skilled_board(60)]
        table = compute_wallet_metrics(board(*extra_wallets, *usual))
        return compared(table), table

    @pytest.mark.parametrize(("days", "insufficient"), [(29, True), (30, False)])
    def test_thirty_days_and_thirty_daily_steps(self, days, insufficient):
        r = np.random.default_rng(5).normal(0.02, 0.02, days)
        result, _ = self.labels((START_MS + DAY_MS * np.arange(days + 1), *from_returns(r)))
        assert (result.labels[0] == "insufficient") is insufficient
        assert result.columns["trust"].values[0] > 0  # the components are published all the same

    def test_a_record_mostly_without_capital(self):
        r = np.random.default_rng(5).normal(0.02, 0.02, 80)
        values, pnl = from_returns(r, 1_000.0)
        values[25:] = 5.0
        pnl[25:] = pnl[24]
        result, table = self.labels((START_MS + DAY_MS * np.arange(81), values, pnl))
        assert table.values["share_no_base"][0] > 0.5
        assert result.labels[0] == "insufficient"

    def test_an_ineligible_wallet_is_not_compared(self):
        table = daily_metrics(*skilled_board(30))
        everybody = compare_wallets(table, Eligibility(np.ones(30, np.bool_), [None] * 30))
        but_one = np.arange(30) != 3
        result = compare_wallets(table, Eligibility(but_one, [None] * 30))
        for metric in COMPARISON_METRICS:
            if metric.name not in {"dsr_n", "trust_quality"}:
                assert np.isnan(result.columns[metric.name].values[3])
                assert result.columns[metric.name].reasons[3] == 15
        assert result.columns["dsr_n"].values.tolist() == [29.0] * 30
        assert result.labels[3] == "insufficient"
        assert everybody.columns["trust"].values[3] > 0

    @pytest.mark.parametrize("n", [0, 1, 9])
    def test_too_few_wallets_are_no_comparison(self, n):
        table = daily_metrics(*skilled_board(n))
        result = compared(table)
        assert result.prior is None
        for name in ("dsr", "dsr_benchmark", "eb_sharpe", "trust", "trust_significance"):
            assert np.isnan(result.columns[name].values).all()
        assert result.labels.tolist() == ["insufficient"] * n
        assert list(result.columns["dsr_n"].values) == [n] * n

    def test_another_tables_eligibility_is_refused(self):
        table = daily_metrics(*skilled_board(3))
        with pytest.raises(ValueError, match="3 wallets but eligibility of 2"):
            compare_wallets(table, Eligibility(np.ones(2, np.bool_), [None] * 2))


def test_the_comparison_publishes_exactly_its_catalogue():
    result = compared(compute_wallet_metrics(daily_board(*skilled_board(12))))
    assert list(result.columns) == [metric.name for metric in COMPARISON_METRICS]
    assert all(label in set(TrustLabel) for label in result.labels)
