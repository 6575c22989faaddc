"""Publishing: the only way rows get into the warehouse.

Belongs here: the publish verbs and their steps. Does not belong here: what is published (assets), whether it is right
(checks), SQL definitions (`ddl`), reading the manifest (`manifest`).

A slice is the rows of one table for one slot. Rows are stored under a version; the table `publications` says which
version of each slice counts, and the public view shows exactly those rows. Publishing is four steps:

1. insert the rows under a fresh version: nobody sees them;
2. count what is stored under that version and compare it with what was sent;
3. insert one line per slice into `publications`, all in one insert (one block, one part: atomic): now everybody sees
   the new rows instead of the old ones, in all tables and slots of the call at once;
4. delete rows that can never be seen again, if there are any. A new slot causes no DELETE.

What is guaranteed
- Readers see the old slice or the new one, whole, whatever happens between the steps, `kill -9` included. An empty slice
  is a published slice without rows; a withdrawn one is not published.
- The largest version of a slice counts. Two writers racing on one slice both commit; the one whose version is larger is
  seen, whole, in whatever order they commit, and the other is told so (`superseded`). Versions are given when a
  publication begins, so of two racing writers the one that began later wins. Several slices of one call win or lose
  each by itself.
- A writer never deletes rows of a version that may still be committed and seen: only of versions below the largest
  committed one. Rows of a writer that died before step 3 are removed by the next publication of their slice.
- Rows that were seen until a moment ago stay for `retain_seconds` after they were replaced, because a query that
  began before may still want them (ClickHouse takes its snapshot of the manifest a moment before that of the rows; see
  `ddl`). They go with the next publication of the slice after that, with the next one that withdraws slices of the
  table on the same day, or with `sweep`.
- Deleted rows are masked at once and leave the disk when ClickHouse merges their parts, which it may never do in a past
  month: `compact` is for those.
- A lost connection during step 1 or 3 is repeated: step 1 under another version, step 3 with the same lines, which
  change nothing when they arrive twice.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

import numpy as np
import pandas as pd
import tenacity

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import InvalidSliceError, RowCountMismatchError, WarehouseUnavailableError
from hl_assets.warehouse.manifest import History, Manifest, Publication, range_condition, slots_condition
from hl_assets.warehouse.slices import (
    Change,
    Provenance,
    PublishResult,
    Slice,
    SliceKey,
    SliceResult,
    Withdrawal,
    checked_changes,
    insert_batches,
    utc_slot,
)
from hl_assets.warehouse.versions import ClockVersions, VersionSource

__all__ = [
    "RETAIN_SECONDS",
    "Provenance",
    "PublishResult",
    "Publisher",
    "Slice",
    "SliceResult",
    "Withdrawal",
    "invisible_versions",
]

logger = logging.getLogger(__name__)

RETAIN_SECONDS = 60.0
_ABANDONED_SECONDS = 24 * 3600.0
_ATTEMPTS = 4
_PAIRS_PER_DELETE = 1_000
_MASKED_SHARE = 0.1
"""Share of deleted rows from which a partition is worth writing again."""
_COUNT_VERSIONS = "SELECT as_of, {version}, count() FROM {table} WHERE {condition} GROUP BY ALL"

_MASKED_SQL = """
SELECT partition_id, sum(rows) AS stored, seen
FROM {parts} AS parts LEFT JOIN (
    SELECT _partition_id AS partition_id, count() AS seen FROM {table} GROUP BY partition_id
) AS visible USING (partition_id)
WHERE database = {{database:String}} AND table = {{name:String}} AND active
GROUP BY partition_id, seen
HAVING max(has_lightweight_delete) AND stored - seen > {{share:Float64}} * stored
ORDER BY partition_id
"""

_Stored = dict[SliceKey, dict[int, int]]
"""Slice -> version -> rows stored."""


class _InterruptedError(Exception):
    """The rows may or may not have arrived, or twice; publishing under another version is safe."""


class Publisher:
    """The publish verbs. Safe to share between threads.

    Args:
        warehouse: The connection; its tables must exist (`Warehouse.ensure_tables`).
        versions: Where versions come from.
        retain_seconds: How long rows stay stored after they were replaced.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        versions: VersionSource | None = None,
        retain_seconds: float = RETAIN_SECONDS,
    ) -> None:
        self._warehouse = warehouse
        self._manifest = Manifest(warehouse)
        self._versions = versions or ClockVersions()
        self._retain = timedelta(seconds=retain_seconds)

    # The verbs

    def replace_slice(
        self, contract: TableContract, as_of: datetime, frame: pd.DataFrame, provenance: Provenance
    ) -> PublishResult:
        """Publish one slice in place of whatever was published for its slot. Raises as `publish`."""
        return self.publish([Slice(contract, as_of, frame)], provenance)

    def replace_day(
        self,
        contract: TableContract,
        day: date,
        frames: Mapping[datetime, pd.DataFrame],
        provenance: Provenance,
        *,
        inputs: Mapping[datetime, Mapping[str, int]] | None = None,
    ) -> PublishResult:
        """Publish a whole UTC day at once; slots published before and absent from `frames` are withdrawn.

        Args:
            contract: The table.
            day: The UTC day.
            frames: Slot -> its rows; an empty frame publishes an empty slice.
            provenance: Where it comes from.
            inputs: Slot -> upstream versions of that slot.

        Raises:
            InvalidSliceError: A slot outside the day; else as `publish`.
        """
        outside = [slot for slot in frames if utc_slot(contract, slot).date() != day]
        if outside:
            raise InvalidSliceError(f"{contract.name}: slots {outside[:3]} are not on {day} (UTC)")
        slices = [
            Slice(contract, slot, frame, (inputs or {}).get(slot, {})) for slot, frame in frames.items()
        ]
        kept = {utc_slot(contract, slot) for slot in frames}
        vanished = [slot for slot in self._manifest.committed_on(contract, day) if slot not in kept]
        return self.publish(slices, provenance, withdraw=[Withdrawal(contract, slot) for slot in vanished])

    def withdraw(
        self, contract: TableContract, slots: Iterable[datetime], provenance: Provenance
    ) -> PublishResult:
        """Take slices back: they are not published any more, which is not the same as empty. Raises as `publish`."""
        return self.publish([], provenance, withdraw=[Withdrawal(contract, slot) for slot in slots])

    def publish(
        self, slices: Iterable[Slice], provenance: Provenance, *, withdraw: Iterable[Withdrawal] = ()
    ) -> PublishResult:
        """Publish slices of any tables and slots, and take others back, in one atomic step.

        Args:
            slices: What to publish; a slice replaces whatever was published for its table and slot.
            provenance: Where it comes from.
            withdraw: What to take back.

        Raises:
            InvalidSliceError: A frame does not fit its contract or slot, has duplicate keys or unknowns where there can
                be none, or a slice is named twice. Nothing was written.
            RowCountMismatchError: ClickHouse stored another number of rows than was sent. Nothing was published.
            WarehouseUnavailableError: No answer, also after retries. Nothing or everything was published.
        """
        began = time.perf_counter()
        changes = checked_changes(slices, withdraw, provenance)
        if not changes:
            return PublishResult(None, (), 0, time.perf_counter() - began)
        try:
            version, results, removed = _retrying(_InterruptedError)(self._publish_once, changes, provenance)
        except _InterruptedError as interrupted:
            raise interrupted.__cause__ or interrupted from None
        return PublishResult(version, results, removed, time.perf_counter() - began)

    def sweep(
        self,
        contract: TableContract,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        dry_run: bool = False,
    ) -> int:
        """Delete every stored row of a table that nobody can see any more; returns how many.

        Publishing keeps its own slices clean. This is for what it does not come back to: withdrawn slices, slices that
        were replaced once, and rows of writers that died and whose slot was never published again (these only when
        older than a day). For maintenance, now and then.

        Args:
            contract: The table.
            start: Only slots at or after this instant.
            end: Only slots before this instant.
            dry_run: Count only.
        """
        stored = self._grouped_versions(contract, *range_condition(start, end))
        history = self._manifest.history(stored)
        abandoned = self._versions.begun_before(_ABANDONED_SECONDS)
        doomed = self._doomed(stored, history)
        for key, versions in stored.items():
            newest = history.newest(*key)
            floor = newest.version if newest else 0
            doomed[key] |= {found for found in versions if floor < found < abandoned}
        if dry_run:
            return sum(stored[key][version] for key, found in doomed.items() for version in found)
        return self._delete(contract, stored, doomed, wait=True)

    def compact(self, contract: TableContract) -> list[str]:
        """Have ClickHouse write partitions again of which a tenth or more is deleted rows; returns their ids.

        It happens in the background, after this returns. Other partitions lose their deleted rows by merging.
        """
        layout = self._warehouse.layout
        bound = {
            "database": self._warehouse.database,
            "name": layout.held_table(contract),
            "share": _MASKED_SHARE,
        }
        parts = layout.system_table("parts")
        sql = _MASKED_SQL.format(parts=parts, table=ddl.identifier(ddl.versions_table(contract)))
        partitions = [str(row[0]) for row in self._warehouse.read_rows(sql, bound)]
        for partition in partitions:
            self._warehouse.command(
                f"ALTER TABLE {self._held(contract)} APPLY DELETED MASK IN PARTITION ID {ddl.text_literal(partition)} "
                "SETTINGS mutations_sync = 0"
            )
        return partitions

    def _held(self, contract: TableContract) -> str:
        """The table that rows are deleted from, with the servers that have it, as SQL."""
        layout = self._warehouse.layout
        return ddl.identifier(layout.held_table(contract)) + layout.on_cluster

    # The steps

    def _publish_once(
        self, changes: Sequence[Change], provenance: Provenance
    ) -> tuple[int, tuple[SliceResult, ...], int]:
        keys = [change.key for change in changes]
        before = self._manifest.history(keys)
        version = self._versions.next(before.largest_version)
        self._insert_rows(changes, version)
        stored = self._stored(changes)
        self._verify(changes, stored, version)
        self._commit(changes, provenance, version)
        after = self._manifest.history(keys)
        removed = self._clean_up(changes, stored, after)
        return version, _results(changes, before, after, version), removed

    def _insert_rows(self, changes: Sequence[Change], version: int) -> None:
        """Step 1: store the rows under a fresh version, unseen."""
        for contract, frames in insert_batches(changes):
            rows = pd.concat(frames, ignore_index=True)
            rows[ddl.VERSION_COLUMN] = np.full(len(rows), version, dtype=np.uint64)
            types = {spec.name: spec.clickhouse_type for spec in contract.columns} | {
                ddl.VERSION_COLUMN: "UInt64"
            }
            try:
                self._warehouse.insert_once(ddl.versions_table(contract), rows, types)
            except WarehouseUnavailableError as error:
                raise _InterruptedError(str(error)) from error

    def _stored(self, changes: Sequence[Change]) -> _Stored:
        """Rows stored of each slice, by version, published or not."""
        stored: _Stored = {}
        for contract in {change.contract.name: change.contract for change in changes}.values():
            slots = [change.as_of for change in changes if change.contract.name == contract.name]
            stored |= self._count_versions(contract, slots)
        return stored

    def _count_versions(self, contract: TableContract, slots: Sequence[datetime]) -> _Stored:
        """Rows stored of some slots of a table, by slice and version."""
        wanted = set(slots)
        stored = self._grouped_versions(contract, *slots_condition(slots))
        return {key: versions for key, versions in stored.items() if key[1] in wanted}

    def _grouped_versions(
        self, contract: TableContract, condition: str, parameters: Mapping[str, object]
    ) -> _Stored:
        sql = _COUNT_VERSIONS.format(
            version=ddl.VERSION_COLUMN,
            table=ddl.identifier(ddl.versions_table(contract)),
            condition=condition,
        )
        stored: _Stored = {}
        for as_of, version, count in self._warehouse.read_rows(sql, parameters):
            stored.setdefault((contract.name, as_of), {})[version] = count
        return stored

    def _verify(self, changes: Sequence[Change], stored: _Stored, version: int) -> None:
        """Step 2: what is stored is what was sent, unless a newer publication has already removed it."""
        for change in changes:
            found = stored.get(change.key, {}).get(version, 0)
            if found == change.n_rows:
                continue
            newest = self._manifest.history([change.key]).newest(*change.key)
            if newest is not None and newest.version > version:
                continue
            error = RowCountMismatchError(
                f"{change.contract.name} at {change.as_of}: {change.n_rows} rows sent, {found} stored; "
                "nothing was published"
            )
            if found > change.n_rows:  # a connection lost at the wrong moment made the client send them twice
                raise _InterruptedError(str(error)) from error
            raise error

    def _commit(self, changes: Sequence[Change], provenance: Provenance, version: int) -> None:
        """Step 3: make the version the published one, everywhere at once."""
        lines = pd.DataFrame(
            {
                "table_name": [change.contract.name for change in changes],
                "as_of": pd.Series([change.as_of for change in changes], dtype="datetime64[s, UTC]"),
                "version": np.full(len(changes), version, dtype=np.uint64),
                "n_rows": np.array([change.n_rows for change in changes], dtype=np.uint64),
                "inputs": [dict(change.inputs) for change in changes],
                "origin": [change.origin for change in changes],
                "code_version": provenance.code_version,
                "run_id": provenance.run_id,
                "withdrawn": [change.frame is None for change in changes],
            }
        )
        types = {
            name: ddl.PUBLICATION_COLUMNS[name] for name in lines.columns
        }  # the server fills in published_at
        _retrying(WarehouseUnavailableError)(self._warehouse.insert_once, ddl.PUBLICATIONS, lines, types)

    def _clean_up(self, changes: Sequence[Change], stored: _Stored, after: History) -> int:
        """Step 4: delete rows of these slices that nobody can see any more; returns how many.

        Where slices are withdrawn, those that the day withdrew before too: a table that keeps a day's newest slot only
        withdraws one slot per publication and never comes back to it.
        """
        doomed = self._doomed(stored, after)
        earlier = self._stored_beside_withdrawals(changes)
        if earlier:
            doomed |= self._doomed(earlier, self._manifest.history(earlier))
            stored = stored | earlier
        contracts = {change.contract.name: change.contract for change in changes}
        return sum(self._delete(contract, stored, doomed) for contract in contracts.values())

    def _stored_beside_withdrawals(self, changes: Sequence[Change]) -> _Stored:
        """Rows stored of the other slots of the days and tables of which slices are withdrawn."""
        stored: _Stored = {}
        withdrawn = [change for change in changes if change.frame is None]
        for contract in {change.contract.name: change.contract for change in withdrawn}.values():
            days = [change.as_of.date() for change in withdrawn if change.contract.name == contract.name]
            start = datetime.combine(min(days), time_of_day(), tzinfo=UTC)
            end = datetime.combine(max(days), time_of_day(), tzinfo=UTC) + timedelta(days=1)
            stored |= self._grouped_versions(contract, *range_condition(start, end))
        ours = {change.key for change in changes}
        return {key: versions for key, versions in stored.items() if key not in ours}

    def _doomed(self, stored: _Stored, history: History) -> dict[SliceKey, set[int]]:
        return {
            key: invisible_versions(versions, history.by_slice[key], history.read_at, self._retain)
            for key, versions in stored.items()
        }

    def _delete(
        self,
        contract: TableContract,
        stored: _Stored,
        doomed: Mapping[SliceKey, set[int]],
        *,
        wait: bool = False,
    ) -> int:
        """Delete versions; without `wait` ClickHouse does it in its own time: nobody can see the rows anyway."""
        pairs = [
            (key[1], version) for key, found in doomed.items() if key[0] == contract.name for version in found
        ]
        if not pairs:
            return 0
        sql = (
            f"DELETE FROM {self._held(contract)} "  # noqa: S608 - names from the contract
            f"WHERE (as_of, {ddl.VERSION_COLUMN}) IN {{pairs:Array(Tuple(DateTime('UTC'), UInt64))}} "
            f"SETTINGS lightweight_deletes_sync = {2 if wait else 0}"
        )
        for first in range(0, len(pairs), _PAIRS_PER_DELETE):
            self._warehouse.command(sql, {"pairs": pairs[first : first + _PAIRS_PER_DELETE]})
        return sum(stored[contract.name, as_of][version] for as_of, version in pairs)


def _retrying(error: type[Exception]) -> tenacity.Retrying:
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=0.1, max=5) + tenacity.wait_random(0, 0.1),
        retry=tenacity.retry_if_exception_type(error),
        before_sleep=tenacity.before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )


def invisible_versions(
    stored: Iterable[int], publications: Sequence[Publication], now: datetime, retain: timedelta
) -> set[int]:
    """Stored versions of one slice that no query can see any more.

    Only versions below the largest published one qualify: a larger one may be another writer's, about to be committed.
    One that was never published can never be seen; one that was is kept until `retain` after it was replaced.

    Args:
        stored: Versions with stored rows.
        publications: Every publication of the slice.
        now: The clock that dated the publications.
        retain: How long replaced rows are kept.
    """
    if not publications:
        return set()
    newest = max(publication.version for publication in publications)
    published = {publication.version for publication in publications}

    def replaced_at(version: int) -> datetime:
        return min(found.published_at for found in publications if found.version > version)

    return {
        version
        for version in stored
        if version < newest and (version not in published or now - replaced_at(version) >= retain)
    }


def _results(
    changes: Sequence[Change], before: History, after: History, version: int
) -> tuple[SliceResult, ...]:
    results = []
    for change in changes:
        previous, newest = before.newest(*change.key), after.newest(*change.key)
        results.append(
            SliceResult(
                table=change.contract.name,
                as_of=change.as_of,
                rows=change.n_rows,
                replaced_rows=None if previous is None or previous.withdrawn else previous.n_rows,
                withdrawn=change.frame is None,
                superseded=newest is not None and newest.version > version,
            )
        )
    return tuple(results)
