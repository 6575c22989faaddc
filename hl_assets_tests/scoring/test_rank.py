"""Scores and ranks: a golden case recomputed in plain Python, null metrics, ties, and whose scores count."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import rule_scores
from hl_assets.metrics.eligibility import Eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.rank import choose_scores, score_wallets

NAN = float("nan")


def eligibility(*passed):
    return Eligibility(
        np.array(passed, dtype=np.bool_), [None if each else "too_few_points" for each in passed]
    )


def addresses(n):
    return [f"0x{number:040x}" for number in range(n)]


def score(scores, percentiles=None, passed=None, config=None, wallets=None):
    given_scores = np.array(scores, dtype=np.float64).reshape(-1, 6)
    standing = (
        np.full(given_scores.shape, 0.5) if percentiles is None else np.array(percentiles, dtype=np.float64)
    )
    return score_wallets(
        wallets or addresses(len(given_scores)),
        given_scores,
        standing,
        eligibility(*(passed or [True] * len(given_scores))),
        config,
    )


def reference(wallets, metrics, passed, weights, missing_score):
    """Percentiles, discrete scores, caps, weighted mean and rank from the definitions, in plain Python."""
    standing, discrete = [], []
    for row, values in enumerate(metrics):
        row_percentiles, row_scores = [], []
        for column, name in enumerate(SCORED_METRICS):
            pool = [
                other[column] for r, other in enumerate(metrics) if passed[r] and other[column] is not None
            ]
            if not passed[row] or values[column] is None:
                row_percentiles.append(None)
                row_scores.append(None)
                continue
            below = sum(other < values[column] for other in pool)
            equal = sum(other == values[column] for other in pool)
            doubled, n = 2 * below + equal, len(pool)  # percentile = doubled / 2n
            points = 20 * (min(5 * doubled // (2 * n), 4) + 1)
            untested = values[0] is not None and values[0] > -0.05
            if (name in ("max_drawdown", "avg_drawdown") and untested) or (name == "cagr" and values[2] > 5):
                points = min(points, 60)
            row_percentiles.append(doubled / (2 * n))
            row_scores.append(points)
        standing.append(row_percentiles)
        discrete.append(row_scores)
    total = sum(weights.values())
    share = [weights[name] / total for name in SCORED_METRICS]
    result = []
    for row, wallet in enumerate(wallets):
        if passed[row]:
            weighted = sum(
                w * (missing_score if s is None else s) for w, s in zip(share, discrete[row], strict=True)
            )
            tie = sum(w * (0.0 if p is None else p) for w, p in zip(share, standing[row], strict=True))
            result.append((-round(weighted, 9), -round(tie, 9), wallet))
    return {wallet: (rank, -weighted) for rank, (weighted, _, wallet) in enumerate(sorted(result), start=1)}


@pytest.mark.parametrize("seed", range(20))
def test_golden_case_recomputed_in_plain_python(seed):
    rng = random.Random(seed)
    n = rng.randint(1, 60)

    def maybe(value):
        return None if rng.random() < 0.15 else value

    metrics = [
        [
            maybe(-round(rng.random() ** 3, 2)),
            maybe(round(rng.gauss(0.3, 1), 1)),
            maybe(round(rng.gauss(1, 4), 1)),
            maybe(round(rng.gauss(1, 2), 1)),
            maybe(-round(rng.random() ** 3, 2)),
            maybe(round(rng.gauss(1, 2), 1)),
        ]
        for _ in range(n)
    ]
    passed = [rng.random() > 0.2 for _ in range(n)]
    weights = (
        dict.fromkeys(SCORED_METRICS, 1.0)
        if seed % 2
        else {name: float(rng.randint(0, 4)) or 0.5 for name in SCORED_METRICS}
    )
    config = ScoringConfig(weights, missing_metric_score=20.0 if seed % 3 else 45.0)
    wallets = addresses(n)
    rng.shuffle(wallets)

    values = np.array([[NAN if value is None else value for value in row] for row in metrics])
    gates = eligibility(*passed)
    percentiles = percentile_matrix(values, gates.eligible)
    table = score_wallets(wallets, rule_scores(percentiles, values), percentiles, gates, config)

    expected = reference(wallets, metrics, passed, weights, config.missing_metric_score)
    for row, wallet in enumerate(wallets):
        if wallet in expected:
            rank, weighted = expected[wallet]
            assert table.rank[row] == rank
            assert table.weighted_score[row] == pytest.approx(weighted, abs=1e-9)
            assert table.n_metrics_scored[row] == sum(value is not None for value in metrics[row])
            assert table.missing_metrics[row] == tuple(
                name for name, value in zip(SCORED_METRICS, metrics[row], strict=True) if value is None
            )
        else:
            assert np.isnan([table.rank[row], table.weighted_score[row], table.percentile_mean[row]]).all()
            assert table.ineligible_reasons[row] == "too_few_points"


class TestNullMetrics:
    def test_a_null_metric_counts_as_the_lowest_score_and_is_named(self):
        table = score([[100, 100, NAN, NAN, 100, 100]])
        assert table.weighted_score[0] == pytest.approx((4 * 100 + 2 * 20) / 6)
        assert table.n_metrics_scored.tolist() == [4]
        assert table.missing_metrics == [("cagr", "calmar_ratio")]
        assert np.isnan(table.scores[0, 2:4]).all()

    def test_the_weights_are_not_renormalised(self):
        """A wallet of 80s without a CAGR must not equal one of 80s throughout."""
        table = score([[80, 80, NAN, NAN, 80, 80], [80] * 6])
        assert table.weighted_score[0] < table.weighted_score[1]
        assert table.rank.tolist() == [2, 1]

    @given(
        st.lists(st.sampled_from([20.0, 40.0, 60.0, 80.0, 100.0]), min_size=6, max_size=6),
        st.integers(0, 5),
        st.lists(st.floats(0, 1), min_size=6, max_size=6),
    )
    def test_losing_a_metric_never_helps(self, scores, column, standing):
        without, standing_without = list(scores), list(standing)
        without[column] = standing_without[column] = NAN
        table = score([scores, without], [standing, standing_without])
        assert table.weighted_score[1] <= table.weighted_score[0]
        assert table.percentile_mean[1] <= table.percentile_mean[0]

    def test_the_missing_score_is_configuration(self):
        table = score([[NAN] * 6], config=ScoringConfig(missing_metric_score=50.0))
        assert table.weighted_score.tolist() == [50]


class TestRanks:
    def test_ties_are_broken_by_percentiles_and_then_by_address(self):
        table = score(
            [[60] * 6] * 4,
            [[0.5] * 6, [0.55] * 6, [0.5] * 6, [0.45] * 6],
            wallets=["0xb", "0xc", "0xa", "0xd"],
        )
        assert table.rank.tolist() == [3, 1, 2, 4]

    def test_the_order_of_summing_never_decides_a_tie(self):
        rows = np.array(sorted(set(itertools.permutations([20.0, 20.0, 20.0, 20.0, 20.0, 40.0]))))
        table = score(rows, config=ScoringConfig(dict.fromkeys(SCORED_METRICS, 1 / 6)))
        assert len({float(total) for total in (rows * (1 / 6)).sum(axis=1)}) > 1  # plain sums do differ
        assert len(set(table.weighted_score.tolist())) == 1
        assert table.rank.tolist() == [1, 2, 3, 4, 5, 6]  # by address alone

    def test_ineligible_wallets_are_kept_without_a_rank_and_leave_no_gap(self):
        table = score([[100] * 6, [80] * 6, [60] * 6], passed=[True, False, True])
        assert table.rank[[0, 2]].tolist() == [1, 2]
        assert np.isnan(table.rank[1])
        assert table.ineligible_reasons == [None, "too_few_points", None]

    @given(st.permutations(range(8)))
    def test_the_order_of_rows_does_not_matter(self, order):
        rng = np.random.default_rng(9)
        scores = rng.choice([20.0, 40.0, 60.0], (8, 6))
        wallets = addresses(8)
        plain = score(scores, wallets=wallets)
        turned = score(scores[list(order)], wallets=[wallets[k] for k in order])
        assert dict(zip(plain.wallets, plain.rank, strict=True)) == dict(
            zip(turned.wallets, turned.rank, strict=True)
        )

    def test_weights_weigh(self):
        config = ScoringConfig(dict.fromkeys(SCORED_METRICS, 0.0) | {"roi": 3.0, "cagr": 1.0})
        assert score([[20, 100, 20, 20, 20, 20]], config=config).weighted_score.tolist() == [80]
        assert score([[20] * 6], config=config).config_hash == config.config_hash()

    def test_nobody_to_rank(self):
        table = score_wallets([], np.empty((0, 6)), np.empty((0, 6)), eligibility())
        assert len(table.rank) == 0
        assert table.missing_metrics == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"percentiles": [[0.5] * 5]}, "shape"),
            ({"scores": [[10] * 6]}, "between 20 and 100"),
            ({"scores": [[60] * 6] * 2, "wallets": ["0xa", "0xa"]}, "repeats"),
            ({"passed": [True, True]}, "gates"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, change, message):
        with pytest.raises(ValueError, match=message):
            score(**({"scores": [[60] * 6]} | change))


class TestWhoseScores:
    RULES = np.array([[60.0] * 6, [60.0] * 6, [60.0, 60.0, NAN, NAN, 60.0, 60.0], [60.0] * 6])
    MODEL = np.array([[80.0] * 6, [80.0] * 6, [80.0] * 6, [80.0, NAN, 80.0, 80.0, 80.0, 80.0]])

    def test_a_valid_grade_replaces_all_six_and_nothing_in_part(self):
        scores, from_grader = choose_scores(self.RULES, self.MODEL, np.array([True, False, True, True]))
        assert from_grader.tolist() == [True, False, True, False]
        assert scores[0].tolist() == [80] * 6
        assert scores[1].tolist() == [60] * 6
        assert scores[2] == pytest.approx(
            [80, 80, NAN, NAN, 80, 80], nan_ok=True
        )  # a null metric stays unscored
        assert scores[3].tolist() == [60] * 6  # a grade that leaves out a present metric is not used

    def test_shapes_must_fit(self):
        with pytest.raises(ValueError, match="do not fit"):
            choose_scores(self.RULES, self.MODEL[:2], np.array([True] * 4))
