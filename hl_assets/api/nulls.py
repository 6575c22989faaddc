"""Null with a reason: every unknown figure of an answer says why it is unknown.

Belongs here: which reasons go with which nulls of a stored row. Does not belong here: the reasons that rows carry
themselves (`hl_assets.metrics.nulls`, `hl_assets.scoring.trend`).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.nulls import NullReason

NOT_STORED = "not_stored"
NOT_GRADED = "not_graded"
GRADED_BY_RULES = "graded_by_rules"
METRIC_MISSING = "metric_missing"
NOT_ON_THE_BOARD = "not_on_the_board"
NO_BOARD = "no_board"
FIRST_POINT = "first_point"

MEANINGS: Mapping[str, str] = {
    **{reason.label: reason.meaning for reason in NullReason if reason is not NullReason.PRESENT},
    NOT_STORED: "no row of the snapshot has the figure",
    NOT_GRADED: "the wallet was not graded in this slot",
    "insufficient_data": "too little data to grade; nobody was asked",
    "failed": "the model was asked and gave no valid answer",
    GRADED_BY_RULES: "the rules graded, not a model",
    METRIC_MISSING: "the metric it rests on is null",
    NOT_ON_THE_BOARD: "the wallet is not on the exchange's leaderboard of this slot",
    NO_BOARD: "no leaderboard is stored for this slot",
    FIRST_POINT: "the curve begins here: no step ends at this point",
    "no_base": "less capital at work than the funding floor",
    "span_too_short": "the wallet is not ranked: its curve is too short",
    "too_few_metrics": "the wallet is not ranked: too many of its six metrics are null",
    "too_few_scores": "fewer than 4 scores in the trend's window",
    "span_under_3_days": "scores over less than 3 days",
    "no_slot_a_day_ago": "no slot to compare ranks with",
    "not_ranked_then": "the wallet was not ranked in the slot compared with",
    "not_eligible": "the wallet is not ranked",
    "no_valid_grade": "no model graded the wallet in this slot",
    "portfolio_empty": "the exchange knows no portfolio at this address",
    "portfolio_failed": "fetching the portfolio failed",
    "not_fetched": "the wallet's portfolio was not asked for in this slot",
}
"""What reasons mean, for the API's documentation; the list may grow."""

NONE_MEANS_NONE = frozenset(
    {"display_name", "ineligible_reason", "fallback", "call_id", "error", "error_kind", "batch_id"}
)
"""Columns whose null says that there is none, not that it is unknown."""

# A null of the one column has the reason of the other.
_AS = {
    "calculated_rank": "weighted_score",
    **{f"{kind}_rank": f"{kind}_score" for kind in ("quant", "rule", "agent", "adjusted")},
    "trend_direction": "trend_slope",
    "trend_span_days": "trend_slope",
    "effective_days": "daily_autocorrelation",
    "sample_days": "performance_span_days",
}
_DERIVED_OF = tuple(
    (f"{name}_{suffix}", name) for name in SCORED_METRICS for suffix in ("percentile", "score")
)


def plain(value: Any) -> Any:
    """A stored value as JSON has it: a figure that is not finite becomes None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def score_reasons(row: Mapping[str, Any], metric_reasons: Mapping[str, str]) -> dict[str, str]:
    """Reasons of every null in a row of `wallet_scores`.

    Args:
        row: The row, its own `null_reasons` included.
        metric_reasons: `null_reasons` of the wallet's metrics.
    """
    reasons = dict(row.get("null_reasons") or {})
    ineligible = row.get("ineligible_reason")
    for name, metric in _DERIVED_OF:
        if row.get(name) is None:
            reasons.setdefault(name, ineligible or metric_reasons.get(metric) or METRIC_MISSING)
    for name, value in row.items():
        if value is None and name not in NONE_MEANS_NONE and name not in reasons:
            like = _AS.get(name, name)
            reasons[name] = reasons.get(like) or metric_reasons.get(like) or ineligible or NOT_STORED
    return _of_nulls(row, reasons)


def metric_reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """Reasons of every null in a row of `wallet_metrics`."""
    stored = dict(row.get("null_reasons") or {})
    # The catalogue calls instants by their unit, the table does not.
    reasons = {name.removesuffix("_ms"): why for name, why in stored.items()}
    for name, value in row.items():
        if value is None and name not in NONE_MEANS_NONE and name not in reasons:
            board_figure = name.startswith("exchange_roi")
            reasons[name] = NOT_ON_THE_BOARD if board_figure else NOT_STORED
    return _of_nulls(row, reasons)


def grade_reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """Reasons of every null in a row of `ai_grades`; a row without `status` is a wallet without a grade."""
    status = row.get("status")
    if status is None:
        return blanket(row, NOT_GRADED)
    if status != "graded":
        return blanket(row, str(status))
    by_rules = row.get("grade_source") == "rules"
    scores = {f"{name}_score" for name in SCORED_METRICS}
    reasons = {
        name: METRIC_MISSING if name in scores else GRADED_BY_RULES if by_rules else NOT_STORED
        for name, value in row.items()
        if value is None and name not in NONE_MEANS_NONE
    }
    return _of_nulls(row, reasons)


def blanket(row: Mapping[str, Any], reason: str, names: Iterable[str] | None = None) -> dict[str, str]:
    """One reason for every null of a row, or of some of its columns."""
    wanted = set(row) if names is None else set(names)
    return {
        name: reason
        for name, value in row.items()
        if value is None and name in wanted and name not in NONE_MEANS_NONE
    }


def _of_nulls(row: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, str]:
    """Only reasons of figures that are in the row and null, in the row's order."""
    return {name: reasons[name] for name, value in row.items() if value is None and name in reasons}
