"""From six discrete scores per wallet to one weighted score and a rank.

Belongs here: choosing whose scores count, the weighted score, ties and ranks. The other scores of a wallet belong in
`hl_assets.scoring.scores`.

A null metric. The six metrics of many wallets are not all known: under 90 days there is no CAGR, without a drawdown no
Calmar ratio. Leaving the metric out and renormalising the weights would judge such a wallet by other weights than
everyone else, and would let a missing figure raise a rank. So the weights stay, and a null metric counts as the lowest
score (`ScoringConfig.missing_metric_score`) in the weighted mean, and as 0 in the mean percentile that breaks ties. It
is never published as a score of that metric: the score stays null, `n_metrics_scored` and `missing_metrics` say what the
weighted score rests on, and a wallet with too few metrics is not ranked at all (`EligibilityRules.min_metrics`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import Eligibility
from hl_assets.scoring.config import ScoringConfig

_ROUNDING_DECIMALS = 9
"""Weighted means are rounded to this, so that the order of a sum never decides a tie."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Scores and ranks, in the order of the wallets given.

    Attributes:
        wallets: lower-case addresses.
        scores: float64[n, 6], the discrete scores that entered, in the order of `SCORED_METRICS`; NaN is null.
        percentiles: float64[n, 6] in [0, 1]; NaN is null.
        weighted_score: float64[n], 20 to 100; NaN if not eligible.
        percentile_mean: float64[n] in [0, 1], weighted like the score; NaN if not eligible.
        rank: float64[n] of whole numbers, 1 is best, dense; NaN if not eligible.
        n_metrics_scored: int64[n], metrics with a score.
        missing_metrics: per wallet the names of those without.
        eligible: bool[n].
        ineligible_reasons: per wallet the first gate it failed, None if eligible.
        config: the configuration used.
    """

    wallets: tuple[str, ...]
    scores: FloatArray
    percentiles: FloatArray
    weighted_score: FloatArray
    percentile_mean: FloatArray
    rank: FloatArray
    n_metrics_scored: IntArray
    missing_metrics: Sequence[tuple[str, ...]]
    eligible: BoolArray
    ineligible_reasons: Sequence[str | None]
    config: ScoringConfig

    @property
    def config_hash(self) -> str:
        """Hash of the configuration used."""
        return self.config.config_hash()


def choose_scores(
    rule_scores: FloatArray, grader_scores: FloatArray, valid: BoolArray
) -> tuple[FloatArray, BoolArray]:
    """The grader's scores where it gave a valid grade, the rule scores elsewhere; never a mixture in one wallet.

    Args:
        rule_scores: float64[n, 6], capped; NaN where the metric is null.
        grader_scores: float64[n, 6]; NaN where it gave none.
        valid: bool[n], wallets with a valid grade of a grader other than the rules.

    Returns:
        The scores, float64[n, 6], and bool[n], whose are the grader's. A grade that leaves a present metric without a
        score is not used; a grader's score of a null metric is dropped.

    Raises:
        ValueError: the shapes differ.
    """
    if rule_scores.shape != grader_scores.shape or valid.shape != rule_scores.shape[:1]:
        raise ValueError(
            f"rule scores {rule_scores.shape}, grader scores {grader_scores.shape} and valid {valid.shape} do not fit"
        )
    null = np.isnan(rule_scores)
    complete = (null | ~np.isnan(grader_scores)).all(axis=1)
    from_grader = valid & complete
    chosen = np.where(from_grader[:, None] & ~null, grader_scores, rule_scores)
    return chosen, from_grader


def score_wallets(
    wallets: Sequence[str],
    scores: FloatArray,
    percentiles: FloatArray,
    eligibility: Eligibility,
    config: ScoringConfig | None = None,
) -> ScoreTable:
    """Weighted score and rank of every eligible wallet.

    Ranks are dense (1, 2, 3, ...). Equal weighted scores are ordered by the weighted mean percentile, then by address,
    so no two wallets share a rank and a slot computed twice gives the same order.

    Args:
        wallets: lower-case addresses, unique.
        scores: float64[n, 6] discrete scores in the order of `SCORED_METRICS`; NaN is none.
        percentiles: float64[n, 6] in [0, 1]; NaN is none.
        eligibility: who is ranked.
        config: weights and the treatment of null metrics; default `ScoringConfig()`.

    Raises:
        ValueError: the shapes do not fit, an address repeats, or a score is outside 20 to 100.
    """
    config = config or ScoringConfig()
    _check(wallets, scores, percentiles, eligibility)
    missing = np.isnan(scores)
    weighted_score = weighted_mean(scores, config, null_counts=config.missing_metric_score)
    percentile_mean = weighted_mean(percentiles, config, null_counts=0.0)
    out = ~eligibility.eligible
    weighted_score[out] = np.nan
    percentile_mean[out] = np.nan
    return ScoreTable(
        wallets=tuple(wallets),
        scores=scores,
        percentiles=percentiles,
        weighted_score=weighted_score,
        percentile_mean=percentile_mean,
        rank=dense_ranks(wallets, weighted_score, percentile_mean),
        n_metrics_scored=(~missing).sum(axis=1).astype(np.int64),
        missing_metrics=_names(missing),
        eligible=eligibility.eligible,
        ineligible_reasons=eligibility.reasons,
        config=config,
    )


def _check(
    wallets: Sequence[str], scores: FloatArray, percentiles: FloatArray, eligibility: Eligibility
) -> None:
    expected = (len(wallets), len(SCORED_METRICS))
    if scores.shape != expected or percentiles.shape != expected or len(eligibility.eligible) != len(wallets):
        raise ValueError(
            f"{len(wallets)} wallets need scores and percentiles of shape {expected} and as many gates; got "
            f"{scores.shape}, {percentiles.shape} and {len(eligibility.eligible)}"
        )
    if len(set(wallets)) != len(wallets):
        raise ValueError("an address repeats among the wallets to rank")
    if ((scores < 20.0) | (scores > 100.0)).any():
        raise ValueError("discrete scores must lie between 20 and 100")


def weighted_mean(values: FloatArray, config: ScoringConfig, *, null_counts: float) -> FloatArray:
    """Mean of six figures per wallet by the configuration's weights.

    Args:
        values: float64[n, 6] in the order of `SCORED_METRICS`; NaN is null.
        config: the weights.
        null_counts: what a null one counts for.

    Returns:
        float64[n], rounded to 9 decimals.
    """
    weights = np.array([config.weights[name] for name in SCORED_METRICS])
    filled = np.where(np.isnan(values), null_counts, values)
    mean: FloatArray = np.round((filled * weights).sum(axis=1) / weights.sum(), _ROUNDING_DECIMALS)
    return mean


def dense_ranks(wallets: Sequence[str], score: FloatArray, tie_break: FloatArray) -> FloatArray:
    """Ranks by score, 1 is best; equal scores by `tie_break`, then by address.

    Args:
        wallets: addresses, unique.
        score: float64[n]; NaN is not ranked.
        tie_break: float64[n], higher is better; present where the score is.

    Returns:
        float64[n] of whole numbers without gaps or repetitions, NaN where the score is NaN.
    """
    ranks = np.full(len(wallets), np.nan)
    ranked = np.flatnonzero(~np.isnan(score))
    names = np.array(list(wallets), dtype=np.str_)[ranked]
    order = np.lexsort((names, -tie_break[ranked], -score[ranked]))
    ranks[ranked[order]] = np.arange(1, len(ranked) + 1)
    return ranks


def _names(missing: BoolArray) -> list[tuple[str, ...]]:
    """Names of the missing metrics per wallet; wallets that miss the same share one tuple."""
    codes = missing @ (1 << np.arange(len(SCORED_METRICS)))
    shared = [
        tuple(name for bit, name in enumerate(SCORED_METRICS) if code >> bit & 1)
        for code in range(1 << len(SCORED_METRICS))
    ]
    return [shared[code] for code in codes.tolist()]
