"""Reading the platform's figures from the warehouse.

Belongs here: SQL, and its rows as facts. Does not belong here: how often it is read (`refreshing`), names for Prometheus
(`catalogue`).

Runs are short processes whose memory is lost, and whoever answers a scrape may be another pod, so nothing is counted in
memory: what is published is the truth. Every statement is bounded by a slot, a run or a day, but for the manifest's newest
slots and the ledgers, which are read by few narrow columns. Only slots of the source's own origin count: a past slot
that is reconstructed today makes nothing fresh. No text that a user of the exchange controls is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from hl_assets.coverage.vocabulary import Cause, Status
from hl_assets.observability.facts import (
    CoverageFacts,
    FetchFacts,
    GradeFacts,
    MoneyFacts,
    PlatformFacts,
    ScoreFacts,
    TableFacts,
    TickFacts,
)
from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import AI_GRADES, CALL_MODES, CALL_OUTCOMES
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.warehouse.connection import Warehouse

STAGES: Mapping[str, str] = {
    "leaderboard_snapshots": "leaderboard",
    "vaults": "vaults",
    "portfolio_fetches": "portfolio_histories",
    "tracked_wallets": "tracked_wallets",
    "equity_curves": "equity_curves",
    "wallet_metrics": "wallet_metrics",
    "ai_grades": "ai_grades",
    "wallet_scores": "wallet_scores",
}
"""Table -> the asset of a tick whose publication says that its step is through; in the order data flows. The list of vaults is
fetched by the first tick of a UTC day only."""

FETCH_OUTCOMES = ("answered", "unchanged", "empty", "refused", "failed")
"""answered: with new points; unchanged: every point was known; empty: no such portfolio; refused: 429; failed: otherwise."""

WINDOWS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
NO_CAUSE = "none"
QUARANTINE_STATES = ("quarantined", "waived")
_REFUSED = "rate_limited"
_ON_REQUEST = frozenset({"reconstructed_cohorts", "rescored_scores"})
"""Made when somebody asks, so how old they are says nothing."""
_FOLLOWED = tuple(
    table.name for table in TABLES if table.storage != "ledger" and table.name not in _ON_REQUEST
)
_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
_RECENT = timedelta(days=2)
"""How far back newest slots are looked for first: the manifest grows by half a million lines a year, and is ordered by table
and slot."""
_DERIVED = ("tracked_wallets", "equity_curves", "wallet_metrics", "ai_grades", "wallet_scores")

_NEWEST_SQL = """
SELECT table_name, as_of, n_rows, published_at, run_id FROM (
    SELECT table_name, as_of, newest.1 AS n_rows, newest.2 AS published_at, newest.3 AS run_id
    FROM (
        SELECT table_name, as_of,
            argMax((n_rows, published_at, run_id, withdrawn, origin), version) AS newest
        FROM publications
        WHERE table_name IN {tables:Array(String)} AND as_of >= {since:DateTime('UTC')}
        GROUP BY table_name, as_of
    )
    WHERE NOT newest.4 AND newest.5 = {origin:String}
)
ORDER BY table_name, as_of DESC LIMIT 1 BY table_name
"""
_TICK_SQL = """
SELECT table_name, max(published_at) FROM publications
WHERE table_name IN {tables:Array(String)} AND run_id = {run:String} AND NOT withdrawn
    AND as_of >= toStartOfDay({slot:DateTime('UTC')})
GROUP BY table_name
"""
_FETCHES_SQL = """
SELECT multiIf(status = 'failed', if(error_kind = {refused:String}, 'refused', 'failed'), status = 'empty', 'empty',
        n_new_points > 0, 'answered', 'unchanged') AS outcome,
    if(status = 'failed', ifNull(error_kind, 'unknown'), '') AS failure,
    count(), sum(attempts), countIf(attempts > 0), sum(weight), sum(n_new_points)
FROM portfolio_fetches
WHERE as_of = {slot:DateTime('UTC')} AND origin = {origin:String}
GROUP BY outcome, failure
"""
_GRADES_SQL = """
SELECT grade_source, status, ifNull(fallback, ''), count() FROM ai_grades
WHERE as_of = {slot:DateTime('UTC')} AND origin = {origin:String}
GROUP BY 1, 2, 3
"""
_SCORES_SQL = """
SELECT n_wallets, n_scored, n_eligible FROM score_runs
WHERE as_of = {slot:DateTime('UTC')} AND origin = {origin:String}
"""
# An unknown price counts as the dearest known one of the day, as the budget counts it (`assets.grade_calls`).
_CALLS_SQL = """
WITH requested_at >= {midnight:DateTime64(3, 'UTC')}
    AND requested_at < {midnight:DateTime64(3, 'UTC')} + INTERVAL 1 DAY AS is_today
SELECT mode, outcome, count(), sum(estimated_usd), countIf(isNull(estimated_usd)),
    sumIf(estimated_usd, is_today), countIf(isNull(estimated_usd) AND is_today), maxIf(estimated_usd, is_today)
FROM grade_calls
GROUP BY mode, outcome
"""
_COVERAGE_SQL = """
SELECT as_of >= {hour:DateTime('UTC')} AS recent, status, ifNull(cause, ''), count() FROM slot_coverage
WHERE as_of >= {day:DateTime('UTC')} GROUP BY 1, 2, 3
"""
_QUARANTINE_SQL = """
SELECT table_name, event, count() FROM (
    SELECT table_name, argMax(event, recorded_at) AS event FROM quarantined_slots GROUP BY table_name, as_of
)
WHERE event != 'released' GROUP BY 1, 2
"""
_ALERTS_SQL = """
SELECT newest.1 AS event, newest.2 AS kind, newest.3 AS severity, count() FROM (
    SELECT argMax((event, kind, severity), (decided_at, number)) AS newest FROM alerts
    WHERE origin = {origin:String} AND event != 'test' GROUP BY alert_key
)
GROUP BY 1, 2, 3
"""
_LASTING = frozenset({"opened", "repeated"})


@dataclass(frozen=True)
class _Source:
    """What is read, and which rows count."""

    store: Warehouse
    origin: str

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self.store.read_rows(sql, {"origin": self.origin, **parameters})


def read_platform(store: Warehouse, origin: str, now: datetime) -> PlatformFacts:
    """Everything that is known of the platform now: at most eleven small queries.

    Args:
        store: The warehouse.
        origin: Origin of the slots that count.
        now: The present moment.

    Raises:
        WarehouseError: It does not answer, or its tables are not there.
    """
    source = _Source(store, origin)
    newest = _newest(source, now)
    tables = {name: TableFacts(slot, int(rows), at) for name, slot, rows, at, _ in newest}
    runs = {name: run for name, *_, run in newest}
    return PlatformFacts(
        tables=tables,
        tick=_tick(source, tables.get(LEADERBOARD_SNAPSHOTS.name), runs.get(LEADERBOARD_SNAPSHOTS.name, "")),
        fetches=_fetches(source, tables.get(PORTFOLIO_FETCHES.name)),
        grades=_grades(source, tables.get(AI_GRADES.name)),
        scores=_scores(source, tables.get(WALLET_SCORES.name)),
        money=_money(source, now),
        coverage=_coverage(source, now),
        quarantine=_quarantine(source),
        alerts=_alerts(source),
    )


def _newest(source: _Source, now: datetime) -> list[tuple[Any, ...]]:
    """The newest slot of every table that is published slot by slot; of tables that stand still, wherever it is."""
    since = (now - _RECENT).replace(microsecond=0)
    recent = source.rows(_NEWEST_SQL, tables=list(_FOLLOWED), since=since)
    found = {row[0] for row in recent}
    still = [table for table in _FOLLOWED if table not in found]
    return recent + (source.rows(_NEWEST_SQL, tables=still, since=_BEGINNING) if still else [])


def _tick(source: _Source, board: TableFacts | None, run: str) -> TickFacts | None:
    if board is None or not run:
        return None
    found = source.rows(_TICK_SQL, tables=list(STAGES), run=run, slot=board.slot)
    return TickFacts(board.slot, {STAGES[table]: at for table, at in found})


def _fetches(source: _Source, newest: TableFacts | None) -> FetchFacts | None:
    rows = [] if newest is None else source.rows(_FETCHES_SQL, slot=newest.slot, refused=_REFUSED)
    if not rows:
        return None
    wallets = dict.fromkeys(FETCH_OUTCOMES, 0)
    failures: dict[str, int] = {}
    for outcome, failure, count, *_ in rows:
        wallets[outcome] += int(count)
        if failure:
            failures[failure] = failures.get(failure, 0) + int(count)
    requests, asked, weight, new_points = (_total(rows, column) for column in (3, 4, 5, 6))
    return FetchFacts(
        wallets=wallets,
        failures=failures,
        requests=requests,
        repeated=requests - asked,
        weight=weight,
        new_points=new_points,
    )


def _total(rows: Sequence[Sequence[Any]], column: int) -> int:
    return sum(int(row[column]) for row in rows)


def _grades(source: _Source, newest: TableFacts | None) -> GradeFacts | None:
    rows = [] if newest is None else source.rows(_GRADES_SQL, slot=newest.slot)
    if not rows:
        return None
    by_source: dict[tuple[str, str], int] = {}
    fallbacks: dict[str, int] = {}
    for grader, status, fallback, count in rows:
        by_source[grader, status] = by_source.get((grader, status), 0) + int(count)
        if fallback:
            fallbacks[fallback] = fallbacks.get(fallback, 0) + int(count)
    return GradeFacts(by_source, fallbacks)


def _scores(source: _Source, newest: TableFacts | None) -> ScoreFacts | None:
    rows = [] if newest is None else source.rows(_SCORES_SQL, slot=newest.slot)
    return ScoreFacts(*(int(value) for value in rows[0])) if rows else None


def _money(source: _Source, now: datetime) -> MoneyFacts:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = source.rows(_CALLS_SQL, midnight=midnight)
    dearest = max((float(row[7] or 0.0) for row in rows), default=0.0)
    never = dict.fromkeys(product(CALL_MODES, CALL_OUTCOMES), 0)
    return MoneyFacts(
        calls={**never, **{(row[0], row[1]): int(row[2]) for row in rows}},
        usd={**never, **{(row[0], row[1]): float(row[3] or 0.0) for row in rows}},
        unpriced=_total(rows, 4),
        usd_today=sum(float(row[5] or 0.0) for row in rows) + _total(rows, 6) * dearest,
    )


def _coverage(source: _Source, now: datetime) -> CoverageFacts | None:
    since = {name: (now - length).replace(microsecond=0) for name, length in WINDOWS.items()}
    rows = source.rows(_COVERAGE_SQL, hour=since["1h"], day=since["1d"])
    if not rows:
        return None
    statuses = {(window, str(status)): 0 for window in WINDOWS for status in Status}
    outcomes = {
        (window, cause): 0 for window in WINDOWS for cause in (NO_CAUSE, *(str(cause) for cause in Cause))
    }
    for recent, status, cause, count in rows:
        for window in ("1h", "1d") if recent else ("1d",):
            statuses[window, status] += int(count)
            outcomes[window, cause or NO_CAUSE] += int(count)
    return CoverageFacts(statuses, outcomes)


def _quarantine(source: _Source) -> dict[tuple[str, str], int]:
    slots = {(table, state): 0 for table in _DERIVED for state in QUARANTINE_STATES}
    for table, event, count in source.rows(_QUARANTINE_SQL):
        slots[table, event] = int(count)
    return slots


def _alerts(source: _Source) -> dict[tuple[str, str], int] | None:
    rows = source.rows(_ALERTS_SQL)
    if not rows:
        return None
    alerts: dict[tuple[str, str], int] = {}
    for event, kind, severity, count in rows:
        known = alerts.get((kind, severity), 0)
        alerts[kind, severity] = known + (int(count) if event in _LASTING else 0)
    return alerts
