"""Time and peak memory of all metrics for a whole board of wallets, beside ffn, empyrical and quantstats.

    python -m benchmarks.bench_metrics [--wallets 47500] [--points 130 1000] [--sampled 12] [--seed 7]

Each size runs in a process of its own (Linux: peak memory is read from /proc). Curves are synthetic: an account value every 24 hours
with random returns, a flow every twenty steps, some wipe-outs with refunding, lengths from half to one and a half times
`--points`. The floor printed beside the figures is one numpy pass (a sum) over the same bytes.

The libraries compute one wallet at a time, from a pandas series of the index or of daily returns that they are given, on
`--sampled` wallets without wipe-outs. Two comparisons are printed, both in time per wallet:

same metrics    Both are given the same index and compute the same metrics and nothing more; ours for sampled curves
                repeated until they are a board, in one thread. What both compute stands in the row. Behind it the ratio
                when ours also works the index out of account values and PnL, which the libraries cannot.
all metrics     The library's figures against all of ours for the whole board, as the platform runs it: flows, data quality,
                significance, trust and null reasons included, from account value and PnL. quantstats' `reports.metrics`
                and ffn's `calc_stats` are the tables these libraries give users.

Building the series is not counted.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import offsets_of, segment_count
from hl_assets.equity.returns import Steps, flow_adjusted_returns
from hl_assets.metrics.daily import daily_quality, daily_returns
from hl_assets.metrics.drawdown import drawdown_ratios, drawdown_series, drawdowns
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.metrics.performance import performance
from hl_assets.metrics.risk import daily_risk
from hl_assets.metrics.shape import CurveShape
from hl_assets.metrics.significance import record_significance
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.underwater import under_water
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SAMPLED_POINTS = 1_000_000
"""The libraries' wallets are picked from the board's first so many points."""
SAME_POINTS = 6_000_000
"""About as many points the comparison of the same metrics runs over."""
CHUNK_POINTS = 200_000
AIMS = {"ffn": 300, "quantstats": 2_000}

Pair = tuple["pd.Series[float]", "pd.Series[float]"]
Library = Callable[["pd.Series[float]", "pd.Series[float]"], None]
Ours = Callable[[Steps, CurveShape], None]


def simulated_board(n_wallets: int, n_points: int, seed: int) -> RaggedCurves:
    """A ragged board of daily points with flows and wipe-outs."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(n_points // 2, n_points * 3 // 2 + 1, n_wallets).astype(np.int64)
    offsets = offsets_of(lengths)
    n = int(offsets[-1])
    day = np.arange(n) - np.repeat(offsets[:-1], lengths)
    ts = DAY_MS * day + rng.integers(0, HOUR_MS, n) + 1_600_000_000_000
    capital = 10_000.0 + np.repeat(rng.exponential(1e5, n_wallets), lengths)
    earned = capital * rng.normal(0.0005, 0.02, n)
    flow = np.where(rng.random(n) < 0.05, capital * rng.uniform(-0.2, 0.5, n), 0.0)
    pnl = np.cumsum(earned)
    total = np.cumsum(earned + flow)
    start = np.repeat(total[offsets[:-1]], lengths)
    values = np.maximum(capital + total - start, 0.2 * capital)
    values[rng.random(n) < 0.0005] = 0.0
    wallets = tuple(f"0x{number:040x}" for number in range(n_wallets))
    return RaggedCurves(wallets, ts, values, pnl, offsets, np.zeros(n_wallets, dtype=np.int64))


def memory_mb(figure: str) -> float:
    """`VmRSS`, memory in use now, or `VmHWM`, its peak since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(figure))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Start measuring the peak anew: simulating the board takes more memory than the metrics do (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def daily_series(curves: RaggedCurves, n: int) -> list[Pair]:
    """Prices and returns, as the libraries want them, of `n` wallets that were never wiped out."""
    steps = flow_adjusted_returns(next(curves.chunks(SAMPLED_POINTS))[1])
    clean = np.flatnonzero(
        segment_count(steps.flagged(StepFlag.WIPED_OUT | StepFlag.UNKNOWN_RETURN), steps.curves.offsets) == 0
    )
    # Spread over lengths: every so many-th of the wallets in order of length.
    by_length = clean[np.argsort(steps.curves.lengths[clean], kind="stable")]
    chosen = by_length[np.linspace(0, len(by_length) - 1, n).astype(np.int64)]
    series = []
    for wallet in chosen:
        points = slice(int(steps.curves.offsets[wallet]), int(steps.curves.offsets[wallet + 1]))
        days = pd.DatetimeIndex(pd.to_datetime(steps.curves.ts_ms[points], unit="ms")).normalize()
        prices = pd.Series(steps.index[points], index=days)
        series.append((prices, prices.pct_change().iloc[1:]))
    return series


def with_ffn(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import ffn  # noqa: PLC0415 - slow imports, wanted in the comparison only

    ffn.calc_max_drawdown(prices)
    details = ffn.drawdown_details(ffn.to_drawdown_series(prices))
    if details is not None:
        details["drawdown"].mean()
    ffn.calc_cagr(prices)
    ffn.core.calc_calmar_ratio(prices)
    ffn.calc_sharpe(returns, nperiods=365)
    ffn.calc_sortino_ratio(returns, nperiods=365)
    ffn.core.to_ulcer_index(prices)
    _shape(returns)


def with_ffn_four(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import ffn  # noqa: PLC0415

    del returns
    ffn.calc_max_drawdown(prices)
    details = ffn.drawdown_details(ffn.to_drawdown_series(prices))
    if details is not None:
        details["drawdown"].mean()
    ffn.calc_cagr(prices)
    ffn.core.calc_calmar_ratio(prices)


def with_ffn_stats(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import ffn  # noqa: PLC0415

    del returns
    ffn.calc_stats(prices)


def with_empyrical(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import empyrical  # noqa: PLC0415

    del prices
    empyrical.max_drawdown(returns)
    empyrical.cagr(returns, annualization=365)
    empyrical.calmar_ratio(returns, annualization=365)
    empyrical.sharpe_ratio(returns, annualization=365)
    empyrical.sortino_ratio(returns, annualization=365)
    empyrical.annual_volatility(returns, annualization=365)
    _shape(returns)


def with_quantstats(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import quantstats.stats as qs  # noqa: PLC0415

    del prices
    qs.max_drawdown(returns)
    details = qs.drawdown_details(qs.to_drawdown_series(returns))
    details["max drawdown"].mean()
    qs.cagr(returns, periods=365)
    qs.calmar(returns, periods=365)
    qs.sharpe(returns, periods=365)
    qs.sortino(returns, periods=365)
    qs.volatility(returns, periods=365)
    qs.skew(returns)
    qs.kurtosis(returns)
    qs.ulcer_index(returns)
    qs.best(returns)
    qs.probabilistic_sharpe_ratio(returns, periods=365)


def with_quantstats_report(prices: "pd.Series[float]", returns: "pd.Series[float]") -> None:
    import quantstats.reports as reports  # noqa: PLC0415

    del prices
    reports.metrics(returns, mode="full", display=False, periods_per_year=365)


def _shape(returns: "pd.Series[float]") -> None:
    returns.skew()
    returns.kurt()
    returns.max()


LIBRARIES = {
    "ffn": with_ffn,
    "ffn.calc_stats": with_ffn_stats,
    "empyrical": with_empyrical,
    "quantstats": with_quantstats,
    "quantstats.reports.metrics": with_quantstats_report,
}


def ours_of_growth(steps: Steps, shape: CurveShape) -> None:
    grown = performance(steps, shape)
    drawdown_ratios(grown, drawdowns(steps, shape, drawdown_series(steps)))


def ours_of_growth_and_days(steps: Steps, shape: CurveShape) -> None:
    ours_of_growth(steps, shape)
    daily_risk(daily_returns(steps, shape), shape)


def ours_of_growth_days_and_significance(steps: Steps, shape: CurveShape) -> None:
    grown, fall = performance(steps, shape), drawdown_series(steps)
    drawdown_ratios(grown, drawdowns(steps, shape, fall))
    under_water(steps, shape, fall)
    daily = daily_returns(steps, shape)
    record_significance(daily_risk(daily, shape), daily_quality(daily, shape)["n_daily_steps"])


SAME_METRICS = {
    "ffn": (with_ffn_four, ours_of_growth, "max drawdown, average drawdown, CAGR, Calmar"),
    "empyrical": (
        with_empyrical,
        ours_of_growth_and_days,
        "max drawdown, CAGR, Calmar, Sharpe, Sortino, volatility, skew, kurtosis, best day",
    ),
    "quantstats": (
        with_quantstats,
        ours_of_growth_days_and_significance,
        "the same, average drawdown, ulcer index and PSR",
    ),
}


def same_curves(series: Sequence[Pair], n_points: int) -> RaggedCurves:
    """The sampled index curves as accounts without flows, repeated until they have about so many points together."""
    copies = max(1, n_points // sum(len(prices) for prices, _ in series))
    groups = []
    for prices, _ in series:
        values = 1e6 * prices.to_numpy()
        ts = prices.index.to_numpy().astype("datetime64[ms]").astype(np.int64)
        groups.append((ts, values, values))
    return RaggedCurves.from_groups(
        [f"0x{number:040x}" for number in range(copies * len(groups))], groups * copies
    )


def per_wallet_of(work: Library, series: Sequence[Pair]) -> float:
    """Mean seconds a wallet, the better of two runs each."""
    work(*series[0])  # imports and caches
    return statistics.fmean(min(seconds(lambda pair=pair: work(*pair)) for _ in range(2)) for pair in series)


def compare_same_metrics(series: Sequence[Pair]) -> None:
    """Each library against ours on the same curves and the same metrics."""
    board = same_curves(series, SAME_POINTS)
    print(f"  same metrics, same index curves ({board.n_wallets:,} of ours at once, one thread):")
    given = [flow_adjusted_returns(chunk) for _, chunk in board.chunks(CHUNK_POINTS)]
    working_out = min(
        seconds(lambda: [flow_adjusted_returns(chunk) for _, chunk in board.chunks(CHUNK_POINTS)])
        for _ in range(2)
    )
    for name, (library, ours, what) in SAME_METRICS.items():

        def run_ours(ours: Ours = ours) -> None:
            for steps in given:
                ours(steps, CurveShape.of(steps))

        ours_seconds = min(seconds(run_ours) for _ in range(2))
        per_wallet, whole = ours_seconds / board.n_wallets, (ours_seconds + working_out) / board.n_wallets
        theirs = per_wallet_of(library, series)
        aim = f" (aim {AIMS[name]:,}x)" if name in AIMS else ""
        print(
            f"    {name:<26} {theirs * 1e3:9.3f} ms a wallet, ours {per_wallet * 1e3:.4f}: "
            f"{theirs / per_wallet:10,.0f}x ours{aim}, {theirs / whole:,.0f}x with the index worked out    ({what})",
            flush=True,
        )


def compare(series: Sequence[Pair], curves: RaggedCurves, ours_per_wallet: float) -> None:
    """Time per wallet of each library on sampled wallets, and how many times that of all our metrics it is."""
    print(f"  theirs against all of our metrics ({ours_per_wallet * 1e3:.4f} ms a wallet):")
    for name, work in LIBRARIES.items():
        per_wallet = per_wallet_of(work, series)
        whole = per_wallet * curves.n_wallets
        aim = f" (aim {AIMS[name]:,}x)" if name in AIMS else ""
        print(
            f"    {name:<26} {per_wallet * 1e3:9.3f} ms a wallet, {whole:9,.0f} s a board: "
            f"{per_wallet / ours_per_wallet:10,.0f}x ours{aim}",
            flush=True,
        )


def run(n_wallets: int, n_points: int, seed: int, n_sampled: int) -> None:
    curves = simulated_board(n_wallets, n_points, seed)
    forget_peak()
    before = memory_mb("VmRSS")
    floor = min(
        seconds(lambda: curves.account_value.sum() + curves.pnl.sum() + curves.ts_ms.sum()) for _ in range(3)
    )
    begin = time.perf_counter()
    table = compute_wallet_metrics(curves)
    metrics = time.perf_counter() - begin
    begin = time.perf_counter()
    eligibility = assess_eligibility(table)
    comparison = compare_wallets(table, eligibility)
    compared = time.perf_counter() - begin
    begin = time.perf_counter()
    percentile_matrix(table.scored(), eligibility.eligible)
    table.null_reasons()
    table.flag_names()
    ranking = time.perf_counter() - begin
    peak = memory_mb("VmHWM")

    every = metrics + compared
    with_sharpe = int((~np.isnan(table.values["sharpe"])).sum())
    print(f"{curves.n_wallets:,} wallets, {curves.n_points:,} points, {with_sharpe:,} with daily figures")
    print(
        f"  all {len(table.values) + len(comparison.columns)} metrics: {every:.2f} s "
        f"({metrics:.2f} per wallet, {compared:.2f} among wallets), {every / curves.n_points * 1e9:.0f} ns a point"
    )
    print(f"  percentiles, reasons, flags: {ranking:.2f} s")
    print(
        f"  one numpy pass over the same bytes: {floor:.4f} s; all metrics take {every / floor:,.0f} of them"
    )
    print(f"  peak memory {peak:,.0f} MB, of which curves and libraries {before:,.0f} MB", flush=True)
    if n_sampled:
        series = daily_series(curves, n_sampled)
        compare_same_metrics(series)
        compare(series, curves, every / curves.n_wallets)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wallets", type=int, default=47_500)
    parser.add_argument("--points", type=int, nargs="+", default=[130, 1_000])
    parser.add_argument(
        "--sampled", type=int, default=12, help="wallets the libraries compute; 0 leaves them out"
    )
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    if len(arguments.points) == 1:
        run(arguments.wallets, arguments.points[0], arguments.seed, arguments.sampled)
        return 0
    failed = 0
    for points in arguments.points:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_metrics", "--points", str(points)]
        command += ["--wallets", str(arguments.wallets), "--sampled", str(arguments.sampled)]
        failed |= subprocess.run([*command, "--seed", str(arguments.seed)], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
