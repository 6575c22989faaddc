"""Lasting facts about the data that are worth an alert: stale, missing, thin, failing checks, no warehouse.

Belongs here: pure functions from facts and limits to an alert or none. Does not belong here: reading the facts (`reading`), runs
(`runs`), wallets (`wallets`).

What was so before the first evaluation is not told: times are counted from then on.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from hl_assets.alerts.alert import Alert, Fact
from hl_assets.slots import SLOT, slot_of, slot_text

_MAX_NAMES = 10


def stale_alert(
    table: str, newest: datetime | None, *, now: datetime, since: datetime, stale_after: timedelta
) -> Alert | None:
    """A table without a recent slot.

    Args:
        table: Its name.
        newest: Its newest slot that was observed, not reconstructed; None: there is none.
        now: The present moment.
        since: First evaluation; a platform that was just started has this long to publish.
        stale_after: Age from which a slot is stale.
    """
    age = None if newest is None else now - newest
    if now - since < stale_after or (age is not None and age < stale_after):
        return None
    facts: dict[str, Fact] = {
        "table": table,
        "newest_slot": None if newest is None else slot_text(newest),
        "age_minutes": None if age is None else round(age.total_seconds() / 60, 1),
        "limit_minutes": stale_after.total_seconds() / 60,
    }
    title = (
        f"{table} was never published" if newest is None else f"{table} has no slot since {slot_text(newest)}"
    )
    return Alert(f"stale/{table}", "stale", "error", title, facts, newest)


def missing_slots_alert(
    scored: Collection[datetime],
    *,
    now: datetime,
    since: datetime,
    within: timedelta,
    settled_after: timedelta,
    limit: int,
) -> Alert | None:
    """Too many slots of the last hours without scores.

    Args:
        scored: Slots with published, observed scores; those in the window suffice.
        now: The present moment.
        since: First evaluation; earlier slots do not count.
        within: How far back to look.
        settled_after: Younger slots may still be on their way and do not count.
        limit: So many missing slots are too many.
    """
    # The slot that the first evaluation falls in may have been over before its tick could run.
    first = max(slot_of(now - within), slot_of(since)) + SLOT
    last = slot_of(now - settled_after)
    wanted = [first + step * SLOT for step in range(max(0, (last - first) // SLOT + 1))]
    missing = [slot for slot in wanted if slot not in scored]
    if len(missing) < limit:
        return None
    facts: dict[str, Fact] = {
        "missing": len(missing),
        "wanted": len(wanted),
        "limit": limit,
        "newest_missing": tuple(slot_text(slot) for slot in reversed(missing[-_MAX_NAMES:])),
    }
    title = f"{len(missing)} of the last {len(wanted)} slots have no scores"
    return Alert("missing_slots/wallet_scores", "missing_slots", "warning", title, facts, missing[-1])


def coverage_alert(
    slot: datetime, wanted: int, answered: int, *, since: datetime, minimum: float
) -> Alert | None:
    """Too few of the wanted wallets answered in the newest slot.

    Args:
        slot: Newest slot of `portfolio_fetches`.
        wanted: Its wallets.
        answered: Those that did not fail; an answer that there is no portfolio is one.
        since: First evaluation; earlier slots do not count.
        minimum: Share below which it is too few.
    """
    if wanted == 0 or slot < slot_of(since) or answered / wanted >= minimum:
        return None
    facts: dict[str, Fact] = {
        "wanted": wanted,
        "answered": answered,
        "share": round(answered / wanted, 4),
        "minimum": minimum,
    }
    title = f"Only {answered} of {wanted} wanted wallets answered in slot {slot_text(slot)}"
    return Alert("coverage/portfolio_fetches", "coverage", "warning", title, facts, slot)


def checks_alert(job: str, run_id: str, slot: datetime | None, failed: Sequence[str]) -> Alert | None:
    """Checks of severity ERROR that failed in the newest finished run of a job.

    Args:
        job: The job.
        run_id: Its newest finished run.
        slot: The slot it was for, if one.
        failed: `asset.check` of each.
    """
    if not failed:
        return None
    facts: dict[str, Fact] = {
        "job": job,
        "run_id": run_id,
        "failed": len(failed),
        "checks": tuple(sorted(failed)[:_MAX_NAMES]),
    }
    what = "check" if len(failed) == 1 else "checks"
    title = f"{len(failed)} {what} of severity ERROR failed in the newest run of {job}"
    return Alert(f"checks_failed/{job}", "checks_failed", "error", title, facts, slot)


def warehouse_alert(error: str) -> Alert:
    """The warehouse could not be read.

    Args:
        error: Type of the error; its text is in the sensor's log.
    """
    title = "The warehouse cannot be read: nothing is published, and staleness and wallets cannot be judged"
    return Alert("warehouse", "warehouse", "error", title, {"error": error})
