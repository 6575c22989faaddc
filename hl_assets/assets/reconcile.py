"""Deriving a table slot by slot from what is published upstream.

Belongs here: deciding which slots of a day are stale, deriving and judging each, publishing the good ones. Does not
belong here: what a slot's rows are (each asset's `derive`), Dagster events (`assets.derived`).

A slot is stale when it was never derived, or was derived from other versions of its upstream slots than
are published now; so a missed or repaired slot heals on the next run of its day. The newest slot is always derived
again, which makes a run's checks a verdict on it. Newest first: the present matters most when a run is cut short.

A table that also reads its own earlier slots (a trend) is derived oldest first instead, so that a slot sees the earlier
ones of its day as this run leaves them. What it read of itself is not an input that makes it stale: deriving a slot again
does not make every later slot stale, which would be the week after it. A slot's trend is what the stored scores said when
the slot was derived; `full_refresh` of the days in order brings all of them up to date.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import pandas as pd

from hl_assets.assets.verdict import Verdict, judge
from hl_assets.checks.results import Coverage, Finding
from hl_assets.resources.warehouse import WarehouseSession
from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Publication, underived_slots
from hl_assets.warehouse.slices import Slice, Withdrawal

Sources = Mapping[str, Mapping[datetime, Publication]]
"""Table -> its published slices by slot."""


@dataclass(frozen=True)
class Derived:
    """What deriving one slot gave.

    Attributes:
        frame: Rows of the target table.
        others: Rows of the derivation's other tables, in their order; published together with `frame`.
        coverage: How many of the wallets made it.
        findings: What the target's own checks found.
        metadata: Facts worth showing beside the materialisation.
        draw: Makes PNG pictures by name; called for the newest slot of a run only.
    """

    frame: pd.DataFrame
    coverage: Coverage
    others: Sequence[pd.DataFrame] = ()
    findings: Sequence[Finding] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[], Mapping[str, bytes]] = dict


@dataclass(frozen=True)
class Derivation:
    """How a table, or several of the same slots, come from others.

    Attributes:
        target: The derived table, which checks and metadata are about.
        upstream: The tables it is derived from; a slot is derivable when all of them have it.
        derive: Rows of one slot, read from the warehouse.
        others: Further tables of the same slots, published, judged and withdrawn together with the target.
        newest_only: Whether a day keeps its newest slot only; earlier ones are withdrawn once it is published.
        reads_own_past: Whether a slot reads the target's earlier slots; the day is derived oldest first then.
    """

    target: TableContract
    upstream: tuple[TableContract, ...]
    derive: Callable[[Warehouse, datetime], Derived]
    others: tuple[TableContract, ...] = ()
    newest_only: bool = False
    reads_own_past: bool = False

    @property
    def tables(self) -> tuple[TableContract, ...]:
        """Every table it publishes, the target first."""
        return (self.target, *self.others)


@dataclass(frozen=True)
class SlotOutcome:
    """What became of one slot."""

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


class NothingUpstreamError(Exception):
    """No slot of the day has everything upstream."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def reconcile_day(
    session: WarehouseSession, derivation: Derivation, day: date, *, full_refresh: bool
) -> list[SlotOutcome]:
    """Derive the stale slots of a day and publish those that keep their contract.

    Slots that an upstream table no longer has are withdrawn afterwards, so no stale row survives a shrunken day, and a
    slot that is replaced by a newer one stays until that one is there.

    Returns:
        One outcome per slot worked on, newest first; at least one.

    Raises:
        NothingUpstreamError: There is no slot to derive from.
    """
    manifest = session.manifest
    sources = {table.name: manifest.committed_on(table, day) for table in derivation.upstream}
    derivable = set.intersection(*(set(slots) for slots in sources.values()))
    if not derivable:
        raise NothingUpstreamError(
            next((name for name, slots in sources.items() if not slots), " and ".join(sources))
        )
    published = {table.name: manifest.committed_on(table, day) for table in derivation.tables}
    kept = {max(derivable)} if derivation.newest_only else derivable
    underived = {slot for slots in published.values() for slot in underived_slots(sources, slots)}
    stale = kept if full_refresh else kept & (underived | {max(derivable)})
    order = sorted(stale, reverse=not derivation.reads_own_past)
    outcomes = sorted(
        (_settle(session, derivation, slot, sources) for slot in order),
        key=lambda outcome: outcome.slot,
        reverse=True,
    )
    if outcomes[0].publishable:
        _withdraw_lost(session, derivation, published, kept)
    return outcomes


def _withdraw_lost(
    session: WarehouseSession, derivation: Derivation, published: Sources, kept: AbstractSet[datetime]
) -> None:
    """Take back what is published of slots that are not kept, of all the tables at once."""
    lost = [
        (Withdrawal(table, slot), publication.origin)
        for table in derivation.tables
        for slot, publication in published[table.name].items()
        if slot not in kept
    ]
    if lost:
        origin = lost[0][1]
        session.publisher.publish(
            [], session.provenance(origin), withdraw=[withdrawal for withdrawal, _ in lost]
        )


def _settle(
    session: WarehouseSession, derivation: Derivation, slot: datetime, sources: Sources
) -> SlotOutcome:
    """Derive and judge one slot; publish it if it may be written."""
    started = time.perf_counter()
    derived = derivation.derive(session.store, slot)
    frames = list(zip(derivation.tables, (derived.frame, *derived.others), strict=True))
    verdict = judge(frames)
    outcome = SlotOutcome(slot, derived, verdict, time.perf_counter() - started)
    if outcome.publishable:
        inputs = {name: published[slot].version for name, published in sources.items()}
        origin = sources[derivation.upstream[0].name][slot].origin
        session.publisher.publish(
            [Slice(table, slot, frame) for table, frame in frames], session.provenance(origin, inputs)
        )
    return replace(outcome, seconds=time.perf_counter() - started)
