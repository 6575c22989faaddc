"""An alert, a message about it, and the JSON body that a receiver gets.

Belongs here: these types and their encoding; docs/alerts.md describes the body. Does not belong here: deciding that something
is worth an alert (`conditions`, `runs`, `wallets`) or when it is told (`turning`).

No text that a trader can set may get into an alert: wallets are named by address.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

import msgspec

SCHEMA_VERSION = 1
"""Version of the body; it rises when a field changes its meaning or goes away, not when one is added."""

Kind = Literal[
    "run_failed",
    "stale",
    "missing_slots",
    "coverage",
    "checks_failed",
    "warehouse",
    "rank_jump",
    "score_jump",
    "trust_jump",
    "left_ranking",
    "status_change",
    "many_changes",
    "test",
]
Severity = Literal["info", "warning", "error"]
Event = Literal["opened", "repeated", "resolved", "occurred", "test"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
EVENTS: tuple[Event, ...] = get_args(Event)

Fact = str | int | float | bool | None | tuple[str, ...]
"""A value beside an alert: a number, a word, an instant as text, or a short list of words."""


class Alert(msgspec.Struct, frozen=True):
    """What is to be told.

    Attributes:
        key: What it is about; while a key is open, it is told once per repeat period.
        kind: Kind of fact.
        severity: How bad.
        title: One sentence.
        facts: Numbers and words behind it.
        slot: The slot it is about, if one.
    """

    key: str
    kind: Kind
    severity: Severity
    title: str
    facts: Mapping[str, Fact]
    slot: datetime | None = None


class Message(msgspec.Struct, frozen=True):
    """One thing said about an alert.

    Attributes:
        id: Names this message; the same in every attempt to deliver it.
        event: opened, repeated or resolved for what lasts; occurred for what happens at an instant; test.
        alert: The alert as it was when the message was decided.
        origin: Origin of the data it is about.
        database: Database it is about.
        first_seen: When the alert began.
        decided_at: When the message was decided.
        number: How often this episode was told, this message included; 1 for `opened` and `occurred`.
        held_back: Of `occurred`: occurrences of the key since its last message that were not told.
        lost_before: Messages that were given up since the message before, because too many could not be delivered.
    """

    id: str
    event: Event
    alert: Alert
    origin: str
    database: str
    first_seen: datetime
    decided_at: datetime
    number: int = 1
    held_back: int = 0
    lost_before: int = 0

    def body(self) -> bytes:
        """The JSON body, the same bytes each time."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "id": self.id,
            "event": self.event,
            **msgspec.structs.asdict(self.alert),
            "origin": self.origin,
            "database": self.database,
            "first_seen": self.first_seen,
            "number": self.number,
            "held_back": self.held_back,
            "lost_before": self.lost_before,
        }
        return msgspec.json.encode(
            {"type": f"hl_assets.alert.{self.event}", "timestamp": self.decided_at, "data": data}
        )


def message_id(*, origin: str, database: str, key: str, event: Event, episode: str, number: int) -> str:
    """The id of a message: a hash of what it says, so that whoever decides it again gives it the same.

    Args:
        origin: Origin of the data.
        database: Their database.
        key: The alert's key.
        event: What is said.
        episode: Which opening of the key: an instant, a slot or a run.
        number: How often it was told.
    """
    text = msgspec.json.encode([origin, database, key, event, episode, number])
    return f"msg_{hashlib.sha256(text).hexdigest()[:32]}"
