"""Scoring as settings describe it: the configuration of scores, eligibility and entity flags.

Belongs here: from settings to the domain's own configuration. Does not belong here: what it means (`hl_assets.scoring`).
"""

from hl_assets.metrics.eligibility import EligibilityRules
from hl_assets.scoring.config import ScoringConfig, parse_weights
from hl_assets.scoring.entities import EntityLimits
from hl_assets.settings import Settings


def eligibility_rules(settings: Settings) -> EligibilityRules:
    """Who is compared and ranked; metrics, grades and scores of a slot must use the same."""
    return EligibilityRules(
        min_points=settings.eligible_min_points,
        min_span_days=settings.eligible_min_span_days,
        min_metrics=settings.eligible_min_metrics,
    )


def scoring_config(settings: Settings) -> ScoringConfig:
    """The configuration that slots are scored with by default."""
    return ScoringConfig(
        weights=parse_weights(settings.score_weights or ""), eligibility=eligibility_rules(settings)
    )


def entity_limits(settings: Settings) -> EntityLimits:
    """From where on a figure sets an entity flag."""
    return EntityLimits(flow_dominated=settings.flow_dominated_share, one_big_win=settings.one_big_win_share)
