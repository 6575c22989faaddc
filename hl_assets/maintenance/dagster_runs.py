"""Retention of Dagster's own runs, with their events, checks and logs.

Belongs here: which runs Dagster still needs, and deleting the others. Does not belong here: the warehouse.

A tick leaves over a megabyte in Dagster's storage and Dagster removes nothing by itself. What its UI says of a partition is
the newest materialisation, its plan, and the newest evaluation of each check; the runs that hold these stay whatever
their age, so that a day stays materialised. Deleting goes through `DagsterInstance`; two things that its `delete_run`
leaves behind are removed here as well: the rows of check evaluations, and with SQLite the file of each run's events.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunsFilter,
)
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

from hl_assets.progress import Progress, announce

logger = logging.getLogger(__name__)

_FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_IDS_PER_QUERY = 500


@dataclass(frozen=True)
class RunsDeleted:
    """What became of the old runs.

    Attributes:
        deleted: Runs deleted; in a dry run, those that would be.
        kept: Old runs that stay because a partition or check still shows them.
        finished: Whether all were looked at before the time was over.
    """

    deleted: int
    kept: int
    finished: bool = True


def needed_runs(instance: DagsterInstance, checks: Iterable[AssetCheckKey]) -> set[str]:
    """Ids of the runs that Dagster's UI shows as the present state.

    Args:
        instance: Dagster's instance.
        checks: The checks of the code location; evaluations of others are nobody's present state.

    Returns:
        Of each asset partition, the run of the newest materialisation, and of a later one that was planned and failed
        (or the partition would not look failed); of each check and partition, that of the newest evaluation.
    """
    needed: set[str] = set()
    for key in instance.get_asset_keys():
        made = instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
        newest = sorted(made.values())
        for first in range(0, len(newest), _IDS_PER_QUERY):
            ids = newest[first : first + _IDS_PER_QUERY]
            found = instance.fetch_materializations(
                AssetRecordsFilter(asset_key=key, storage_ids=ids), limit=len(ids)
            )
            needed |= {record.run_id for record in found.records}
        unpartitioned = instance.get_latest_materialization_event(key)
        if unpartitioned is not None:
            needed.add(unpartitioned.run_id)
        needed |= _unfulfilled(instance, key, made)
    infos = instance.event_log_storage.get_asset_check_partition_info(list(checks))
    return needed | {info.latest_planned_run_id for info in infos}


def _unfulfilled(instance: DagsterInstance, key: AssetKey, made: Mapping[str, int]) -> set[str]:
    """Runs that meant to materialise a partition after its newest materialisation, and failed."""
    planned = instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    found = (
        instance.get_latest_planned_materialization_info(key, partition)
        for partition, storage_id in planned.items()
        if storage_id > made.get(partition, -1)
    )
    return {info.run_id for info in found if info is not None}


def delete_old_runs(
    instance: DagsterInstance,
    checks: Iterable[AssetCheckKey],
    before: datetime,
    time_left: Callable[[], float],
    *,
    dry_run: bool = False,
) -> RunsDeleted:
    """Delete finished runs made before an instant, except those Dagster still needs, oldest first.

    Args:
        instance: Dagster's instance, on SQLite or Postgres.
        checks: The checks of the code location.
        before: The instant.
        time_left: Seconds left; it ends between two runs when there are none.
        dry_run: Count only.
    """
    old = instance.get_run_ids(RunsFilter(statuses=_FINISHED, created_before=before))
    needed = needed_runs(instance, checks) if old else set()
    deleted = kept = 0
    for run_id in reversed(old):
        if time_left() <= 0:
            logger.warning("%d of %d old runs looked at; the rest goes next time", deleted + kept, len(old))
            return RunsDeleted(deleted, kept, finished=False)
        if run_id in needed:
            kept += 1
        else:
            deleted += 1
            if not dry_run:
                _delete(instance, run_id)
        announce(Progress("old runs", deleted + kept, len(old)))
    return RunsDeleted(deleted, kept)


def _delete(instance: DagsterInstance, run_id: str) -> None:
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id)
            )
    instance.delete_run(run_id)
    if isinstance(storage, SqliteEventLogStorage):
        for suffix in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
