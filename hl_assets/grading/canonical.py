"""Canonical text of a grade's input, and the hash that says whether it changed enough to grade again.

Belongs here: canonical JSON, buckets and hashes. What a grader does with an input does not belong here.

Buckets are cut so that no rule changes inside one: percentile deciles never cross a quintile, drawdowns of 1 % never
cross the -5 % cap, CAGR bands the 500 % cap, nor spans the 30-day rule.
"""

import hashlib
import json
import math
from bisect import bisect_left, bisect_right
from typing import Any

from hl_assets.grading.interface import GradeInput
from hl_assets.grading.interpretation import interpret_percentile
from hl_assets.metrics.catalog import SCORED_METRICS

CAGR_BANDS = (-0.5, 0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper edges, each belonging to the band below it."""
DAY_BANDS = (7.0, 14.0, 30.0, 60.0, 90.0, 180.0, 365.0, 730.0)
"""Lower edges, each belonging to the band above it."""
_MANY = 3


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text whatever their field order.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def canonical_input(item: GradeInput) -> str:
    """The exact input as canonical JSON, with percentiles in words beside their numbers; without the row id."""
    metrics: dict[str, dict[str, Any]] = {}
    for name in SCORED_METRICS:
        percentile = getattr(item.percentiles, name)
        metrics[name] = {
            "value": getattr(item.metrics, name),
            "percentile": percentile,
            "interpretation": None if percentile is None else interpret_percentile(percentile),
            "null_reason": item.null_reasons.get(name),
        }
    return canonical_json(
        {
            "period": item.period,
            "metrics": metrics,
            "data_quality": item.data_quality.model_dump(),
            "flags": sorted(item.flags),
        }
    )


def input_from_canonical(canonical: str, row_id: str) -> GradeInput:
    """The input a canonical text was written of.

    Args:
        canonical: of `canonical_input`.
        row_id: which the text does not hold.

    Raises:
        ValueError: the text is no canonical input.
    """
    try:
        told = json.loads(canonical)
        metrics = {name: told["metrics"][name] for name in SCORED_METRICS}
        return GradeInput.model_validate(
            {
                "row_id": row_id,
                "period": told["period"],
                "metrics": {name: metric["value"] for name, metric in metrics.items()},
                "percentiles": {name: metric["percentile"] for name, metric in metrics.items()},
                "null_reasons": {
                    name: metric["null_reason"] for name, metric in metrics.items() if metric["value"] is None
                },
                "data_quality": told["data_quality"],
                "flags": told["flags"],
            }
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a canonical input: {error!r}") from error


def bucketed_input(item: GradeInput) -> dict[str, Any]:
    """The input as coarse as grades are: small movements leave it unchanged."""
    metrics, quality = item.metrics, item.data_quality
    return {
        "period": item.period,
        "percentile_deciles": {name: _decile(getattr(item.percentiles, name)) for name in SCORED_METRICS},
        "max_drawdown_percent": _whole_percent(metrics.max_drawdown),
        "avg_drawdown_percent": _whole_percent(metrics.avg_drawdown),
        "cagr_band": None if metrics.cagr is None else bisect_left(CAGR_BANDS, metrics.cagr),
        "days_band": None
        if quality.data_span_days is None
        else bisect_right(DAY_BANDS, quality.data_span_days),
        "null_reasons": dict(item.null_reasons),
        "n_wipeouts": min(quality.n_wipeouts, _MANY),
    }


def input_hash(item: GradeInput) -> str:
    """SHA-256 (64 hexadecimal digits) of the bucketed input; the row id has no part in it."""
    return hashlib.sha256(canonical_json(bucketed_input(item)).encode("ascii")).hexdigest()


def _decile(percentile: float | None) -> int | None:
    return None if percentile is None else min(int(percentile * 10), 9)


def _whole_percent(fraction: float | None) -> int | None:
    """Towards zero, so that -5.0 % and -5.9 % share a bucket and -4.9 % does not; rounding noise removed first."""
    return None if fraction is None else math.ceil(round(fraction * 100, 9))
