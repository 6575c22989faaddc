"""Time and peak memory of all metrics for a whole board of wallets.

    python benchmarks/bench_metrics.py [--wallets 47500] [--points 130] [--seed 7]

Curves are synthetic: random returns, a flow every twenty steps, some wipe-outs with refunding, lengths from half to one
and a half times `--points`. The floor printed beside the figure is one numpy pass (a sum) over the same bytes.
"""

import argparse
import resource
import time

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import offsets_of
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics

DAY_MS = 86_400_000


def simulated_board(n_wallets: int, n_points: int, seed: int) -> RaggedCurves:
    """A ragged board with flows and wipe-outs."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(n_points // 2, n_points * 3 // 2 + 1, n_wallets).astype(np.int64)
    offsets = offsets_of(lengths)
    n = int(offsets[-1])
    ts = np.cumsum(rng.integers(DAY_MS // 12, DAY_MS, n)) + 1_600_000_000_000
    pnl = np.cumsum(rng.normal(5.0, 300.0, n))
    values = 10_000.0 + rng.exponential(5_000.0, n) + np.repeat(rng.exponential(1e5, n_wallets), lengths)
    values[rng.random(n) < 0.0005] = 0.0
    wallets = tuple(f"0x{number:040x}" for number in range(n_wallets))
    return RaggedCurves(wallets, ts, values, pnl, offsets, np.zeros(n_wallets, dtype=np.int64))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wallets", type=int, default=47_500)
    parser.add_argument("--points", type=int, default=130)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    curves = simulated_board(arguments.wallets, arguments.points, arguments.seed)
    print(f"{curves.n_wallets:,} wallets, {curves.n_points:,} points; memory before: {peak_mb():,.0f} MB")

    begin = time.perf_counter()
    floor_sum = curves.account_value.sum() + curves.pnl.sum() + curves.ts_ms.sum()
    floor = time.perf_counter() - begin
    begin = time.perf_counter()
    table = compute_wallet_metrics(curves)
    metrics = time.perf_counter() - begin
    begin = time.perf_counter()
    eligibility = assess_eligibility(table)
    percentile_matrix(table.scored(), eligibility.eligible)
    table.null_reasons()
    table.flag_names()
    ranking = time.perf_counter() - begin

    print(f"one pass over the same bytes: {floor:.4f} s (sum {floor_sum:.3e})")
    print(
        f"all {len(table.values)} metrics: {metrics:.2f} s, {metrics / curves.n_points * 1e9:.0f} ns a point"
    )
    print(f"eligibility, percentiles, reasons, flags: {ranking:.2f} s")
    print(f"peak memory: {peak_mb():,.0f} MB; {int(eligibility.eligible.sum()):,} wallets eligible")


if __name__ == "__main__":
    main()
