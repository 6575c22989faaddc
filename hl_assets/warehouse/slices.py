"""What is published: slices, where they come from, and what became of them.

Belongs here: the values handed to and returned by the publish verbs, and the checks of a slice that need no server.
Does not belong here: storing anything (`publish`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse.errors import InvalidSliceError
from hl_assets.warehouse.frames import storable

_ROWS_PER_INSERT = 500_000
_DAYS_PER_INSERT = 31
"""ClickHouse refuses an insert into more than 100 partitions; no table is partitioned finer than by day."""
_SLICES_PER_COMMIT = 50_000
"""Far below the million rows at which ClickHouse would split an insert into parts that are committed one by one."""

SliceKey = tuple[str, datetime]
"""Table name and slot."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Rows of one table for one slot.

    Attributes:
        contract: The table.
        as_of: The slot, timezone-aware.
        frame: Its rows, possibly none; its `as_of` column equals the slot.
        inputs: Upstream table -> version this slice was derived from, on top of the provenance's.
        origin: Where its facts come from, if not the provenance's.
    """

    contract: TableContract
    as_of: datetime
    frame: pd.DataFrame
    inputs: Mapping[str, int] = field(default_factory=dict)
    origin: str | None = None


@dataclass(frozen=True)
class Withdrawal:
    """A slice that is to be published no longer."""

    contract: TableContract
    as_of: datetime


@dataclass(frozen=True)
class Provenance:
    """Where a publication comes from.

    Attributes:
        run_id: Run that publishes.
        code_version: Version of its code.
        origin: Where the facts come from (`hl_assets.schemas.contract.ORIGINS`).
        inputs: Upstream table -> version, for every slice of the call.
    """

    run_id: str
    code_version: str
    origin: str
    inputs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceResult:
    """What became of one slice.

    Attributes:
        table: Table name.
        as_of: Slot.
        rows: Rows published, 0 for a withdrawal.
        replaced_rows: Rows published before, None if the slot was not published.
        withdrawn: Whether it was taken back.
        superseded: Whether another writer's newer version is seen instead.
    """

    table: str
    as_of: datetime
    rows: int
    replaced_rows: int | None
    withdrawn: bool = False
    superseded: bool = False


@dataclass(frozen=True)
class PublishResult:
    """What a publish verb did.

    Attributes:
        version: Version of everything it published, None if there was nothing to publish.
        slices: One result per slice and withdrawal.
        removed_rows: Stored rows whose deletion was ordered because nobody can see them any more.
        seconds: Duration.
    """

    version: int | None
    slices: tuple[SliceResult, ...]
    removed_rows: int
    seconds: float

    @property
    def rows(self) -> int:
        """Rows published."""
        return sum(found.rows for found in self.slices)

    @property
    def replaced_rows(self) -> int:
        """Rows that were published before and are not any more."""
        return sum(found.replaced_rows or 0 for found in self.slices)

    @property
    def withdrawn(self) -> tuple[datetime, ...]:
        """Slots taken back."""
        return tuple(found.as_of for found in self.slices if found.withdrawn)

    @property
    def superseded(self) -> tuple[SliceResult, ...]:
        """Slices of which another writer's newer version is seen."""
        return tuple(found for found in self.slices if found.superseded)


@dataclass(frozen=True, eq=False)
class Change:
    """A checked slice or withdrawal, as the publisher stores it.

    Attributes:
        contract: The table.
        as_of: The slot, UTC.
        frame: Rows in the contract's columns, order and types; None = the slice is taken back.
        inputs: Upstream table -> version.
        origin: Where the facts come from.
    """

    contract: TableContract
    as_of: datetime
    frame: pd.DataFrame | None
    inputs: Mapping[str, int]
    origin: str

    @property
    def key(self) -> SliceKey:
        """Table name and slot."""
        return self.contract.name, self.as_of

    @property
    def n_rows(self) -> int:
        """Rows to store."""
        return 0 if self.frame is None else len(self.frame)


def utc_slot(contract: TableContract, as_of: datetime) -> datetime:
    """A slot as a plain UTC datetime.

    Raises:
        InvalidSliceError: Not timezone-aware, or not whole seconds.
    """
    if as_of.tzinfo is None or as_of.microsecond:
        raise InvalidSliceError(f"{contract.name}: slot {as_of!r} must be timezone-aware and whole seconds")
    return datetime.fromtimestamp(as_of.timestamp(), tz=UTC)


def checked_changes(
    slices: Iterable[Slice], withdrawals: Iterable[Withdrawal], provenance: Provenance
) -> list[Change]:
    """Everything one publication does, checked as far as that needs no server.

    Raises:
        InvalidSliceError: A frame does not fit its contract or slot, has duplicate keys or unknowns where there can be
            none, or a slice is named twice.
    """
    given = list(slices)
    changes = [
        Change(
            contract=one.contract,
            as_of=utc_slot(one.contract, one.as_of),
            frame=frame,
            inputs={**provenance.inputs, **one.inputs},
            origin=one.origin or provenance.origin,
        )
        for one, frame in zip(given, _checked_frames(given), strict=True)
    ]
    changes += [
        Change(one.contract, utc_slot(one.contract, one.as_of), None, provenance.inputs, provenance.origin)
        for one in withdrawals
    ]
    if len(changes) > _SLICES_PER_COMMIT:
        raise InvalidSliceError(
            f"{len(changes)} slices in one publication; publish at most {_SLICES_PER_COMMIT} at once"
        )
    seen: set[SliceKey] = set()
    for change in changes:
        if change.key in seen:
            raise InvalidSliceError(
                f"{change.contract.name} at {change.as_of} is named twice in one publication"
            )
        seen.add(change.key)
    return changes


def _checked_frames(slices: Sequence[Slice]) -> list[pd.DataFrame]:
    """The slices' frames, checked.

    Checking a frame costs milliseconds however small it is, so many slices of a table are checked as one frame. Where that
    finds something, each is checked by itself, and the error names the slice.
    """
    by_table: dict[str, list[int]] = {}
    for place, one in enumerate(slices):
        by_table.setdefault(one.contract.name, []).append(place)
    checked: dict[int, pd.DataFrame] = {}
    for places in by_table.values():
        together = [slices[place] for place in places]
        frames = _checked_together(together) if len(together) > 1 else None
        if frames is None:
            frames = [_checked_frame(one) for one in together]
        checked |= dict(zip(places, frames, strict=True))
    return [checked[place] for place in range(len(slices))]


def _checked_together(slices: Sequence[Slice]) -> list[pd.DataFrame] | None:
    """Frames of slices of one table, checked as one; None if something is wrong or they are not alike."""
    contract, types = slices[0].contract, slices[0].frame.dtypes
    if contract.storage != "slices" or not all(one.frame.dtypes.equals(types) for one in slices):
        return None
    lengths = [len(one.frame) for one in slices]
    try:
        slots = [utc_slot(contract, one.as_of) for one in slices]
        whole = storable(contract, pd.concat([one.frame for one in slices], ignore_index=True))
    except InvalidSliceError:
        return None
    wanted = pd.DatetimeIndex(slots).repeat(lengths)
    if (pd.DatetimeIndex(whole["as_of"]) != wanted).any() or len(set(slots)) < len(slots):
        return None
    if whole.duplicated(subset=list(contract.key)).any():
        return None
    ends = np.cumsum(lengths)
    return [whole.iloc[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _checked_frame(one: Slice) -> pd.DataFrame:
    contract, as_of = one.contract, utc_slot(one.contract, one.as_of)
    if contract.storage != "slices":
        raise InvalidSliceError(f"{contract.name} is a ledger: entries are appended to it, not published")
    frame = storable(contract, one.frame)
    elsewhere = frame.loc[frame["as_of"] != pd.Timestamp(as_of), "as_of"]
    if len(elsewhere):
        raise InvalidSliceError(
            f"{contract.name} at {as_of}: {len(elsewhere)} rows are of other slots, such as {elsewhere.iloc[0]}"
        )
    twice = frame.duplicated(subset=list(contract.key))
    if twice.any():
        sample = frame.loc[twice, list(contract.key)].iloc[0].to_dict()
        raise InvalidSliceError(
            f"{contract.name} at {as_of}: {int(twice.sum())} rows repeat a key {contract.key}, such as {sample}"
        )
    return frame


def insert_batches(changes: Sequence[Change]) -> Iterator[tuple[TableContract, list[pd.DataFrame]]]:
    """Frames grouped for inserting: by table, a bounded number of rows and days at once; empty ones left out."""
    by_table: dict[str, list[Change]] = {}
    for change in sorted(changes, key=lambda change: change.as_of):
        if change.n_rows:
            by_table.setdefault(change.contract.name, []).append(change)
    for of_table in by_table.values():
        frames: list[pd.DataFrame] = []
        rows, days = 0, set[object]()
        for change in of_table:
            rows += change.n_rows
            days.add(change.as_of.date())
            if frames and (rows > _ROWS_PER_INSERT or len(days) > _DAYS_PER_INSERT):
                yield change.contract, frames
                frames, rows, days = [], change.n_rows, {change.as_of.date()}
            if change.frame is not None:
                frames.append(change.frame)
        yield of_table[0].contract, frames
