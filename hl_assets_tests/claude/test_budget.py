"""Limits hold under any interleaving of calls."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.claude.budget import Budget, Reservation


def budget(run=1.0, day=math.inf, spent=0.0):
    return Budget(per_run_usd=run, per_day_usd=day, spent_today_usd=spent)


async def test_it_says_which_limit_stopped_it():
    assert await budget(run=1, day=10).reserve(2) == "budget_run"
    assert await budget(run=10, day=3, spent=2).reserve(2) == "budget_day"
    assert isinstance(await budget(run=1, day=1).reserve(1), Reservation)


async def test_a_waiting_call_gets_what_another_did_not_need():
    purse = budget(run=1)
    first = await purse.reserve(0.8)
    second = asyncio.create_task(purse.reserve(0.8))
    await asyncio.sleep(0)
    assert not second.done()
    first.settle(0.1)
    assert isinstance(await second, Reservation)


async def test_a_waiting_call_is_refused_once_nothing_can_help():
    purse = budget(run=1)
    first = await purse.reserve(0.8)
    second = asyncio.create_task(purse.reserve(0.8))
    await asyncio.sleep(0)
    first.settle(0.3)
    assert await second == "budget_run"


async def test_nobody_overtakes_one_who_waits():
    purse = budget(run=1)
    first = await purse.reserve(0.9)
    large, small = (asyncio.create_task(purse.reserve(amount)) for amount in (0.9, 0.05))
    await asyncio.sleep(0.01)
    assert not large.done()
    assert not small.done()
    first.settle(0.05)
    assert isinstance(await large, Reservation)
    assert isinstance(await small, Reservation)


async def test_a_call_of_unknown_cost_counts_in_full():
    purse = budget(run=1)
    (await purse.reserve(0.6)).settle(None)
    assert purse.spent_usd == 0.6
    assert await purse.reserve(0.6) == "budget_run"


async def test_a_cancelled_wait_leaves_nothing_reserved():
    purse = budget(run=1)
    first = await purse.reserve(0.8)
    waiting = asyncio.create_task(purse.reserve(0.8))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.release()
    assert purse.reserved_usd == 0.0
    assert isinstance(await purse.reserve(1.0), Reservation)


async def test_a_reservation_is_settled_once():
    reservation = await budget().reserve(0.1)
    reservation.release()
    with pytest.raises(RuntimeError, match="once"):
        reservation.settle(0.1)


async def test_what_is_committed_already_is_held_whatever_the_limits():
    purse = budget(run=1)
    purse.hold(5)
    assert purse.try_reserve(0.1) == "budget_run"


async def test_costing_more_than_the_worst_case_is_said(caplog):
    purse = budget(run=1)
    (await purse.reserve(0.1)).settle(0.2)
    assert "token estimate is too low" in caplog.text
    assert purse.spent_usd == 0.2


def test_sums_are_exact():
    purse = budget(run=0.3)
    assert isinstance(purse.try_reserve(0.1), Reservation)
    assert isinstance(purse.try_reserve(0.2), Reservation)
    assert purse.try_reserve(1e-12) == "budget_run"


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_amounts_are_amounts(bad):
    with pytest.raises(ValueError, match="per_run_usd"):
        budget(run=bad)
    with pytest.raises(ValueError, match="amount"):
        budget().try_reserve(bad)


@given(
    st.lists(st.tuples(st.floats(0.001, 1), st.floats(0, 1), st.integers(0, 3)), max_size=30),
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(0, 3),
)
def test_no_interleaving_passes_a_limit(calls, run, day, spent):
    purse = Budget(per_run_usd=run, per_day_usd=day, spent_today_usd=spent)
    costs = []

    async def call(worst, share, turns):
        reservation = await purse.reserve(worst)
        if not isinstance(reservation, Reservation):
            return
        for _ in range(turns):
            await asyncio.sleep(0)
        costs.append(worst * share)
        reservation.settle(worst * share)
        assert sum(costs) <= run + 1e-9
        assert sum(costs) + spent <= max(day, spent) + 1e-9

    async def everything():
        await asyncio.wait_for(asyncio.gather(*(call(*each) for each in calls)), 10)

    asyncio.run(everything())
    assert purse.reserved_usd == 0.0
