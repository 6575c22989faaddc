import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import capped_scores, discrete_scores, rule_scores
from hl_assets.metrics.percentiles import mid_rank_percentiles

NAN = float("nan")


@pytest.mark.parametrize(
    ("percentile", "score"),
    [
        (0.0, 20),
        (0.1999999999, 20),
        (0.2, 40),
        (0.3999999999, 40),
        (0.4, 60),
        (0.6, 80),
        (0.7999999999, 80),
        (0.8, 100),
        (1.0, 100),
        (NAN, NAN),
    ],
)
def test_an_edge_belongs_to_the_better_quintile(percentile, score):
    assert discrete_scores(np.array([percentile])) == pytest.approx([score], nan_ok=True)


@pytest.mark.parametrize("n", range(1, 60))
def test_edges_hold_for_the_mid_ranks_of_every_population_size(n):
    """Percentiles are fractions k / 2n; those that equal an edge must not miss it by rounding."""
    scores = discrete_scores(mid_rank_percentiles(np.arange(n, dtype=np.float64), np.ones(n, np.bool_)))
    assert scores.tolist() == [20 * (5 * (2 * rank + 1) // (2 * n) + 1) for rank in range(n)]


def test_distinct_values_fill_the_quintiles_evenly():
    scores = discrete_scores(mid_rank_percentiles(np.arange(50.0), np.ones(50, np.bool_)))
    assert np.unique(scores, return_counts=True)[1].tolist() == [10] * 5


@pytest.mark.parametrize("bad", [-0.01, 1.01])
def test_percentiles_outside_zero_and_one_are_refused(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        discrete_scores(np.array([bad]))


def capped(**metrics):
    row = {
        "max_drawdown": -0.2,
        "roi": 1.0,
        "cagr": 1.0,
        "calmar_ratio": 5.0,
        "avg_drawdown": -0.1,
        "recovery_factor": 5.0,
    }
    values = np.array([[(row | metrics)[name] for name in SCORED_METRICS]])
    scores = capped_scores(np.full((1, 6), 100.0), values)
    return dict(zip(SCORED_METRICS, scores[0].tolist(), strict=True))


@pytest.mark.parametrize(("deepest", "expected"), [(-0.05, 100), (-0.0499, 60), (0.0, 60), (-0.3, 100)])
def test_an_untested_drawdown_caps_both_drawdown_scores_and_no_other(deepest, expected):
    scores = capped(max_drawdown=deepest)
    assert scores["max_drawdown"] == scores["avg_drawdown"] == expected
    assert {scores[name] for name in ("roi", "cagr", "calmar_ratio", "recovery_factor")} == {100}


@pytest.mark.parametrize(("cagr", "expected"), [(5.0, 100), (5.001, 60)])
def test_an_unsustainable_cagr_caps_its_own_score(cagr, expected):
    scores = capped(cagr=cagr)
    assert scores.pop("cagr") == expected
    assert set(scores.values()) == {100}


def test_a_null_metric_has_no_score():
    scores = capped(cagr=NAN, calmar_ratio=NAN)
    assert np.isnan([scores["cagr"], scores["calmar_ratio"]]).all()
    assert scores["roi"] == 100


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(0, 5), st.floats(0, 1))
def test_raising_one_percentile_never_lowers_its_score(percentiles, column, raise_to):
    metrics = np.array([[-0.01, 1.0, 9.0, 2.0, -0.01, 3.0]])
    before = rule_scores(np.array([percentiles]), metrics)
    raised = list(percentiles)
    raised[column] = max(raised[column], raise_to)
    after = rule_scores(np.array([raised]), metrics)
    assert after[0, column] >= before[0, column]
    assert np.array_equal(np.delete(after, column), np.delete(before, column))


def test_misfitting_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(n, 6\)"):
        capped_scores(np.zeros((2, 5)), np.zeros((2, 5)))
