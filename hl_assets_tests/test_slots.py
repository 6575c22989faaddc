"""Slot arithmetic."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.slots import (
    SLOT,
    SLOTS_PER_DAY,
    SlotError,
    day_bounds,
    day_of,
    parse_instant,
    parse_slot,
    slot_of,
    slot_text,
)

instants = st.datetimes(
    min_value=datetime(2023, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)
)


@given(instants)
def test_a_slot_is_the_floor_to_ten_minutes(instant: datetime) -> None:
    slot = slot_of(instant)
    assert slot <= instant < slot + SLOT
    assert (slot - datetime(2023, 1, 1, tzinfo=UTC)) % SLOT == timedelta(0)
    assert slot_of(slot) == slot
    assert parse_slot(slot_text(slot)) == slot


def test_slots_are_utc_whatever_the_zone() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    assert slot_of(datetime(2026, 5, 31, 5, 47, tzinfo=kathmandu)) == datetime(2026, 5, 31, 0, 0, tzinfo=UTC)


def test_midnight_belongs_to_the_day_it_begins() -> None:
    start, end = day_bounds(date(2026, 5, 31))
    assert day_of(start) == date(2026, 5, 31)
    assert day_of(end) == date(2026, 6, 1)
    assert (end - start) // SLOT == SLOTS_PER_DAY


def test_a_text_without_a_zone_is_utc() -> None:
    assert parse_instant("2026-05-31") == datetime(2026, 5, 31, tzinfo=UTC)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(SlotError, match="no time zone"):
        slot_of(datetime(2026, 5, 31))


@pytest.mark.parametrize("text", ["2026-05-31T00:05:00Z", "yesterday", ""])
def test_a_text_that_is_no_slot_is_refused_by_name(text: str) -> None:
    with pytest.raises(SlotError, match=repr(text)):
        parse_slot(text)
