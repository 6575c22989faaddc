"""The scoring configuration: everything about ranking that is a choice, with the hash that travels with each row.

Belongs here: weights, their text form, and the treatment of missing metrics. Formulas belong in `hl_assets.scoring.rank`.
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
    PERCENTILE_CAP,
    QUINTILE_EDGES,
)
from hl_assets.metrics.eligibility import EligibilityRules

SCORING_VERSION = "2"
"""Version of the formulas of scores and ranks; part of the hash."""


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

    @property
    def version(self) -> str:
        """Version of the formulas."""
        return SCORING_VERSION

    def canonical_json(self) -> str:
        """Everything that can change a score or a rank, as one text; equal proportions of weights give equal texts."""
        content = {
            "version": SCORING_VERSION,
            "weights": {name: round(share, 12) for name, share in self.shares().items()},
            "missing_metric_score": self.missing_metric_score,
            "eligibility": asdict(self.eligibility),
            "quintile_edges": QUINTILE_EDGES,
            "discrete_scores": DISCRETE_SCORES,
            "caps": [CAP, PERCENTILE_CAP, DRAWDOWN_CAP_ABOVE, CAGR_CAP_ABOVE, DRAWDOWN_SCORES],
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def config_hash(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode("ascii")).hexdigest()[:16]


def parse_weights(text: str) -> dict[str, float]:
    """Weights from a text such as `max_drawdown=2,roi=1`; metrics that it does not name weigh 1.

    Raises:
        ScoringConfigError: an entry is not NAME=NUMBER, names no scored metric or one twice, or the weights cannot be used.
    """
    weights = dict(_equal_weights())
    named: set[str] = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (part.strip() for part in entry.partition("="))
        if not equals:
            raise ScoringConfigError(f"weight {entry!r} is not NAME=NUMBER, e.g. max_drawdown=2")
        if name not in weights:
            raise ScoringConfigError(
                f"weight {entry!r}: no scored metric is called {name!r}; there are {', '.join(SCORED_METRICS)}"
            )
        if name in named:
            raise ScoringConfigError(f"weight {entry!r}: {name} is given twice")
        named.add(name)
        try:
            weights[name] = float(number)
        except ValueError as error:
            raise ScoringConfigError(f"weight {entry!r}: {number!r} is not a number") from error
    return dict(ScoringConfig(weights).weights)
