"""Which slot a run is for, and whether the present may still be taken for it.

Belongs here: reading a run's partition and slot tag. Does not belong here: deciding what to do with a slot.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from hl_assets.partitions import SLOT_TAG
from hl_assets.slots import SLOT, day_bounds, day_of, parse_slot, slot_of, slot_text

LATE_FETCH = timedelta(hours=1)
"""How long after a slot's beginning a run may still fetch its portfolios.

Histories are dated, so a late fetch invents nothing; but a backfill of old days must not spend the budget on answers
that only repeat today's.
"""


@dataclass(frozen=True)
class RunWindow:
    """What a run is asked for.

    Attributes:
        day: UTC day of the run's partition.
        slot: Slot the run is to observe, or None for a past day, whose slots can only be rebuilt from what is stored.
        now: The present moment when the step began.
    """

    day: date
    slot: datetime | None
    now: datetime

    @property
    def slot_is_present(self) -> bool:
        """Whether the present moment lies in the slot, so that a snapshot taken now describes it."""
        return self.slot is not None and slot_of(self.now) == self.slot

    @property
    def slot_is_recent(self) -> bool:
        """Whether dated histories may still be fetched for the slot."""
        return self.slot is not None and self.slot <= self.now < self.slot + max(LATE_FETCH, SLOT)


def partition_day(context: dg.AssetExecutionContext) -> date:
    """UTC day of a run's partition."""
    return date.fromisoformat(context.partition_key)


def run_window(context: dg.AssetExecutionContext, now: datetime) -> RunWindow:
    """Read a run's partition and slot tag.

    Raises:
        dg.Failure: The tag names no slot, or one of another day than the partition.
    """
    day = partition_day(context)
    tag = context.run.tags.get(SLOT_TAG)
    if tag is None:
        return RunWindow(day, slot_of(now) if day_of(now) == day else None, now)
    slot = parse_slot(tag)
    if day_of(slot) != day:
        raise dg.Failure(
            f"tag {SLOT_TAG}={tag} is not a slot of partition {context.partition_key}; remove the tag or correct it",
            allow_retries=False,
        )
    return RunWindow(day, slot, now)


def nothing_stored(day: date, table: str, advice: str) -> dg.Failure:
    """The failure of a step that has nothing to work on."""
    start, end = day_bounds(day)
    return dg.Failure(
        f"{table} has no slot between {slot_text(start)} and {slot_text(end)}: {advice}", allow_retries=False
    )
