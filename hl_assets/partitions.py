"""The one partitions definition that every asset shares: the UTC day, today included.

Belongs here: Dagster partitions and the mapping between a partition key and its slots. Does not belong here: slot
arithmetic (`hl_assets.slots`).
"""

from datetime import date, datetime

import dagster as dg

from hl_assets.settings import Settings
from hl_assets.slots import day_of

SLOT_TAG = "hl_assets/slot"
"""Run tag that names the slot a tick is for; a run without it takes the current slot of today's partition."""


def daily_partitions(start: date) -> dg.DailyPartitionsDefinition:
    """Daily partitions from `start`, with today's partition open (`end_offset=1`): each tick materialises it again."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone="UTC", end_offset=1)


daily = daily_partitions(Settings().start_date)
"""Shared by every asset: upstreams with another start date would split backfill runs (dagster #19625)."""


def partition_key(slot: datetime) -> str:
    """Key of the partition a slot belongs to."""
    return day_of(slot).isoformat()
