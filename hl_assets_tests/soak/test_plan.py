"""The soak's plan: every kind of trouble occurs, at the right places, and the same seed gives the same plan."""

import itertools
from datetime import timedelta

import pytest

from hl_assets_tests.soak.plan import ALL_FAULTS, DISRUPTIONS, kinds_of, make_plan


@pytest.mark.parametrize(("n_slots", "seed"), [(50, 7), (50, 8), (200, 1), (1_000, 7)])
def test_every_disruption_and_fault_occurs(n_slots: int, seed: int) -> None:
    plan = make_plan(n_slots, seed)
    assert [slot.number for slot in plan] == list(range(n_slots))
    assert {slot.disruption for slot in plan} == {None, *DISRUPTIONS}
    assert kinds_of(plan) == ALL_FAULTS


def test_a_seed_gives_one_plan() -> None:
    assert make_plan(100, 3) == make_plan(100, 3)
    assert make_plan(100, 3) != make_plan(100, 4)


def test_ticks_lie_in_their_slots_and_late_ones_late() -> None:
    for slot in make_plan(1_000, 7):
        late = slot.moment - slot.slot
        assert timedelta(0) < late < timedelta(minutes=10)
        assert (late >= timedelta(minutes=8)) == (slot.disruption == "too_late")
        assert (late > timedelta(minutes=3)) == (slot.disruption in {"late", "too_late"})


def test_a_dead_run_is_followed_by_a_slot_without_disruption_and_the_server_is_left_alone_at_the_end() -> (
    None
):
    plan = make_plan(1_000, 7)
    for slot, after in itertools.pairwise(plan):
        if slot.disruption in {"worker_kill", "both_kill"}:
            assert after.disruption is None
    assert {slot.disruption for slot in plan[760:]}.isdisjoint({"server_kill", "both_kill", "server_stop"})


def test_too_few_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        make_plan(20, 7)
