"""The fetch planner: what is always in, what never is exceeded, who waits and who does not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.planner import REASONS, FetchPlan, PlanRules, WalletStates, plan_fetches

RULES = PlanRules(top_n=3, fetch_weight=20, max_age_hours=24.0, quiet_hours=6.0)
COLUMNS = (
    "age_hours",
    "answered",
    "moved_hours",
    "failed_hours",
    "tracked",
    "score_rank",
    "score_rank_error",
    "cohort",
)


def states(n: int, **columns: Any) -> WalletStates:
    """`n` wallets in the order of their ranks, answered an hour ago and quiet since, unless columns say otherwise."""
    nan, no = np.full(n, np.nan), np.zeros(n, np.bool_)
    values: dict[str, Any] = {
        "wallets": np.array([f"0x{i:040x}" for i in range(n)]),
        "rank": np.arange(1.0, n + 1),
        "age_hours": np.ones(n),
        "answered": np.ones(n, np.bool_),
        "moved_hours": nan,
        "failed_hours": nan,
        "tracked": no,
        "score_rank": nan,
        "score_rank_error": nan,
        "cohort": no,
    }
    values |= {name: np.asarray(column) for name, column in columns.items()}
    return WalletStates(**values)


def where(n: int, at: dict[int, float], otherwise: float = np.nan) -> Any:
    return np.array([at.get(i, otherwise) for i in range(n)])


def chosen(plan: FetchPlan) -> list[int]:
    return [int(wallet, 16) for wallet in plan.wallets]


@st.composite
def any_states(draw: st.DrawFn) -> WalletStates:
    n = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    some = lambda values, share: np.where(rng.random(n) < share, values, np.nan)  # noqa: E731
    age = rng.exponential(20, n)
    answered = rng.random(n) < 0.8
    return states(
        n,
        wallets=rng.permutation(np.array([f"0x{i:040x}" for i in range(n)], dtype="U42")),
        rank=some(rng.permutation(np.arange(1.0, n + 1)), 0.9),
        age_hours=age,
        answered=answered,
        moved_hours=some(np.where(answered, age * rng.random(n), np.nan), 0.5),
        failed_hours=some(rng.exponential(2, n), 0.2),
        tracked=rng.random(n) < 0.1,
        score_rank=some(rng.integers(1, n + 2, n).astype(float), 0.5),
        score_rank_error=some(rng.exponential(10, n), 0.5),
        cohort=rng.random(n) < 0.1,
    )


@given(any_states(), st.integers(-100, 1_500))
def test_the_budget_is_kept_and_top_and_tracked_are_always_in(known: WalletStates, weight_left: int) -> None:
    plan = plan_fetches(known, weight_left, RULES)
    always = set(known.wallets[(known.rank <= RULES.top_n) | known.tracked].tolist())
    assert set(plan.wallets[: plan.n_always]) == always
    assert len(set(plan.wallets)) == len(plan.wallets)
    assert plan.weight == 20 * len(plan.wallets) <= max(weight_left, 20 * len(always))
    assert set(plan.reasons) <= set(REASONS)
    assert set(plan.reasons[: plan.n_always]) <= {"top", "tracked"}
    assert not {"top", "tracked"} & set(plan.reasons[plan.n_always :])


@given(any_states(), st.integers(0, 1_500), st.randoms(use_true_random=False))
def test_the_same_knowledge_gives_the_same_plan_in_any_order(
    known: WalletStates, weight_left: int, random: Any
) -> None:
    shuffled = list(range(len(known)))
    random.shuffle(shuffled)
    again = WalletStates(**{name: getattr(known, name)[shuffled] for name in ("wallets", "rank", *COLUMNS)})
    assert plan_fetches(again, weight_left, RULES) == plan_fetches(known, weight_left, RULES)


@given(any_states(), st.integers(0, 800))
def test_more_budget_leaves_nobody_out(known: WalletStates, weight_left: int) -> None:
    rules = replace(RULES, due_share=1.0)
    less, more = (plan_fetches(known, weight, rules) for weight in (weight_left, weight_left + 200))
    assert set(less.wallets) <= set(more.wallets)


def test_top_comes_first_by_rank_then_tracked() -> None:
    plan = plan_fetches(
        states(6, rank=[4, 3, 2, 1, np.nan, 5], tracked=[False, False, True, False, True, True]), 0, RULES
    )
    assert chosen(plan) == [3, 2, 1, 5, 4]
    assert plan.reasons == ("top", "top", "top", "tracked", "tracked")


def test_who_has_not_moved_waits_until_spare_budget_finds_it_quiet_for_long() -> None:
    age = where(8, {4: 5.9, 5: 6.1, 6: 20.0, 7: 24.0}, 1.0)
    plan = plan_fetches(states(8, age_hours=age), 10_000, RULES)
    assert chosen(plan)[3:] == [7, 6, 5]
    assert plan.reasons[3:] == ("stale",) * 3
    assert plan.n_due == 1


def test_a_moved_wallet_comes_before_a_quiet_one_of_the_same_age() -> None:
    known = states(6, age_hours=np.full(6, 12.0), moved_hours=where(6, {5: 1.0}))
    plan = plan_fetches(known, 20 * 4, RULES)
    assert chosen(plan)[3:] == [5]
    assert plan.reasons[3] == "moved"
    assert plan.n_moved == 1


def test_a_wallet_that_moved_on_the_newest_board_is_not_passed_over() -> None:
    plan = plan_fetches(states(5, moved_hours=where(5, {4: 0.0})), 10_000, RULES)
    assert chosen(plan)[3:] == [4]


def test_of_equal_lags_the_fetch_that_stays_good_for_longer_comes_first() -> None:
    known = states(
        6, rank=[1, 2, 3, 9, 9, 9], age_hours=where(6, {4: 20.0}, 2.0), moved_hours=where(6, {4: 1.5, 5: 1.5})
    )
    assert chosen(plan_fetches(known, 20 * 5, RULES))[3:] == [4, 5]


def test_intervals_of_wallets_that_always_move_go_with_the_root_of_importance() -> None:
    """Equal indices: importance x age^2 is the same for rank 12 after two hours and rank 3 x 3 x 12 = 108 after six."""
    n = 120
    age = where(n, {11: 2.0, 107: 6.0}, 0.0)
    more = age.copy()
    more[107] += 0.01
    for ages, first in ((age, 11), (more, 107)):
        plan = plan_fetches(
            states(n, age_hours=ages, moved_hours=where(n, {11: ages[11], 107: ages[107]})), 80, RULES
        )
        assert chosen(plan)[3:] == [first]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"score_rank": where(30, {29: 20.0}), "score_rank_error": where(30, {29: 18.0})}, "uncertain"),
        ({"cohort": np.arange(30) == 29}, "cohort"),
    ],
)
def test_a_plausible_place_in_the_top_and_an_open_cohort_raise_importance(
    columns: dict[str, Any], reason: str
) -> None:
    moved = {"age_hours": np.full(30, 2.0), "moved_hours": np.ones(30)}
    assert chosen(plan_fetches(states(30, **moved), 20 * 4, RULES))[3:] == [3]
    plan = plan_fetches(states(30, **moved, **columns), 20 * 4, RULES)
    assert (chosen(plan)[3:], plan.reasons[3]) == ([29], reason)


def test_new_wallets_come_by_rank() -> None:
    known = states(9, answered=np.zeros(9, np.bool_), age_hours=np.zeros(9))
    plan = plan_fetches(known, 20 * 6, RULES)
    assert chosen(plan) == [0, 1, 2, 3, 4, 5]
    assert plan.reasons == ("top",) * 3 + ("new",) * 3


def test_a_failed_wallet_waits_an_hour_unless_it_is_in_the_top() -> None:
    known = states(6, moved_hours=np.ones(6), failed_hours=where(6, {0: 0.1, 4: 0.9, 5: 1.0}))
    assert chosen(plan_fetches(known, 10_000, RULES)) == [0, 1, 2, 3, 5]


def test_a_share_of_the_budget_goes_to_the_oldest_whatever_the_others_do() -> None:
    n = 50
    age = where(n, {47: 30.0, 48: 40.0, 49: 35.0}, 20.0)
    moved = where(n, {47: np.nan, 48: np.nan, 49: np.nan}, 20.0)
    plan = plan_fetches(states(n, age_hours=age, moved_hours=moved), 20 * 7, RULES)
    assert set(chosen(plan)[3:]) == {3, 4, 48, 49}


@pytest.mark.parametrize("column", [c for c in COLUMNS if c != "age_hours"])
def test_columns_of_different_lengths_are_refused(column: str) -> None:
    with pytest.raises(ValueError, match="one entry per wallet"):
        states(3, **{column: np.zeros(2)})


def test_a_wallet_given_twice_or_of_unknown_age_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        states(2, wallets=np.array(["0xa", "0xa"]))
    with pytest.raises(ValueError, match="age_hours"):
        states(2, age_hours=[1.0, np.nan])


@pytest.mark.parametrize("bad", [{"top_n": 0}, {"max_age_hours": 0}, {"quiet_hours": -1}, {"due_share": 0}])
def test_rules_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        PlanRules(**{"top_n": 3, **bad})


def run_days(n: int, places: int, rules: PlanRules, rates: Any, seed: int, slots: int) -> tuple[Any, Any]:
    """Largest age ever and mean lag per wallet of a simulated plan; a slot is ten minutes, boards come hourly."""
    rng = np.random.default_rng(seed)
    fetched, shown, lag_since = np.full(n, -1), np.full(n, -1), np.zeros(n, int)
    unseen = np.zeros(n, np.bool_)
    oldest, lags = np.zeros(n), np.zeros(n)
    for slot in range(slots):
        moves = rng.random(n) < rates / 6
        lag_since = np.where(moves & (lag_since < 0), slot, lag_since)
        unseen |= moves
        if slot % 6 == 0:
            shown = np.where(unseen & (shown < 0), slot, shown)
        answered = fetched >= 0
        age = (slot - np.maximum(fetched, 0)) / 6
        known = states(
            n,
            age_hours=age,
            answered=answered,
            moved_hours=np.where(answered & (shown >= 0), (slot - shown) / 6, np.nan),
        )
        plan = plan_fetches(known, 20 * places, rules)
        assert len(plan.wallets) <= places
        taken = chosen(plan)
        oldest = np.maximum(oldest, age)
        fetched[taken], shown[taken], lag_since[taken], unseen[taken] = slot, -1, -1, False
        lags += np.where(lag_since >= 0, (slot - lag_since) / 6, 0)
    return oldest, lags / slots


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1_000), busy=st.sampled_from([0.01, 0.3, 20.0]))
def test_nobody_starves_beyond_the_promised_age(seed: int, busy: float) -> None:
    """At most `max_age_hours`, and the time in which the due's share of the budget serves the whole board."""
    n, places, rules = 200, 8, PlanRules(top_n=4, max_age_hours=10.0, quiet_hours=2.0)
    rates = busy * np.random.default_rng(seed).exponential(1, n)
    oldest, _ = run_days(n, places, rules, rates, seed, slots=400)
    assert oldest.max() <= rules.max_age_hours + n / (0.5 * (places - 4)) / 6 + 1 / 6


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_the_plan_beats_round_robin_where_it_matters(seed: int) -> None:
    n, places, rules = 300, 10, PlanRules(top_n=5)
    rates = np.sort(np.random.default_rng(seed).lognormal(-4, 2, n))[::-1]
    _, lags = run_days(n, places, rules, rates, seed, slots=300)
    rng = np.random.default_rng(seed)
    since, naive = np.zeros(n, int), np.zeros(n)
    for slot in range(300):
        moves = rng.random(n) < rates / 6
        since = np.where(moves & (since < 0), slot, since)
        since[np.arange(slot * places, (slot + 1) * places) % n] = -1
        naive += np.where(since >= 0, (slot - since) / 6, 0) / 300
    assert lags[:5].mean() == 0 < naive[:5].mean()
    assert lags[:50].mean() < naive[:50].mean()
    importance = 5 / np.maximum(np.arange(1, n + 1), 5)
    assert (importance * lags).sum() < (importance * naive).sum()


def test_a_whole_board_is_planned_within_a_second() -> None:
    n = 47_500
    rng = np.random.default_rng(1)
    known = states(
        n, age_hours=rng.exponential(10, n), moved_hours=np.where(rng.random(n) < 0.3, 0.5, np.nan)
    )
    assert len(plan_fetches(known, 12_000, PlanRules(top_n=100)).wallets) == 600
