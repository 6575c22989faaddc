import hashlib
import json

import pytest

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import EligibilityRules
from hl_assets.scoring.config import ScoringConfig, ScoringConfigError, parse_weights


def weights(**changes):
    return dict.fromkeys(SCORED_METRICS, 1.0) | changes


def test_the_default_weighs_all_six_equally():
    assert ScoringConfig().shares() == pytest.approx(dict.fromkeys(SCORED_METRICS, 1 / 6))


def test_equal_proportions_hash_equally_whatever_scale_and_order():
    plain = ScoringConfig(weights(roi=2.0))
    scaled = ScoringConfig({name: 3.0 * weight for name, weight in reversed(weights(roi=2.0).items())})
    assert plain.config_hash() == scaled.config_hash()
    assert len(plain.config_hash()) == 16


@pytest.mark.parametrize(
    "other",
    [
        ScoringConfig(weights(roi=1.1)),
        ScoringConfig(missing_metric_score=50.0),
        ScoringConfig(eligibility=EligibilityRules(min_points=11)),
    ],
)
def test_whatever_can_change_a_rank_changes_the_hash(other):
    assert other.config_hash() != ScoringConfig().config_hash()


def test_the_hash_is_stable():
    assert ScoringConfig().config_hash() == ScoringConfig().config_hash()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"roi": 1.0}, "missing or unknown: avg_drawdown"),
        (weights(sharpe=1.0), "missing or unknown: sharpe"),
        (weights(roi=-1.0), "weight of roi"),
        (weights(roi=float("nan")), "weight of roi"),
        (dict.fromkeys(SCORED_METRICS, 0.0), "at least one"),
    ],
)
def test_unusable_weights_are_named(given, message):
    with pytest.raises(ScoringConfigError, match=message):
        ScoringConfig(given)


def test_the_missing_score_is_a_score():
    with pytest.raises(ScoringConfigError, match="missing_metric_score"):
        ScoringConfig(missing_metric_score=0.0)


def test_weights_cannot_be_changed_afterwards():
    given = weights()
    config = ScoringConfig(given)
    given["roi"] = 9.0
    assert config.weights["roi"] == 1.0
    with pytest.raises(TypeError):
        config.weights["roi"] = 9.0


def test_weights_are_read_from_text():
    parsed = parse_weights(" max_drawdown=2, roi=0.5 ")
    assert parsed == weights(max_drawdown=2.0, roi=0.5)
    assert parse_weights("") == weights()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roi", "'roi' is not NAME=NUMBER"),
        ("sharpe=1", "no scored metric is called 'sharpe'; there are max_drawdown, roi"),
        ("roi=much", "'much' is not a number"),
        ("roi=1,roi=2", "roi is given twice"),
        ("roi=-1", "weight of roi"),
        ("roi=nan", "weight of roi"),
        (",".join(f"{name}=0" for name in SCORED_METRICS), "at least one"),
    ],
)
def test_a_text_that_is_no_weights_is_named(text, message):
    with pytest.raises(ScoringConfigError, match=message):
        parse_weights(text)


def test_the_hash_is_that_of_the_published_text():
    config = ScoringConfig(weights(roi=2.0))
    assert hashlib.sha256(config.canonical_json().encode()).hexdigest()[:16] == config.config_hash()
    content = json.loads(config.canonical_json())
    assert content["version"] == config.version
    assert content["weights"]["roi"] == pytest.approx(2 / 7)
