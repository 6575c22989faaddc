"""Slot arithmetic: the 10-minute instants that every row describes.

Belongs here: pure functions on instants. Does not belong here: Dagster's partitions (`hl_assets.partitions`), the
present moment (callers pass it).
"""

from datetime import UTC, date, datetime, timedelta

SLOT = timedelta(minutes=10)
SLOTS_PER_DAY = timedelta(days=1) // SLOT


class SlotError(ValueError):
    """A text or instant that does not name a slot."""


def slot_of(instant: datetime) -> datetime:
    """The slot an instant falls in: its floor to 10 minutes, UTC.

    Raises:
        SlotError: The instant has no time zone.
    """
    if instant.tzinfo is None:
        raise SlotError(f"{instant.isoformat()} has no time zone; add one, e.g. Z for UTC")
    utc = instant.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % 10, second=0, microsecond=0)


def parse_instant(text: str) -> datetime:
    """An ISO 8601 date or instant as UTC; without a zone it is taken as UTC.

    Raises:
        SlotError: The text is not an ISO date or instant.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise SlotError(
            f"{text!r} is not an ISO date or instant, e.g. 2026-05-31 or 2026-05-31T12:10:00Z"
        ) from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def parse_slot(text: str) -> datetime:
    """The slot that a text names exactly.

    Raises:
        SlotError: The text is no instant, or one that is not on a 10-minute boundary.
    """
    instant = parse_instant(text)
    if instant != slot_of(instant):
        raise SlotError(
            f"{text!r} is not a slot: slots are whole 10 minutes, the nearest before is {slot_text(slot_of(instant))}"
        )
    return instant


def slot_text(slot: datetime) -> str:
    """Canonical text of a slot, e.g. `2026-05-31T12:10:00Z`."""
    return slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_of(slot: datetime) -> date:
    """The UTC day a slot belongs to; 00:00 belongs to the day it begins."""
    return slot.astimezone(UTC).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """First slot of a UTC day and first slot of the next."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)
