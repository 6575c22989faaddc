"""Deleting Dagster's old runs on a real instance: what its UI shows stays as it was."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from hl_assets.definitions import build_defs
from hl_assets.maintenance.dagster_runs import RunsDeleted, delete_old_runs, needed_runs
from hl_assets.settings import Settings

KEYS = ("2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04")
DAYS = dg.DailyPartitionsDefinition("2026-05-01", end_date="2026-05-05")


class Wanted(dg.Config):
    """What a run shall do."""

    fail: bool = False
    passed: bool = True


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("sound", asset="first", partitions_def=DAYS)])
def first(config: Wanted) -> Iterator[dg.MaterializeResult[None]]:
    """An asset with a check."""
    if config.fail:
        raise dg.Failure("as asked", allow_retries=False)
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="sound", passed=config.passed)])


@dg.asset(partitions_def=DAYS, deps=[first])
def second() -> None:
    """An asset downstream."""


CHECKS = [dg.AssetCheckKey(dg.AssetKey("first"), "sound")]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's real storage code on an in-memory database; on disk a run takes seconds."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def instance_on_disk() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as opened:
        yield opened


def run(
    instance: dg.DagsterInstance,
    day: str,
    assets: Sequence[dg.AssetsDefinition] = (first, second),
    **config: bool,
) -> str:
    """Materialise assets of a day; the run's id."""
    result = dg.materialize(
        assets,
        instance=instance,
        partition_key=day,
        selection=[asset.key for asset in assets],
        run_config={"ops": {"first": {"config": config}}} if first in assets else None,
        raise_on_error=False,
    )
    return result.run_id


def delete(instance: dg.DagsterInstance, **options: bool) -> RunsDeleted:
    """Delete as if every run were old."""
    return delete_old_runs(instance, CHECKS, datetime.now(UTC) + timedelta(days=1), lambda: 1e9, **options)


def shown(instance: dg.DagsterInstance) -> dict[str, object]:
    """What Dagster says of partitions, materialisations and checks."""
    keys = [asset.key for asset in (first, second)]
    infos = instance.event_log_storage.get_asset_check_partition_info(CHECKS)
    return {
        "partitions": {key: instance.get_materialized_partitions(key) for key in keys},
        "status": {key: instance.get_status_by_partition(key, KEYS, DAYS) for key in keys},
        "newest": {
            (key, day): [
                record.run_id
                for record in instance.fetch_materializations(
                    dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day]), limit=1
                ).records
            ]
            for key in keys
            for day in KEYS
        },
        "checks": {
            info.partition_key: (info.latest_planned_run_id, info.latest_execution_status, info.is_current)
            for info in infos
        },
    }


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_run_ids())


def test_the_newest_run_of_each_partition_stays_and_so_does_what_the_ui_shows(
    instance_on_disk: dg.DagsterInstance,
) -> None:
    instance = instance_on_disk
    old = [run(instance, day) for day in KEYS[:3]]
    again = [run(instance, day, passed=False) for day in KEYS[:2]]
    before = shown(instance)
    assert delete(instance, dry_run=True) == RunsDeleted(deleted=2, kept=3)
    assert len(run_ids(instance)) == 5
    assert delete(instance) == RunsDeleted(deleted=2, kept=3)
    assert run_ids(instance) == {old[2], *again}
    assert shown(instance) == before
    assert instance.get_materialized_partitions(first.key) == set(KEYS[:3])
    assert delete(instance) == RunsDeleted(deleted=0, kept=3)


def test_assets_of_one_partition_may_have_their_newest_runs_apart(instance: dg.DagsterInstance) -> None:
    both = run(instance, KEYS[0])
    run(instance, KEYS[0], [first])
    newest_first = run(instance, KEYS[0], [first])
    before = shown(instance)
    delete(instance)
    assert run_ids(instance) == {both, newest_first}
    assert shown(instance) == before


def test_a_failed_partition_stays_failed(instance: dg.DagsterInstance) -> None:
    made, failed = run(instance, KEYS[0]), run(instance, KEYS[0], fail=True)
    never_made = run(instance, KEYS[1], fail=True)
    earlier = run(instance, KEYS[2], fail=True)
    healed = run(instance, KEYS[2])
    before = shown(instance)
    delete(instance)
    assert run_ids(instance) == {made, failed, never_made, healed}
    assert earlier not in run_ids(instance)
    assert shown(instance) == before


def test_a_check_evaluated_later_than_its_partition_was_made_stays(instance: dg.DagsterInstance) -> None:
    @dg.asset_check(asset=first)
    def later() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    made = run(instance, KEYS[0])
    job = dg.define_asset_job("watch", dg.AssetSelection.checks(later))
    watch = dg.Definitions(assets=[first], asset_checks=[later], jobs=[job]).resolve_job_def("watch")
    evaluated = [watch.execute_in_process(instance=instance).run_id for _ in range(2)]
    keys = [*CHECKS, dg.AssetCheckKey(first.key, "later")]
    assert needed_runs(instance, keys) == {made, evaluated[1]}


def test_young_and_unfinished_runs_stay(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        run(instance, KEYS[0])
    job = dg.define_asset_job("all", dg.AssetSelection.all())
    definition = dg.Definitions(assets=[first, second], jobs=[job]).resolve_job_def("all")
    waiting = [
        instance.create_run_for_job(definition, status=status).run_id
        for status in (
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        )
    ]
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert delete_old_runs(instance, CHECKS, yesterday, lambda: 1e9) == RunsDeleted(0, 0)
    assert delete(instance) == RunsDeleted(deleted=1, kept=1)
    assert run_ids(instance) >= set(waiting)


def test_it_ends_when_its_time_is_over_and_goes_on_the_next_time(instance: dg.DagsterInstance) -> None:
    runs = [run(instance, KEYS[0]) for _ in range(4)]
    ticks = iter([3.0, 2.0, 0.0])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert delete_old_runs(instance, CHECKS, tomorrow, lambda: next(ticks)) == RunsDeleted(
        2, 0, finished=False
    )
    assert run_ids(instance) == set(runs[2:])  # the oldest went first
    assert delete(instance) == RunsDeleted(deleted=1, kept=1)


def test_nothing_of_a_deleted_run_is_left(instance_on_disk: dg.DagsterInstance) -> None:
    instance = instance_on_disk
    runs = [run(instance, KEYS[0]) for _ in range(3)]
    root = Path(instance.root_directory)
    assert any(runs[0] in path.name for path in root.rglob("*"))
    delete(instance)
    left = {path.name.split(".")[0] for path in root.rglob("*")}
    assert not left & set(runs[:2])
    assert runs[2] in left
    history = instance.event_log_storage.get_asset_check_execution_history(CHECKS[0], limit=10)
    assert [record.run_id for record in history] == [runs[2]]


def test_the_job_knows_every_check_of_the_code_location() -> None:
    defs = build_defs(Settings.load())
    known = defs.resolve_asset_graph().asset_check_keys
    made = (*(defs.assets or ()), *(defs.asset_checks or ()))
    assert {key for one in made for key in one.check_keys} == set(known)
