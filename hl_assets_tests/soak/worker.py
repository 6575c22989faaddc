"""The soak's worker: daemon and runs in one process that takes orders, so that a slot costs a tick and not a start.

`python -m hl_assets_tests.soak.worker SETTINGS.json`, one JSON order a line on standard input, one JSON answer each on standard
output. It does with Dagster's persistent instance what the daemon does with it: evaluates the real schedule, honours run keys,
launches the real jobs, marks runs as failed whose process is gone, frees their pool slots and retries them from failure. It is
there to be killed.
"""

import faulthandler
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg

import hl_assets.resources.warehouse as warehouse_resource
from hl_assets.assets.watching import request_watch
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.definitions import build_defs
from hl_assets.jobs import console_log, tick_job
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.resources.exchange import Exchange
from hl_assets.schedules import UNFINISHED
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant
from hl_assets.warehouse.connection import Warehouse

_RUN_KEY_TAG = "dagster/run_key"
_SCHEDULE_TAG = "dagster/schedule_name"
_PARENT_TAG = "dagster/parent_run_id"
_ROOT_TAG = "dagster/root_run_id"
_WORKER_TAG = "soak/worker"
_DERIVED = ("tracked_wallets", "equity_curves", "wallet_metrics", "ai_grades", "wallet_scores")

Answer = dict[str, Any]


class Worker:
    """Daemon and runs of one instance.

    Args:
        values: Settings by field name.
        code_version: What the code says its version is.
    """

    def __init__(self, values: Mapping[str, Any], code_version: str) -> None:
        self._values = dict(values)
        warehouse_resource.__version__ = code_version
        self._instance = dg.DagsterInstance.from_config(str(prepare_dagster_home(self._settings(None))))

    def __enter__(self) -> Self:
        self._instance.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._instance.__exit__(kind, error, trace)

    def obey(self, order: dict[str, Any]) -> Answer:
        """Carry one order out.

        Raises:
            ValueError: No such order.
        """
        name = order.pop("do")
        if name not in {"schedule", "run", "retry", "bury", "freshness", "derive", "watch", "tables"}:
            raise ValueError(f"no such order: {name}")
        answer: Answer = getattr(self, name)(**order)
        return answer

    def tables(self) -> Answer:
        """Create database and tables."""
        settings = self._settings(None)
        with Warehouse(warehouse_resource.warehouse_config(settings)) as store:
            store.ensure_tables(TABLES)
        return {"status": "success"}

    def schedule(self, slot: str, now: str) -> Answer:
        """Evaluate the schedule for a slot, and run what it requests unless a run has its key already."""
        defs = self._defs(now)
        schedule = defs.resolve_schedule_def("every_slot")
        with dg.build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=parse_instant(slot),
            repository_def=defs.get_repository_def(),
        ) as context:
            data = schedule.evaluate_tick(context)
        if not data.run_requests:
            return {"status": "skipped", "why": data.skip_message}
        (request,) = data.run_requests
        keyed = {_SCHEDULE_TAG: schedule.name, _RUN_KEY_TAG: request.run_key or ""}
        if self._instance.get_runs_count(dg.RunsFilter(tags=keyed)):
            return {"status": "skipped", "why": f"a run has the key {request.run_key} already"}
        return self._execute(
            defs, tick_job.name, partition_key=request.partition_key, tags={**request.tags, **keyed}
        )

    def run(self, slot: str, now: str) -> Answer:
        """Run the tick of a slot as a person would."""
        tags = {SLOT_TAG: slot}
        return self._execute(
            self._defs(now), tick_job.name, partition_key=partition_key(parse_instant(slot)), tags=tags
        )

    def bury(self, pids: list[int]) -> Answer:
        """Mark the unfinished runs of dead processes as failed, as Dagster does, and free their pool slots."""
        theirs = {str(pid) for pid in pids}
        unfinished = self._instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        dead = [run for run in unfinished if run.tags.get(_WORKER_TAG) in theirs]
        for run in dead:
            self._instance.report_run_failed(run, "the soak killed its process")
            self._instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        return {
            "status": "success",
            "dead": [{"run_id": run.run_id, "slot": run.tags.get(SLOT_TAG)} for run in dead],
        }

    def retry(self, run_id: str, now: str) -> Answer:
        """Run the steps that a dead run did not finish: Dagster retries runs from failure."""
        dead = self._instance.get_run_by_id(run_id)
        if dead is None or dead.job_name != tick_job.name:
            return {"status": "skipped", "why": f"{run_id} is no tick"}
        done = {
            step.step_key
            for step in self._instance.get_run_step_stats(run_id)
            if step.status is not None and step.status.value == "SUCCESS"
        }
        defs = self._defs(now)
        left = [key for key in self._steps(defs) if key.to_user_string() not in done]
        if not left:
            return {"status": "skipped", "why": f"{run_id} had finished its steps"}
        slot = dead.tags[SLOT_TAG]
        return self._execute(
            defs,
            tick_job.name,
            partition_key=partition_key(parse_instant(slot)),
            tags={SLOT_TAG: slot, _PARENT_TAG: run_id, _ROOT_TAG: run_id},
            asset_selection=left,
        )

    def freshness(self, now: str) -> Answer:
        """Run the freshness job."""
        return self._execute(self._defs(now), "freshness")

    def derive(self, day: str, now: str, *, full_refresh: bool) -> Answer:
        """Materialise a day's derived tables."""
        job = dg.define_asset_job("derive", selection=dg.AssetSelection.assets(*_DERIVED))
        defs = dg.Definitions.merge(self._defs(now), dg.Definitions(jobs=[job]))
        config = {"ops": {name: {"config": {"full_refresh": full_refresh}} for name in _DERIVED}}
        return self._execute(defs, "derive", partition_key=day, config=config)

    def watch(self, wallets: list[str], now: str) -> Answer:
        """Ask to follow wallets."""
        settings = self._settings(now)
        with Warehouse(warehouse_resource.warehouse_config(settings)) as store:
            store.ensure_tables(TABLES)
            for wallet in wallets:
                request_watch(store, wallet, "watch", now=settings.now(), origin=settings.origin)
        return {"status": "success"}

    def _settings(self, now: str | None) -> Settings:
        clock = {} if now is None else {"clock": datetime.fromisoformat(now)}
        return Settings.load(**{**self._values, **clock})

    def _defs(self, now: str) -> dg.Definitions:
        settings = self._settings(now)
        exchange = Exchange.from_settings(settings)
        # A 429 makes every worker pause for seconds; it is the order of things that is played here, not the patience.
        hasty = replace(exchange.config, throttle_base_seconds=0.02, throttle_max_seconds=0.1)
        return build_defs(settings, {"exchange": replace(exchange, config=hasty)})

    @staticmethod
    def _steps(defs: dg.Definitions) -> list[dg.AssetKey]:
        return sorted(defs.resolve_job_def(tick_job.name).asset_layer.executable_asset_keys)

    def _execute(
        self,
        defs: dg.Definitions,
        job: str,
        *,
        partition_key: str | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        asset_selection: list[dg.AssetKey] | None = None,
    ) -> Answer:
        run_id, began = str(uuid.uuid4()), time.perf_counter()
        result = defs.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            run_id=run_id,
            partition_key=partition_key,
            tags={**(tags or {}), _WORKER_TAG: str(os.getpid())},
            run_config={**(config or {}), **console_log("CRITICAL")},
            asset_selection=asset_selection,
            raise_on_error=False,
        )
        failed = [
            f"{event.step_key}: {_why(event.step_failure_data)}"
            for event in result.all_events
            if event.is_step_failure
        ]
        return {
            "status": "success" if result.success else "failed",
            "run_id": run_id,
            "why": failed,
            "seconds": time.perf_counter() - began,
        }


def _why(failure: Any) -> str:
    data = failure.user_failure_data
    if data is not None and data.description:
        return str(data.description)
    return "no error recorded" if failure.error is None else str(failure.error.message).strip()


def main() -> None:
    """Obey until standard input ends."""
    faulthandler.register(signal.SIGUSR1)
    # Whatever libraries print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    chosen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Worker(chosen["settings"], chosen["code_version"]) as worker:
        answers.write(json.dumps({"status": "ready"}) + "\n")
        for line in sys.stdin:
            answers.write(json.dumps(worker.obey(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
