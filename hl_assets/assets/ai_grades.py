"""Asset `ai_grades`: each trader's style, sustainability, risks and discrete scores, by the configured grader.

Belongs here: a slot's metrics as graders' inputs, grades as rows, and what a run tells about them. Does not belong here:
grading (`grading`), the ledger, cache and money around a grader (`grade_slot`, `grade_batches`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.derived import DerivedResults, ReconcileConfig, derive_day
from hl_assets.assets.grade_batches import BatchOutcome, ask_in_batch
from hl_assets.assets.grade_calls import stored_answers
from hl_assets.assets.grade_rows import grade_rows, read_slot, rule_scores
from hl_assets.assets.grade_slot import GradedSlot, SlotToGrade, grade_slot, rederived
from hl_assets.assets.progress_log import progress_logged
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.checks.grades import (
    GRADE_CHECKS,
    answers_finding,
    balance_finding,
    budget_finding,
    caps_finding,
    grounded_finding,
    provenance_finding,
    rederivation_finding,
)
from hl_assets.checks.results import Coverage, Finding
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.plots import grades_png
from hl_assets.resources.grader import GraderResource
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

LINEAGE = Lineage(target=AI_GRADES, upstream=(WALLET_METRICS,))


class GradesConfig(ReconcileConfig):
    """Run configuration of `ai_grades`."""

    batch: bool = False
    """Ask the model in one batch for all slots of the day: half the price, but it may take up to a day. For backfills."""


_SCORE_COLUMNS = [f"{name}_score" for name in SCORED_METRICS]


@slot_asset(
    AI_GRADES,
    layer="derived",
    grain="wallet_x_slot",
    group="grading",
    owner="quant-research",
    deps=["wallet_metrics"],
    checks=GRADE_CHECKS,
    description=(
        "Style, sustainability, confidence, hidden risks and six discrete scores of every trader, by Claude where a key is "
        "set, else by rule, with their source. A stored answer is used again until its input changes; every call is in "
        "`grade_calls`. No name that a trader chose ever reaches a grader. Wallets with too little data are not graded, "
        "and say why."
    ),
)
def ai_grades(
    context: dg.AssetExecutionContext,
    config: GradesConfig,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
    grader: dg.ResourceParam[GraderResource],
) -> Iterator[DerivedResults]:
    """Grade the wallets of the day's stale slots."""
    context.log.info(grader.why)
    run = _Run(grader, settings, in_batch=config.batch)
    derivation = Derivation(LINEAGE, derive=run.derive, prepare=run.prepare)
    with progress_logged(context.log):
        yield from derive_day(context, config, warehouse, settings, derivation)


@dataclass
class _Run:
    """The grading of one run: what it spent on one slot it cannot spend on the next."""

    grader: GraderResource
    settings: Settings
    in_batch: bool
    spent_usd: float = 0.0
    batch: BatchOutcome | None = None

    def prepare(self, store: Warehouse, tasks: Sequence[SlotTask]) -> None:
        """Ask in a batch for all slots, if the run is to."""
        if self.in_batch:
            to_grade = [read_slot(store, task.slot, self.settings)[1] for task in tasks]
            self.batch = ask_in_batch(store, to_grade, self.grader)
            self.spent_usd += self.batch.usd

    def derive(self, store: Warehouse, task: SlotTask) -> Derived:
        """Grades of the wallets of a slot."""
        metrics, to_grade = read_slot(store, task.slot, self.settings)
        graded = grade_slot(
            store,
            to_grade,
            self.grader,
            spent_in_run_usd=self.spent_usd,
            # A slot that nobody observed is worth a batch with its budget, or stored answers and the rules.
            asking=not (self.in_batch or task.is_reconstructed),
        )
        self.spent_usd += graded.tally.usd if graded.tally is not None else 0.0
        frame = grade_rows(graded.grades, rule_scores(to_grade.inputs), metrics)
        return Derived(
            frame=frame,
            coverage=_coverage(frame),
            findings=self._findings(store, frame, metrics, to_grade, graded),
            metadata=self._facts(frame, graded),
            draw=lambda: {"styles_and_scores": _picture(frame)},
        )

    def _findings(
        self,
        store: Warehouse,
        frame: pd.DataFrame,
        metrics: pd.DataFrame,
        to_grade: SlotToGrade,
        graded: GradedSlot,
    ) -> list[Finding]:
        calls = stored_answers(store, [grade.call_id for grade in graded.grades if grade.call_id is not None])
        differences, compared = rederived(graded.grades, to_grade, calls)
        return [
            provenance_finding(frame, list(metrics["wallet"]), frozenset(calls)),
            rederivation_finding(differences, compared),
            caps_finding(frame, metrics),
            grounded_finding(frame),
            balance_finding(frame),
            answers_finding(frame, self._trouble(graded), self.settings.max_failed_grades),
            budget_finding(frame, self._money(graded)),
        ]

    def _trouble(self, graded: GradedSlot) -> str | None:
        return graded.trouble or (None if self.batch is None else self.batch.trouble)

    def _money(self, graded: GradedSlot) -> dict[str, float]:
        """What was spent and what may be, in USD; nothing where the rules grade."""
        if self.grader.model is None or graded.usd_today is None:
            return {}
        return {
            "usd_this_run": self.spent_usd,
            "usd_today": graded.usd_today,
            "budget_run_usd": self.grader.model.budget_run_usd,
            "budget_day_usd": self.grader.model.budget_day_usd,
        }

    def _facts(self, frame: pd.DataFrame, graded: GradedSlot) -> dict[str, Any]:
        tally = {} if graded.tally is None else {f"model_{k}": v for k, v in asdict(graded.tally).items()}
        disagreement = frame["rule_disagreement"].dropna()
        scores = frame[_SCORE_COLUMNS].to_numpy(np.float64)
        return {
            "grader": self.grader.version,
            "model_note": graded.note,
            **_counts("status", frame["status"]),
            **_counts("source", frame["grade_source"]),
            **_counts("fallback", frame["fallback"].dropna()),
            **_counts("style", frame["trading_style"].dropna()),
            **_counts("sustainability", frame["sustainability"].dropna()),
            **{name: value for name, value in tally.items() if isinstance(value, int | float)},
            **({} if self.batch is None else {f"batch_{k}": v for k, v in asdict(self.batch).items()}),
            **self._money(graded),
            "mean_score": float(np.nanmean(scores)) if not np.isnan(scores).all() else None,
            "disagreement_with_rules": float(disagreement.mean()) if len(disagreement) else None,
        }


def _coverage(frame: pd.DataFrame) -> Coverage:
    failed = frame[frame["status"] == "failed"]
    return Coverage(
        done=len(frame) - len(failed),
        wanted=len(frame),
        what="graded or insufficient data / wallets with metrics",
        missing=[
            (wallet, "; ".join(reasons))
            for wallet, reasons in zip(failed["wallet"], failed["status_reasons"], strict=True)
        ],
    )


def _counts(what: str, values: "pd.Series[Any]") -> dict[str, int]:
    return {
        f"{what}_{str(value).lower().replace(' ', '_')}": int(n) for value, n in values.value_counts().items()
    }


def _picture(frame: pd.DataFrame) -> bytes:
    """How styles and scores are distributed."""
    scores = {name: Counter(frame[f"{name}_score"].dropna()) for name in SCORED_METRICS}
    return grades_png(dict(Counter(frame["trading_style"].dropna()).most_common()), scores)
