"""Boards of wallets with daily points, from given or random daily returns."""

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS


def from_returns(returns, capital=1e7):
    """Account values and cumulative PnL without flows, from one more point than returns."""
    values = capital * np.cumprod(np.append(1.0, 1.0 + np.asarray(returns)))
    return values, values - capital


def board(*wallets):
    """Curves of (ts, account values, PnL) triples."""
    return RaggedCurves.from_groups([f"0x{number:040x}" for number in range(len(wallets))], wallets)


def daily_board(*returns, start_ms=START_MS):
    """One wallet per array of returns, a point a day."""
    return board(*((start_ms + DAY_MS * np.arange(len(r) + 1), *from_returns(r)) for r in returns))


def daily_metrics(*returns):
    return compute_wallet_metrics(daily_board(*returns))


def ragged_wallets(seed, n_wallets=60):
    """Irregular points: hours, days and weeks apart, flows, full withdrawals, wipe-outs with and without refunding."""
    rng = np.random.default_rng(seed)
    wallets = []
    for _ in range(n_wallets):
        n = int(rng.integers(0, 250))
        spacing = rng.choice([2 * HOUR_MS, 11 * HOUR_MS, DAY_MS, DAY_MS, 30 * HOUR_MS])
        gaps = np.maximum(1, rng.normal(spacing, spacing * rng.choice([0.0, 0.2, 0.6]), n)).astype(np.int64)
        gaps[rng.random(n) < 0.02] = 9 * DAY_MS
        value, earned, values, pnl = 1_000.0, 0.0, [], []
        for _ in range(n):
            event = rng.random()
            change = value * rng.normal(0.002, 0.03) if event < 0.9 else 0.0
            if event > 0.997:
                change = -value
            value, earned = value + change, earned + change
            if 0.95 < event < 0.98 or (value <= 0 and event < 0.5):
                value += 500.0
            elif 0.98 < event < 0.985:
                value = 0.0
            values.append(value)
            pnl.append(earned)
        first = START_MS - START_MS % DAY_MS if rng.random() < 0.5 else START_MS
        wallets.append((first + np.cumsum(gaps), np.array(values), np.array(pnl)))
    return wallets
