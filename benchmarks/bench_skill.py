"""Which score finds skill? Rank correlation of true skill with our scores, raw ROI, PnL and chance, on simulated traders.

    python -m benchmarks.bench_skill [--wallets 2000] [--populations 5] [--seed 7]

Skill is a wallet's true annual Sharpe ratio. 95 % of the wallets draw it from a normal distribution of mean 0 and standard
deviation 0.8, 5 % from one of mean 2 and standard deviation 0.7; yearly volatility is lognormal around 60 %. Daily returns
are Student-t with 4 degrees of freedom. 40 % of the histories are short (15 to 60 days), the others last up to two years.
Capital is lognormal over three decades. Half of the wallets have a deposit or withdrawal every 20 days on average. 5 % had
one lucky day (+40 % to +200 %), whatever their skill.

Two ways of seeing the same traders: a point a day, as a platform has it that has stored every fetch, and what the exchange
shows at the first fetch (daily for 30 days, weekly before).

Printed, of all eligible wallets and of those with less than 60 days among themselves: Spearman's rank correlation with the
true Sharpe ratio, and the mean true Sharpe ratio of the best 5 %; then the share of short histories among the best 5 % of
all. `raw ROI` is that of the account value, deposits and all (`roi_account_value`); `exchange ROI` is PnL over the largest net
deposits. A score that is null for a wallet (trust unknown)
counts as 50, the neutral score (an unknown Sharpe ratio as 0), so that every row ranks the same wallets; [k/n]: in only k of n populations trust is known
for anybody. The standard error of one correlation is about 1/sqrt(wallets): 0.02 of all, 0.035 of the short.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import BoolArray, FloatArray, IntArray
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.nulls import NullReason
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.scores import score_slot

DAY_MS = 86_400_000
END_MS = 1_780_272_000_000
SHORT_DAYS = 60
DAYS_PER_YEAR = 365
DEGREES_OF_FREEDOM = 4
BEST_SHARE = 0.05
HEADINGS = ("all: Spearman", "best 5 %: Sharpe", "short: Spearman", "best 5 %: Sharpe", "short among best")
SAMPLINGS = ("daily", "first fetch")
RANKINGS = (
    "quant_score",
    "weighted_score",
    "adjusted_score",
    "trust",
    "measured Sharpe",
    "index ROI",
    "exchange ROI",
    "raw ROI",
    "PnL",
    "random",
)


@dataclass(frozen=True)
class Trader:
    """One simulated wallet: its truth, and a point a day."""

    sharpe: float
    ts_ms: IntArray
    account_value: FloatArray
    pnl: FloatArray

    @property
    def days(self) -> int:
        """Length of the record."""
        return len(self.ts_ms) - 1

    @property
    def raw_roi(self) -> float:
        """Growth of the account value, deposits and withdrawals included."""
        return float(self.account_value[-1] / self.account_value[0] - 1.0)

    @property
    def exchange_roi(self) -> float:
        """PnL over starting value plus the largest net deposits, at least 100 USD, as the exchange has it."""
        deposits = np.maximum.accumulate(self.account_value - self.pnl)[-1]
        return float(self.pnl[-1] / max(100.0, deposits))


def simulated(rng: np.random.Generator) -> Trader:
    """One trader; the same draws whatever the others are."""
    gifted = rng.random() < 0.05
    sharpe = float(rng.normal(2.0, 0.7) if gifted else rng.normal(0.0, 0.8))
    volatility = float(np.clip(rng.lognormal(np.log(0.6), 0.5), 0.1, 2.0)) / np.sqrt(DAYS_PER_YEAR)
    days = int(rng.integers(15, SHORT_DAYS) if rng.random() < 0.4 else rng.integers(SHORT_DAYS, 731))
    noise = rng.standard_t(DEGREES_OF_FREEDOM, days) / np.sqrt(DEGREES_OF_FREEDOM / (DEGREES_OF_FREEDOM - 2))
    r = np.maximum(sharpe / np.sqrt(DAYS_PER_YEAR) * volatility + volatility * noise, -0.9)
    if rng.random() < 0.05:
        r[rng.integers(days)] = rng.uniform(0.4, 2.0)
    flows = (rng.random(days) < 1 / 20) & (rng.random() < 0.5)
    deposit = rng.lognormal(np.log(0.8), 0.7, days)
    growth = np.where(rng.random(days) < 1 / 3, 1.0 - rng.uniform(0.1, 0.9, days), 1.0 + deposit)
    growth = np.where(flows, growth, 1.0)
    capital = rng.lognormal(np.log(50_000.0), 1.5)
    value = capital * np.cumprod(np.concatenate([[1.0], (1.0 + r) * growth]))
    pnl = np.concatenate([[0.0], np.cumsum(value[:-1] * r)])
    return Trader(sharpe, END_MS - DAY_MS * np.arange(days, -1, -1, dtype=np.int64), value, pnl)


def seen(trader: Trader, sampling: str) -> BoolArray:
    """Which of a trader's points are seen."""
    age = np.arange(trader.days, -1, -1)
    if sampling == "daily":
        return np.ones(len(age), dtype=np.bool_)
    return (age <= 30) | (age % 7 == 0) | (age == trader.days)


def ranked_by(traders: list[Trader], sampling: str, seed: int) -> tuple[BoolArray, Mapping[str, FloatArray]]:
    """Who is eligible, and every figure that wallets are ranked by."""
    groups = []
    for trader in traders:
        mask = seen(trader, sampling)
        groups.append((trader.ts_ms[mask], trader.account_value[mask], trader.pnl[mask]))
    table = compute_wallet_metrics(
        RaggedCurves.from_groups([f"0x{number:040x}" for number in range(len(groups))], groups)
    )
    eligibility = assess_eligibility(table)
    trust = compare_wallets(table, eligibility).columns["trust"]
    n = len(traders)
    scored = score_slot(
        table.wallets,
        table.scored(),
        eligibility,
        grader_scores=np.full((n, len(SCORED_METRICS)), np.nan),
        valid_grade=np.zeros(n, dtype=np.bool_),
        trust=trust.values,
        trust_reasons=[NullReason(code).label if code else None for code in trust.reasons.tolist()],
        config=ScoringConfig(),
    )
    figures = {
        name: scored.scores[name].values for name in ("quant_score", "weighted_score", "adjusted_score")
    }
    figures["adjusted_score"] = np.where(np.isnan(figures["adjusted_score"]), 50.0, figures["adjusted_score"])
    return eligibility.eligible, {
        **figures,
        "trust": np.nan_to_num(trust.values, nan=50.0),
        "measured Sharpe": np.nan_to_num(table.values["sharpe"], nan=0.0),
        "index ROI": table.values["roi"],
        "exchange ROI": np.array([trader.exchange_roi for trader in traders]),
        "raw ROI": np.array([trader.raw_roi for trader in traders]),
        "PnL": np.array([trader.pnl[-1] for trader in traders]),
        "random": np.random.default_rng(seed).random(n),
    }


def spearman(first: FloatArray, second: FloatArray) -> float:
    """Spearman's rank correlation, ties given their mean rank."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2


def findings(wallets: int, seed: int, sampling: str) -> dict[str, tuple[float, ...]]:
    """Ranking -> the figures of `HEADINGS` for one population; NaN where a ranking tells nobody apart."""
    rng = np.random.default_rng(seed)
    traders = [simulated(rng) for _ in range(wallets)]
    truth = np.array([trader.sharpe for trader in traders])
    short = np.array([trader.days < SHORT_DAYS for trader in traders])
    eligible, figures = ranked_by(traders, sampling, seed)
    found = {}
    for name in RANKINGS:
        values = figures[name]
        row = []
        for group in (eligible, eligible & short):
            informed = np.ptp(values[group]) > 0
            best = np.argsort(-values[group], kind="stable")[: max(1, round(BEST_SHARE * group.sum()))]
            row += [
                spearman(values[group], truth[group]) if informed else np.nan,
                float(truth[group][best].mean()) if informed else np.nan,
            ]
        best = np.flatnonzero(eligible)[np.argsort(-values[eligible], kind="stable")]
        best = best[: round(BEST_SHARE * len(best))]
        found[name] = (*row, float(short[best].mean()) if np.ptp(values[eligible]) > 0 else np.nan)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wallets", type=int, default=2_000)
    parser.add_argument("--populations", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(
        f"{arguments.populations} populations of {arguments.wallets} simulated traders, 40 % of them with less than "
        f"{SHORT_DAYS} days; mean (standard deviation between populations)"
    )
    for sampling in SAMPLINGS:
        runs = [
            findings(arguments.wallets, arguments.seed + number, sampling)
            for number in range(arguments.populations)
        ]
        print(f"\nseen: {sampling}\n{'ranked by':<16}" + "".join(f"{heading:>22}" for heading in HEADINGS))
        for name in RANKINGS:
            cells = []
            for column in range(len(HEADINGS)):
                values = np.array([run[name][column] for run in runs])
                known = values[~np.isnan(values)]
                text = f"{known.mean():.3f} ({known.std():.3f})" if len(known) else "-"
                cells.append(text if len(known) == len(values) else f"{text} [{len(known)}/{len(values)}]")
            print(f"{name:<16}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
