"""Upkeep of the warehouse: withdraw what expired, sweep what nobody can see, give its disk space back.

Belongs here: reading what is published for the rules, and carrying them out through the publisher. Does not belong here:
which slices may go (`maintenance.expiry`), deleting rows behind the manifest's back: nothing does that.

ClickHouse's own TTL would delete rows that the manifest still names. So an expired slice is withdrawn like any other, in
the order downstream first: whatever interrupts it, no published slice has lost what it was derived from. Its rows
leave the disk with the next sweep that is at least a minute later.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hl_assets.maintenance.expiry import Expiry, references, removable
from hl_assets.maintenance.rules import RetentionRule
from hl_assets.progress import Progress, announce
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest, Publication
from hl_assets.warehouse.publish import Publisher, Withdrawal
from hl_assets.warehouse.slices import Provenance, SliceKey

logger = logging.getLogger(__name__)

RUN_PREFIX = "retention-"
"""Begins the `run_id` of every withdrawal by retention: whoever asks why a slot is gone finds it in the manifest."""

SLICE_TABLES = tuple(contract for contract in TABLES if contract.storage == "slices")
_WINDOW = timedelta(days=31)
_SLOTS_PER_COMMIT = 500
_BOARDS_SQL = "SELECT as_of, board_as_of FROM leaderboard_snapshots WHERE board_as_of < {end:DateTime('UTC')}"


@dataclass(frozen=True)
class ExpiryPlan:
    """What retention is about to withdraw.

    Attributes:
        expired: Expired slices by key.
        expiry: Which of them may go, and what holds the others.
    """

    expired: Mapping[SliceKey, Publication]
    expiry: Expiry

    def of_table(self, table: str) -> list[Publication]:
        """What may go of one table, oldest first."""
        return sorted(
            (self.expired[key] for key in self.expiry.removable if key[0] == table),
            key=lambda publication: publication.as_of,
        )

    def rows(self, table: str) -> int:
        """Rows of what may go of one table."""
        return sum(publication.n_rows for publication in self.of_table(table))


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    Attributes:
        rows: Table -> rows deleted, tables without any left out.
        compacted: Partitions that ClickHouse writes again in the background, because much of them is deleted.
        finished: Whether every table was swept before the time was over.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    compacted: int = 0
    finished: bool = True


def plan_expiry(store: Warehouse, rules: Mapping[str, RetentionRule], now: datetime) -> ExpiryPlan:
    """Which slices expired under the rules and may go.

    Args:
        store: The warehouse; its tables exist.
        rules: By table (`parse_retention`).
        now: The present moment.
    """
    manifest = Manifest(store)
    expired: dict[SliceKey, Publication] = {}
    for contract in SLICE_TABLES:
        if contract.name in rules:
            expired |= _expired(manifest, contract, rules[contract.name], now)
    if not expired:
        return ExpiryPlan({}, removable((), {}))
    oldest = min(as_of for _, as_of in expired)
    boards: dict[datetime, datetime] = {}
    if LEADERBOARD_ROWS.name in rules:
        end = max(as_of for _, as_of in expired) + timedelta(seconds=1)
        boards = dict(store.read_rows(_BOARDS_SQL, {"end": end}))
    versions = {key: publication.version for key, publication in expired.items()}
    referrers: dict[SliceKey, set[SliceKey]] = {}
    for published in _published(manifest, oldest, now):
        for key, sources in references(versions, published, boards).items():
            referrers.setdefault(key, set()).update(sources)
    return ExpiryPlan(expired, removable(expired, referrers))


def _expired(
    manifest: Manifest, contract: TableContract, rule: RetentionRule, now: datetime
) -> dict[SliceKey, Publication]:
    newest = manifest.latest_slot(contract)
    if newest is None:
        return {}
    published = manifest.committed(contract, end=rule.first_kept(now))
    slots = rule.expired({*published, newest.as_of}, now)
    return {(contract.name, slot): published[slot] for slot in sorted(slots)}


def _published(manifest: Manifest, start: datetime, now: datetime) -> Iterator[list[Publication]]:
    """Every published slice from a slot on, a month at a time; a slice refers to its own slot or to earlier ones."""
    while start <= now:
        by_table = manifest.committed_together(SLICE_TABLES, start, start + _WINDOW)
        yield [publication for slices in by_table.values() for publication in slices.values()]
        start += _WINDOW


def withdraw_expired(
    publisher: Publisher, plan: ExpiryPlan, provenance: Provenance, time_left: Callable[[], float]
) -> int:
    """Withdraw what may go, the most derived tables first; returns how many slices.

    Args:
        publisher: The publish verbs.
        plan: What `plan_expiry` found a moment ago.
        provenance: Of the run that does it; each withdrawal keeps the origin of what it withdraws.
        time_left: Seconds left; withdrawing ends between two commits when there are none.
    """
    total, done = len(plan.expiry.removable), 0
    for contract in reversed(SLICE_TABLES):
        going = plan.of_table(contract.name)
        for first in range(0, len(going), _SLOTS_PER_COMMIT):
            if time_left() <= 0:
                logger.warning("%d of %d expired slices withdrawn; the rest goes next time", done, total)
                return done
            batch = going[first : first + _SLOTS_PER_COMMIT]
            _withdraw(publisher, contract, batch, provenance)
            done += len(batch)
            announce(Progress("expired slices", done, total))
    return done


def _withdraw(
    publisher: Publisher, contract: TableContract, batch: Sequence[Publication], provenance: Provenance
) -> None:
    for origin in sorted({publication.origin for publication in batch}):
        of_origin = [
            Withdrawal(contract, publication.as_of) for publication in batch if publication.origin == origin
        ]
        why = Provenance(f"{RUN_PREFIX}{provenance.run_id}", provenance.code_version, origin)
        publisher.publish([], why, withdraw=of_origin)


def sweep_tables(publisher: Publisher, time_left: Callable[[], float], *, dry_run: bool = False) -> Swept:
    """Delete the rows that nobody can see any more, of every table, and give their disk space back.

    Args:
        publisher: The publish verbs.
        time_left: Seconds left; sweeping ends between two tables when there are none.
        dry_run: Count only.
    """
    rows: dict[str, int] = {}
    compacted = 0
    for done, contract in enumerate(SLICE_TABLES):
        if time_left() <= 0:
            logger.warning("%d of %d tables swept; the rest goes next time", done, len(SLICE_TABLES))
            return Swept(rows, compacted, finished=False)
        removed = publisher.sweep(contract, dry_run=dry_run)
        if removed:
            rows[contract.name] = removed
        if not dry_run:
            compacted += len(publisher.compact(contract))
        announce(Progress("tables", done + 1, len(SLICE_TABLES)))
    return Swept(rows, compacted)
