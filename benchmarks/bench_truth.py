"""Error of the estimated index on accounts whose true index is known, by sampling and by estimator.

    python -m benchmarks.bench_truth [--accounts 200] [--days 365] [--seed 7]

Accounts trade every ten minutes (independent normal returns) and have a flow every 20 days on average, at any ten-minute
mark: a deposit of a lognormal multiple of the account (median 0.8) or, one time in three, a withdrawal of 10 to 90 % of it.
The true index is the product of all ten-minute returns, which no flow touches. Each account is then seen only at sampled
instants: hourly, daily, weekly, or as the union of the windows the exchange shows (the sandbox's sampler: two-hourly for
a week, daily for a month, weekly before).

The error is |log(estimated index at the end / true index at the end)|: its median (95th percentile) over the accounts.
The figures of the definitions' own simulation, whose parameters are similar and not the same, stand in brackets behind.
"""

import argparse
from collections.abc import Callable, Mapping

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets.exchange.sandbox.sampling import Sampler

STEP_MS = 600_000
DAY_MS = 86_400_000
STEPS_PER_DAY = DAY_MS // STEP_MS
ORIGIN_MS = 1_700_006_400_000
FLOW_EVERY_DAYS = 20.0
YEARLY_VOLATILITY = 0.9
LOWEST_RETURN = -1 + 1e-9

Account = tuple[IntArray, FloatArray, FloatArray, float]
Estimator = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

TABLE: Mapping[str, tuple[str, str, str]] = {
    "raw AV ratio (naive trackers)": ("3.38", "3.38", "3.33"),
    "dP / AV_prev": ("0.00", "0.15 (0.40)", "0.33 (2.20)"),
    "Modified Dietz, weight 1/2": ("0.012", "0.058 (0.20)", "0.173 (0.55)"),
    "dP / max(AV_prev, AV_now)": ("0.394", "0.355 (0.57)", "0.334 (0.81)"),
    "dP / (AV_prev + max(F, 0))": ("0.012", "0.059 (0.17)", "0.146 (0.43)"),
}
"""Median (95th percentile) of the definitions' simulation: hourly, daily, weekly."""
OURS = "dP / (AV_prev + max(F, 0))"


def simulated(rng: np.random.Generator, days: int) -> Account:
    """Instants, account value, cumulative PnL and true final index of one account, every ten minutes."""
    n = days * STEPS_PER_DAY
    deviation = YEARLY_VOLATILITY / np.sqrt(365 * STEPS_PER_DAY)
    r = rng.normal(rng.normal(0.3, 0.5) / (365 * STEPS_PER_DAY), deviation, n)
    has_flow = rng.random(n) < 1.0 / (FLOW_EVERY_DAYS * STEPS_PER_DAY)
    deposit = rng.lognormal(np.log(0.8), 0.7, n)
    growth = np.where(rng.random(n) < 1 / 3, 1.0 - rng.uniform(0.1, 0.9, n), 1.0 + deposit)
    growth = np.where(has_flow, growth, 1.0)
    # A flow comes right after the ten minutes' trading.
    values = 10_000.0 * np.cumprod(np.concatenate([[1.0], (1.0 + r) * growth]))
    pnl = np.concatenate([[0.0], np.cumsum(values[:-1] * r)])
    ts = ORIGIN_MS + STEP_MS * np.arange(n + 1, dtype=np.int64)
    return ts, values, pnl, float(np.sum(np.log1p(r)))


def every(steps: int) -> Callable[[IntArray, int], BoolArray]:
    """Sampling every so many ten-minute steps, the last point included."""

    def chosen(ts: IntArray, _number: int) -> BoolArray:
        mask = (np.arange(len(ts)) % steps) == 0
        mask[-1] = True
        return mask

    return chosen


def api_windows(ts: IntArray, number: int) -> BoolArray:
    """The points the exchange would show now, on the ten-minute grid, with the first and the moving last one."""
    sampler = Sampler(
        origin_ms=int(ts[0]),
        phase_ms=0,
        jitter_key=np.uint64(2 * number + 1),
        pattern_key=np.uint64(2 * number + 2),
        first=0,
    )
    shown = np.concatenate(list(sampler.windows(int(ts[-1])).values()))
    mask = np.zeros(len(ts), dtype=np.bool_)
    mask[np.searchsorted(ts, shown, side="right") - 1] = True
    mask[[0, -1]] = True
    return mask


SAMPLINGS = {
    "hourly": every(6),
    "daily": every(STEPS_PER_DAY),
    "weekly": every(7 * STEPS_PER_DAY),
    "API windows": api_windows,
}


def _raw(before: FloatArray, now: FloatArray, earned: FloatArray) -> FloatArray:
    del earned
    return now / before - 1.0


def _before_flows(before: FloatArray, now: FloatArray, earned: FloatArray) -> FloatArray:
    del now
    return earned / before


def _dietz(before: FloatArray, now: FloatArray, earned: FloatArray) -> FloatArray:
    return earned / (before + 0.5 * (now - before - earned))


def _larger(before: FloatArray, now: FloatArray, earned: FloatArray) -> FloatArray:
    return earned / np.maximum(before, now)


OTHERS: Mapping[str, Estimator] = {
    "raw AV ratio (naive trackers)": _raw,
    "dP / AV_prev": _before_flows,
    "Modified Dietz, weight 1/2": _dietz,
    "dP / max(AV_prev, AV_now)": _larger,
}


def errors(accounts: list[Account], sampling: Callable[[IntArray, int], BoolArray]) -> dict[str, FloatArray]:
    """|log error| of the final index per estimator, for accounts seen through a sampling."""
    truth = np.array([account[3] for account in accounts])
    seen = []
    for number, (ts, values, pnl, _) in enumerate(accounts):
        mask = sampling(ts, number)
        seen.append((ts[mask], values[mask], pnl[mask]))
    found = {}
    for name, estimator in OTHERS.items():
        logs = [
            np.sum(np.log1p(np.maximum(estimator(av[:-1], av[1:], np.diff(p)), LOWEST_RETURN)))
            for _, av, p in seen
        ]
        found[name] = np.abs(np.array(logs) - truth)
    curves = RaggedCurves.from_groups([f"0x{number:040x}" for number in range(len(seen))], seen)
    steps = flow_adjusted_returns(curves, ReturnRules())
    found[OURS] = np.abs(np.log(steps.index[steps.curves.offsets[1:] - 1]) - truth)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    accounts = [simulated(rng, arguments.days) for _ in range(arguments.accounts)]
    measured = {name: errors(accounts, sampling) for name, sampling in SAMPLINGS.items()}

    print(
        f"{arguments.accounts} accounts over {arguments.days} days, a flow every {FLOW_EVERY_DAYS:.0f} days on average"
    )
    print("|log error| of the final index: median (95th percentile) [the definitions' table]\n")
    print(f"{'estimator':<32}" + "".join(f"{name:<34}" for name in SAMPLINGS))
    for name, reference in TABLE.items():
        cells = []
        for place, sampling in enumerate(SAMPLINGS):
            median, high = np.quantile(measured[sampling][name], (0.5, 0.95))
            beside = f" [{reference[place]}]" if place < len(reference) else ""
            cells.append(f"{median:.3f} ({high:.3f}){beside}")
        print(f"{name:<32}" + "".join(f"{cell:<34}" for cell in cells))


if __name__ == "__main__":
    main()
