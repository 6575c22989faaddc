"""One evaluation of all alerts: look, decide, deliver, within the time that a sensor has.

Belongs here: the order of these steps, their time limits, and what is said about them. Does not belong here: each step's rules,
Dagster (`hl_assets.sensors` hands in what Dagster knows).

Dagster ends a sensor's evaluation after 60 seconds and then forgets what it did. Looking takes at most 30 seconds (an embedded
ClickHouse that has to start first), else about 20; delivering takes at most 15. What does not fit is done next time.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from hl_assets.alerts import reading
from hl_assets.alerts.alert import Alert, Kind, Message
from hl_assets.alerts.conditions import (
    checks_alert,
    coverage_alert,
    missing_slots_alert,
    stale_alert,
    warehouse_alert,
)
from hl_assets.alerts.config import Limits
from hl_assets.alerts.record import record_sent
from hl_assets.alerts.runs import FinishedRun, run_condition
from hl_assets.alerts.state import MAX_UNRECORDED, State
from hl_assets.alerts.turning import Condition, Observation, Scope, advance, deliver, recorded
from hl_assets.alerts.wallets import wallet_alerts
from hl_assets.alerts.webhook import Receipt, Webhook
from hl_assets.resources.warehouse import WarehouseResource, refuse_other_origins
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import ContractError
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseError, WarehouseUnavailableError

logger = logging.getLogger(__name__)

READ_SECONDS = 20.0
RECORD_WITHIN_SECONDS = 8.0
"""The ledger waits for the next evaluation if reading took longer."""
DELIVER_SECONDS = 15.0
_CONNECT_SECONDS = 2.0
_STATEMENT_SECONDS = 6.0
_FROM_WAREHOUSE: frozenset[Kind] = frozenset({"stale", "missing_slots", "coverage"})


@dataclass(frozen=True)
class RunChecks:
    """Checks of the newest finished run of a job.

    Attributes:
        job: The job.
        run: Its newest finished run.
        failed: `asset.check` of each check of severity ERROR that failed.
    """

    job: str
    run: FinishedRun
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """What is the same in every evaluation.

    Attributes:
        limits: What is worth an alert.
        webhook: Where alerts go.
        warehouse: Where the data are.
        database: Its name, for messages.
    """

    limits: Limits
    webhook: Webhook
    warehouse: WarehouseResource
    database: str

    @property
    def scope(self) -> Scope:
        """Whose alerts they are."""
        return Scope(self.warehouse.origin, self.database)


@dataclass(frozen=True)
class Moment:
    """What an evaluation is given.

    Attributes:
        wall: The present moment.
        now: The present moment of the data; it may stand still.
        histories: Job -> its finished runs, newest first.
        checks: Of the newest finished tick, None: there is none.
    """

    wall: datetime
    now: datetime
    histories: Mapping[str, Sequence[FinishedRun]] = field(default_factory=dict)
    checks: RunChecks | None = None


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        state: For the next evaluation.
        delivered: Messages that were acknowledged.
        problems: What went wrong, in words, without secrets.
    """

    state: State
    delivered: tuple[Message, ...]
    problems: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for the sensor's tick."""
        state = self.state
        waiting = f", {len(state.outbox)} to be delivered" if state.outbox else ""
        unrecorded = f", {len(state.unrecorded)} not in the ledger yet" if state.unrecorded else ""
        line = f"{len(state.open)} open, {len(self.delivered)} delivered{waiting}{unrecorded}"
        return f"{line}; PROBLEM: {'; '.join(self.problems)}" if self.problems else line


def evaluate(state: State | None, setup: Setup, moment: Moment) -> Evaluation:
    """Look, decide, deliver.

    Args:
        state: What the evaluation before left; None: this is the first.
        setup: What is the same every time.
        moment: What Dagster knows, and the time.
    """
    began = state or State(since=moment.wall, data_since=moment.now)
    looked = _look(began, setup, moment)
    observed = _observation(began, setup.limits, moment, looked)
    decided = advance(
        looked.state,
        observed,
        now=moment.wall,
        repeat_after=setup.limits.repeat_after,
        scope=setup.scope,
    )
    stored = frozenset(pending.message.id for pending in began.outbox)
    return _deliver(decided, stored, setup.webhook, moment.wall, looked.problems)


@dataclass(frozen=True)
class _Looked:
    """What the warehouse said; `error` if it could not be read."""

    state: State
    alerts: tuple[Alert, ...] = ()
    occurrences: tuple[Alert, ...] = ()
    judged_slot: datetime | None = None
    error: WarehouseError | None = None
    problems: tuple[str, ...] = ()


def _look(state: State, setup: Setup, moment: Moment) -> _Looked:
    try:
        with _opened(setup.warehouse) as store:
            looked = _read(store, state, setup, moment)
            return _record(store, looked)
    except WarehouseError as error:
        return _Looked(state, error=error, problems=(f"the warehouse cannot be read: {error}",))


def _read(store: "_HurriedWarehouse", state: State, setup: Setup, moment: Moment) -> _Looked:
    limits, origin, now, since = setup.limits, setup.warehouse.origin, moment.now, state.data_since
    newest = reading.newest_slots(store, origin)
    found = [
        stale_alert(table, newest.get(table), now=now, since=since, stale_after=limits.stale_after)
        for table in reading.WATCHED_TABLES
    ]
    found.append(
        missing_slots_alert(
            reading.scored_slots(store, origin, now - limits.missing_within),
            now=now,
            since=since,
            within=limits.missing_within,
            settled_after=limits.stale_after,
            limit=limits.missing_slots,
        )
    )
    if (fetched := newest.get(PORTFOLIO_FETCHES.name)) is not None:
        coverage = reading.read_coverage(store, origin, fetched)
        found.append(
            coverage_alert(
                coverage.slot, coverage.wanted, coverage.answered, since=since, minimum=limits.min_coverage
            )
        )
    slot, judged = newest.get(WALLET_SCORES.name), state.judged_slot
    occurrences: tuple[Alert, ...] = ()
    if slot is not None and judged is not None and slot > judged:
        comparison = reading.read_comparison(store, origin, slot=slot, judged=judged, now=now)
        occurrences = () if comparison is None else wallet_alerts(comparison, limits)
    return _Looked(state, tuple(alert for alert in found if alert), occurrences, slot)


def _record(store: "_HurriedWarehouse", looked: _Looked) -> _Looked:
    """Append to the ledger what was delivered before; the alerts do not depend on it."""
    sent = looked.state.unrecorded
    if not sent or store.elapsed > RECORD_WITHIN_SECONDS:
        return looked
    try:
        record_sent(store, sent)
    except (WarehouseError, ContractError) as error:
        problem = f"{len(sent)} delivered alerts could not be recorded: {error}"
        if len(sent) == MAX_UNRECORDED:
            problem += f"; the ledger will miss those before the newest {MAX_UNRECORDED}"
        return replace(looked, problems=(*looked.problems, problem))
    return replace(looked, state=recorded(looked.state, sent))


def _observation(state: State, limits: Limits, moment: Moment, looked: _Looked) -> Observation:
    conditions = [Condition(alert) for alert in looked.alerts]
    if isinstance(looked.error, WarehouseError):
        conditions.append(Condition(warehouse_alert(type(looked.error).__name__)))
    for job, history in moment.histories.items():
        threshold = limits.failures_of(job)
        if threshold is not None:
            failing = run_condition(job, history, threshold, since=state.since)
            conditions += [] if failing is None else [failing]
    if moment.checks is not None and moment.checks.run.ended_at >= state.since:
        checks = moment.checks
        alert = checks_alert(checks.job, checks.run.run_id, checks.run.slot, checks.failed)
        conditions += [] if alert is None else [Condition(alert)]
    unwanted = frozenset(entry.alert.kind for entry in state.open.values()) - limits.kinds
    return Observation(
        conditions=tuple(found for found in conditions if found.alert.kind in limits.kinds),
        occurrences=looked.occurrences,
        unknown=unwanted | (_FROM_WAREHOUSE if looked.error is not None else frozenset()),
        judged_slot=looked.judged_slot,
    )


def _deliver(
    state: State, stored: frozenset[str], webhook: Webhook, wall: datetime, problems: tuple[str, ...]
) -> Evaluation:
    began = time.monotonic()
    delivered: list[Message] = []

    def left() -> float:
        return DELIVER_SECONDS - (time.monotonic() - began)

    def send(message: Message) -> Receipt:
        receipt = webhook.deliver(message, within_seconds=left())
        delivered.append(message)
        return receipt

    state, undelivered = deliver(state, stored, send, now=wall, in_time=lambda: left() > 1.0)
    return Evaluation(state, tuple(delivered), (*problems, *undelivered))


def _opened(warehouse: WarehouseResource) -> "_HurriedWarehouse":
    """The warehouse, asked once per statement and briefly.

    Raises:
        WarehouseError: It cannot be reached, or its tables differ from the contracts.
    """
    config = replace(
        warehouse.config,
        connect_timeout_seconds=_CONNECT_SECONDS,
        query_timeout_seconds=_STATEMENT_SECONDS,
        attempts=1,
    )
    store = _HurriedWarehouse(config, comment={"sensor": "alerts"})
    try:
        store.ensure_tables(TABLES)
        refuse_other_origins(store, warehouse.origin)
    except WarehouseError:
        store.close()
        raise
    return store


class _HurriedWarehouse(Warehouse):
    """A warehouse that is asked nothing more after a while."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._began

    def read_rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """As `Warehouse.read_rows`.

        Raises:
            WarehouseUnavailableError: The time is over.
        """
        self._hurry()
        return super().read_rows(sql, parameters)

    def read_frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """As `Warehouse.read_frame`.

        Raises:
            WarehouseUnavailableError: The time is over.
        """
        self._hurry()
        return super().read_frame(sql, parameters)

    def _hurry(self) -> None:
        if self.elapsed > READ_SECONDS:
            raise WarehouseUnavailableError(f"the warehouse took more than {READ_SECONDS:g} s to answer")
