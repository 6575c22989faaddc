"""Who may be compared with others: gates on a wallet's data, and the first one it failed.

Belongs here: deciding from metrics alone whether a wallet takes part in percentiles, grades and ranks. Readiness for a
paid grade is stricter and belongs in `hl_assets.grading.readiness`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.nulls import NullReason
from hl_assets.metrics.wallet_metrics import MetricTable

GATES = (
    NullReason.NO_POINTS.label,
    NullReason.NEVER_FUNDED.label,
    NullReason.UNKNOWN_RETURN.label,
    "too_few_points",
    "span_too_short",
    "too_few_metrics",
)
"""The gates in order, each named by what a wallet that fails it is told."""


@dataclass(frozen=True, slots=True)
class EligibilityRules:
    """What a wallet needs to be compared.

    Attributes:
        min_points: points of the curve.
        min_span_days: days from the first to the last point. Short, on purpose: a new wallet is ranked, with low
            confidence, not hidden.
        min_metrics: how many of the six scored metrics must be present. With 4, a wallet may lack cagr and calmar_ratio
            (under 90 days) or calmar_ratio and recovery_factor (never fell), not both.
    """

    min_points: int = 10
    min_span_days: float = 7.0
    min_metrics: int = 4

    def __post_init__(self) -> None:
        if self.min_points < 2 or self.min_span_days < 0 or not 1 <= self.min_metrics <= len(SCORED_METRICS):
            raise ValueError(
                f"need min_points >= 2, min_span_days >= 0 and min_metrics in 1..{len(SCORED_METRICS)}; got {self}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Eligibility:
    """Who passed.

    Attributes:
        eligible: bool[n_wallets].
        reasons: per wallet the first of `GATES` it failed, None if eligible.
    """

    eligible: BoolArray
    reasons: Sequence[str | None]


def assess_eligibility(table: MetricTable, rules: EligibilityRules | None = None) -> Eligibility:
    """Put every wallet through the gates."""
    rules = rules or EligibilityRules()
    points = table.values["data_points"]
    span_days = np.nan_to_num(
        table.values["data_span_days"], nan=0.0
    )  # absent spans already failed a gate before
    n_metrics = (~np.isnan(table.scored())).sum(axis=1)
    account_reasons = table.reasons["account_value"]
    failed = np.stack(
        [  # in the order of GATES
            account_reasons == NullReason.NO_POINTS,
            account_reasons == NullReason.NEVER_FUNDED,
            table.reasons["roi"] == NullReason.UNKNOWN_RETURN,
            points < rules.min_points,
            span_days < rules.min_span_days,
            n_metrics < rules.min_metrics,
        ]
    )
    first = np.where(failed.any(axis=0), failed.argmax(axis=0), len(GATES))
    names = [*GATES, None]
    return Eligibility(eligible=first == len(GATES), reasons=[names[number] for number in first.tolist()])
