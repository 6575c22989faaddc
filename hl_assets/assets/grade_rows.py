"""A slot's metrics as graders' inputs, and grades as rows of `ai_grades`.

Belongs here: the two translations. Does not belong here: grading, Dagster (commands that grade one wallet do without it).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hl_assets.assets.grade_slot import SlotToGrade
from hl_assets.assets.metric_rows import metric_table
from hl_assets.equity.ragged import FloatArray
from hl_assets.equity.returns import ReturnRules
from hl_assets.grading.inputs import build_grade_inputs
from hl_assets.grading.interface import Grade, GradeInput
from hl_assets.grading.rules import grade_by_rules
from hl_assets.grading.service import graded_by_model, score_matrix
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.resources.scoring import eligibility_rules
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse


def read_slot(store: Warehouse, slot: datetime, settings: Settings) -> tuple[pd.DataFrame, SlotToGrade]:
    """The metric rows of a slot and what a grader is told about them, in one order."""
    rows = store.read_table(WALLET_METRICS, as_of=slot)
    table = metric_table(rows, ReturnRules(funding_floor=settings.funding_floor_usd))
    eligibility = assess_eligibility(table, eligibility_rules(settings))
    inputs = build_grade_inputs(table, percentile_matrix(table.scored(), eligibility.eligible))
    origin = str(rows["origin"].iloc[0]) if len(rows) else settings.origin
    return rows, SlotToGrade(slot, origin, inputs, list(rows["wallet"]))


def rule_scores(inputs: Sequence[GradeInput]) -> FloatArray:
    """float64[n, 6] discrete scores of the rules, the yardstick of every other grader; NaN where there is none."""
    return score_matrix([grade_by_rules(item) for item in inputs])


def grade_rows(grades: Sequence[Grade], by_rule: FloatArray, metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ai_grades`.

    Args:
        grades: In the order of the metric rows they are of, like all that follows.
        by_rule: float64[n, 6], the rules' scores.
        metrics: Rows of `wallet_metrics`.
    """
    difference = np.abs(score_matrix(grades) - by_rule)
    known = graded_by_model(grades) & ~np.isnan(difference).all(axis=1)
    disagreement = np.full(len(grades), np.nan)
    disagreement[known] = np.nanmean(difference[known], axis=1)
    frame = pd.DataFrame(
        [_record(grade) for grade in grades],
        columns=[
            name for name in AI_GRADES.column_names if name not in (*_FROM_METRICS, "rule_disagreement")
        ],
    ).assign(rule_disagreement=disagreement)
    return AI_GRADES.conform(frame.assign(**{name: metrics[name].to_numpy() for name in _FROM_METRICS}))


_FROM_METRICS = ("as_of", "wallet", "origin")


def _record(grade: Grade) -> dict[str, Any]:
    scores = {
        f"{name}_score": getattr(grade.scores, name) if grade.scores else None for name in SCORED_METRICS
    }
    return {
        "status": grade.status,
        "status_reasons": list(grade.status_reasons),
        "grade_source": grade.grade_source,
        "grader_version": grade.grader_version,
        "fallback": grade.fallback,
        "call_id": grade.call_id,
        "trading_style": grade.trading_style,
        "sustainability": grade.sustainability,
        "confidence": grade.confidence,
        "hidden_risks": list(grade.hidden_risks),
        "unique_characteristics": list(grade.unique_characteristics),
        "reasoning": dict(grade.reasoning),
        "overall_assessment": grade.overall_assessment,
        **scores,
        "edge_rules": list(grade.edge_rules),
        "ungrounded": list(grade.ungrounded),
        "input_hash": grade.input_hash,
    }
