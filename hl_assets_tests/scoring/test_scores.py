"""The scores beside the weighted one: definitions by hand, nulls with reasons, ranks of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import Eligibility
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.scores import SCORES, adjusted_scores, quant_scores, score_slot

NAN = float("nan")


def slot(metrics, *, passed=None, grades=None, trust=None, config=None):
    metrics = np.array(metrics, np.float64)
    n = len(metrics)
    passed = np.array(passed or [True] * n, np.bool_)
    trust = np.full(n, 80.0) if trust is None else np.array(trust, np.float64)
    given_grades = np.full((n, 6), NAN)
    for row, scores in (grades or {}).items():
        given_grades[row] = scores
    return score_slot(
        [f"0x{row:040x}" for row in range(n)],
        metrics,
        Eligibility(passed, [None if each else "too_few_points" for each in passed]),
        grader_scores=given_grades,
        valid_grade=np.array([row in (grades or {}) for row in range(n)]),
        trust=trust,
        trust_reasons=["too_few_daily_steps" if np.isnan(each) else None for each in trust],
        config=config or ScoringConfig(),
    )


# max_drawdown, roi, cagr, calmar_ratio, avg_drawdown, recovery_factor
BOARD = [
    [-0.50, 0.1, 0.2, 1.0, -0.20, 0.5],
    [-0.30, 0.5, 1.0, 2.0, -0.10, 1.5],
    [-0.04, 0.2, 9.0, NAN, -0.02, 3.0],  # untested drawdowns and an unsustainable cagr: capped
    [-0.20, 0.9, 2.0, 4.0, -0.15, 2.0],
]


def test_quant_is_the_mean_percentile_with_caps_and_nulls():
    scored = slot(BOARD)
    # Percentiles of the third wallet among four: the best drawdowns and cagr 0.875, capped to 0.6; roi second worst 0.375.
    assert scored.scores["quant_score"].values[2] == pytest.approx(
        100 * (0.6 + 0.375 + 0.6 + 0.0 + 0.6 + 0.875) / 6
    )
    # The fourth is capped nowhere; its calmar_ratio is the best of three: 2.5 / 3.
    assert scored.scores["quant_score"].values[3] == pytest.approx(
        100 * (0.625 + 0.875 + 0.625 + 2.5 / 3 + 0.375 + 0.625) / 6
    )


def test_rules_and_model_stand_side_by_side():
    scored = slot(BOARD, grades={1: [80, 80, 80, 100, 80, 60], 2: [60, 60, 60, NAN, 60, 100]})
    rules = slot(BOARD)
    np.testing.assert_array_equal(scored.scores["rule_score"].values, rules.scores["weighted_score"].values)
    assert scored.scores["agent_score"].values[1:3] == pytest.approx([80.0, (60 * 4 + 100 + 20) / 6])
    assert scored.scores["agent_score"].reasons == ["no_valid_grade", None, None, "no_valid_grade"]
    assert scored.scores["agent_score"].rank[1:3].tolist() == [1, 2]
    assert scored.scores["weighted_score"].values[1] == 80.0
    assert scored.from_grader.tolist() == [False, True, True, False]


def test_adjusted_is_shrunk_and_null_without_trust():
    scored = slot(BOARD, trust=[100, 50, 0, NAN])
    weighted = scored.scores["weighted_score"].values
    adjusted = scored.scores["adjusted_score"]
    assert adjusted.values[:3] == pytest.approx([weighted[0], 50 + (weighted[1] - 50) / 2, 50])
    assert np.isnan(adjusted.values[3])
    assert adjusted.reasons == [None, None, None, "too_few_daily_steps"]
    assert np.isnan(adjusted.rank[3])


@given(st.floats(20, 100), st.floats(0, 100), st.floats(0, 100))
def test_less_trust_is_never_further_from_the_middle(score, trust, more):
    low, high = sorted((trust, more))
    near, far = adjusted_scores(np.array([score, score]), np.array([low, high])).tolist()
    assert abs(near - 50) <= abs(far - 50) + 1e-9
    assert (near - 50) * (score - 50) >= 0


def test_the_ineligible_have_no_score_and_say_so():
    scored = slot(BOARD, passed=[True, False, True, True], grades={1: [80] * 6})
    for name in SCORES:
        score = scored.scores[name]
        assert np.isnan([score.values[1], score.rank[1]]).all()
        assert score.reasons[1] == "not_eligible"
        ranks = score.rank[~np.isnan(score.values)]
        assert sorted(ranks.tolist()) == list(range(1, len(ranks) + 1))


@given(st.integers(0, 5), st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=6))
def test_losing_a_metric_never_raises_the_quant_score(column, percentiles):
    metrics = np.full((len(percentiles), 6), -0.5)
    full = quant_scores(np.array(percentiles), metrics, ScoringConfig())
    metrics[:, column] = NAN
    assert (quant_scores(np.array(percentiles), metrics, ScoringConfig()) <= full).all()
    assert ((full >= 0) & (full <= 100)).all()


def test_weights_weigh_every_score_but_the_models():
    config = ScoringConfig(dict.fromkeys(SCORED_METRICS, 0.0) | {"roi": 1.0})
    scored = slot(BOARD, config=config, grades={0: [20, 100, 20, 20, 20, 20]})
    assert scored.scores["quant_score"].values == pytest.approx([12.5, 62.5, 37.5, 87.5])
    assert scored.scores["weighted_score"].values[0] == 100
    assert scored.scores["rule_score"].values.tolist() == [20, 80, 40, 100]
    assert scored.scores["agent_score"].values[0] == pytest.approx(200 / 6)


def test_a_trust_that_is_null_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="without a reason"):
        score_slot(
            ["0xa"], np.array(BOARD[:1]), Eligibility(np.array([True]), [None]),
            grader_scores=np.full((1, 6), NAN), valid_grade=np.array([False]),
            trust=np.array([NAN]), trust_reasons=[None], config=ScoringConfig(),
        )  # fmt: skip
