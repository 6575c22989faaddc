"""What happens in each virtual slot of a soak: a pure function of the number of slots and a seed.

Belongs here: which disruption and which faults of the exchange a slot meets, and when in the slot its tick comes. Does not belong
here: making them happen (`driver`).

Every kind of disruption and of fault occurs at least once, however short the soak; longer ones repeat them in proportion.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

FIRST_SLOT = datetime(2026, 6, 2, 20, 0, tzinfo=UTC)
"""Four hours before midnight, so that the shortest soak sees a day change."""
SLOT = timedelta(minutes=10)

Disruption = Literal[
    "worker_kill",  # kill -9 of the run and its daemon; found dead by Dagster's limit on a run's duration
    "worker_kill_seen",  # the same, seen at once by a person who runs the slot again
    "server_kill",  # kill -9 of ClickHouse during the tick
    "both_kill",  # of both at once
    "server_stop",  # ClickHouse stops cleanly during the tick, as when idle
    "server_pause",  # ClickHouse stands still for a while
    "exchange_kill",  # the exchange goes and is back at once
    "exchange_gone",  # the exchange is away for the whole tick
    "down",  # no daemon for one to three slots
    "late",  # the tick comes late in its slot
    "too_late",  # so late that it is not begun
    "repeat",  # the daemon asks for the slot again, then a person runs it again
    "rerun",  # after a fault that fails the tick, a person runs the slot again
    "race",  # a second run of the same slot at the same time
    "race_kill",  # the same, and one of the two is killed
    "repair",  # after the tick, an earlier slot of the hour is run again
    "repair_kill",  # the same, killed during the repair
    "backfill",  # after the tick, a day's derived tables are materialised
    "refresh",  # the same, every slot of the day again
    "refresh_kill",  # the same, killed
    "generation",  # a new version of the code with other settings
    "watch",  # somebody asks to follow wallets, one of them unknown to the exchange
]
DISRUPTIONS: tuple[Disruption, ...] = get_args(Disruption)

_PER_100_SLOTS: dict[Disruption, float] = {
    "worker_kill": 3,
    "worker_kill_seen": 3,
    "server_kill": 4,
    "both_kill": 1,
    "server_stop": 1,
    "server_pause": 1,
    "exchange_kill": 2,
    "exchange_gone": 1,
    "down": 2,
    "late": 3,
    "too_late": 1,
    "repeat": 2,
    "rerun": 3,
    "race": 3,
    "race_kill": 1,
    "repair": 3,
    "repair_kill": 1,
    "backfill": 2,
    "refresh": 0.4,
    "refresh_kill": 0.2,
    "generation": 0.5,
    "watch": 0.5,
}
_NEEDS_A_PAST = {"repair", "repair_kill", "backfill", "refresh", "refresh_kill", "generation"}
_NO_SERVER_KILL_FROM = 0.75
"""Share of the slots after which ClickHouse is left alone, so that one long life shows what it keeps."""
_REFRESH_WITHIN = 30
"""A refresh comes within so many slots of midnight: it derives every slot of the day again."""
_SHAPES = ("missing_field", "number_instead_of_string", "renamed_window", "extra_row_type", "null_rows")
_FAULTY_SHARE = 0.55

Rule = dict[str, Any]


def _every_fault() -> list[Rule]:
    """One rule of every kind and endpoint, to be given its extent."""
    kinds = ["rate_limited", "server_error", "bad_gateway", "rejected", "truncated", "garbled", "empty"]
    rules: list[Rule] = []
    for endpoint in ("leaderboard", "info", "vaults"):
        rules += [{"endpoint": endpoint, "kind": kind} for kind in kinds]
        rules += [{"endpoint": endpoint, "kind": "wrong_shape", "variant": shape} for shape in _SHAPES]
        rules += [
            {"endpoint": endpoint, "kind": "slow", "seconds": 0.3},
            {"endpoint": endpoint, "kind": "stalled", "seconds": 3.0},
        ]
    rules += [{"endpoint": endpoint, "kind": "shrunk", "keep": 0.5} for endpoint in ("leaderboard", "vaults")]
    return rules


@dataclass(frozen=True)
class SlotPlan:
    """What happens in one slot.

    Attributes:
        number: From 0.
        slot: The slot.
        moment: When its tick comes.
        disruption: What goes wrong beside the exchange; None for nothing.
        down: Whether there is no daemon.
        faults: Rules of the exchange's faults during the tick.
        fraction: Where in the tick a kill falls, of its usual duration.
        draw: For choices the driver makes, in [0, 1).
        freshness: Whether the freshness job runs too.
    """

    number: int
    slot: datetime
    moment: datetime
    disruption: Disruption | None = None
    down: bool = False
    faults: tuple[Rule, ...] = ()
    fraction: float = 0.5
    draw: float = 0.0
    freshness: bool = field(default=False)


def make_plan(n_slots: int, seed: int) -> list[SlotPlan]:
    """The plan of a soak.

    Args:
        n_slots: Slots to play, at least 40.
        seed: Everything follows from it.

    Raises:
        ValueError: Too few slots for every kind of disruption.
    """
    chance = random.Random(seed)
    slots = [_calm(number, chance) for number in range(n_slots)]
    _deal_disruptions(slots, chance)
    _deal_faults(slots, chance)
    return slots


def calm_plan(n_slots: int) -> list[SlotPlan]:
    """A plan in which nothing goes wrong."""
    chance = random.Random(0)
    return [replace(_calm(number, chance), freshness=False) for number in range(n_slots)]


def _calm(number: int, chance: random.Random) -> SlotPlan:
    slot = FIRST_SLOT + number * SLOT
    return SlotPlan(
        number=number,
        slot=slot,
        moment=slot + timedelta(seconds=chance.randint(1, 45)),
        fraction=chance.uniform(0.0, 1.1),
        draw=chance.random(),
        freshness=number % 10 == 9,
    )


def _deal_disruptions(slots: list[SlotPlan], chance: random.Random) -> None:
    deck = [
        kind for kind in DISRUPTIONS for _ in range(max(1, round(_PER_100_SLOTS[kind] * len(slots) / 100)))
    ]
    # Those that fit in few places first.
    chance.shuffle(deck)
    deck.sort(key=lambda kind: len(_places(kind, len(slots))))
    taken: set[int] = set()
    for kind in deck:
        length = _length(kind, chance)
        free = [p for p in _places(kind, len(slots)) if not taken & set(range(p, p + length))]
        if not free:
            raise ValueError(f"{len(slots)} slots are too few: no place is left for {kind}")
        place = chance.choice(free)
        taken |= set(range(place, place + length))
        _put(slots, place, kind, length, chance)


def _places(kind: Disruption, n_slots: int) -> list[int]:
    """Slots in which a disruption may come; the first and last few stay calm."""
    places = range(7 if kind in _NEEDS_A_PAST else 1, n_slots - 4)
    if kind in {"server_kill", "both_kill", "server_stop"}:
        places = range(1, max(2, round(n_slots * _NO_SERVER_KILL_FROM)))
    if kind in {"refresh", "refresh_kill"}:
        return [p for p in places if _slots_since_midnight(p) < _REFRESH_WITHIN]
    return list(places)


def _slots_since_midnight(number: int) -> int:
    slot = FIRST_SLOT + number * SLOT
    return (slot.hour * 60 + slot.minute) // 10


def _length(kind: Disruption, chance: random.Random) -> int:
    """How many slots a disruption needs for itself: a dead run keeps the next tick from starting."""
    if kind == "down":
        return chance.randint(1, 3)
    return 2 if kind in {"worker_kill", "both_kill"} else 1


def _put(slots: list[SlotPlan], place: int, kind: Disruption, length: int, chance: random.Random) -> None:
    chosen = replace(slots[place], disruption=kind)
    if kind == "down":
        for number in range(place, place + length):
            slots[number] = replace(slots[number], disruption=kind, down=True)
        return
    if kind == "late":
        chosen = replace(chosen, moment=chosen.slot + timedelta(seconds=chance.randint(200, 470)))
    if kind == "too_late":
        chosen = replace(chosen, moment=chosen.slot + timedelta(seconds=chance.randint(480, 595)))
    slots[place] = chosen


def _deal_faults(slots: list[SlotPlan], chance: random.Random) -> None:
    """Give about half of the slots one to three faults, each kind in turn."""
    deck: list[Rule] = []
    open_slots = [plan.number for plan in slots[1:] if not plan.down]
    faulty = sorted(chance.sample(open_slots, round(len(open_slots) * _FAULTY_SHARE)))
    per_slot = max(1.0, len(_every_fault()) / max(1, len(faulty)))
    owed = 0.0
    for number in faulty:
        owed += max(per_slot, chance.choice((1.0, 1.0, 2.0)))
        rules: list[Rule] = []
        while owed >= 1 and len(rules) < 4:
            if not deck:
                deck = _every_fault()
                chance.shuffle(deck)
            rules.append(_with_extent(deck.pop(), chance))
            owed -= 1
        slots[number] = replace(slots[number], faults=tuple(rules))
    for plan in slots:
        if plan.disruption == "rerun":
            lasting = {
                "endpoint": "leaderboard",
                "kind": chance.choice(("server_error", "rejected", "garbled")),
            }
            slots[plan.number] = replace(plan, faults=(*plan.faults, lasting))


def _with_extent(rule: Rule, chance: random.Random) -> Rule:
    """How many requests a fault strikes: a few, some share of all, or every one."""
    if rule["endpoint"] != "info":
        every = chance.random() < 0.15
        return rule if every and rule["kind"] != "stalled" else {**rule, "requests": chance.randint(1, 2)}
    if rule["kind"] in {"slow", "stalled"} or chance.random() < 0.6:
        return {**rule, "requests": chance.randint(1, 6)}
    return {**rule, "probability": round(chance.uniform(0.05, 0.4), 2)}


def kinds_of(plan: Sequence[SlotPlan]) -> set[tuple[str, str, str]]:
    """Endpoint, kind and variant of every fault of a plan."""
    return {
        (rule["endpoint"], rule["kind"], rule.get("variant", "")) for slot in plan for rule in slot.faults
    }


ALL_FAULTS = {(rule["endpoint"], rule["kind"], rule.get("variant", "")) for rule in _every_fault()}
MIN_SLOTS = 40


def days_of(plan: Sequence[SlotPlan]) -> int:
    """How many UTC days a plan touches."""
    return math.ceil(len({slot.slot.date() for slot in plan}))
