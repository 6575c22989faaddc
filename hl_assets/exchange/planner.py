"""Whom to fetch in a slot when the whole board does not fit: the wallets in which a fetch saves most staleness.

Belongs here: the ordering and its rules, as pure functions on arrays. Does not belong here: reading what is known
(`hl_assets.assets`), the top of the board by one measure (`selection`), fetching.

**What is minimised**: the mean over time of sum(importance x lag). A wallet's lag is how long its oldest move that is not
fetched yet has been waiting: 0 until it moves, then growing with time. Importance is 1 for the top N and falls as
N / rank.

**The order** follows. Fetch a wallet each time its lag reaches L, and let X be how long it then stays quiet: over a cycle
of X + L hours the mean lag is (L^2 / 2) / (X + L), for one fetch. The lag at which a fetch is worth its price C solves
importance * (L * X + L^2 / 2) = C; so at any moment the best fetch is the one with the largest left-hand side (its
Whittle index). X is estimated by the quiet time just observed, from the last fetch to the first board that showed a move, and
with age = X + L the index reads

    importance * (age^2 - quiet^2) / 2

hours squared of staleness per fetch, all fetches costing the same weight. A wallet that moves all the time has quiet = 0
and is fetched at intervals proportional to 1 / sqrt(importance); one that has just moved after days of rest comes
soon, because its fetch will stay good for days.

A board may hide a move, so wallets without one wait: `quiet_hours` at least, and at `max_age_hours` they are due.
`due_share` of what is left of the budget goes to those due, oldest first, so nobody waits longer than `max_age_hours`
plus the time in which that share serves the whole board, whatever the others do.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

FetchReason = Literal["top", "tracked", "stale", "moved", "uncertain", "cohort", "new"]
REASONS: tuple[FetchReason, ...] = get_args(FetchReason)

MOVE_SHARE = 1e-3
MOVE_FLOOR_USD = 1.0
"""A change of account value or PnL on the board is a move when it is above this share of the account value and this
amount: interest and rounding are none."""

_UNSEEN_HOURS = 0.5
"""Boards come hourly: on average a move is half an hour older than the first board that shows it."""


@dataclass(frozen=True, kw_only=True)
class PlanRules:
    """What a plan promises.

    Attributes:
        top_n: Best wallets of the board, always fetched.
        fetch_weight: Request weight of one fetch.
        max_age_hours: Age at which a wallet that shows no move is due.
        quiet_hours: A wallet that shows no move is not fetched again before.
        retry_hours: After a failure a wallet waits this long, unless it is in the top or tracked.
        due_share: Share of the budget, after top and tracked, for wallets that are due.
        doubt: Index of a wallet without a move, as a share of what it were with one.
    """

    top_n: int
    fetch_weight: int = 20
    max_age_hours: float = 72.0
    quiet_hours: float = 12.0
    retry_hours: float = 1.0
    due_share: float = 0.5
    doubt: float = 0.01

    def __post_init__(self) -> None:
        for name in ("top_n", "fetch_weight", "max_age_hours"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        for name in ("quiet_hours", "retry_hours", "doubt"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if not 0 < self.due_share <= 1:
            raise ValueError(f"due_share must be above 0 and at most 1, got {self.due_share!r}")


@dataclass(frozen=True, kw_only=True)
class WalletStates:
    """What is known of every wallet that may be fetched, one entry each, in any order.

    Attributes:
        wallets: Addresses, lower case, distinct.
        rank: Rank on the board by the measure that picks the top, 1 is best; NaN off the board.
        age_hours: Hours since the newest answer; for a wallet never answered, since the board first showed it.
        answered: Whether the exchange ever answered for it.
        moved_hours: Hours since the first board on which account value or PnL differ from those at the newest answer; NaN
            if none does. Not above `age_hours`.
        failed_hours: Hours since the last attempt if that failed; NaN if it did not, or there was none.
        tracked: Always to be fetched although not in the top.
        score_rank: Rank by our own score; NaN if unknown.
        score_rank_error: Its uncertainty in ranks; NaN if unknown.
        cohort: Member of a cohort that is still open, whose outcome is to be measured.

    Raises:
        ValueError: Lengths differ, an address occurs twice, or an age is unknown or negative.
    """

    wallets: npt.NDArray[np.str_]
    rank: FloatArray
    age_hours: FloatArray
    answered: BoolArray
    moved_hours: FloatArray
    failed_hours: FloatArray
    tracked: BoolArray
    score_rank: FloatArray
    score_rank_error: FloatArray
    cohort: BoolArray

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in vars(self).items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"every column needs one entry per wallet, got {lengths}")
        ordered = self.wallets[self.by_address]
        if (ordered[1:] == ordered[:-1]).any():
            raise ValueError("a wallet occurs twice; merge what is known of it into one entry")
        if not np.all(self.age_hours >= 0):
            raise ValueError("age_hours must be known and not negative for every wallet")

    def __len__(self) -> int:
        return len(self.wallets)

    @cached_property
    def by_address(self) -> IntArray:
        """Indices of the wallets in ascending order of address, which breaks every tie."""
        return np.argsort(self.wallets, kind="stable")


@dataclass(frozen=True)
class FetchPlan:
    """The wallets to fetch, most urgent first.

    Attributes:
        wallets: Addresses, in the order to ask.
        reasons: Why each is asked for.
        weight: What the plan costs without retries.
        n_always: How many come first because they always do.
        n_due: Wallets older than the rules allow, in the plan or not.
        n_moved: Wallets with a move that is not fetched yet, in the plan or not.
    """

    wallets: tuple[str, ...]
    reasons: tuple[FetchReason, ...]
    weight: int
    n_always: int
    n_due: int
    n_moved: int


def plan_fetches(states: WalletStates, weight_left: int, rules: PlanRules) -> FetchPlan:
    """Order the wallets to fetch in a slot.

    Top and tracked wallets are in every plan, also when they alone cost more than what is left: the request budget
    makes them wait, and those it cannot serve become failures that somebody sees. Nobody else is added beyond
    `weight_left`. Ties go to the lower address, so the same knowledge always gives the same plan.

    Args:
        states: What is known.
        weight_left: Request weight free until the slot's end.
        rules: What the plan promises.
    """
    top = states.rank <= rules.top_n
    tracked = states.tracked & ~top
    always = np.concatenate([_first(states, states.rank, top), _first(states, states.rank, tracked)])
    weight_of_rank, raised_by = _importance(states, rules)
    index, due = _urgency(states, weight_of_rank, rules)
    places = max(0, weight_left // rules.fetch_weight - len(always))
    may = ~(top | tracked) & ~(states.failed_hours < rules.retry_hours)
    guaranteed = _oldest(states, index, may & due, rules)[: int(np.ceil(places * rules.due_share))]
    chosen = _chosen(states, index, may, guaranteed, places)
    order = np.concatenate([always, chosen])
    reasons = _reasons(states, raised_by)
    reasons[tracked] = "tracked"
    reasons[top] = "top"
    return FetchPlan(
        wallets=tuple(states.wallets[order].tolist()),
        reasons=tuple(reasons[order].tolist()),
        weight=len(order) * rules.fetch_weight,
        n_always=len(always),
        n_due=int(due.sum()),
        n_moved=int((states.answered & ~np.isnan(states.moved_hours)).sum()),
    )


def _importance(states: WalletStates, rules: PlanRules) -> tuple[FloatArray, npt.NDArray[Any]]:
    """Importance in (0, 1], and which knowledge beside the board raised it: "", "uncertain" or "cohort".

    The rank that counts is the best plausible one: on the board, or by score within its uncertainty. Members of open
    cohorts count as the last of the top.
    """
    last = max(len(states), rules.top_n)
    board = np.where(np.isnan(states.rank), last, states.rank)
    scored = np.fmin(board, states.score_rank)
    plausible = np.fmin(scored, np.maximum(states.score_rank - states.score_rank_error, 1.0))
    best = np.where(states.cohort, np.minimum(plausible, rules.top_n), plausible)
    raised_by = np.full(len(states), "", dtype=object)
    raised_by[(plausible < scored) & (scored > rules.top_n)] = "uncertain"
    raised_by[best < plausible] = "cohort"
    return rules.top_n / np.maximum(best, rules.top_n), raised_by


def _urgency(states: WalletStates, importance: FloatArray, rules: PlanRules) -> tuple[FloatArray, BoolArray]:
    """The index of the module's description, hours squared, and who is due. 0 is for wallets that wait.

    A wallet never answered has everything unseen: it counts as one that moved all the time and is due already.
    """
    age = _seniority(states, rules)
    moved = ~np.isnan(states.moved_hours)
    lag = np.nan_to_num(states.moved_hours) + _UNSEEN_HOURS
    quiet = np.where(moved & states.answered, np.maximum(age - lag, 0.0), 0.0)
    index = importance * (age**2 - quiet**2) / 2
    unmoved = states.answered & ~moved
    index[unmoved] *= rules.doubt
    index[unmoved & (age < rules.quiet_hours)] = 0.0
    return index, age >= rules.max_age_hours


def _seniority(states: WalletStates, rules: PlanRules) -> FloatArray:
    """Age; wallets never answered are as old as the oldest that need not be fetched, and older by what they waited."""
    return states.age_hours + np.where(states.answered, 0.0, rules.max_age_hours)


def _oldest(states: WalletStates, index: FloatArray, among: BoolArray, rules: PlanRules) -> IntArray:
    """Indices `among`, the oldest first; of equals (a board seen for the first time) the most important."""
    queue = states.by_address[among[states.by_address]]
    return queue[np.lexsort((-index[queue], -_seniority(states, rules)[queue]))]


def _chosen(
    states: WalletStates, index: FloatArray, may: BoolArray, guaranteed: IntArray, places: int
) -> IntArray:
    """Indices that fill `places`: those guaranteed one, and the largest indices; ordered by index."""
    taken = np.zeros(len(states), dtype=np.bool_)
    taken[guaranteed] = True
    taken[_first(states, -index, may & (index > 0) & ~taken)[: places - len(guaranteed)]] = True
    return _first(states, -index, taken)


def _reasons(states: WalletStates, raised_by: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Why a wallet that need not be fetched is fetched nevertheless."""
    reasons = np.full(len(states), "stale", dtype=object)
    moved = ~np.isnan(states.moved_hours)
    reasons[moved] = "moved"
    raised = raised_by != ""
    reasons[raised] = raised_by[raised]
    reasons[~states.answered] = "new"
    return reasons


def _first(states: WalletStates, key: FloatArray, among: BoolArray) -> IntArray:
    """Indices `among` by ascending key, unknown keys last, ties by address."""
    candidates = states.by_address[among[states.by_address]]
    return candidates[np.argsort(key[candidates], kind="stable")]
