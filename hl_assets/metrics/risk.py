"""What daily returns look like: their spread, the pay for it, their shape and their memory.

Belongs here: figures of the daily grid (`hl_assets.metrics.daily`). Whether they prove anything belongs in
`hl_assets.metrics.significance`; falls of the index belong in `hl_assets.metrics.drawdown` and `underwater`.

With returns r of n daily steps, their mean m and their sample standard deviation s (dividing by n - 1):

    volatility   s sqrt(365)
    sharpe       m / s sqrt(365), without a risk-free rate
    sortino      m / sqrt(mean(min(r, 0)^2)) sqrt(365), the mean over all n
    skew         m3 / m2^1.5     population moments m_k = mean((r - m)^k), as the probabilistic Sharpe ratio takes them;
    kurtosis     m4 / m2^2       raw: a normal distribution has 3

`volatility`, `sharpe` and `sortino` are those of empyrical with an annualization of 365: crypto trades every day.
"""

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray, segment_count, segment_reduce
from hl_assets.metrics.daily import DailyReturns
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import CurveShape

DAYS_PER_YEAR = 365.0
MIN_NEGATIVE_DAYS = 5
"""Fewer losing days say too little about the downside for a sortino."""
ROUNDING = 1e-9
"""A daily standard deviation, or total log return, up to this is rounding of amounts, not variation or gain."""

_Nulls = list[tuple[BoolArray, NullReason]]


def daily_risk(daily: DailyReturns, shape: CurveShape) -> dict[str, Column]:
    """`volatility`, `sharpe`, `sortino`, `skew`, `kurtosis`, `best_day_share`, `daily_autocorrelation`."""
    few = daily.too_few(shape)
    n = np.maximum(daily.n_steps, 1).astype(np.float64)
    mean = _sums(daily.r, daily) / n
    away = daily.r - np.repeat(mean, daily.n_steps)
    square = away * away
    second = _sums(square, daily)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(second / (n - 1.0))
        sharpe = mean / deviation * np.sqrt(DAYS_PER_YEAR)
    constant: _Nulls = [*few, (~(deviation > ROUNDING), NullReason.NO_VARIATION)]
    return {
        "volatility": Column.of(deviation * np.sqrt(DAYS_PER_YEAR), *few),
        "sharpe": Column.of(sharpe, *constant),
        "sortino": _sortino(daily, mean, n, few),
        **_higher_moments(daily, away, square, second / n, constant),
        "best_day_share": _best_day_share(daily, few),
        "daily_autocorrelation": _autocorrelation(daily, away, second, constant),
    }


def _sums(values: FloatArray, daily: DailyReturns) -> FloatArray:
    return segment_reduce(np.add, values, daily.offsets, empty=0.0)


def _sortino(daily: DailyReturns, mean: FloatArray, n: FloatArray, few: _Nulls) -> Column:
    loss = np.minimum(daily.r, 0.0)
    n_negative = segment_count(daily.r < 0.0, daily.offsets)
    with np.errstate(divide="ignore", invalid="ignore"):
        downside = np.sqrt(_sums(loss * loss, daily) / n)
        ratio = mean / downside * np.sqrt(DAYS_PER_YEAR)
    return Column.of(
        ratio,
        *few,
        (n_negative < MIN_NEGATIVE_DAYS, NullReason.TOO_FEW_NEGATIVE_DAYS),
        (~(downside > ROUNDING), NullReason.NO_VARIATION),
    )


def _higher_moments(
    daily: DailyReturns, away: FloatArray, square: FloatArray, variance: FloatArray, constant: _Nulls
) -> dict[str, Column]:
    n = np.maximum(daily.n_steps, 1)
    third, fourth = _sums(square * away, daily) / n, _sums(square * square, daily) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        skew = third / (variance * np.sqrt(variance))
        kurtosis = fourth / (variance * variance)
    return {"skew": Column.of(skew, *constant), "kurtosis": Column.of(kurtosis, *constant)}


def _best_day_share(daily: DailyReturns, few: _Nulls) -> Column:
    """Best day's log return over that of all days; above 1 if the other days together lost."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_return = np.log1p(daily.r)  # -inf for a wipe-out: then there is no gain to take a share of
        total = _sums(log_return, daily)
        best = segment_reduce(np.maximum, log_return, daily.offsets, empty=np.nan)
        share = best / total
    return Column.of(share, *few, (~(total > ROUNDING), NullReason.NO_GAIN))


def _autocorrelation(daily: DailyReturns, away: FloatArray, second: FloatArray, constant: _Nulls) -> Column:
    """Lag-1 autocorrelation; a pair of days with a gap between counts as uncorrelated."""
    product = np.zeros_like(away)
    np.multiply(away[1:], away[:-1], out=product[1:], where=daily.follows[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = _sums(product, daily) / second
    return Column.of(rho, *constant)
