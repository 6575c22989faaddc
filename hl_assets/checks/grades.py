"""The checks of `ai_grades`: provenance, caps, grounding, balance, failures and money.

Belongs here: what is asked of a slot's grades, as findings. Does not belong here: reading tables, grading, Dagster events.

Provenance, caps and re-derivation block: rows that fail them are wrong and are not written. The others warn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hl_assets.checks.results import CheckKind, Finding
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.discrete import capped_scores

PROVENANCE = CheckKind(
    "provenance",
    "Every wallet with metrics has exactly one grade, every grade one source, and a model's grade the call it comes from.",
    blocking=True,
)
REDERIVES = CheckKind(
    "rederives",
    "Every grade of a model is what its stored raw answer gives when it is parsed again.",
    blocking=True,
)
CAPS = CheckKind(
    "caps",
    "No score is above its cap or of a null metric, and no short history has confidence: see the edge rules.",
    blocking=True,
)
GROUNDED = CheckKind("grounded", "The prose quotes only numbers that the model was given.")
CLASS_BALANCE = CheckKind("class_balance", "No style is given to nearly all graded wallets.")
VALID_ANSWERS = CheckKind("valid_answers", "The model answers, and nearly all its answers are valid grades.")
BUDGET = CheckKind(
    "budget", "The budgets of the run and the day were enough for every wallet that was to be asked about."
)
GRADE_CHECKS = (PROVENANCE, REDERIVES, CAPS, GROUNDED, CLASS_BALANCE, VALID_ANSWERS, BUDGET)

MAX_UNGROUNDED = 0.1
MAX_STYLE_SHARE = 0.9
MIN_STYLED = 20
"""Below so many graded wallets, one style for nearly all is no news."""
_SHORT_DAYS = 30.0
_MODEL = ("llm", "cache")


def provenance_finding(grades: pd.DataFrame, wallets: Sequence[str], known_calls: frozenset[str]) -> Finding:
    """Each wallet once, each source with what belongs to it.

    Args:
        grades: Rows of `ai_grades`.
        wallets: Wallets with metrics in the slot.
        known_calls: Ids of the calls that are stored.
    """
    counts = Counter(grades["wallet"])
    wrong = {wallet: f"{counts[wallet]} grades instead of one" for wallet in wallets if counts[wallet] != 1}
    wrong |= dict.fromkeys(counts.keys() - set(wallets), "a grade without metrics")
    fields = (grades["wallet"], grades["grade_source"], grades["call_id"], grades["fallback"])
    for wallet, source, call_id, fallback in zip(*fields, strict=True):
        from_call = source in (*_MODEL, "failed")
        if from_call and call_id not in known_calls:
            wrong[wallet] = f"source {source}, but its call is not stored"
        elif not from_call and pd.notna(call_id):
            wrong[wallet] = "source rules with a call"
        elif from_call and pd.notna(fallback):
            wrong[wallet] = f"source {source} with fallback {fallback}"
    return Finding(PROVENANCE, not wrong, {"grades": len(grades), "wrong": len(wrong)}, _samples(wrong))


def rederivation_finding(differences: Mapping[str, str], compared: int) -> Finding:
    """Grades that differ from what their stored answer gives.

    Args:
        differences: Wallet -> what differs.
        compared: How many grades were compared.
    """
    facts = {"compared": compared, "different": len(differences)}
    return Finding(REDERIVES, not differences, facts, _samples(differences))


def caps_finding(grades: pd.DataFrame, metrics: pd.DataFrame) -> Finding:
    """Scores and confidence against the metrics, by another road than the edge rules took.

    Args:
        grades: Rows of `ai_grades`.
        metrics: Rows of `wallet_metrics`, in the same order.
    """
    scores = grades[[f"{name}_score" for name in SCORED_METRICS]].to_numpy(np.float64)
    values = metrics[list(SCORED_METRICS)].to_numpy(np.float64)
    allowed = capped_scores(np.full_like(scores, 100.0), values)
    above = (scores > allowed) | (~np.isnan(scores) & np.isnan(values))
    days = metrics["data_span_days"].to_numpy(np.float64)
    confident = grades["confidence"].isin(["High", "Medium"]).to_numpy()
    hasty = confident & ~(days >= _SHORT_DAYS)
    wrong = {
        wallet: "score above its cap or of a null metric" if scored else "confidence on a short history"
        for wallet, scored, early in zip(grades["wallet"], above.any(axis=1), hasty, strict=True)
        if scored or early
    }
    return Finding(CAPS, not wrong, {"grades": len(grades), "wrong": len(wrong)}, _samples(wrong))


def grounded_finding(grades: pd.DataFrame) -> Finding:
    """How many of the models' grades quote numbers that nobody gave them."""
    model = grades[grades["grade_source"].isin(_MODEL)]
    invented = model[model["ungrounded"].map(len) > 0]
    share = len(invented) / len(model) if len(model) else 0.0
    samples = {
        wallet: ", ".join(numbers)
        for wallet, numbers in zip(invented["wallet"], invented["ungrounded"], strict=True)
    }
    facts = {"model_grades": len(model), "ungrounded": len(invented), "share": share, "limit": MAX_UNGROUNDED}
    return Finding(GROUNDED, share <= MAX_UNGROUNDED, facts, _samples(samples))


def balance_finding(grades: pd.DataFrame) -> Finding:
    """Whether one style is given to nearly everybody."""
    styles = grades["trading_style"].dropna().value_counts(normalize=True)
    n_styled = int(grades["trading_style"].notna().sum())
    facts: dict[str, str | int | float] = {
        "graded": n_styled,
        "styles": len(styles),
        "limit": MAX_STYLE_SHARE,
    }
    if len(styles):
        facts |= {"commonest": str(styles.index[0]), "share": float(styles.iloc[0])}
    lopsided = n_styled >= MIN_STYLED and float(styles.iloc[0]) >= MAX_STYLE_SHARE
    return Finding(CLASS_BALANCE, not lopsided, facts)


def answers_finding(grades: pd.DataFrame, trouble: str | None, limit: float) -> Finding:
    """How many of the wallets that were asked about have no valid grade.

    Args:
        grades: Rows of `ai_grades`.
        trouble: Why the model could not be asked at all, if so, and what to do.
        limit: Largest share that passes.
    """
    failed = grades[grades["grade_source"] == "failed"]
    asked = int((grades["grade_source"] == "llm").sum()) + len(failed)
    share = len(failed) / asked if asked else 0.0
    facts: dict[str, str | int | float] = {
        "asked": asked,
        "failed": len(failed),
        "refused": int((grades["fallback"] == "refused").sum()),
        "share": share,
        "limit": limit,
    }
    if trouble is not None:
        facts["trouble"] = trouble
    samples = {
        wallet: "; ".join(why) for wallet, why in zip(failed["wallet"], failed["status_reasons"], strict=True)
    }
    return Finding(VALID_ANSWERS, trouble is None and share <= limit, facts, _samples(samples))


def budget_finding(grades: pd.DataFrame, facts: Mapping[str, float]) -> Finding:
    """Whether wallets got the rules' grade because the money was spent.

    Args:
        grades: Rows of `ai_grades`.
        facts: What was spent and the limits, in USD.
    """
    unpaid = int(grades["fallback"].isin(["budget_run", "budget_day"]).sum())
    return Finding(BUDGET, unpaid == 0, {"wallets_not_asked": unpaid, **facts})


def _samples(wrong: Mapping[str, str]) -> list[dict[str, str | int | float]]:
    return [{"wallet": wallet, "why": why} for wallet, why in wrong.items()]
