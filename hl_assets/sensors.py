"""Sensors: evaluating alerts every half minute, and telling at once that a job keeps failing.

Belongs here: what Dagster knows (runs, their tags and checks) as plain data, and the sensors. Does not belong here: what is worth an
alert and how it is delivered (`hl_assets.alerts`).

Why two: Dagster keeps the cursor of a run-failure sensor itself and moves it on also when the sensor fails, so what it could not
deliver would be lost. So `run_failures` tells at once, once, and marks the run; `alerts`, which keeps its state in its cursor,
sees the same failures in the run history and sends what is not marked, repeats it, and resolves it after the next success.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from hl_assets.alerts.alert import Message
from hl_assets.alerts.config import MAX_FAILURES
from hl_assets.alerts.evaluation import DELIVER_SECONDS, Moment, RunChecks, Setup, evaluate
from hl_assets.alerts.runs import FinishedRun, failure_alert, newest_streak
from hl_assets.alerts.state import State, StateError, decode, encode
from hl_assets.alerts.turning import Scope
from hl_assets.jobs import FRESHNESS_CHECK, tick_job
from hl_assets.partitions import SLOT_TAG
from hl_assets.resources.alerts import limits_of, webhook_of
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.settings import Settings
from hl_assets.slots import SlotError, parse_slot

TOLD_TAG = "hl_assets/alert_sent"
"""Tag of a failed run: when an alert about it was acknowledged."""

WILL_RETRY_TAG = "dagster/will_retry"
"""Dagster's tag of a failed run that it repeats by itself."""

NO_WEBHOOK = "ALERT_WEBHOOK_URL is not set: nobody is told"
INTERVAL_SECONDS = 30
_FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
_HISTORY = 2 * MAX_FAILURES


def alerts_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that evaluates all alerts; its cursor is the state.

    A tick is always `skipped`, because no run is asked for: its reason says what is open and what went wrong. It cannot be failed,
    because Dagster forgets the cursor of a failed tick.

    Args:
        status: Whether it runs without being switched on.
    """

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Tells the webhook what is stale, missing, thin or failing, and what happened to watched wallets.",
    )
    def alerts(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[WarehouseResource],
    ) -> dg.SensorResult | dg.SkipReason:
        webhook = webhook_of(settings)
        if webhook is None:
            return dg.SkipReason(NO_WEBHOOK)
        setup = Setup(limits_of(settings), webhook, warehouse, settings.database)
        moment = Moment(
            wall=datetime.now(UTC),
            now=settings.now(),
            histories={job: run_history(context.instance, job) for job in _jobs_of(context)},
            checks=_newest_checks(context.instance),
        )
        evaluation = evaluate(_stored_state(context), setup, moment)
        for problem in evaluation.problems:
            context.log.error(problem)
        for message in evaluation.delivered:
            _mark_told(context.instance, message)
        return dg.SensorResult(skip_reason=dg.SkipReason(evaluation.summary), cursor=encode(evaluation.state))

    return alerts


def run_failures_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that tells at once when a job has failed too often in a row.

    Its tick fails when the alert is not acknowledged; `alerts` sends it then.

    Args:
        status: Whether it runs without being switched on.
    """

    @dg.run_failure_sensor(
        name="run_failures",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Tells the webhook at once that a job has failed ALERT_AFTER_FAILURES times in a row.",
    )
    def run_failures(
        context: dg.RunFailureSensorContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason:
        return dg.SkipReason(_tell_failure(context, settings))

    return run_failures


def _tell_failure(context: dg.RunFailureSensorContext, settings: Settings) -> str:
    """Tell about the failed run if it is the one that reached the threshold; returns what was done.

    Raises:
        DeliveryError: Not acknowledged.
    """
    webhook, limits = webhook_of(settings), limits_of(settings)
    run = context.dagster_run
    threshold = limits.failures_of(run.job_name)
    if webhook is None:
        return NO_WEBHOOK
    if threshold is None or "run_failed" not in limits.kinds:
        return f"failures of {run.job_name} are not told"
    streak = newest_streak(run_history(context.instance, run.job_name), threshold)
    if streak is None or streak.over:
        return f"{run.job_name} has not failed {threshold} times in a row"
    if streak.crossing.run_id != run.run_id or streak.crossing.told_at is not None:
        return f"{run.job_name} has reached {threshold} failures in a row with run {streak.crossing.run_id} already"
    alert = failure_alert(run.job_name, streak, threshold)
    ended_at = streak.crossing.ended_at
    message = Scope(settings.origin, settings.database).message(
        "opened", alert, episode=run.run_id, first_seen=ended_at, decided_at=datetime.now(UTC)
    )
    webhook.deliver(message, within_seconds=DELIVER_SECONDS)
    _mark_told(context.instance, message)
    return f"told: {alert.title}"


def _mark_told(instance: dg.DagsterInstance, message: Message) -> None:
    """Mark the run whose failure was told, so that the other sensor does not tell it too."""
    run_id = message.alert.facts.get("threshold_run")
    if message.event == "opened" and isinstance(run_id, str):
        instance.add_run_tags(run_id, {TOLD_TAG: datetime.now(UTC).isoformat()})


def run_history(instance: dg.DagsterInstance, job: str) -> tuple[FinishedRun, ...]:
    """A job's runs that succeeded or failed for good, newest first, at most 100.

    Runs are ordered by when they were asked for.
    """
    records = instance.get_run_records(RunsFilter(job_name=job, statuses=_FINISHED), limit=_HISTORY)
    return tuple(
        _finished(record.dagster_run, record.end_time)
        for record in records
        if record.end_time is not None and record.dagster_run.tags.get(WILL_RETRY_TAG) != "true"
    )


def _finished(run: dg.DagsterRun, end_time: float) -> FinishedRun:
    slot, told = run.tags.get(SLOT_TAG), run.tags.get(TOLD_TAG)
    return FinishedRun(
        run_id=run.run_id,
        failed=run.status == DagsterRunStatus.FAILURE,
        ended_at=datetime.fromtimestamp(end_time, UTC),
        slot=None if slot is None else _slot(slot),
        told_at=None if told is None else datetime.fromisoformat(told),
    )


def _slot(text: str) -> datetime | None:
    """The slot that a run's tag names; a tag that names none made the run fail, and that is told."""
    try:
        return parse_slot(text)
    except SlotError:
        return None


def _newest_checks(instance: dg.DagsterInstance) -> RunChecks | None:
    """Checks of severity ERROR that failed in the newest finished tick; how fresh its data were is another alert."""
    history = run_history(instance, tick_job.name)
    if not history:
        return None
    run = history[0]
    records = instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = (record.event_log_entry.dagster_event for record in records)
    found = [event.asset_check_evaluation_data for event in events if event is not None]
    failed = [
        f"{check.asset_key.to_user_string()}.{check.check_name}"
        for check in found
        if not check.passed
        and check.severity == dg.AssetCheckSeverity.ERROR
        and check.check_name != FRESHNESS_CHECK
    ]
    return RunChecks(tick_job.name, run, tuple(failed))


def _jobs_of(context: dg.SensorEvaluationContext) -> Sequence[str]:
    """Names of this code location's jobs, that of assets materialised by hand or by a backfill included."""
    repository = context.repository_def
    return () if repository is None else repository.job_names


def _stored_state(context: dg.SensorEvaluationContext) -> State | None:
    if context.cursor is None:
        return None
    try:
        return decode(context.cursor)
    except StateError as error:
        # Going on without alerts would be worse than telling some of them again.
        context.log.error(f"{error}; alerts begin anew, so what is open is told again")
        return None
