"""What is open, what waits to be delivered, and its text between two evaluations.

Belongs here: the state, its limits and its encoding. Does not belong here: how it changes (`turning`).

The state is kept where it survives when the warehouse is down: in the cursor of Dagster's sensor. It is small JSON. Every
message is in a stored state before it is sent, so a kill can repeat a message, under the same id, but lose none.
"""

from datetime import datetime

import msgspec

from hl_assets.alerts.alert import Alert, Message

STATE_VERSION = 1
MAX_OUTBOX = 60
MAX_UNRECORDED = 60
MAX_QUIET = 300


class StateError(ValueError):
    """A stored state that cannot be read."""


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert that lasts.

    Attributes:
        alert: As it was last seen.
        episode: Which opening of the key.
        first_seen: When it began.
        evaluations: How many evaluations saw it.
        number: How often it was told, or is about to be.
        told_at: When it was last told; None: not yet.
    """

    alert: Alert
    episode: str
    first_seen: datetime
    evaluations: int = 1
    number: int = 1
    told_at: datetime | None = None


class Quiet(msgspec.Struct, frozen=True):
    """An event's key that was told a while ago.

    Attributes:
        told_at: When its last message was decided.
        held_back: Occurrences since that were not told.
    """

    told_at: datetime
    held_back: int = 0


class Pending(msgspec.Struct, frozen=True):
    """A message that is not acknowledged.

    Attributes:
        message: The message.
        attempts: Requests made so far; with more than none the receiver may have it.
        not_before: It was refused and is left alone until then.
    """

    message: Message
    attempts: int = 0
    not_before: datetime | None = None


class Sent(msgspec.Struct, frozen=True):
    """A message that was acknowledged and is not in the ledger yet.

    Attributes:
        message: The message.
        delivered_at: When it was acknowledged.
        attempts: Requests made.
        status: HTTP status of the acknowledgement, None if it is not known here.
    """

    message: Message
    delivered_at: datetime
    attempts: int
    status: int | None


class State(msgspec.Struct, frozen=True):
    """Everything that one evaluation leaves to the next.

    Attributes:
        since: When the first evaluation was; what was over by then is not told.
        data_since: The same on the clock of the data, which may stand still.
        judged_slot: Newest scored slot whose watched wallets were looked at.
        open: Key -> alert that lasts.
        quiet: Key -> event that was told a while ago.
        closed: Key -> the last episode with a name of its own that is over.
        outbox: Messages that are not acknowledged, oldest first.
        unrecorded: Acknowledged messages that are not in the ledger.
        lost: Messages given up that no message has told about yet.
        pause_until: The receiver asked to be left alone until then.
        version: Version of this form.
    """

    since: datetime
    data_since: datetime
    judged_slot: datetime | None = None
    open: dict[str, OpenAlert] = {}
    quiet: dict[str, Quiet] = {}
    closed: dict[str, str] = {}
    outbox: tuple[Pending, ...] = ()
    unrecorded: tuple[Sent, ...] = ()
    lost: int = 0
    pause_until: datetime | None = None
    version: int = STATE_VERSION


def encode(state: State) -> str:
    """The state as text."""
    return msgspec.json.encode(state).decode()


def decode(text: str) -> State:
    """The state that a text holds.

    Raises:
        StateError: It holds none, or one of another version.
    """
    try:
        state = msgspec.json.decode(text, type=State)
    except msgspec.DecodeError as error:
        raise StateError(f"the stored state of alerts cannot be read: {error}") from error
    if state.version != STATE_VERSION:
        raise StateError(f"the stored state of alerts has version {state.version} instead of {STATE_VERSION}")
    return state
