"""What is told when: each alert once per period, resolved once, nothing lost by failures, kills or outages."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.alerts.alert import Message
from hl_assets.alerts.state import (
    MAX_OUTBOX,
    MAX_QUIET,
    MAX_UNRECORDED,
    State,
    StateError,
    decode,
    encode,
)
from hl_assets.alerts.turning import Condition, Observation, advance, deliver, recorded
from hl_assets.alerts.webhook import DeliveryError, Receipt
from hl_assets_tests.alerts.builders import SCOPE, T0, alert

STEP = timedelta(minutes=1)
PERIOD = timedelta(minutes=5)
KEYS = {"a": "stale", "b": "coverage"}
Outcome = Literal["ok", "lost", "heard", "refused"]


@dataclass
class World:
    """Evaluations one minute apart, and a receiver that knows ids."""

    state: State = field(default_factory=lambda: State(since=T0, data_since=T0))
    now: datetime = T0
    told: dict[str, Message] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def evaluate(
        self,
        holding: set[str] | frozenset[str] = frozenset(),
        *,
        events: tuple[str, ...] = (),
        unknown: set[str] | frozenset[str] = frozenset(),
        outcomes: tuple[Outcome, ...] = (),
        killed: bool = False,
    ) -> list[str]:
        """One evaluation; if it is killed, its state is gone but what it sent is not."""
        self.now += STEP
        stored = decode(encode(self.state))  # through the cursor, as in life
        observed = Observation(
            conditions=tuple(Condition(alert(key, KEYS[key])) for key in sorted(holding - unknown)),
            occurrences=tuple(alert(key, "rank_jump", slot=self.now) for key in events),
            unknown=frozenset(KEYS[key] for key in unknown),
        )
        state = advance(stored, observed, now=self.now, repeat_after=PERIOD, scope=SCOPE)
        ids = {pending.message.id for pending in stored.outbox}
        answers = list(outcomes)
        state, problems = deliver(
            state,
            ids,
            lambda message: self.receive(message, answers.pop(0) if answers else "ok"),
            now=self.now,
            in_time=lambda: True,
        )
        if not killed:
            self.state = state
        return problems

    def receive(self, message: Message, outcome: Outcome) -> Receipt:
        self.requests.append(message.id)
        if outcome in {"ok", "heard"}:
            self.told.setdefault(message.id, message)
        if outcome == "refused":
            raise DeliveryError("refused", kind="rejected", status=400)
        if outcome != "ok":
            raise DeliveryError("no answer", kind="timeout")
        return Receipt(204, 1, 0.01)

    def heard(self, key: str) -> list[str]:
        return [message.event for message in self.told.values() if message.alert.key == key]


steps = st.fixed_dictionaries(
    {
        "holding": st.sets(st.sampled_from(sorted(KEYS))),
        "unknown": st.sets(st.sampled_from(sorted(KEYS)), max_size=1),
        "events": st.lists(st.sampled_from(["x", "y"]), unique=True, max_size=2).map(tuple),
        "outcomes": st.lists(st.sampled_from(["ok", "ok", "lost", "heard", "refused"]), max_size=4).map(
            tuple
        ),
        "killed": st.sampled_from([False, False, False, True]),
    }
)


def episodes(seen: list[bool | None]) -> int:
    """Openings that must be told: a fact that two evaluations saw, with none in between that saw it gone."""
    count = run = 0
    for now in seen:
        if now is None:
            continue
        run = run + 1 if now else 0
        count += run == 2
    return count


@given(st.lists(steps, max_size=40))
def test_every_alert_is_opened_once_and_resolved_once_whatever_fails(script: list[dict[str, object]]) -> None:
    world = World()
    seen: dict[str, list[bool | None]] = defaultdict(list)
    events: dict[str, int] = defaultdict(int)
    for step in script:
        world.evaluate(**step)
        if step["killed"]:
            continue
        for key in KEYS:
            seen[key].append(None if key in step["unknown"] else key in step["holding"])
        for key in step["events"]:
            events[key] += 1
    for _ in range(6):  # everything is well again; a refused message waits up to an hour
        world.now += timedelta(hours=1)
        world.evaluate()
    assert world.state.outbox == ()
    assert world.state.open == {}
    assert world.state.lost == 0
    for key in KEYS:
        assert world.heard(key).count("opened") == episodes(seen[key])
        assert world.heard(key).count("resolved") == episodes(seen[key])
        assert_in_order(world.heard(key))
    for key, count in events.items():
        told = [m for m in world.told.values() if m.alert.key == key]
        quiet = world.state.quiet.get(key)
        assert sum(1 + m.held_back for m in told) + (quiet.held_back if quiet else 0) == count
        moments = sorted(m.decided_at for m in told)
        assert all(b - a >= PERIOD for a, b in pairwise(moments))


def assert_in_order(told: list[str]) -> None:
    """opened, repeated ..., resolved, and again."""
    is_open = False
    for event in told:
        assert is_open == (event != "opened"), told
        is_open = event != "resolved"
    assert not is_open, told


@given(st.lists(steps, max_size=60))
def test_the_state_stays_small_and_survives_its_text(script: list[dict[str, object]]) -> None:
    world = World()
    for step in script:
        world.evaluate(**{**step, "outcomes": ("lost",)})
        assert decode(encode(world.state)) == world.state
        assert len(world.state.outbox) <= MAX_OUTBOX


def test_an_alert_is_told_when_seen_twice_and_repeated_after_each_period() -> None:
    world = World()
    for _ in range(20):
        world.evaluate({"a"})
    world.evaluate()
    world.evaluate()
    assert world.heard("a") == ["opened", "repeated", "repeated", "repeated", "resolved"]
    numbers = [m.number for m in world.told.values()]
    assert numbers == [1, 2, 3, 4, 4]
    repeats = [m.decided_at for m in world.told.values()][:4]
    assert all(b - a >= PERIOD for a, b in pairwise(repeats))


def test_what_only_one_evaluation_saw_is_not_told() -> None:
    world = World()
    for _ in range(5):
        world.evaluate({"a"})
        world.evaluate()
    world.evaluate()
    assert world.told == {}


def test_nothing_is_sent_before_it_is_stored() -> None:
    world = World()
    world.evaluate({"a"})
    world.evaluate({"a"})
    assert world.told == {}
    assert [pending.message.event for pending in world.state.outbox] == ["opened"]
    world.evaluate({"a"}, killed=True)
    world.evaluate({"a"}, killed=True)
    world.evaluate({"a"})
    assert world.heard("a") == ["opened"], "three deliveries, one id"


def test_what_cannot_be_judged_is_neither_resolved_nor_repeated() -> None:
    world = World()
    for _ in range(3):
        world.evaluate({"a"})
    for _ in range(20):
        world.evaluate(unknown={"a"})
    assert world.heard("a") == ["opened"]
    world.evaluate({"a"})
    world.evaluate({"a"})
    assert world.heard("a") == ["opened", "repeated"]


def test_a_failed_delivery_is_tried_again_at_the_next_evaluation_and_others_wait() -> None:
    world = World()
    for _ in range(2):
        world.evaluate({"a", "b"})
    problems = world.evaluate({"a", "b"}, outcomes=("lost",))
    assert problems == ["opened a: no answer"]
    assert world.told == {}
    world.evaluate({"a", "b"})
    assert world.heard("a") == world.heard("b") == ["opened"]


def test_a_refused_message_does_not_hold_others_back_and_waits_longer_each_time() -> None:
    world = World()
    for _ in range(2):
        world.evaluate({"a", "b"})
    world.evaluate({"a", "b"}, outcomes=("refused",))
    assert (world.heard("a"), world.heard("b")) == ([], ["opened"])
    (waiting,) = world.state.outbox
    assert waiting.not_before == world.now + timedelta(seconds=30)
    world.evaluate({"a"}, outcomes=("refused",))
    (waiting, _) = world.state.outbox
    assert waiting.not_before == world.now + timedelta(seconds=60)


def test_messages_of_a_key_are_delivered_in_order() -> None:
    world = World()
    for _ in range(2):
        world.evaluate({"a"})
    world.evaluate({"a"}, outcomes=("refused",))
    world.now -= 0.8 * STEP
    world.evaluate()
    world.now -= 0.8 * STEP
    world.evaluate()
    assert world.told == {}, "the opening is left alone for a while, so the end waits too"
    world.now += timedelta(hours=1)
    world.evaluate()
    assert world.heard("a") == ["opened", "resolved"]


@given(st.lists(steps, max_size=30))
def test_a_healthy_receiver_gets_each_message_once(script: list[dict[str, object]]) -> None:
    world = World()
    for step in script:
        world.evaluate(**{**step, "outcomes": (), "killed": False})
    assert len(world.requests) == len(set(world.requests))


def test_a_receiver_that_asks_to_be_left_alone_is() -> None:
    world = World()
    for _ in range(2):
        world.evaluate({"a"})

    def throttle(message: Message) -> Receipt:
        raise DeliveryError("429", kind="throttled", status=429, retry_after_seconds=600)

    stored = world.state
    state, _ = deliver(
        stored, {p.message.id for p in stored.outbox}, throttle, now=world.now, in_time=lambda: True
    )
    assert state.pause_until == world.now + timedelta(minutes=10)
    state, problems = deliver(
        state, {p.message.id for p in stored.outbox}, throttle, now=world.now + STEP, in_time=lambda: True
    )
    assert "left alone until 12:12:00 UTC" in problems[0]
    assert state.outbox[0].attempts == 1


def test_an_outbox_that_overflows_says_how_much_was_given_up() -> None:
    world = World()
    names = [f"{n:03}" for n in range(MAX_OUTBOX + 15)]
    world.evaluate(events=tuple(names), outcomes=("lost",))
    assert len(world.state.outbox) == MAX_OUTBOX
    assert world.state.lost == 15
    world.evaluate(events=("later",), outcomes=("lost",))
    for _ in range(3):
        world.evaluate()
    later = next(m for m in world.told.values() if m.alert.key == "later")
    assert later.lost_before == 15
    # One more fell out when `later` came, and nothing was decided since.
    assert world.state.lost == 1


def test_limits_bound_the_text() -> None:
    world = World()
    for n in range(200):
        world.evaluate(events=tuple(f"rank_jump/{n:03}{k:039}" for k in range(20)), outcomes=())
    assert len(world.state.quiet) <= MAX_QUIET
    assert len(world.state.unrecorded) <= MAX_UNRECORDED
    assert len(encode(world.state)) < 128_000


def test_recorded_messages_are_forgotten() -> None:
    world = World()
    for _ in range(3):
        world.evaluate({"a"})
    assert [sent.message.event for sent in world.state.unrecorded] == ["opened"]
    assert recorded(world.state, world.state.unrecorded).unrecorded == ()


class TestToldByTheOtherSensor:
    """A run's failure that the run-failure sensor told: its run is marked."""

    @staticmethod
    def condition(*, told: bool, holds: bool = True, run: str = "run-2") -> Condition:
        failed = alert("run_failed/tick", "run_failed")
        return Condition(failed, episode=run, began_at=T0, told_at=T0 if told else None, holds=holds)

    def turn(self, world: World, *conditions: Condition) -> None:
        world.now += STEP
        stored = world.state
        state = advance(
            stored, Observation(conditions), now=world.now, repeat_after=timedelta(hours=6), scope=SCOPE
        )
        ids = {pending.message.id for pending in stored.outbox}
        world.state, _ = deliver(
            state, ids, lambda m: world.receive(m, "ok"), now=world.now, in_time=lambda: True
        )

    def test_is_not_told_again_and_is_resolved(self) -> None:
        world = World()
        for _ in range(3):
            self.turn(world, self.condition(told=True))
        assert world.told == {}
        assert len(world.state.unrecorded) == 1, "for the ledger"
        for _ in range(3):
            self.turn(world, self.condition(told=True, holds=False))
        assert world.heard("run_failed/tick") == ["resolved"]

    def test_is_resolved_also_if_it_was_over_before_anybody_looked(self) -> None:
        world = World()
        for _ in range(4):
            self.turn(world, self.condition(told=True, holds=False))
        assert world.heard("run_failed/tick") == ["resolved"]
        assert len(world.requests) == 1
        assert len(world.state.unrecorded) == 2, "opened by the other, resolved by this one"

    def test_is_taken_back_if_it_waits_here(self) -> None:
        world = World()
        self.turn(world, self.condition(told=False))
        self.turn(world, self.condition(told=False))
        assert len(world.state.outbox) == 1
        self.turn(world, self.condition(told=True))
        self.turn(world, self.condition(told=True))
        assert world.told == {}
        assert [sent.message.event for sent in world.state.unrecorded] == ["opened"]

    def test_is_resolved_if_only_one_evaluation_saw_it(self) -> None:
        world = World()
        self.turn(world, self.condition(told=False))
        for _ in range(3):
            self.turn(world, self.condition(told=True, holds=False))
        assert world.heard("run_failed/tick") == ["resolved"]

    def test_the_next_row_of_failures_is_another_episode(self) -> None:
        world = World()
        for run in ("run-2", "run-7"):
            for holds in (True, True, False, False):
                self.turn(world, self.condition(told=True, holds=holds, run=run))
        assert world.heard("run_failed/tick") == ["resolved", "resolved"]


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"since": 3}'])
def test_a_text_that_holds_no_state_is_refused(text: str) -> None:
    with pytest.raises(StateError):
        decode(text)


def test_a_state_of_another_version_is_refused() -> None:
    text = encode(State(since=T0, data_since=T0, version=2))
    with pytest.raises(StateError, match="version 2 instead of 1"):
        decode(text)
