"""How fresh is a whole board under the exchange's limit? `python -m benchmarks coverage`.

47,500 simulated wallets, 24 hours of virtual time from nothing: 144 slots of 600 fetches (1,200 weight a minute, 20 each),
the board refreshed hourly. Activity is heavy-tailed: three of four wallets do not move within a day, half not within a week, a
quarter not within a month (the shares of zero volume measured on the real board); the better the rank, the more active.

Policies: the planner; a naive round robin; today's top 100 only; and an oracle, the planner's index with perfect
knowledge: it sees moves at once and knows every wallet's true rate. `bound` is no policy: the Lagrangian relaxation, in which the
budget holds on average instead of in every slot, gives the least mean weighted lag that any causal policy can reach in the
steady state.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hl_assets.exchange.planner import PlanRules, WalletStates, plan_fetches

WALLETS, SLOTS, FETCHES, TOP_N = 47_500, 144, 600, 100
SLOT_HOURS, SLOTS_PER_BOARD = 1 / 6, 6
GROUPS = (100, 1_000, WALLETS)
SETTLED = 108
"""Lags are averaged over the slots after this one, when every policy that gets there has seen the whole board."""

RULES = PlanRules(top_n=TOP_N)
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class World:
    """What is true, and what the boards and fetches have shown. Wallet i has rank i + 1.

    Attributes:
        rates: Moves per hour.
        fetched: Slot of the newest fetch, -1 for none.
        lag_since: Slot of the oldest move not fetched, -1 for none; a wallet never fetched lags since the beginning.
        last_move: Slot of the newest move.
        shown_since: Slot of the first board that showed a move not fetched, -1 for none.
        addresses: Addresses, in no relation to ranks.
        ranked: Wallets in the order of their addresses.
    """

    rates: Floats
    fetched: Ints
    lag_since: Ints
    last_move: Ints
    shown_since: Ints
    addresses: npt.NDArray[np.str_]
    ranked: Ints

    @classmethod
    def at_the_beginning(cls, rates: Floats) -> "World":
        """Nothing fetched yet."""
        never = np.full(WALLETS, -1)
        addresses = np.array([f"0x{i * 7919 % WALLETS:040x}" for i in range(WALLETS)])
        return cls(
            rates,
            never,
            np.zeros(WALLETS, np.int64),
            never.copy(),
            never.copy(),
            addresses,
            np.argsort(addresses),
        )

    def advance(self, slot: int, moves: npt.NDArray[np.bool_]) -> None:
        """Wallets move; every sixth slot the board shows it."""
        self.last_move = np.where(moves, slot, self.last_move)
        self.lag_since = np.where(moves & (self.lag_since < 0), slot, self.lag_since)
        if slot % SLOTS_PER_BOARD == 0:
            board_of_fetch = self.fetched - self.fetched % SLOTS_PER_BOARD
            shown = (self.fetched >= 0) & (self.shown_since < 0) & (self.last_move > board_of_fetch)
            self.shown_since = np.where(shown, slot, self.shown_since)

    def fetch(self, slot: int, wallets: Ints) -> None:
        """The newest answers of some wallets arrive."""
        self.fetched = self.fetched.copy()
        self.fetched[wallets] = slot
        self.lag_since[wallets] = self.shown_since[wallets] = -1

    def states(self, slot: int) -> WalletStates:
        """What a planner may know."""
        unknown = np.full(WALLETS, np.nan)
        none = np.zeros(WALLETS, np.bool_)
        answered = self.fetched >= 0
        age = (slot - np.where(answered, self.fetched, 0)) * SLOT_HOURS
        moved = np.where(self.shown_since >= 0, (slot - self.shown_since) * SLOT_HOURS, np.nan)
        return WalletStates(
            wallets=self.addresses,
            rank=np.arange(1.0, WALLETS + 1),
            age_hours=age,
            answered=answered,
            moved_hours=moved,
            failed_hours=unknown,
            tracked=none,
            score_rank=unknown,
            score_rank_error=unknown,
            cohort=none,
        )

    def lags(self, slot: int) -> Floats:
        """Hours since the oldest move not fetched; 0 where everything is."""
        return np.where(self.lag_since >= 0, (slot - self.lag_since) * SLOT_HOURS, 0.0)


Policy = Callable[[World, int], Ints]


def planner(world: World, slot: int) -> Ints:
    plan = plan_fetches(world.states(slot), FETCHES * RULES.fetch_weight, RULES)
    return world.ranked[np.searchsorted(world.addresses[world.ranked], plan.wallets)]


def round_robin(_: World, slot: int) -> Ints:
    return np.arange(slot * FETCHES, (slot + 1) * FETCHES) % WALLETS


def top_only(_: World, __: int) -> Ints:
    return np.arange(TOP_N)


def oracle(world: World, slot: int) -> Ints:
    lag = world.lags(slot)
    index = importance() * (lag / world.rates + lag**2 / 2)
    index[world.fetched < 0] = importance()[world.fetched < 0] * RULES.max_age_hours**2 / 2
    index[:TOP_N] = np.inf
    return np.argsort(-index, kind="stable")[:FETCHES]


def importance() -> Floats:
    return TOP_N / np.maximum(np.arange(1.0, WALLETS + 1), TOP_N)


def activity(rng: np.random.Generator) -> Floats:
    """Moves per hour: log-normal, the better ranks more active (Gaussian copula, correlation 0.5)."""
    by_rank = np.sort(rng.standard_normal(WALLETS))[::-1]
    z = 0.5 * by_rank + np.sqrt(0.75) * rng.standard_normal(WALLETS)
    return 0.1 / 24 * np.exp(2.2 * z)


def least_lag(rates: Floats, weights: Floats, fetches_per_hour: float) -> float:
    """Mean of weight x lag under the optimal fetching of the relaxation, by bisection on the price of a fetch.

    Per wallet with mean quiet time X and price C the best lag to fetch at is L = sqrt(X^2 + 2C/w) - X; the fetches then
    come at 1 / (X + L) an hour and the mean lag is (L^2 / 2) / (X + L).
    """
    quiet = 1 / rates
    low, high = 1e-9, 1e9
    for _ in range(100):
        price = np.sqrt(low * high)
        limit = np.sqrt(quiet**2 + 2 * price / weights) - quiet
        if (1 / (quiet + limit)).sum() > fetches_per_hour:
            low = price
        else:
            high = price
    return float((weights * limit**2 / 2 / (quiet + limit)).mean())


def simulate(policy: Policy, rates: Floats) -> dict[str, Floats]:
    """A day of one policy."""
    rng = np.random.default_rng(2)  # every policy meets the same moves
    world = World.at_the_beginning(rates)
    chance = 1 - np.exp(-rates * SLOT_HOURS)
    coverage, mean_lag, weighted, moved_ages = [], [], [], [[] for _ in GROUPS]
    for slot in range(SLOTS):
        world.advance(slot, rng.random(WALLETS) < chance)
        wallets = policy(world, slot)
        assert len(wallets) <= FETCHES
        world.fetch(slot, wallets)
        coverage.append((world.fetched >= 0).mean())
        if slot >= SETTLED:
            lags = world.lags(slot)
            mean_lag.append([lags[:size].mean() for size in GROUPS])
            weighted.append((importance() * lags).mean())
            for ages, size in zip(moved_ages, GROUPS, strict=True):
                ages.append(lags[:size][lags[:size] > 0])
    age = np.where(world.fetched >= 0, (SLOTS - 1 - world.fetched) * SLOT_HOURS, np.inf)
    return {
        "coverage": np.array(coverage),
        "age": np.array([np.percentile(age[:size], [50, 95], method="lower") for size in GROUPS]),
        "lag": np.mean(mean_lag, axis=0),
        "moved": np.array([_percentiles(np.concatenate(ages)) for ages in moved_ages]),
        "weighted": np.mean(weighted),
    }


def _percentiles(values: Floats) -> Floats:
    return np.percentile(values, [50, 95]) if len(values) else np.zeros(2)


def hours(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}"


def report(title: str, rates: Floats) -> None:
    """Simulate every policy in one world and print the tables."""
    shares = [float(np.exp(-rates * span).mean()) for span in (24, 168, 720)]
    print(
        f"\n-- {title}: {WALLETS:,} wallets, {SLOTS} slots of {FETCHES} fetches; without a move within a day "
        f"{shares[0]:.0%}, a week {shares[1]:.0%}, a month {shares[2]:.0%} --"
    )
    found, seconds = {}, {}
    for name, policy in POLICIES.items():
        started = time.perf_counter()
        found[name] = simulate(policy, rates)
        seconds[name] = time.perf_counter() - started
    print_coverage(found)
    for what, key in (
        ("age of the newest answer after 24 h", "age"),
        ("age of the oldest move not fetched, among wallets with one, over the last 6 h", "moved"),
    ):
        print(f"{what}: median / p95, hours")
        for name, figures in found.items():
            cells = [
                f"top {size:>6,}: {hours(median):>5} / {hours(p95):>5}"
                for size, (median, p95) in zip(GROUPS, figures[key], strict=True)
            ]
            print(f"  {name:<14}{'   '.join(cells)}")
    print_lags(found, rates)
    print(f"a slot of the planner takes {seconds['planner'] / SLOTS * 1e3:.0f} ms, the simulation included")


def print_coverage(found: dict[str, dict[str, Floats]]) -> None:
    marks = (2, 4, 8, 12, 16, 20, 24)
    print("share of the board fetched at least once after ... hours (bound: all fetches go to new wallets)")
    print(f"  {'':<14}" + "".join(f"{mark:>8} h" for mark in marks))
    bound = np.array([min(1.0, FETCHES * (slot + 1) / WALLETS) for slot in range(SLOTS)])
    for name, curve in {**{n: figures["coverage"] for n, figures in found.items()}, "bound": bound}.items():
        print(f"  {name:<14}" + "".join(f"{curve[mark * SLOTS_PER_BOARD - 1]:>10.1%}" for mark in marks))


def print_lags(found: dict[str, dict[str, Floats]], rates: Floats) -> None:
    print(
        "lag (0 for wallets whose moves are all fetched), mean over the last 6 h, hours; minimised is the last column"
    )
    per_hour = FETCHES / SLOT_HOURS
    bound = {
        "lag": np.array([least_lag(rates[:size], np.ones(size), per_hour) for size in GROUPS]),
        "weighted": np.array(least_lag(rates, importance(), per_hour)),
    }
    for name, figures in {**found, "bound": bound}.items():
        cells = [f"top {size:>6,}: {lag:7.3f}" for size, lag in zip(GROUPS, figures["lag"], strict=True)]
        print(f"  {name:<14}{'   '.join(cells)}   x importance: {figures['weighted']:.5f}")
    print("  (each figure of the bound is what could be reached if the whole budget served that group alone)")


POLICIES: dict[str, Policy] = {
    "planner": planner,
    "round robin": round_robin,
    "top 100 only": top_only,
    "oracle": oracle,
}


def main() -> None:
    rates = activity(np.random.default_rng(1))
    report("as the real board trades", rates)
    report("ten times as busy", 10 * rates)


if __name__ == "__main__":
    main()
