"""Reconciliation: bring the derived slots of a day in line with what is published upstream.

Belongs here: which slots are derived, settling each (derive, judge, publish or set aside), and withdrawing slots that lost
their inputs. Does not belong here: Dagster's results (`assets.derived`), the rows themselves (each asset).

A slot is stale when it was never derived, or when it was derived from other versions of its upstream slots than
are published now; so a missed or repaired slot heals on the next run of its day. The newest slot is always derived
again, which makes a run's checks a verdict on it. Newest first: the present matters most when a run is cut short.

A slot whose derivation fails is poisoned: its rows break their contract, or deriving them raises. It is put into quarantine
with the reason and the day goes on. Later runs leave it out until its sources or the code change, or a run is told to try
again; only the newest slot of a day is always tried. Trouble with the warehouse poisons nothing: it ends the run.

A table that also reads its own earlier slots (a trend) is derived oldest first instead, so that a slot sees the earlier
ones of its day as this run leaves them. What it read of itself is not an input that makes it stale: deriving a slot again
does not make every later slot stale, which would be the week after it. A slot's trend is what the stored scores said when
the slot was derived; `full_refresh` of the days in order brings all of them up to date.
"""

import logging
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime

from hl_assets.assets.derivation import Derivation, Derived, Lineage, SlotTask
from hl_assets.assets.quarantine import Quarantine, read_quarantine, release, set_aside
from hl_assets.assets.verdict import Verdict, judge
from hl_assets.resources.warehouse import WarehouseSession
from hl_assets.slots import day_bounds
from hl_assets.warehouse.errors import InvalidSliceError, WarehouseError
from hl_assets.warehouse.manifest import Publication, is_derived_from
from hl_assets.warehouse.slices import Slice, Withdrawal

logger = logging.getLogger(__name__)

Published = Mapping[str, Mapping[datetime, Publication]]
"""Table -> its published slices by slot."""


@dataclass(frozen=True)
class Effort:
    """How much of a day is derived.

    Attributes:
        full_refresh: Every slot, not only the stale ones.
        retry_quarantined: Also slots in quarantine.
    """

    full_refresh: bool = False
    retry_quarantined: bool = False


@dataclass(frozen=True)
class SlotOutcome:
    """What became of one slot that was derived."""

    slot: datetime
    derived: Derived
    verdict: Verdict
    seconds: float

    @property
    def publishable(self) -> bool:
        """Whether the slot's rows may be written."""
        return self.verdict.publishable and not self.blocking

    @property
    def blocking(self) -> tuple[str, ...]:
        """Names of the target's own checks that forbid it."""
        return tuple(finding.kind.name for finding in self.derived.findings if finding.blocks)

    @property
    def summary(self) -> str:
        """What is wrong, in one line."""
        failed = [f"check {name} failed" for name in self.blocking]
        return "; ".join([*([] if self.verdict.publishable else [self.verdict.summary]), *failed])


@dataclass(frozen=True)
class FailedSlot:
    """A slot whose derivation raised."""

    slot: datetime
    error: Exception

    @property
    def summary(self) -> str:
        """What is wrong, in one line."""
        return f"{type(self.error).__name__}: {self.error}"


@dataclass(frozen=True)
class ReconciledDay:
    """What became of a day.

    Attributes:
        newest: What became of its newest slot.
        earlier: Of the others that were worked on, newest first.
        quarantine: The target's slots that are set aside now.
    """

    newest: SlotOutcome | FailedSlot
    earlier: tuple[SlotOutcome | FailedSlot, ...]
    quarantine: Quarantine


class NothingUpstreamError(Exception):
    """No slot of the day has everything upstream.

    Attributes:
        table: The first table upstream that has none; empty if each has some, but no slot has all.
    """

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def reconcile_day(
    session: WarehouseSession, derivation: Derivation, day: date, effort: Effort, now: datetime
) -> ReconciledDay:
    """Derive the stale slots of a day and publish those that keep their contract.

    Slots that an upstream table no longer has are withdrawn afterwards, so no stale row survives a shrunken day, and a
    slot that is replaced by a newer one stays until that one is there.

    Raises:
        NothingUpstreamError: There is no slot to derive from.
        WarehouseError: The warehouse failed; what was published before stays.
    """
    lineage = derivation.lineage
    published = session.manifest.committed_together((*lineage.sources, *lineage.tables), *day_bounds(day))
    tasks = slot_tasks(lineage, published)
    if not tasks:
        raise NothingUpstreamError(next((t.name for t in lineage.upstream if not published[t.name]), ""))
    quarantine = read_quarantine(session.store, lineage.target)
    kept = {max(tasks)} if lineage.newest_only else set(tasks)
    stale = stale_slots(lineage, tasks, published, effort, quarantine) | {max(tasks)}
    todo = [tasks[slot] for slot in sorted(kept & stale)]
    if derivation.prepare is not None:
        derivation.prepare(session.store, todo)
    settled = {
        task.slot: _settle(session.of_slot(task.slot), derivation, task, quarantine, now)
        for task in (todo if lineage.reads_own_past else reversed(todo))
    }
    newest, *earlier = (settled[slot] for slot in sorted(settled, reverse=True))
    if isinstance(newest, SlotOutcome) and newest.publishable:
        _withdraw_lost(session, lineage, published, kept)
    return ReconciledDay(newest, tuple(earlier), read_quarantine(session.store, lineage.target))


def slot_tasks(lineage: Lineage, published: Published) -> dict[datetime, SlotTask]:
    """The slots that can be derived, and from which versions; `published` holds the lineage's sources."""
    tasks: dict[datetime, SlotTask] = {}
    for upstream in (lineage.reconstructed_from, lineage.upstream):  # what was observed wins
        sources = {table.name: published[table.name] for table in upstream}
        for slot in set.intersection(*(set(slots) for slots in sources.values())) if sources else ():
            origin = sources[upstream[0].name][slot].origin
            inputs = {name: slots[slot].version for name, slots in sources.items()}
            tasks[slot] = SlotTask(slot, origin, inputs)
    return tasks


def stale_slots(
    lineage: Lineage,
    tasks: Mapping[datetime, SlotTask],
    published: Published,
    effort: Effort,
    quarantine: Quarantine,
) -> set[datetime]:
    """The slots that are not derived from what is published now and may be tried.

    Args:
        lineage: Whose slots.
        tasks: Its slots that can be derived.
        published: The lineage's own tables.
        effort: How much is derived.
        quarantine: The target's slots that are set aside.
    """
    if effort.full_refresh:
        return set(tasks)
    own = [published[table.name] for table in lineage.tables]
    stale = {
        slot
        for slot, task in tasks.items()
        if not all(slot in slices and is_derived_from(slices[slot], task.inputs) for slices in own)
    }
    return stale if effort.retry_quarantined else stale - {s for s in stale if quarantine.holds(tasks[s])}


def _withdraw_lost(
    session: WarehouseSession, lineage: Lineage, published: Published, kept: AbstractSet[datetime]
) -> None:
    """Take back what is published of slots that are not kept, of all the tables at once."""
    lost = [
        (Withdrawal(table, slot), publication.origin)
        for table in lineage.tables
        for slot, publication in published[table.name].items()
        if slot not in kept
    ]
    if lost:
        origin = lost[0][1]
        session.publisher.publish(
            [], session.provenance(origin), withdraw=[withdrawal for withdrawal, _ in lost]
        )


def _settle(
    session: WarehouseSession, derivation: Derivation, task: SlotTask, quarantine: Quarantine, now: datetime
) -> SlotOutcome | FailedSlot:
    """Derive and judge one slot; publish it, or put it into quarantine."""
    outcome = _derive(session, derivation, task)
    if isinstance(outcome, SlotOutcome) and outcome.publishable:
        release(session.store, quarantine, task, now=now, run_id=session.run_id)
    else:
        set_aside(session.store, quarantine, task, outcome.summary, now=now, run_id=session.run_id)
    return outcome


def _derive(session: WarehouseSession, derivation: Derivation, task: SlotTask) -> SlotOutcome | FailedSlot:
    started = time.perf_counter()
    try:
        derived = derivation.derive(session.store, task)
        frames = list(zip(derivation.lineage.tables, (derived.frame, *derived.others), strict=True))
        outcome = SlotOutcome(task.slot, derived, judge(frames), time.perf_counter() - started)
        if outcome.publishable:
            provenance = session.provenance(task.origin, task.inputs)
            session.publisher.publish([Slice(table, task.slot, frame) for table, frame in frames], provenance)
    except Exception as error:
        if isinstance(error, WarehouseError | MemoryError) and not isinstance(error, InvalidSliceError):
            raise
        logger.exception("%s of %s cannot be derived", derivation.lineage.target.name, task.slot)
        return FailedSlot(task.slot, error)
    return outcome
