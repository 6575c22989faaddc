"""The facts that alerts rest on, as the warehouse has them.

Belongs here: SQL and its rows as plain data. Does not belong here: judging them (`conditions`, `wallets`).

Only slots of the source's own origin count: a past slot that is reconstructed today neither makes data fresh nor is compared
with an observed one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hl_assets.alerts.wallets import Basis, Comparison, Scored
from hl_assets.assets.watching import read_watched
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.warehouse.connection import Warehouse

WATCHED_TABLES = (LEADERBOARD_SNAPSHOTS.name, WALLET_SCORES.name)
"""Tables whose newest slot must be recent: the first and the last of a slot."""

COMPARED_WITHIN = timedelta(hours=24)
"""An older row of a wallet is no longer what it was a moment ago."""

_PUBLISHED = """
SELECT table_name, as_of FROM (
    SELECT table_name, as_of, argMax(withdrawn, version) AS gone, argMax(origin, version) AS source
    FROM publications WHERE table_name IN {tables:Array(String)} GROUP BY table_name, as_of
) WHERE NOT gone AND source = {origin:String}
"""
_NEWEST_SQL = f"SELECT table_name, max(as_of) FROM ({_PUBLISHED}) GROUP BY table_name"  # noqa: S608 - constants
_WINDOW_SQL = f"SELECT as_of FROM ({_PUBLISHED}) WHERE as_of >= {{start:DateTime('UTC')}}"  # noqa: S608
_COVERAGE_SQL = """
SELECT count(), countIf(status != 'failed') FROM portfolio_fetches
WHERE as_of = {slot:DateTime('UTC')} AND origin = {origin:String}
"""
_BASIS_SQL = """
SELECT origin, config_hash, config_version, input_versions['wallet_metrics'] FROM score_runs
WHERE as_of = {slot:DateTime('UTC')} AND origin = {origin:String}
"""
_SCORES_SQL = """
SELECT scores.wallet, scores.as_of, scores.origin, scores.config_hash, scores.config_version,
    runs.input_versions['wallet_metrics'] AS formula_version,
    scores.calculated_rank, scores.weighted_score, scores.trust, scores.ineligible_reason
FROM wallet_scores AS scores INNER JOIN score_runs AS runs ON runs.as_of = scores.as_of
WHERE scores.wallet IN {wallets:Array(String)} AND scores.origin = {origin:String}
    AND scores.as_of BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')}
    AND runs.as_of BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')}
ORDER BY scores.wallet, scores.as_of DESC LIMIT 1 BY scores.wallet
"""
_STATUS_SQL = """
SELECT wallet, status FROM tracked_wallets
WHERE wallet IN {wallets:Array(String)} AND origin = {origin:String}
    AND as_of BETWEEN {first:DateTime('UTC')} AND {last:DateTime('UTC')}
ORDER BY wallet, as_of DESC LIMIT 1 BY wallet
"""
_FAILED_SQL = """
SELECT wallet FROM portfolio_fetches
WHERE as_of = {slot:DateTime('UTC')} AND wallet IN {wallets:Array(String)} AND status = 'failed'
"""


@dataclass(frozen=True)
class Coverage:
    """What came of a slot's fetches: wanted wallets, and those that answered."""

    slot: datetime
    wanted: int
    answered: int


def newest_slots(store: Warehouse, origin: str) -> dict[str, datetime]:
    """Table -> its newest published slot of an origin, of the tables whose newest slot matters."""
    tables = [*WATCHED_TABLES, PORTFOLIO_FETCHES.name]
    return dict(store.read_rows(_NEWEST_SQL, {"tables": tables, "origin": origin}))


def scored_slots(store: Warehouse, origin: str, start: datetime) -> frozenset[datetime]:
    """Slots from an instant on with published scores of an origin."""
    parameters = {"tables": [WALLET_SCORES.name], "origin": origin, "start": start.replace(microsecond=0)}
    return frozenset(row[0] for row in store.read_rows(_WINDOW_SQL, parameters))


def read_coverage(store: Warehouse, origin: str, slot: datetime) -> Coverage:
    """How many of a slot's wanted wallets answered."""
    wanted, answered = store.read_rows(_COVERAGE_SQL, {"slot": slot, "origin": origin})[0]
    return Coverage(slot, wanted, answered)


def read_comparison(
    store: Warehouse, origin: str, *, slot: datetime, judged: datetime, now: datetime
) -> Comparison | None:
    """The watched wallets in a scored slot, and before.

    Args:
        store: The warehouse.
        origin: Origin of the slots that count.
        slot: Newest scored slot.
        judged: Newest slot that was looked at before.
        now: The present moment, for who is watched.

    Returns:
        None if nobody is watched, or if the slot was withdrawn in the meantime.
    """
    wallets = list(read_watched(store, now)["wallet"])
    basis = store.read_rows(_BASIS_SQL, {"slot": slot, "origin": origin}) if wallets else []
    if not basis:
        return None
    # Reconsidered slots (a repair republished one that was looked at) are not told twice: `judged` is before `slot`.
    first = slot - COMPARED_WITHIN
    among: dict[str, Any] = {"wallets": wallets, "origin": origin}
    present, past = {**among, "first": slot, "last": slot}, {**among, "first": first, "last": judged}
    return Comparison(
        slot=slot,
        judged=judged,
        basis=Basis(*basis[0]),
        now=_scored(store.read_rows(_SCORES_SQL, present)),
        before=_scored(store.read_rows(_SCORES_SQL, past)),
        failed_now=_failed(store, wallets, slot),
        failed_before=_failed(store, wallets, judged),
        status_now=dict(store.read_rows(_STATUS_SQL, present)),
        status_before=dict(store.read_rows(_STATUS_SQL, past)),
    )


def _scored(rows: Sequence[Sequence[Any]]) -> dict[str, Scored]:
    return {
        wallet: Scored(as_of, Basis(*basis), rank, score, trust, reason)
        for wallet, as_of, *basis, rank, score, trust, reason in rows
    }


def _failed(store: Warehouse, wallets: Sequence[str], slot: datetime) -> frozenset[str]:
    return frozenset(row[0] for row in store.read_rows(_FAILED_SQL, {"slot": slot, "wallets": list(wallets)}))
