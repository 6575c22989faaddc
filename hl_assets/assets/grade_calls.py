"""Calls to the model as stored: appended while grading, read back as what needs no second call.

Belongs here: `GradeCall` to and from rows of `grade_calls`. Does not belong here: making calls (`claude`), judging them.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from hl_assets.claude.calls import GradeCall
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries

_FIELDS = tuple(field.name for field in dataclasses.fields(GradeCall) if field.name != "row_id")
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_WALLETS_PER_QUERY = 1_000

_PAST_SQL = f"""
SELECT wallet, as_of, {", ".join(_FIELDS)}
FROM grade_calls
WHERE wallet IN {{wallets:Array(String)}} AND grade_key IN {{keys:Array(String)}}
    AND as_of <= {{slot:DateTime('UTC')}} AND as_of > {{since:DateTime('UTC')}}
ORDER BY as_of, requested_at, attempt, call_id
"""  # noqa: S608 - column names from the dataclass
_ANSWERS_SQL = (
    "SELECT call_id, raw_answer, canonical_input FROM grade_calls WHERE call_id IN {call_ids:Array(String)}"
)
_SPENT_SQL = """
SELECT sum(estimated_usd) + countIf(isNull(estimated_usd)) * ifNull(max(estimated_usd), 0) FROM grade_calls
WHERE requested_at >= {midnight:DateTime64(3, 'UTC')} AND requested_at < {midnight:DateTime64(3, 'UTC')} + INTERVAL 1 DAY
"""


@dataclass(frozen=True, slots=True)
class PastCall:
    """A stored call and the slot it was made for."""

    as_of: datetime
    call: GradeCall


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What grades are parsed from.

    Attributes:
        raw_answer: The answer's text; None if there was none.
        canonical_input: The text that the model was given.
    """

    raw_answer: str | None
    canonical_input: str


class SlotLedger:
    """Records the calls of one slot; a `hl_assets.claude.calls.CallLedger`.

    Calls that end while an insert is under way go into the next one together: many small inserts would be many parts.

    Args:
        store: The warehouse.
        slot: The slot that is graded.
        wallets: Row id -> address.
        origin: Of the rows graded.
    """

    def __init__(self, store: Warehouse, slot: datetime, wallets: Mapping[str, str], origin: str) -> None:
        self._store, self._slot, self._wallets, self._origin = store, slot, wallets, origin
        self._waiting: dict[str, GradeCall] = {}
        self._lock = asyncio.Lock()

    async def record(self, call: GradeCall) -> None:
        """Store a call; when this returns, the server has it.

        Raises:
            WarehouseError: It could not be stored.
        """
        self._waiting[call.call_id] = call
        async with self._lock:
            if call.call_id not in self._waiting:
                return  # it went with another's insert
            calls = list(self._waiting.values())
            await asyncio.to_thread(self._append, calls)
            for stored in calls:
                del self._waiting[stored.call_id]

    def _append(self, calls: Sequence[GradeCall]) -> None:
        frame = call_rows(calls, self._slot, self._wallets, self._origin)
        append_entries(self._store, GRADE_CALLS, frame)


def call_rows(
    calls: Sequence[GradeCall], slot: datetime, wallets: Mapping[str, str], origin: str
) -> pd.DataFrame:
    """Rows of `grade_calls` for calls of one slot."""
    columns: dict[str, Any] = {name: [getattr(call, name) for call in calls] for name in _FIELDS}
    columns |= {name: pd.array(columns[name], dtype="Int64") for name in _TOKENS}
    return GRADE_CALLS.conform(
        {
            "as_of": pd.Series([slot] * len(calls), dtype="datetime64[s, UTC]"),
            "wallet": [wallets[call.row_id] for call in calls],
            "origin": origin,
            **columns,
            "requested_at": pd.to_datetime(columns["requested_at"], utc=True),
        }
    )


def read_past_calls(
    store: Warehouse, wanted: Mapping[str, tuple[str, str]], slot: datetime, max_age: timedelta
) -> dict[str, list[PastCall]]:
    """Stored calls about the same wallet with the same grade key, made for this slot or a recent earlier one.

    Args:
        store: The warehouse.
        wanted: Row id -> (wallet, grade key).
        slot: The slot that is graded; calls for later slots were not known to it.
        max_age: Calls made for slots at least this much older do not count any more.

    Returns:
        Row id -> its calls, oldest first; rows without one are absent. `GradeCall.row_id` is the asking row's.
    """
    found: dict[str, list[PastCall]] = {}
    rows = list(wanted.items())
    for first in range(0, len(rows), _WALLETS_PER_QUERY):
        part = {pair: row_id for row_id, pair in rows[first : first + _WALLETS_PER_QUERY]}
        frame = store.read_frame(
            _PAST_SQL,
            {
                "wallets": sorted({wallet for wallet, _ in part}),
                "keys": sorted({key for _, key in part}),
                "slot": slot,
                "since": slot - max_age,
            },
        )
        for record in frame.astype(object).where(frame.notna(), None).to_dict("records"):
            row_id = part.get((record["wallet"], record["grade_key"]))
            if row_id is not None:
                found.setdefault(row_id, []).append(_past_call(row_id, record))
    return found


def stored_answers(store: Warehouse, call_ids: Sequence[str]) -> dict[str, StoredAnswer]:
    """What the ledger holds of calls, by call id; unknown ids are absent."""
    found: dict[str, StoredAnswer] = {}
    wanted = sorted(set(call_ids))
    for first in range(0, len(wanted), _WALLETS_PER_QUERY):
        part = wanted[first : first + _WALLETS_PER_QUERY]
        for call_id, raw_answer, asked in store.read_rows(_ANSWERS_SQL, {"call_ids": part}):
            found[call_id] = StoredAnswer(raw_answer, asked)
    return found


def usd_spent_on(store: Warehouse, midnight: datetime) -> float:
    """What the calls of a UTC day are estimated to have cost; its beginning names it.

    A call that may have been billed without telling counts as the dearest one of the day.
    """
    return float(store.read_rows(_SPENT_SQL, {"midnight": midnight})[0][0] or 0.0)


def _past_call(row_id: str, record: Mapping[Any, Any]) -> PastCall:
    values = {name: record[name] for name in _FIELDS}
    for name in ("attempt", "max_tokens", *_TOKENS):
        values[name] = None if values[name] is None else int(values[name])
    values["requested_at"] = values["requested_at"].to_pydatetime()
    return PastCall(record["as_of"].to_pydatetime(), GradeCall(row_id=row_id, **values))
