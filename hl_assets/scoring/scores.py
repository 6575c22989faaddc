"""The scores beside the weighted one: without AI, by rules alone, by the model alone, and shrunk by trust.

Belongs here: those scores, why they are null, and their ranks. The weighted score and ties belong in
`hl_assets.scoring.rank`, trust in `hl_assets.metrics.trust`.

    quant_score    = 100 x weighted mean of the percentiles            a null metric counts 0, a capped one at most 0.6
    rule_score     = weighted mean of the rules' discrete scores       a null metric counts as the lowest score
    agent_score    = plain mean of the model's six discrete scores     likewise; only with a valid grade
    adjusted_score = 50 + (weighted_score - 50) x trust / 100

The adjusted score pulls everybody towards 50 the less can be said about them, from below as well as from above: little
evidence of being bad is little evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.metrics.discrete import capped_percentiles, capped_scores, discrete_scores
from hl_assets.metrics.eligibility import Eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.rank import ScoreTable, choose_scores, dense_ranks, score_wallets, weighted_mean

NEUTRAL_SCORE = 50.0
"""Where the adjusted score of a wallet without any evidence lies."""
NOT_ELIGIBLE = "not_eligible"
NO_VALID_GRADE = "no_valid_grade"
SCORES = ("weighted_score", "quant_score", "rule_score", "agent_score", "adjusted_score")

Reasons = Sequence[str | None]


@dataclass(frozen=True, slots=True, eq=False)
class RankedScore:
    """One score of every wallet.

    Attributes:
        values: float64[n], points; NaN is null.
        rank: float64[n] of whole numbers, 1 is best, dense; NaN where the score is.
        reasons: per wallet why the score is null, None where it is not.
    """

    values: FloatArray
    rank: FloatArray
    reasons: Reasons


@dataclass(frozen=True, slots=True, eq=False)
class SlotScores:
    """All scores of the wallets of a slot, in the order given.

    Attributes:
        table: the discrete scores used, percentiles and everything about the weighted score.
        from_grader: bool[n], whose discrete scores are a model's.
        scores: by name of `SCORES`, in that order.
    """

    table: ScoreTable
    from_grader: BoolArray
    scores: Mapping[str, RankedScore]


def score_slot(
    wallets: Sequence[str],
    metrics: FloatArray,
    eligibility: Eligibility,
    *,
    grader_scores: FloatArray,
    valid_grade: BoolArray,
    trust: FloatArray,
    trust_reasons: Reasons,
    config: ScoringConfig,
) -> SlotScores:
    """Every score and rank of the wallets of one slot.

    Args:
        wallets: lower-case addresses, unique.
        metrics: float64[n, 6] in the order of `SCORED_METRICS`; NaN is null.
        eligibility: who is ranked.
        grader_scores: float64[n, 6], a model's discrete scores; NaN is none.
        valid_grade: bool[n], whose model gave a valid grade.
        trust: float64[n], 0 to 100; NaN is null.
        trust_reasons: per wallet why trust is null.
        config: weights and the treatment of null metrics.

    Raises:
        ValueError: the shapes do not fit, an address repeats, or a trust is null without a reason.
    """
    percentiles = percentile_matrix(metrics, eligibility.eligible)
    rules = capped_scores(discrete_scores(percentiles), metrics)
    chosen, from_grader = choose_scores(rules, grader_scores, valid_grade & eligibility.eligible)
    table = score_wallets(wallets, chosen, percentiles, eligibility, config)
    adjusted = adjusted_scores(table.weighted_score, trust)
    if any(why is None for why, gone in zip(trust_reasons, np.isnan(trust), strict=True) if gone):
        raise ValueError("a trust is null without a reason")
    values = {
        "weighted_score": table.weighted_score,
        "quant_score": quant_scores(percentiles, metrics, config),
        "rule_score": weighted_mean(rules, config, null_counts=config.missing_metric_score),
        "agent_score": agent_scores(grader_scores, metrics, config),
        "adjusted_score": adjusted,
    }
    outside: Reasons = [None if passed else NOT_ELIGIBLE for passed in eligibility.eligible.tolist()]
    ungraded: Reasons = [None if graded else NO_VALID_GRADE for graded in from_grader.tolist()]
    reasons: dict[str, Reasons] = {
        **dict.fromkeys(SCORES, outside),
        "agent_score": _first(outside, ungraded),
        "adjusted_score": _first(outside, trust_reasons),
    }
    return SlotScores(
        table=table,
        from_grader=from_grader,
        scores={name: _ranked(table, values[name], reasons[name]) for name in SCORES},
    )


def quant_scores(percentiles: FloatArray, metrics: FloatArray, config: ScoringConfig) -> FloatArray:
    """100 x weighted mean of the capped percentiles, float64[n] in 0 to 100; a null metric counts 0."""
    return weighted_mean(100.0 * capped_percentiles(percentiles, metrics), config, null_counts=0.0)


def agent_scores(grader_scores: FloatArray, metrics: FloatArray, config: ScoringConfig) -> FloatArray:
    """Plain mean of a model's six scores, float64[n]; one of a null metric counts as the lowest score."""
    known = np.where(np.isnan(metrics), np.nan, grader_scores)
    return np.asarray(np.where(np.isnan(known), config.missing_metric_score, known).mean(axis=1))


def adjusted_scores(weighted_score: FloatArray, trust: FloatArray) -> FloatArray:
    """The weighted score pulled towards 50 by lack of trust; NaN where either is."""
    return NEUTRAL_SCORE + (weighted_score - NEUTRAL_SCORE) * trust / 100.0


def _ranked(table: ScoreTable, values: FloatArray, reasons: Reasons) -> RankedScore:
    null = np.array([why is not None for why in reasons], dtype=np.bool_)
    present = np.where(null, np.nan, values)
    return RankedScore(present, dense_ranks(table.wallets, present, table.percentile_mean), reasons)


def _first(*reasons: Reasons) -> Reasons:
    """The first reason of each wallet."""
    return [
        next((why for why in of_wallet if why is not None), None) for of_wallet in zip(*reasons, strict=True)
    ]
