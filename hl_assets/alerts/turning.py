"""How one evaluation leads to the next: what is opened, told again, resolved, delivered.

Belongs here: pure functions from state and observation to the next state. Does not belong here: observing (`evaluation`),
sending (`webhook`).

The rules:

1. An alert that lasts is `opened` once, when two evaluations in a row saw it. One that only a single evaluation saw is not told.
2. While it lasts it is `repeated` after each repeat period. When it is gone it is `resolved` once.
3. What happens at an instant `occurred`. Further occurrences of its key are counted, not told, until the period is over.
4. What could not be judged is neither gone nor seen.
5. A message waits one evaluation before it is sent, so that it is stored before anybody hears it. It stays in the outbox until
   it is acknowledged; messages of a key are delivered in order.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from hl_assets.alerts.alert import Alert, Event, Kind, Message, message_id
from hl_assets.alerts.state import (
    MAX_OUTBOX,
    MAX_QUIET,
    MAX_UNRECORDED,
    OpenAlert,
    Pending,
    Quiet,
    Sent,
    State,
)
from hl_assets.alerts.webhook import DeliveryError, Receipt

JOB_KEYS = "run_failed/"
"""Beginning of the keys whose episodes have names (a run's id) and are met again when they are over."""

_REFUSED_PAUSE = timedelta(seconds=30)
_LONGEST_REFUSED_PAUSE = timedelta(hours=1)
_MAX_REFUSALS = 3
"""After so many refusals in one evaluation the others wait for the next."""


@dataclass(frozen=True)
class Condition:
    """A lasting fact as an evaluation found it.

    Attributes:
        alert: What it is.
        episode: Name of this opening, if the fact has one; else it is named by when it was first seen.
        began_at: When it began, if that is known.
        told_at: When somebody else told that it opened.
        holds: Whether it still holds; False: it is over, and the receiver was told only that it opened.
    """

    alert: Alert
    episode: str | None = None
    began_at: datetime | None = None
    told_at: datetime | None = None
    holds: bool = True


@dataclass(frozen=True)
class Observation:
    """What an evaluation found.

    Attributes:
        conditions: What lasts.
        occurrences: What happened since the evaluation before.
        unknown: Kinds that could not be judged.
        judged_slot: Newest slot whose wallets were looked at, None: none was.
    """

    conditions: tuple[Condition, ...] = ()
    occurrences: tuple[Alert, ...] = ()
    unknown: frozenset[Kind] = frozenset()
    judged_slot: datetime | None = None


@dataclass(frozen=True)
class Scope:
    """Whose alerts they are.

    Attributes:
        origin: Origin of the data.
        database: Their database.
    """

    origin: str
    database: str

    def message(
        self,
        event: Event,
        alert: Alert,
        *,
        episode: str,
        first_seen: datetime,
        decided_at: datetime,
        number: int = 1,
        held_back: int = 0,
        lost_before: int = 0,
    ) -> Message:
        """A message with its id."""
        name = message_id(
            origin=self.origin,
            database=self.database,
            key=alert.key,
            event=event,
            episode=episode,
            number=number,
        )
        return Message(
            name,
            event,
            alert,
            self.origin,
            self.database,
            first_seen,
            decided_at,
            number,
            held_back,
            lost_before,
        )


def advance(
    state: State, observed: Observation, *, now: datetime, repeat_after: timedelta, scope: Scope
) -> State:
    """The state after an observation; nothing is sent.

    Args:
        state: The state before.
        observed: What was found.
        now: The present moment.
        repeat_after: The repeat period.
        scope: Whose alerts they are.
    """
    turn = _Turn(state, now, scope)
    for condition in observed.conditions:
        turn.see(condition)
    holding = {condition.alert.key for condition in observed.conditions if condition.holds}
    for key, entry in list(turn.open.items()):
        if key not in holding and entry.alert.kind not in observed.unknown:
            turn.close(key)
        elif key in holding:
            turn.remind(key, repeat_after)
    for alert in observed.occurrences:
        turn.occur(alert, repeat_after)
    judged = observed.judged_slot if observed.judged_slot is not None else state.judged_slot
    return turn.finish(judged, repeat_after)


@dataclass
class _Turn:
    """One evaluation's changes."""

    state: State
    now: datetime
    scope: Scope
    open: dict[str, OpenAlert] = field(init=False)
    quiet: dict[str, Quiet] = field(init=False)
    closed: dict[str, str] = field(init=False)
    outbox: list[Pending] = field(init=False)
    unrecorded: list[Sent] = field(init=False)
    lost: int = field(init=False)

    def __post_init__(self) -> None:
        self.open, self.quiet = dict(self.state.open), dict(self.state.quiet)
        self.closed = dict(self.state.closed)
        self.outbox, self.unrecorded = list(self.state.outbox), list(self.state.unrecorded)
        self.lost = self.state.lost

    def see(self, condition: Condition) -> None:
        """Note a lasting fact."""
        key = condition.alert.key
        entry = self.open.get(key)
        if entry is not None:
            self.open[key] = self._seen_again(entry, condition)
        elif condition.told_at is not None:
            if condition.episode is not None and self.closed.get(key) != condition.episode:
                self._adopt(condition, condition.episode, condition.told_at)
        elif condition.holds:
            began = condition.began_at or self.now
            self.open[key] = OpenAlert(condition.alert, condition.episode or _text(began), began)

    def _seen_again(self, entry: OpenAlert, condition: Condition) -> OpenAlert:
        told_at = entry.told_at
        if told_at is None and condition.told_at is not None and condition.episode == entry.episode:
            told_at = condition.told_at
            self._withdraw(condition.alert.key)
            self._note_sent(entry, told_at)
        if not condition.holds:
            return msgspec.structs.replace(entry, told_at=told_at)
        return msgspec.structs.replace(
            entry, alert=condition.alert, evaluations=entry.evaluations + 1, told_at=told_at
        )

    def _adopt(self, condition: Condition, episode: str, told_at: datetime) -> None:
        """Take over an alert whose opening somebody else has told."""
        began = condition.began_at or told_at
        # Seen by two: whoever told it, and this evaluation.
        entry = OpenAlert(condition.alert, episode, began, evaluations=2, told_at=told_at)
        self.open[condition.alert.key] = entry
        self._note_sent(entry, told_at)

    def _note_sent(self, entry: OpenAlert, told_at: datetime) -> None:
        """Have an opening that somebody else told recorded."""
        self.unrecorded.append(Sent(self._message("opened", entry), told_at, attempts=1, status=None))

    def close(self, key: str) -> None:
        """Note that a lasting fact is gone."""
        entry = self.open.pop(key)
        if entry.evaluations == 1 and entry.told_at is None:
            return
        self._tell("resolved", entry)
        self.closed[key] = entry.episode

    def remind(self, key: str, repeat_after: timedelta) -> None:
        """Tell a lasting fact when it is seen for the second time, and again when it is time.

        A message that was given up is replaced by another one.
        """
        entry = self.open[key]
        waits = any(_of_episode(pending.message, entry) for pending in self.outbox)
        if entry.evaluations == 1 or waits:
            return
        if entry.told_at is None:
            self._tell("opened", entry)
        elif self.now - entry.told_at >= repeat_after:
            self.open[key] = msgspec.structs.replace(entry, number=entry.number + 1)
            self._tell("repeated", self.open[key])

    def occur(self, alert: Alert, repeat_after: timedelta) -> None:
        """Note an event."""
        before = self.quiet.get(alert.key)
        if before is not None and self.now - before.told_at < repeat_after:
            self.quiet[alert.key] = Quiet(before.told_at, before.held_back + 1)
            return
        held_back = 0 if before is None else before.held_back
        self.quiet[alert.key] = Quiet(self.now)
        entry = OpenAlert(alert, _text(alert.slot or self.now), self.now)
        self._tell("occurred", entry, held_back=held_back)

    def finish(self, judged_slot: datetime | None, repeat_after: timedelta) -> State:
        """The next state, within its limits."""
        if (excess := len(self.outbox) - MAX_OUTBOX) > 0:
            self.lost += sum(1 + pending.message.lost_before for pending in self.outbox[:excess])
            self.outbox = self.outbox[excess:]
        recent = {
            key: quiet
            for key, quiet in self.quiet.items()
            if quiet.held_back or self.now - quiet.told_at < repeat_after
        }
        newest = sorted(recent.items(), key=lambda item: item[1].told_at)[-MAX_QUIET:]
        return msgspec.structs.replace(
            self.state,
            judged_slot=judged_slot,
            open=self.open,
            quiet=dict(newest),
            closed={key: episode for key, episode in self.closed.items() if key.startswith(JOB_KEYS)},
            outbox=tuple(self.outbox),
            unrecorded=tuple(self.unrecorded[-MAX_UNRECORDED:]),
            lost=self.lost,
        )

    def _tell(self, event: Event, entry: OpenAlert, *, held_back: int = 0) -> None:
        self.outbox.append(Pending(self._message(event, entry, held_back=held_back, lost_before=self.lost)))
        self.lost = 0

    def _message(
        self, event: Event, entry: OpenAlert, *, held_back: int = 0, lost_before: int = 0
    ) -> Message:
        return self.scope.message(
            event,
            entry.alert,
            episode=entry.episode,
            first_seen=entry.first_seen,
            decided_at=self.now,
            number=entry.number,
            held_back=held_back,
            lost_before=lost_before,
        )

    def _withdraw(self, key: str) -> None:
        """Take back the opening of a key that waits in the outbox."""
        kept = []
        for pending in self.outbox:
            if pending.message.alert.key == key and pending.message.event == "opened":
                self.lost += pending.message.lost_before
            else:
                kept.append(pending)
        self.outbox = kept


def _of_episode(message: Message, entry: OpenAlert) -> bool:
    """Whether a message is about this opening of its key, not an earlier one."""
    return message.alert.key == entry.alert.key and message.first_seen == entry.first_seen


def _text(instant: datetime) -> str:
    return instant.isoformat()


Send = Callable[[Message], Receipt]


def deliver(
    state: State, ids: Collection[str], send: Send, *, now: datetime, in_time: Callable[[], bool]
) -> tuple[State, list[str]]:
    """Deliver what waits in the outbox; what fails stays there.

    Args:
        state: The state.
        ids: Messages that may be sent: those that were stored before.
        send: Sends one message.
        now: The present moment.
        in_time: Whether there is time for another message.

    Returns:
        The next state, and what went wrong, in words.
    """
    if state.pause_until is not None and now < state.pause_until:
        if not state.outbox:
            return state, []
        return state, [f"the webhook asked to be left alone until {state.pause_until:%H:%M:%S} UTC"]
    state = msgspec.structs.replace(state, pause_until=None)
    problems: list[str] = []
    held: set[str] = set()
    refusals = 0
    for pending in state.outbox:
        key = pending.message.alert.key
        waits = pending.not_before is not None and now < pending.not_before
        if key in held or waits or pending.message.id not in ids:
            held.add(key)
            continue
        if not in_time() or refusals >= _MAX_REFUSALS:
            problems.append("there was no time for the other messages")
            break
        try:
            receipt = send(pending.message)
        except DeliveryError as error:
            state = _failed(state, pending, error, now)
            problems.append(f"{pending.message.event} {key}: {error}")
            held.add(key)
            refusals += 1
            if error.transient:
                break
        else:
            state = _delivered(state, pending, receipt, now)
    return state, problems


def _delivered(state: State, pending: Pending, receipt: Receipt, now: datetime) -> State:
    message = pending.message
    key = message.alert.key
    opened = dict(state.open)
    entry = opened.get(key)
    if entry is not None and _of_episode(message, entry) and message.event in {"opened", "repeated"}:
        opened[key] = msgspec.structs.replace(entry, told_at=now)
    sent = Sent(message, now, pending.attempts + receipt.attempts, receipt.status)
    return msgspec.structs.replace(
        state,
        open=opened,
        outbox=tuple(other for other in state.outbox if other is not pending),
        unrecorded=(*state.unrecorded, sent)[-MAX_UNRECORDED:],
    )


def _failed(state: State, pending: Pending, error: DeliveryError, now: datetime) -> State:
    attempts = pending.attempts + error.attempts
    not_before = pending.not_before
    if not error.transient:
        doubled = _REFUSED_PAUSE * 2 ** min(pending.attempts, 10)
        not_before = now + min(_LONGEST_REFUSED_PAUSE, doubled)
    changed = Pending(pending.message, attempts, not_before)
    pause = None if error.retry_after_seconds is None else now + timedelta(seconds=error.retry_after_seconds)
    return msgspec.structs.replace(
        state,
        outbox=tuple(changed if other is pending else other for other in state.outbox),
        pause_until=pause or state.pause_until,
    )


def recorded(state: State, sent: Iterable[Sent]) -> State:
    """The state once these messages are in the ledger."""
    done = {found.message.id for found in sent}
    return msgspec.structs.replace(
        state, unrecorded=tuple(found for found in state.unrecorded if found.message.id not in done)
    )
