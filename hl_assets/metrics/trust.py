"""Trust: how far the figures of a wallet can be believed, judged among the wallets of the same slot.

Belongs here: the figures that exist only in comparison (deflated Sharpe ratio, empirical-Bayes posterior), trust made of
them, and its label. The statistics belong in `hl_assets.metrics.significance`, the gates of comparison in
`hl_assets.metrics.eligibility`.

    trust = 100 x Q x S
    Q     = daily_coverage x share_clean_steps                    quality of the data, 0 to 1
    S     = Phi(post / post_sd)                                   probability that the true Sharpe ratio is above 0

Compared are the eligible wallets with a Sharpe ratio. Every component is published beside the result.

Where all differences between the wallets are no larger than noise (tau^2 = 0), the formula's posterior is the same for
everybody, with a standard deviation of 0, and S would claim certainty about a difference nobody can see: S and trust are
null then, and the label is `insufficient`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.metrics.catalog import COMPARISON_METRICS
from hl_assets.metrics.eligibility import Eligibility
from hl_assets.metrics.normal import normal_cdf
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.significance import (
    Prior,
    annual,
    effective_days,
    estimate_prior,
    expected_best_sharpe,
    per_day,
    posterior,
    probabilistic_sharpe,
    variance_factor,
    winsorised,
)
from hl_assets.metrics.wallet_metrics import MetricTable

MIN_COMPARED = 10
"""A variance between fewer wallets says nothing about their scatter."""
MIN_DAYS = 30.0
MIN_STEPS = 30.0
NO_BASE_SHARE = 0.5
"""From this share of steps without capital at work on, a record is none."""
MEDIUM_FROM = 60.0
HIGH_FROM = 85.0


class TrustLabel(StrEnum):
    """The word for a trust."""

    INSUFFICIENT = "insufficient"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Figures of wallets among the wallets of their slot, in the order of the metric table.

    Attributes:
        columns: one `Column` per name of `COMPARISON_METRICS`, in that order.
        labels: object[n_wallets], the value of a `TrustLabel`; never missing.
        prior: scatter of the true Sharpe ratios (per daily step); None if too few wallets were compared.
    """

    columns: Mapping[str, Column]
    labels: npt.NDArray[np.object_]
    prior: Prior | None


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """The wallets compared, and the null conditions of every figure that compares them."""

    counted: BoolArray
    nulls: list[tuple[BoolArray, NullReason]]
    sr: FloatArray
    n_steps: FloatArray
    skew: FloatArray
    kurtosis: FloatArray
    autocorrelation: FloatArray

    @property
    def n(self) -> int:
        return int(self.counted.sum())

    @property
    def is_large_enough(self) -> bool:
        return self.n >= MIN_COMPARED


def compare_wallets(table: MetricTable, eligibility: Eligibility) -> Comparison:
    """Deflated Sharpe ratio, empirical-Bayes posterior and trust of every eligible wallet.

    Args:
        table: metrics of the wallets of one slot.
        eligibility: who of them is compared, in the same order.

    Raises:
        ValueError: the two have different lengths.
    """
    if len(eligibility.eligible) != len(table):
        raise ValueError(
            f"{len(table)} wallets but eligibility of {len(eligibility.eligible)}: assess this very table"
        )
    field = _field(table, eligibility)
    bayes, prior = _empirical_bayes(field)
    columns = {**_deflated(field), **bayes, **_trust(table, field, bayes)}
    return Comparison(
        columns={metric.name: columns[metric.name] for metric in COMPARISON_METRICS},
        labels=_labels(table, columns["trust"].values),
        prior=prior,
    )


def _field(table: MetricTable, eligibility: Eligibility) -> _Field:
    sharpe = Column(table.values["sharpe"], table.reasons["sharpe"])
    counted = eligibility.eligible & ~sharpe.null
    too_few = int(counted.sum()) < MIN_COMPARED
    return _Field(
        counted=counted,
        nulls=[
            (~eligibility.eligible, NullReason.NOT_ELIGIBLE),
            *sharpe.inherited(),
            (np.full(len(table), too_few), NullReason.TOO_FEW_WALLETS),
        ],
        sr=per_day(sharpe.values),
        n_steps=table.values["n_daily_steps"],
        skew=table.values["skew"],
        kurtosis=table.values["kurtosis"],
        autocorrelation=table.values["daily_autocorrelation"],
    )


def _deflated(field: _Field) -> dict[str, Column]:
    """`dsr`, `dsr_benchmark` and `dsr_n`."""
    benchmark = np.nan
    if field.is_large_enough:
        benchmark = expected_best_sharpe(float(np.var(field.sr[field.counted], ddof=1)), field.n)
    everyone = np.ones(len(field.sr))
    dsr = probabilistic_sharpe(field.sr, field.n_steps, field.skew, field.kurtosis, benchmark)
    return {
        "dsr": Column.of(dsr, *field.nulls),
        "dsr_benchmark": Column.of(annual(benchmark * everyone), *field.nulls),
        "dsr_n": Column.of(field.n * everyone),
    }


def _empirical_bayes(field: _Field) -> tuple[dict[str, Column], Prior | None]:
    """`eb_sharpe` and `eb_sharpe_sd`."""
    mean, deviation = np.full(len(field.sr), np.nan), np.full(len(field.sr), np.nan)
    prior = None
    if field.is_large_enough:
        counted = field.counted
        y = winsorised(field.sr, counted)
        days = effective_days(field.n_steps, field.autocorrelation)
        noise = variance_factor(y, field.skew, field.kurtosis) / (days - 1.0)
        prior = estimate_prior(y[counted], noise[counted])
        mean, deviation = posterior(y, noise, prior)
    return {
        "eb_sharpe": Column.of(annual(mean), *field.nulls),
        "eb_sharpe_sd": Column.of(annual(deviation), *field.nulls),
    }, prior


def _trust(table: MetricTable, field: _Field, bayes: Mapping[str, Column]) -> dict[str, Column]:
    """`trust`, `trust_quality` and `trust_significance`."""
    coverage = Column(table.values["daily_coverage"], table.reasons["daily_coverage"])
    clean = Column(table.values["share_clean_steps"], table.reasons["share_clean_steps"])
    quality = Column.of(coverage.values * clean.values, *coverage.inherited(), *clean.inherited())
    mean, deviation = bayes["eb_sharpe"].values, bayes["eb_sharpe_sd"].values
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = Column.of(
            normal_cdf(mean / deviation), *field.nulls, (~(deviation > 0.0), NullReason.NO_SKILL_DISPERSION)
        )
    trust = 100.0 * quality.values * significance.values
    return {
        "trust": Column.of(trust, *significance.inherited(), *quality.inherited()),
        "trust_quality": quality,
        "trust_significance": significance,
    }


def _labels(table: MetricTable, trust: FloatArray) -> npt.NDArray[np.object_]:
    span, steps = table.values["performance_span_days"], table.values["n_daily_steps"]
    insufficient = (
        np.isnan(trust)
        | ~(span >= MIN_DAYS)
        | (steps < MIN_STEPS)
        | (table.values["share_no_base"] >= NO_BASE_SHARE)
    )
    # A record without a MinTRL (NaN) is never long enough.
    proven = (trust >= HIGH_FROM) & (span >= table.values["min_trl_days"])
    label = np.select(
        [insufficient, trust < MEDIUM_FROM, proven],
        [TrustLabel.INSUFFICIENT.value, TrustLabel.LOW.value, TrustLabel.HIGH.value],
        default=TrustLabel.MEDIUM.value,
    )
    return label.astype(object)
