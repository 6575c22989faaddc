"""Snapshots: one slot in one published version of every table, fixed before anything is read.

Belongs here: finding the slot, pinning the versions, reading pinned rows, proving afterwards that they were whole. Does not
belong here: what is read for an answer (`queries`), the manifest's own queries (`hl_assets.warehouse.manifest`).

A slot's tables are published one after the other, so "the newest version of each" can be a mixture: new metrics beside
scores that were made from the old ones. A snapshot therefore starts from the newest scores and takes the versions they were
derived from, which the manifest records; rows that were replaced stay stored for a minute. Only when such a version is
gone does the newest one take its place, and the snapshot says so (`consistent`).

All queries of an answer read these versions and no other. Replaced rows can vanish under a slow reader, so after reading it
is proved that they had not: nothing was published since, or every row of every pinned version is still stored.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import History, Manifest, Publication

_HEADS_SQL = f"SELECT count(), max(version) FROM {ddl.identifier(ddl.PUBLICATIONS)}"  # noqa: S608 - a constant
_REMEMBERED = 256
_ATTEMPTS = 5

_OF_THE_SLOT = (
    WALLET_SCORES,
    SCORE_RUNS,
    WALLET_METRICS,
    AI_GRADES,
    PORTFOLIO_FETCHES,
    LEADERBOARD_SNAPSHOTS,
)
_DERIVED_FROM = (WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES)
"""Tables whose version the scores' inputs name, directly or through the metrics'."""

_STORED = {table.name: ddl.versions_table(table) for table in (*_OF_THE_SLOT, LEADERBOARD_ROWS)}

Heads = tuple[int, int]
"""Lines of the manifest and its largest version: equal as long as nothing is published."""


class NoSlotError(Exception):
    """No slot is scored at or before the instant asked about."""


class UnsettledError(Exception):
    """The slot was published again and again while it was read."""


@dataclass(frozen=True)
class Snapshot:
    """A slot and the versions of its tables.

    Attributes:
        as_of: The slot.
        pins: Table name -> its publication. `leaderboard_rows` has the slot of the board that the slot saw.
        consistent: Whether every table is in the version that the scores were derived from.
        id: Names all of that; 16 hexadecimal digits.
        heads: State of the manifest that it was found in or before.
    """

    as_of: datetime
    pins: Mapping[str, Publication]
    consistent: bool
    id: str
    heads: Heads

    @property
    def scores(self) -> Publication:
        """The publication of the slot's scores."""
        return self.pins[WALLET_SCORES.name]


def snapshot_of(
    as_of: datetime, pins: Mapping[str, Publication], heads: Heads, *, consistent: bool
) -> Snapshot:
    """A snapshot with its id."""
    text = "|".join(f"{name}:{pin.as_of.timestamp():.0f}:{pin.version}" for name, pin in sorted(pins.items()))
    digest = hashlib.sha256(f"{as_of.timestamp():.0f}|{consistent}|{text}".encode("ascii")).hexdigest()[:16]
    return Snapshot(as_of, dict(pins), consistent, digest, heads)


class Snapshots:
    """Finds snapshots, and remembers them as long as nothing is published. Safe to share between threads.

    Args:
        store: The warehouse.
        patience: Seconds for which what is known is taken for the present without asking; 0 = always ask.
        clock: Monotonic seconds.
        comment: What a statement's `log_comment` says beside what the warehouse was told.
    """

    def __init__(
        self,
        store: Warehouse,
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        comment: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._given = store
        self._comment = comment
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._heads: Heads | None = None
        self._looked_at = float("-inf")
        self._known: OrderedDict[datetime | None, Snapshot] = OrderedDict()
        self._by_slot: OrderedDict[datetime, Snapshot] = OrderedDict()

    @property
    def _store(self) -> Warehouse:
        return self._given.with_comment(**self._comment())

    @property
    def _manifest(self) -> Manifest:
        return Manifest(self._store)

    def remembered(self, at: datetime | None) -> Snapshot | None:
        """The snapshot, if it is known and recent enough to be used without a query."""
        with self._lock:
            if self._clock() - self._looked_at >= self._patience:
                return None
            return self._known.get(at)

    def at(self, at: datetime | None) -> Snapshot:
        """The snapshot of the newest scored slot at or before an instant; None = the newest of all.

        Raises:
            NoSlotError: There is none.
            WarehouseError: The warehouse does not answer.
        """
        known = self.remembered(at)
        if known is not None:
            return known
        heads = self._look()
        with self._lock:
            if at in self._known:
                return self._known[at]
        found = self._resolve(at, heads)
        with self._lock:
            if (
                self._heads == heads
            ):  # else something was published meanwhile, and the next request asks again
                self._known[at] = self._by_slot[found.as_of] = found
                while len(self._by_slot) > _REMEMBERED:
                    self._by_slot.popitem(last=False)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found

    def heads(self) -> Heads:
        """The manifest's state now."""
        [(lines, version)] = self._store.read_rows(_HEADS_SQL)
        return int(lines), int(version)

    def heads_known(self) -> Heads | None:
        """The manifest's state when it was last looked at; names the state of tables that a snapshot does not pin."""
        with self._lock:
            return self._heads

    def still_whole(self, snapshot: Snapshot) -> bool:
        """Whether every row of the snapshot was still stored a moment ago: what was read before was whole.

        Deleted rows never come back, so rows that are there after reading were there before.
        """
        return self.heads() == snapshot.heads or self._all_stored(snapshot.pins.values())

    def _look(self) -> Heads:
        heads, looked_at = self.heads(), self._clock()
        with self._lock:
            if heads != self._heads:
                self._known.clear()
                self._by_slot.clear()
            self._heads, self._looked_at = heads, looked_at
        return heads

    def _resolve(self, at: datetime | None, heads: Heads) -> Snapshot:
        for _ in range(_ATTEMPTS):
            newest = self._manifest.latest_slot(WALLET_SCORES, at)
            if newest is None:
                raise NoSlotError
            slot = newest.as_of
            with self._lock:
                known = self._by_slot.get(slot)
            if known is not None and known.heads == heads:
                return known
            history = self._manifest.history((table.name, slot) for table in _OF_THE_SLOT)
            found = history.newest(WALLET_SCORES.name, slot)
            if found is not None and found.version == newest.version:
                return self._pin(newest, history, heads)
        raise UnsettledError

    def _pin(self, scores: Publication, history: History, heads: Heads) -> Snapshot:
        slot = scores.as_of
        pins = {WALLET_SCORES.name: scores}
        consistent = True
        wanted = dict(scores.inputs)
        for table in _DERIVED_FROM:
            pin, exact = self._pin_input(table, wanted.get(table.name), history, slot)
            consistent &= exact
            if pin is not None:
                pins[table.name] = pin
                wanted = {**pin.inputs, **wanted}
        for table in (SCORE_RUNS, LEADERBOARD_SNAPSHOTS):
            pin = _published(history, table, slot, version=scores.version if table is SCORE_RUNS else None)
            if pin is not None:
                pins[table.name] = pin
        board = self._board(pins.get(LEADERBOARD_SNAPSHOTS.name))
        if board is not None:
            pins[LEADERBOARD_ROWS.name] = board
        return snapshot_of(slot, pins, heads, consistent=consistent)

    def _pin_input(
        self, table: TableContract, wanted: int | None, history: History, slot: datetime
    ) -> tuple[Publication | None, bool]:
        """A table's publication that the scores were derived from, and whether it is that one."""
        newest = _published(history, table, slot)
        if wanted is None or (newest is not None and newest.version == wanted):
            return newest, True
        named = _published(history, table, slot, version=wanted)
        if named is not None and named.version == wanted and self._all_stored([named]):
            return named, True
        return newest, False

    def _board(self, seen: Publication | None) -> Publication | None:
        """The publication of the board that the slot saw."""
        if seen is None:
            return None
        select = f"SELECT board_as_of FROM {pinned_rows(LEADERBOARD_SNAPSHOTS)}"  # noqa: S608 - from the contract
        rows = self._store.read_rows(select, pin_parameters({LEADERBOARD_SNAPSHOTS.name: seen}))
        if not rows:
            return None
        board_as_of = rows[0][0]
        history = self._manifest.history([(LEADERBOARD_ROWS.name, board_as_of)])
        return _published(history, LEADERBOARD_ROWS, board_as_of)

    def _all_stored(self, pins: Iterable[Publication]) -> bool:
        """Whether as many rows are stored of each publication as were published."""
        wanted = [pin for pin in pins if pin.n_rows]
        if not wanted:
            return True
        counts = " UNION ALL ".join(
            f"SELECT {{n_{number}:UInt64}} = count() FROM {ddl.identifier(_STORED[pin.table_name])} "  # noqa: S608
            f"WHERE as_of = {{slot_{number}:DateTime('UTC')}} AND {ddl.VERSION_COLUMN} = {{version_{number}:UInt64}}"
            for number, pin in enumerate(wanted)
        )
        parameters: dict[str, Any] = {}
        for number, pin in enumerate(wanted):
            parameters |= {
                f"n_{number}": pin.n_rows,
                f"slot_{number}": pin.as_of,
                f"version_{number}": pin.version,
            }
        return all(row[0] for row in self._store.read_rows(counts, parameters))


def _published(
    history: History, table: TableContract, slot: datetime, *, version: int | None = None
) -> Publication | None:
    """The newest publication of a slice, or that of a version if there is one; None where nothing is published."""
    found = history.by_slice.get((table.name, slot), ())
    for publication in found:
        if publication.version == version and not publication.withdrawn:
            return publication
    return found[-1] if found and not found[-1].withdrawn else None


def pinned_rows(contract: TableContract) -> str:
    """SQL source of a table's pinned rows, to follow FROM; `pin_parameters` gives its parameters.

    More conditions may follow it with AND. It reads the stored table and not the views above it, which double the time a
    statement of many columns takes to analyse. Their order of snapshots is not needed: the manifest was read by an earlier
    statement, and rows are stored before the manifest names them.
    """
    name = contract.name
    return (
        f"{ddl.identifier(ddl.versions_table(contract))} WHERE as_of = {{{name}_slot:DateTime('UTC')}} "
        f"AND {ddl.VERSION_COLUMN} = {{{name}_version:UInt64}}"
    )


def pin_parameters(pins: Mapping[str, Publication]) -> dict[str, Any]:
    """Parameters of `pinned_rows` of these tables."""
    parameters: dict[str, Any] = {}
    for name, pin in pins.items():
        parameters |= {f"{name}_slot": pin.as_of, f"{name}_version": pin.version}
    return parameters
