"""The quarantine: slots of a derived table that could not be derived, set aside so that they block nothing.

Belongs here: reading and writing the ledger `quarantined_slots`, and whether a slot's failure still stands. Does not belong
here: deriving (`assets.reconcile`), what a check says about it (`assets.derived`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pandas as pd

from hl_assets import __version__
from hl_assets.assets.derivation import SlotTask
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.quarantine import QUARANTINED_SLOTS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries

_REASON_LENGTH = 2_000
_NEWEST_SQL = """
SELECT table_name, as_of, newest.1 AS event, newest.2 AS reason, newest.3 AS inputs, newest.4 AS code_version,
    newest.5 AS recorded_at, newest.6 AS run_id, newest.7 AS origin
FROM (
    SELECT table_name, as_of,
        argMax((event, reason, inputs, code_version, recorded_at, run_id, origin), recorded_at) AS newest
    FROM quarantined_slots
    WHERE {table:String} IN ('', table_name)
    GROUP BY table_name, as_of
)
WHERE event != 'released'
ORDER BY as_of, table_name
"""


@dataclass(frozen=True)
class SetAside:
    """A slot in quarantine, or one that somebody waived.

    Attributes:
        table: Table whose rows failed.
        slot: The slot.
        waived: Whether somebody accepts that it is missing.
        reason: What is wrong with it, or why it is waived.
        inputs: Upstream table -> version that it failed with.
        code_version: Version of the code that failed.
        recorded_at: When.
        run_id: Run that found out.
        origin: Of the database's rows.
    """

    table: str
    slot: datetime
    waived: bool
    reason: str
    inputs: Mapping[str, int]
    code_version: str
    recorded_at: datetime
    run_id: str
    origin: str

    def still_stands(self, task: SlotTask) -> bool:
        """Whether deriving the slot again would meet the same sources and the same code."""
        return dict(self.inputs) == dict(task.inputs) and self.code_version == __version__


@dataclass(frozen=True)
class Quarantine:
    """The slots of one table that are set aside.

    Attributes:
        table: The table.
        slots: By slot, oldest first; waived ones included.
    """

    table: TableContract
    slots: Mapping[datetime, SetAside] = field(default_factory=dict)

    def holds(self, task: SlotTask) -> bool:
        """Whether a slot is set aside, and deriving it again would meet the same sources and the same code."""
        known = self.slots.get(task.slot)
        return known is not None and known.still_stands(task)

    @property
    def unresolved(self) -> list[SetAside]:
        """Those that are neither replayed nor waived."""
        return [one for one in self.slots.values() if not one.waived]


def read_quarantine(store: Warehouse, table: TableContract) -> Quarantine:
    """The slots of a table that are set aside."""
    return Quarantine(table, {one.slot: one for one in read_set_aside(store, table.name)})


def read_set_aside(store: Warehouse, table: str = "") -> list[SetAside]:
    """The slots that are set aside, oldest first; of one table, or of all."""
    return [
        SetAside(
            table=name,
            slot=slot,
            waived=event == "waived",
            reason=reason,
            inputs=dict(inputs),
            code_version=code_version,
            recorded_at=recorded_at,
            run_id=run_id,
            origin=origin,
        )
        for name, slot, event, reason, inputs, code_version, recorded_at, run_id, origin in store.read_rows(
            _NEWEST_SQL, {"table": table}
        )
    ]


def set_aside(
    store: Warehouse, quarantine: Quarantine, task: SlotTask, reason: str, *, now: datetime, run_id: str
) -> None:
    """Put a slot into quarantine; one that is there with the same reason is left alone."""
    known = quarantine.slots.get(task.slot)
    entry = _entry(quarantine, task, reason, now=now, run_id=run_id)
    same = known is not None and known.still_stands(task) and (known.waived or known.reason == entry.reason)
    if not same:
        _append(store, entry, "quarantined")


def release(store: Warehouse, quarantine: Quarantine, task: SlotTask, *, now: datetime, run_id: str) -> None:
    """Take a slot that was derived after all out of quarantine, if it is there."""
    if task.slot in quarantine.slots:
        _append(store, _entry(quarantine, task, "derived", now=now, run_id=run_id), "released")


def waive(store: Warehouse, known: SetAside, reason: str, *, now: datetime) -> None:
    """Accept that a slot is missing: its check passes, and it is left out until its sources or the code change."""
    at = _after(known, now)
    _append(store, replace(known, reason=reason[:_REASON_LENGTH], recorded_at=at, run_id=""), "waived")


def _entry(quarantine: Quarantine, task: SlotTask, reason: str, *, now: datetime, run_id: str) -> SetAside:
    return SetAside(
        table=quarantine.table.name,
        slot=task.slot,
        waived=False,
        reason=reason[:_REASON_LENGTH],
        inputs=task.inputs,
        code_version=__version__,
        recorded_at=_after(quarantine.slots.get(task.slot), now),
        run_id=run_id,
        origin=task.origin,
    )


def _after(known: SetAside | None, now: datetime) -> datetime:
    """An instant after the newest event, also by a clock that stands still."""
    return now if known is None else max(now, known.recorded_at + timedelta(milliseconds=1))


def _append(store: Warehouse, entry: SetAside, event: str) -> None:
    columns = {
        "as_of": pd.Series([entry.slot], dtype="datetime64[s, UTC]"),
        "table_name": [entry.table],
        "recorded_at": [entry.recorded_at],
        "event": [event],
        "reason": [entry.reason],
        "inputs": [dict(entry.inputs)],
        "code_version": [entry.code_version],
        "run_id": [entry.run_id],
        "origin": [entry.origin],
    }
    append_entries(store, QUARANTINED_SLOTS, QUARANTINED_SLOTS.conform(columns))
