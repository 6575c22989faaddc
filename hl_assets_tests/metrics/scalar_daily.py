"""Daily figures again, for one wallet, in plain Python: what the vectorised code is compared with.

Written from the definitions, day by day, without sharing any code with the package.
"""

import math
from statistics import NormalDist

import scipy.optimize

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NORMAL = NormalDist()


def daily_steps(ts, index):
    """Returns of the daily steps of one life as {day number: return}, and the number there could be."""
    sample = {}
    for instant, value in zip(ts, index, strict=True):
        day = instant // DAY_MS
        if instant % DAY_MS == 0:
            day -= 1  # midnight closes the day before
        sample[day] = (instant, value)
    returns = {}
    for day, (instant, value) in sample.items():
        if day - 1 not in sample:
            continue
        before, earlier = sample[day - 1]
        if 12 * HOUR_MS <= instant - before <= 36 * HOUR_MS and earlier > 0 and not math.isnan(value):
            returns[day] = value / earlier - 1.0
    n_days = max(sample) - (min(returns) - 1 if returns else min(sample))
    newest = max(sample)
    if newest - 1 in sample and sample[newest][0] - sample[newest - 1][0] < 12 * HOUR_MS:
        n_days -= 1  # a day that is not over is not missing
    return returns, n_days


def paule_mandel(y, noise):
    """tau^2 by scipy's root finder."""

    def surplus(tau):
        weights = [1 / (tau + each) for each in noise]
        mean = math.fsum(w * each for w, each in zip(weights, y, strict=True)) / math.fsum(weights)
        return math.fsum(w * (each - mean) ** 2 for w, each in zip(weights, y, strict=True)) - (len(y) - 1)

    return 0.0 if surplus(0.0) <= 0 else scipy.optimize.brentq(surplus, 0.0, 1e6, xtol=1e-15, rtol=1e-14)


def daily_metrics(ts, index):
    """Every daily figure of one life; absent where null."""
    returns, n_days = daily_steps(ts, index)
    result = {"n_daily_steps": len(returns)}
    if n_days:
        result["daily_coverage"] = len(returns) / n_days
    r = list(returns.values())
    n = len(r)
    if n < 20 or math.isnan(index[-1]):
        return result
    mean = math.fsum(r) / n
    squares = math.fsum((each - mean) ** 2 for each in r)
    deviation = math.sqrt(squares / (n - 1))
    result["volatility"] = deviation * math.sqrt(365)
    downside = math.sqrt(math.fsum(min(each, 0.0) ** 2 for each in r) / n)
    if sum(each < 0 for each in r) >= 5 and downside > 1e-9:
        result["sortino"] = mean / downside * math.sqrt(365)
    if all(each > -1 for each in r):
        logs = [math.log1p(each) for each in r]
        if math.fsum(logs) > 1e-9:
            result["best_day_share"] = max(logs) / math.fsum(logs)
    if deviation > 1e-9:
        pairs = [(returns[day] - mean) * (returns[day - 1] - mean) for day in returns if day - 1 in returns]
        result |= {
            "daily_autocorrelation": math.fsum(pairs) / squares,
            **significance(
                mean / deviation,
                n,
                math.fsum((each - mean) ** 3 for each in r) / n / (squares / n) ** 1.5,
                math.fsum((each - mean) ** 4 for each in r) / n / (squares / n) ** 2,
            ),
        }
    return result


def significance(sr, n, skew, kurtosis):
    """Sharpe ratio, its shape, PSR(0) and MinTRL."""
    factor = factor_of(sr, skew, kurtosis)
    found = {
        "sharpe": sr * math.sqrt(365),
        "skew": skew,
        "kurtosis": kurtosis,
        "psr": NORMAL.cdf(sr * math.sqrt(n - 1) / math.sqrt(factor)),
    }
    if sr > 0:
        found["min_trl_days"] = 1 + factor * (NORMAL.inv_cdf(0.95) / sr) ** 2
    return found


def factor_of(sr, skew, kurtosis):
    return max(1 - skew * sr + (kurtosis - 1) / 4 * sr**2, 1e-9)


def comparison(wallets):
    """DSR and the empirical-Bayes posterior of wallets given as (SR per day, n, skew, kurtosis, autocorrelation)."""
    sharpes = [wallet[0] for wallet in wallets]
    count = len(wallets)
    average = math.fsum(sharpes) / count
    spread = math.fsum((each - average) ** 2 for each in sharpes) / (count - 1)
    gamma = 0.5772156649015329
    benchmark = math.sqrt(spread) * (
        (1 - gamma) * NORMAL.inv_cdf(1 - 1 / count) + gamma * NORMAL.inv_cdf(1 - 1 / (count * math.e))
    )
    low, high = _percentile(sharpes, 0.01), _percentile(sharpes, 0.99)
    y = [min(max(each, low), high) for each in sharpes]
    noise = []
    for value, (_, n, skew, kurtosis, rho) in zip(y, wallets, strict=True):
        memory = max(rho, 0.0)
        days = max(n * (1 - memory) / (1 + memory), 2.0)
        noise.append(factor_of(value, skew, kurtosis) / (days - 1))
    tau = paule_mandel(y, noise)
    weights = [1 / (tau + each) for each in noise]
    mean = math.fsum(w * v for w, v in zip(weights, y, strict=True)) / math.fsum(weights)
    rows = []
    for value, each, (sr, n, skew, kurtosis, _) in zip(y, noise, wallets, strict=True):
        share = tau / (tau + each)
        rows.append(
            {
                "dsr": NORMAL.cdf((sr - benchmark) * math.sqrt((n - 1) / factor_of(sr, skew, kurtosis))),
                "dsr_benchmark": benchmark * math.sqrt(365),
                "dsr_n": count,
                "eb_sharpe": (mean + share * (value - mean)) * math.sqrt(365),
                "eb_sharpe_sd": math.sqrt(share * each) * math.sqrt(365),
            }
        )
    return rows


def _percentile(values, share):
    """Linear interpolation between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
