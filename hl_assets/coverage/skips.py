"""Why the schedule skips a slot: the sentences that Dagster keeps with the skipped tick, and the cause in each.

Belongs here: writing and reading these sentences, so that they cannot drift apart. Does not belong here: deciding to skip
(`hl_assets.schedules`).
"""

from datetime import datetime

from hl_assets.coverage.vocabulary import Cause
from hl_assets.slots import slot_text

_OVER = "is over or nearly so at"
_UNFINISHED = "is still"
_STAYS = "stays missing"


def over_reason(slot: datetime, now: datetime) -> str:
    """The slot was evaluated when too little of it was left."""
    return f"slot {slot_text(slot)} {_OVER} {slot_text(now)}; it {_STAYS}"


def unfinished_reason(slot: datetime, run_id: str, status: str) -> str:
    """An earlier tick was in the way."""
    return f"tick {run_id} {_UNFINISHED} {status}; slot {slot_text(slot)} {_STAYS}"


def skip_cause(reason: str | None) -> Cause:
    """The cause that a skipped tick's sentence stands for."""
    text = reason or ""
    if _OVER in text:
        return Cause.EVALUATED_LATE
    if text.startswith("tick ") and _UNFINISHED in text:
        return Cause.PREVIOUS_UNFINISHED
    return Cause.TICK_SKIPPED
