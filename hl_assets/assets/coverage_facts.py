"""What the warehouse knows of slots' coverage: which are to be examined, what is stored of them, and their rows.

Belongs here: reading the manifest and the few counts per slot, and rows of `slot_coverage` both ways. Does not belong here:
Dagster (`assets.coverage_evidence`), classifying (`coverage.classify`), publishing (`assets.slot_coverage`).

A settled slot is examined again when the versions of its tables in `publications` differ from those that the publication of
its own row names as inputs. So a steady run asks the manifest one question and looks at a few slots, however long the
history is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from hl_assets.assets.quarantine import read_set_aside
from hl_assets.coverage.classify import FETCHES, SCORES, SNAPSHOTS, STAGES, SlotFacts, SlotRow, Why
from hl_assets.coverage.vocabulary import Cause, Status
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.slots import SLOT
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.frames import as_contract
from hl_assets.warehouse.manifest import slots_condition
from hl_assets.warehouse.selecting import select_rows

# Versions only grow, so with the same number of tables an equal sum means equal versions; comparing sums instead of the maps
# themselves is four times faster over a year.
_MOVED_SQL = """
SELECT slot FROM (
    SELECT {start:DateTime('UTC')} + toIntervalSecond(number * {seconds:UInt32}) AS slot FROM numbers({count:UInt64})
) AS every
LEFT JOIN (
    SELECT as_of, sumIf(newest, NOT gone) AS total, countIf(NOT gone) AS tables FROM (
        SELECT as_of, max(version) AS newest, argMax(withdrawn, version) AS gone
        FROM publications
        WHERE table_name IN {stages:Array(String)} AND as_of >= {start:DateTime('UTC')} AND as_of < {end:DateTime('UTC')}
        GROUP BY table_name, as_of
    )
    GROUP BY as_of
) AS stored ON every.slot = stored.as_of
LEFT JOIN (
    SELECT as_of, 1 AS found, argMax(inputs, version) AS seen, arraySum(mapValues(seen)) AS total, length(seen) AS tables
    FROM publications
    WHERE table_name = {own:String} AND as_of >= {start:DateTime('UTC')} AND as_of < {end:DateTime('UTC')}
    GROUP BY as_of
    HAVING NOT argMax(withdrawn, version)
) AS settled ON every.slot = settled.as_of
WHERE settled.found = 0 OR stored.total != settled.total OR stored.tables != settled.tables
ORDER BY slot
"""
_UNSETTLED_SQL = """
SELECT as_of FROM slot_coverage
WHERE NOT settled AND as_of >= {start:DateTime('UTC')} AND as_of < {end:DateTime('UTC')}
"""
_FIRST_SQL = """
SELECT min(as_of), minIf(as_of, table_name = {snapshots:String})
FROM publications
WHERE table_name IN {stages:Array(String)} AND NOT withdrawn
"""
_STAGES_SQL = """
SELECT toString(table_name), as_of, argMax((version, withdrawn, origin, run_id, n_rows), version)
FROM publications
WHERE table_name IN {{stages:Array(String)}} AND {condition}
GROUP BY table_name, as_of
"""
_BOARDS_SQL = "SELECT as_of, board_as_of FROM leaderboard_snapshots WHERE {condition}"
_FETCHES_SQL = """
SELECT as_of, count(), countIf(status != 'failed'), countIf(selected_by = 'panel')
FROM portfolio_fetches WHERE {condition} GROUP BY as_of
"""
_RANKED_SQL = "SELECT as_of, n_eligible FROM score_runs WHERE {condition}"


@dataclass(frozen=True)
class Stale:
    """Slots to examine.

    Attributes:
        moved: Never examined, or something was published or taken back since.
        unsettled: Examined, and their row says that they may still change; without those of `moved`.
    """

    moved: tuple[datetime, ...]
    unsettled: tuple[datetime, ...]

    @property
    def slots(self) -> list[datetime]:
        """All of them, oldest first."""
        return sorted({*self.moved, *self.unsettled})


def first_slots(store: Warehouse) -> tuple[datetime | None, datetime | None]:
    """The first slot of which anything was ever stored, and the first with a board; None if there is none."""
    [(first, snapshot)] = store.read_rows(_FIRST_SQL, {"snapshots": SNAPSHOTS, "stages": list(STAGES)})
    return _known(first), _known(snapshot)


def _known(instant: datetime) -> datetime | None:
    """ClickHouse's minimum of nothing is 1970."""
    return instant if instant.timestamp() > 0 else None


def stale_slots(store: Warehouse, start: datetime, end: datetime) -> Stale:
    """Slots from `start` to before `end` that are to be examined."""
    bound = {"start": start, "end": end}
    parameters: dict[str, Any] = {
        **bound,
        "count": (end - start) // SLOT,
        "seconds": int(SLOT.total_seconds()),
        "stages": list(STAGES),
        "own": SLOT_COVERAGE.name,
    }
    moved = [slot for (slot,) in store.read_rows(_MOVED_SQL, parameters)]
    unsettled = {slot for (slot,) in store.read_rows(_UNSETTLED_SQL, bound)} - set(moved)
    return Stale(tuple(moved), tuple(sorted(unsettled)))


def read_facts(store: Warehouse, slots: Sequence[datetime]) -> dict[datetime, SlotFacts]:
    """What is stored of slots: slot -> facts, in the order given.

    The manifest is read first: what is published after that makes the slot stale again.
    """
    condition, parameters = slots_condition(slots)
    stages: dict[datetime, dict[str, tuple[Any, ...]]] = {}
    sql = _STAGES_SQL.format(condition=condition)
    for name, slot, found in store.read_rows(sql, {**parameters, "stages": list(STAGES)}):
        stages.setdefault(slot, {})[name] = found
    if not stages:
        return {slot: SlotFacts(slot) for slot in slots}

    def by_slot(query: str) -> dict[datetime, tuple[Any, ...]]:
        return {slot: rest for slot, *rest in store.read_rows(query.format(condition=condition), parameters)}  # type: ignore[misc]

    boards, fetches, ranked = by_slot(_BOARDS_SQL), by_slot(_FETCHES_SQL), by_slot(_RANKED_SQL)
    facts = {
        slot: _facts(slot, stages.get(slot, {}), boards.get(slot), fetches.get(slot), ranked.get(slot))
        for slot in slots
    }
    for one in read_set_aside(store):
        if one.slot in facts and not one.waived:
            known = facts[one.slot]
            reasons = (*known.quarantined, f"{one.table}: {one.reason}")
            facts[one.slot] = replace(known, quarantined=reasons)
    return facts


def _facts(
    slot: datetime,
    stages: Mapping[str, tuple[Any, ...]],
    board: Sequence[Any] | None,
    fetches: Sequence[Any] | None,
    ranked: Sequence[Any] | None,
) -> SlotFacts:
    published = {name: stages[name] for name in STAGES if name in stages and not stages[name][1]}
    scores = published.get(SCORES)
    wanted, answered, of_panel = fetches if FETCHES in published and fetches else (None, None, None)
    newest = max(published.values(), key=lambda found: found[0], default=None)
    return SlotFacts(
        slot=slot,
        stages=tuple(published),
        withdrawn=tuple(name for name in STAGES if name in stages and name not in published),
        versions={name: found[0] for name, found in published.items()},
        scores_origin=None if scores is None else scores[2],
        run_id=None if newest is None else newest[3],
        board_as_of=board[0] if board and SNAPSHOTS in published else None,
        n_wanted=wanted,
        n_answered=answered,
        is_panel=bool(wanted) and wanted == of_panel,
        n_scored=None if scores is None else scores[4],
        n_ranked=ranked[0] if ranked and scores is not None else None,
    )


def read_coverage(store: Warehouse, slots: Sequence[datetime]) -> pd.DataFrame:
    """Stored rows of slots."""
    condition, parameters = slots_condition(slots)
    sql, _ = select_rows(SLOT_COVERAGE)
    before, order, after = sql.partition(" ORDER BY ")
    frame = store.read_frame(f"{before} WHERE {condition}{order}{after}", parameters)
    rows = as_contract(SLOT_COVERAGE, frame, SLOT_COVERAGE.column_names)
    return rows[rows["as_of"].isin(list(slots))] if len(rows) else rows


def reasons_of(rows: pd.DataFrame) -> dict[datetime, Why]:
    """What rows say of their causes: slot -> why, for those with a cause."""
    columns = ("as_of", "cause", "cause_detail", "failed_step", "run_id")
    return {
        slot.to_pydatetime(): Why(Cause(cause), detail, step, run_id)
        for slot, cause, detail, step, run_id in zip(*(rows[name] for name in columns), strict=True)
        if cause is not None
    }


def coverage_frame(rows: Iterable[SlotRow], examined_at: datetime, origin: str) -> pd.DataFrame:
    """Rows of the table.

    Args:
        rows: What was found.
        examined_at: When.
        origin: Origin of the database's rows; reconstructed slots have their own.
    """
    records = [
        {
            "as_of": row.facts.slot,
            "status": str(row.status),
            "cause": None if row.why is None else str(row.why.cause),
            "cause_detail": None if row.why is None else row.why.detail,
            "failed_step": None if row.why is None else row.why.step,
            "run_id": row.run_id,
            "board_as_of": row.facts.board_as_of,
            "n_wanted": row.facts.n_wanted,
            "n_answered": row.facts.n_answered,
            "n_scored": row.facts.n_scored,
            "n_ranked": row.facts.n_ranked,
            "stages": list(row.facts.stages),
            "settled": row.settled,
            "examined_at": examined_at,
            "origin": "reconstructed" if row.status is Status.RECONSTRUCTED else origin,
        }
        for row in rows
    ]
    if not records:
        return SLOT_COVERAGE.empty()
    frame = pd.DataFrame(records)
    objects = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in _TEXTS}
    return SLOT_COVERAGE.conform(
        frame.assign(**objects, board_as_of=pd.to_datetime(frame["board_as_of"], utc=True))
    )


_TEXTS = ("cause", "cause_detail", "failed_step", "run_id")
"""Columns of text that may be null; a column of nulls only would not be text to pandas."""


def changed(rows: pd.DataFrame, stored: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows say something else than the stored row of their slot, or have none; when they were examined aside."""
    before = dict(zip(stored["as_of"], _contents(stored), strict=True))
    return pd.Series(
        [
            slot not in before or before[slot] != content
            for slot, content in zip(rows["as_of"], _contents(rows), strict=True)
        ],
        index=rows.index,
        dtype=bool,
    )


def _contents(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    names = [name for name in SLOT_COVERAGE.column_names if name not in {"as_of", "examined_at", "stages"}]
    plain = rows[names].astype(object)
    values = plain.where(plain.notna(), None).itertuples(index=False, name=None)
    return [(*content, tuple(stages)) for content, stages in zip(values, rows["stages"], strict=True)]
