"""The scoring configuration: everything about ranking that is a choice, with the hash that travels with each row.

Belongs here: weights and the treatment of missing metrics. Formulas belong in `hl_assets.scoring.rank`.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import (
    CAGR_CAP_ABOVE,
    CAP,
    DISCRETE_SCORES,
    DRAWDOWN_CAP_ABOVE,
    DRAWDOWN_SCORES,
    QUINTILE_EDGES,
)
from hl_assets.metrics.eligibility import EligibilityRules

SCORING_VERSION = "1"
"""Version of the ranking's formulas; part of the hash."""


class ScoringConfigError(ValueError):
    """A scoring configuration that cannot be used; the message names the entry and what is allowed."""


def _equal_weights() -> Mapping[str, float]:
    return dict.fromkeys(SCORED_METRICS, 1.0)


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How metric scores become one score.

    Attributes:
        weights: one non-negative weight per name of `SCORED_METRICS`; only their proportions matter.
        missing_metric_score: what a null metric counts for in the weighted mean. The default is the lowest score:
            evidence that is missing never helps. See `hl_assets.scoring.rank`.
        eligibility: who is ranked.

    Raises:
        ScoringConfigError: a weight is missing, unknown, negative or not finite, all are 0, or the missing score is
            outside 20 to 100.
    """

    weights: Mapping[str, float] = field(default_factory=_equal_weights)
    missing_metric_score: float = DISCRETE_SCORES[0]
    eligibility: EligibilityRules = field(default_factory=EligibilityRules)

    def __post_init__(self) -> None:
        if set(self.weights) != set(SCORED_METRICS):
            different = sorted(set(self.weights) ^ set(SCORED_METRICS))
            raise ScoringConfigError(
                f"weights must name exactly {', '.join(SCORED_METRICS)}; missing or unknown: {', '.join(different)}"
            )
        for name, weight in self.weights.items():
            if not math.isfinite(weight) or weight < 0:
                raise ScoringConfigError(f"weight of {name} must be finite and not negative, got {weight}")
        if not any(self.weights.values()):
            raise ScoringConfigError("at least one weight must be positive")
        if not DISCRETE_SCORES[0] <= self.missing_metric_score <= DISCRETE_SCORES[-1]:
            raise ScoringConfigError(
                f"missing_metric_score must be 20 to 100, got {self.missing_metric_score}"
            )
        ordered = {name: float(self.weights[name]) for name in SCORED_METRICS}
        object.__setattr__(self, "weights", MappingProxyType(ordered))

    def shares(self) -> dict[str, float]:
        """The weights as shares of 1."""
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}

    def config_hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of everything that can change a rank; equal proportions hash equally."""
        content = {
            "version": SCORING_VERSION,
            "weights": {name: round(share, 12) for name, share in self.shares().items()},
            "missing_metric_score": self.missing_metric_score,
            "eligibility": asdict(self.eligibility),
            "quintile_edges": QUINTILE_EDGES,
            "discrete_scores": DISCRETE_SCORES,
            "caps": [CAP, DRAWDOWN_CAP_ABOVE, CAGR_CAP_ABOVE, DRAWDOWN_SCORES],
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
