"""Asset `ai_grades`: each trader's style, sustainability, risks and discrete scores, by the configured grader.

Belongs here: handing a slot's metrics to the grader and storing its answers. Does not belong here: grading (`grading`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.metric_rows import metric_table
from hl_assets.assets.reconcile import Derivation, Derived
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.checks.results import Coverage
from hl_assets.equity.returns import ReturnRules
from hl_assets.grading.inputs import build_grade_inputs
from hl_assets.grading.interface import Grade, Grader
from hl_assets.grading.service import grade_batch
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse


@slot_asset(
    AI_GRADES,
    layer="derived",
    grain="wallet_x_slot",
    group="grading",
    owner="quant-research",
    deps=["wallet_metrics"],
    description=(
        "Style, sustainability, confidence, hidden risks and six discrete scores of every trader, with their source. The "
        "grader here is a set of rules; no name that a trader chose ever reaches a grader. Wallets with too little data "
        "are not graded, and say why."
    ),
)
def ai_grades(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
    grader: dg.ResourceParam[Grader],
) -> Iterator[DerivedResults]:
    """Grade the wallets of the day's stale slots."""
    derivation = Derivation(
        target=AI_GRADES,
        upstream=(WALLET_METRICS,),
        derive=lambda store, slot: derive_grades(store, slot, settings, grader),
    )
    yield from derive_day(context, config, warehouse, settings, derivation)


def derive_grades(store: Warehouse, slot: datetime, settings: Settings, grader: Grader) -> Derived:
    """Grades of the wallets of a slot."""
    rows = store.read_table(WALLET_METRICS, as_of=slot)
    table = metric_table(rows, ReturnRules(funding_floor=settings.funding_floor_usd))
    eligibility = assess_eligibility(table)
    inputs = build_grade_inputs(table, percentile_matrix(table.scored(), eligibility.eligible))
    grades = asyncio.run(grade_batch(grader, inputs))
    frame = grade_rows(grades, rows)
    failed = frame[frame["status"] == "failed"]
    return Derived(
        frame=frame,
        coverage=Coverage(
            done=len(frame) - len(failed),
            wanted=len(rows),
            what="graded or insufficient data / wallets with metrics",
            missing=[
                (wallet, "; ".join(reasons))
                for wallet, reasons in failed[["wallet", "status_reasons"]].itertuples(index=False, name=None)
            ],
        ),
        metadata={
            "grader": grader.version,
            **{f"status_{status}": int(n) for status, n in frame["status"].value_counts().items()},
            **{f"source_{source}": int(n) for source, n in frame["grade_source"].value_counts().items()},
        },
    )


def grade_rows(grades: Sequence[Grade], metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ai_grades` for grades in the order of the metric rows they are of."""
    records = [_record(grade) for grade in grades]
    frame = pd.DataFrame(
        records, columns=[name for name in AI_GRADES.column_names if name not in _FROM_METRICS]
    )
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
        "trading_style": grade.trading_style,
        "sustainability": grade.sustainability,
        "confidence": grade.confidence,
        "hidden_risks": list(grade.hidden_risks),
        "unique_characteristics": list(grade.unique_characteristics),
        "reasoning": dict(grade.reasoning),
        "overall_assessment": grade.overall_assessment,
        **scores,
        "edge_rules": list(grade.edge_rules),
        "input_hash": grade.input_hash,
    }
