"""Is it skill? How much a Sharpe ratio proves, given the length and shape of its record and the number of competitors.

Belongs here: the statistics, as functions of arrays. Which wallets are compared and what trust follows from it belongs in
`hl_assets.metrics.trust`.

SR is a Sharpe ratio per daily step (not annualised), n its number of steps, g3 and g4 the population skewness and raw
kurtosis of the steps:

    PSR(SR*) = Phi[(SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)]
    MinTRL   = 1 + [1 - g3 SR + (g4 - 1)/4 SR^2] (z / (SR - SR*))^2
    SR0      = sqrt(V) [(1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))]
    DSR      = PSR(SR0), V the variance of the N Sharpe ratios compared, g = 0.5772... (Euler)

D. Bailey, M. Lopez de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2), 2012; The Deflated Sharpe Ratio,
Journal of Portfolio Management 40(5), 2014.

Empirical Bayes (B. Efron, C. Morris, JASA 68, 1973): each SR is a noisy sight of a true one, and the true ones are
scattered around a common mean. y_i is SR winsorised at the 1st and 99th percentile of those compared, s_i^2 the variance
of its noise:

    s^2   = [1 - g3 y + (g4 - 1)/4 y^2] / (n_eff - 1),   n_eff = n (1 - rho) / (1 + rho), rho below 0 taken for 0
    m     = sum(y / (tau^2 + s^2)) / sum(1 / (tau^2 + s^2))
    tau^2 solves sum((y - m)^2 / (tau^2 + s^2)) = n - 1, and is 0 if no tau^2 >= 0 does
    B     = tau^2 / (tau^2 + s^2),   post = m + B (y - m),   post_sd = sqrt(B s^2)

This tau^2 (R. Paule, J. Mandel, J. Res. NBS 87, 1982) lets each wallet count by what it proves. The plain difference
max(0, Var(y) - mean(s^2)) is swamped by the noise of short records: on simulated boards with 40 % of them it found no scatter
in 2 of 3 populations as seen on a first fetch, which leaves nobody a posterior, where this one found it in all.
"""

import math
from dataclasses import dataclass

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray
from hl_assets.metrics.normal import normal_cdf, normal_quantile
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.risk import DAYS_PER_YEAR

CONFIDENCE = 0.95
"""Confidence of the minimum track record length."""
WINSOR_SHARE = 0.01
"""Share of the Sharpe ratios pulled in at either end before the prior is estimated."""
MIN_EFFECTIVE_DAYS = 2.0
_SMALLEST_FACTOR = 1e-9
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Prior:
    """How the true Sharpe ratios (per daily step) of the wallets compared are scattered.

    Attributes:
        mean: m.
        variance: tau^2; 0 if the differences seen are no larger than noise.
        n: wallets it was estimated from.
    """

    mean: float
    variance: float
    n: int


def per_day(annual_sharpe: FloatArray) -> FloatArray:
    """Sharpe ratio per daily step."""
    return annual_sharpe / math.sqrt(DAYS_PER_YEAR)


def annual(daily_sharpe: FloatArray) -> FloatArray:
    """Sharpe ratio (or its standard deviation) per year."""
    return daily_sharpe * math.sqrt(DAYS_PER_YEAR)


def record_significance(risk: dict[str, Column], n_daily_steps: Column) -> dict[str, Column]:
    """`psr`, the probability that the true Sharpe ratio is above 0, and `min_trl_days`; of each wallet by itself."""
    sharpe = risk["sharpe"]
    skew, kurtosis = risk["skew"].values, risk["kurtosis"].values
    sr = per_day(sharpe.values)
    return {
        "psr": Column.of(probabilistic_sharpe(sr, n_daily_steps.values, skew, kurtosis), *sharpe.inherited()),
        "min_trl_days": Column.of(
            min_track_record(sr, skew, kurtosis),
            *sharpe.inherited(),
            (~(sr > 0.0), NullReason.SHARPE_NOT_POSITIVE),
        ),
    }


def variance_factor(sr: FloatArray, skew: FloatArray, kurtosis: FloatArray) -> FloatArray:
    """1 - g3 SR + (g4 - 1)/4 SR^2: how much wider than normal returns' the noise of a Sharpe ratio is.

    Never negative, because g4 >= 1 + g3^2 makes it at least (1 - g3 SR / 2)^2; kept above 1e-9 so that one may divide.
    """
    return np.maximum(1.0 - skew * sr + (kurtosis - 1.0) / 4.0 * sr * sr, _SMALLEST_FACTOR)


def probabilistic_sharpe(
    sr: FloatArray, n: FloatArray, skew: FloatArray, kurtosis: FloatArray, benchmark: float = 0.0
) -> FloatArray:
    """PSR: probability that the true Sharpe ratio exceeds `benchmark` (per daily step). NaN where an input is."""
    noise = np.sqrt(variance_factor(sr, skew, kurtosis) / np.maximum(n - 1.0, 1.0))
    return normal_cdf((sr - benchmark) / noise)


def min_track_record(
    sr: FloatArray,
    skew: FloatArray,
    kurtosis: FloatArray,
    benchmark: float = 0.0,
    confidence: float = CONFIDENCE,
) -> FloatArray:
    """MinTRL: daily steps after which PSR(benchmark) reaches `confidence` if SR stays what it is.

    Returns:
        float64[n]; NaN where SR is not above the benchmark: no record, however long, would do.
    """
    z = normal_quantile(confidence)
    above = np.where(sr > benchmark, sr - benchmark, np.nan)
    with np.errstate(over="ignore"):
        return 1.0 + variance_factor(sr, skew, kurtosis) * (z / above) ** 2


def expected_best_sharpe(variance: float, n: int) -> float:
    """SR0: the best of `n` Sharpe ratios to be expected if none of them has skill.

    Args:
        variance: V, of the Sharpe ratios compared (in the unit whose square root the result has).
        n: how many there are.

    Raises:
        ValueError: fewer than two, or a negative variance.
    """
    if n < 2 or not variance >= 0.0:
        raise ValueError(f"need n >= 2 and a variance >= 0, got n = {n}, variance = {variance}")
    best = (1.0 - np.euler_gamma) * normal_quantile(1.0 - 1.0 / n)
    second = np.euler_gamma * normal_quantile(1.0 - 1.0 / (n * np.e))
    return float(np.sqrt(variance) * (best + second))


def effective_days(n: FloatArray, rho: FloatArray) -> FloatArray:
    """n_eff = n (1 - rho) / (1 + rho): how many independent days say as much; from 2 to n.

    A negative autocorrelation counts as none. On short records it is mostly noise, and it would claim more days than
    there are.
    """
    memory = np.maximum(rho, 0.0)
    return np.maximum(n * (1.0 - memory) / (1.0 + memory), MIN_EFFECTIVE_DAYS)


def winsorised(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Values with those beyond the 1st and 99th percentile of the counted ones pulled in to them."""
    low, high = np.quantile(values[counted], (WINSOR_SHARE, 1.0 - WINSOR_SHARE))
    return np.clip(values, low, high)


def estimate_prior(y: FloatArray, noise: FloatArray) -> Prior:
    """The scatter of the true Sharpe ratios behind `y`, whose noise has the variances `noise` (both float64[n], n >= 2)."""
    variance = _excess_variance(y, noise)
    precision = 1.0 / (variance + noise)
    return Prior(mean=float(np.sum(precision * y) / np.sum(precision)), variance=variance, n=len(y))


def _excess_variance(y: FloatArray, noise: FloatArray) -> float:
    """tau^2 of Paule and Mandel: the one for which the weighted squares sum to n - 1; 0 if they never exceed that.

    The sum falls as tau^2 grows, so halving an interval that brackets the root finds it.
    """

    def surplus(variance: float) -> float:
        precision = 1.0 / (variance + noise)
        mean = np.sum(precision * y) / np.sum(precision)
        return float(np.sum(precision * (y - mean) ** 2)) - (len(y) - 1)

    if surplus(0.0) <= 0.0:
        return 0.0
    low, high = 0.0, float(np.var(y, ddof=1)) + float(np.max(noise))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if surplus(middle) > 0.0 else (low, middle)
    return (low + high) / 2.0


def posterior(y: FloatArray, noise: FloatArray, prior: Prior) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the true Sharpe ratio behind each `y`, given the prior."""
    share = prior.variance / (prior.variance + noise)
    return prior.mean + share * (y - prior.mean), np.sqrt(share * noise)
