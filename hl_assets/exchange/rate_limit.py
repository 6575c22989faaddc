"""The request budget: one allowance of weight per time window, shared by every process behind one egress address.

Belongs here: deciding when a request of some weight may be sent, and remembering across processes what was sent. Does
not belong here: what requests cost (`config`), retrying (`retrying`), sending (`client`).

The promise: as the exchange sees it, no window of 60 s ever carries more than the budget, whatever mixture of Dagster
runs, backfills and command lines is at work; and under load less than 5 % of the budget is wasted.

How. A log of (instant, weight) in one small SQLite file per egress address. A request is entered with the earliest
instant at which it fits and its sender sleeps until then: one transaction when there is room, two when it must wait, no
polling. Tickets are served first come, first served across processes, so a heavy request is not starved by light ones; a
process holds at most one waiting ticket, so one that is killed leaves at most one unused reservation, which ages out.
On waking the sender checks again, because a request before it may have been sent later than planned.

The window is stretched by a slack (1 s, hence 1.6 % waste) because the exchange counts arrivals, not permissions: half
of it is for the network, half for the time between permission and sending, and a request sent later than that is moved
in the log to when it was sent (`WeightBudget.sent`).

Time is `time.monotonic`, which all processes of a machine share and nobody can set. An instant in the future (left by an
earlier boot) is treated as "just now": the budget may then wait one window too long, never too short.

Why not pyrate-limiter 4.5 with its SQLite bucket and file lock: measured with a window of 2 s, it kept within the budget
and used all of it, but four competing processes got 197, 194, 17 and 16 permissions, a request of half the budget beside
light ones waited three windows, waiting for its file lock stopped the event loop for up to 0.1 s at a time, its log is
kept in wall-clock time (setting the clock back blocks it), and it has no way to say that a request left late.
"""

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

_T = TypeVar("_T")

_NANOSECONDS = 1_000_000_000
_LOCK_PATIENCE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 600.0
_EGRESS_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SCHEMA_VERSION = 1
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS spent (ticket INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, weight INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS spent_at ON spent (at_ns);
CREATE TABLE IF NOT EXISTS pause (until_ns INTEGER NOT NULL);
INSERT INTO pause SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM pause);
PRAGMA user_version = 1;
COMMIT;
"""


class WeightAboveBudgetError(ValueError):
    """A request that costs more than the whole budget can never be sent."""


class RateLimitStateError(RuntimeError):
    """The budget's shared file cannot be read, written or locked."""


@dataclass(frozen=True)
class Grant:
    """Permission to send one request now.

    Attributes:
        ticket: Row of the log, for `WeightBudget.sent`.
        weight: What it paid.
        waited_seconds: How long it waited.
        at_ns: Monotonic instant of the permission, nanoseconds.
    """

    ticket: int
    weight: int
    waited_seconds: float
    at_ns: int


class WeightBudget:
    """A sliding-window budget of request weight. One instance serves one event loop.

    Args:
        weight_per_window: Weight allowed in any window.
        state_dir: Folder shared by all processes behind the egress address, on a local disk; created when missing.
            None keeps the log in memory: the budget is then this instance's own.
        egress: Name of the egress address, a file name part.
        window_seconds: Length of the window.
        slack_seconds: What the window is stretched by, see the module's description.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """

    def __init__(
        self,
        weight_per_window: int,
        state_dir: Path | None,
        *,
        egress: str = "default",
        window_seconds: float = 60.0,
        slack_seconds: float = 1.0,
    ) -> None:
        if weight_per_window <= 0 or window_seconds <= 0 or slack_seconds < 0:
            raise ValueError(
                "a budget needs a weight and a window above 0 and a slack of at least 0, got "
                f"weight_per_window={weight_per_window}, window_seconds={window_seconds}, slack_seconds={slack_seconds}"
            )
        if _EGRESS_NAME.match(egress) is None:
            raise ValueError(
                f"egress must be 1 to 64 letters, digits, dots, dashes or underscores, got {egress!r}"
            )
        self.weight_per_window = weight_per_window
        self.path = None if state_dir is None else state_dir / f"weight-{egress}.sqlite3"
        self._window_ns = round((window_seconds + slack_seconds) * _NANOSECONDS)
        self._late_ns = round(slack_seconds / 2 * _NANOSECONDS)
        self._turn = asyncio.Lock()
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the shared file; what was granted stays on record."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def acquire(self, weight: int) -> Grant:
        """Waits until a request of this weight may be sent, enters it in the log and returns the permission.

        Cancelling the wait gives the reservation back.

        Raises:
            WeightAboveBudgetError: `weight` is above the whole budget; names both numbers.
            RateLimitStateError: The shared file is unusable.
        """
        if weight <= 0:
            raise ValueError(f"a request's weight must be above 0, got {weight}")
        if weight > self.weight_per_window:
            raise WeightAboveBudgetError(
                f"a request of weight {weight} can never be sent: the whole budget is {self.weight_per_window} per "
                "window; raise weight_per_minute (the exchange allows 1,200)"
            )
        asked_ns = time.monotonic_ns()
        async with self._turn:
            ticket, at_ns, now_ns = await self._transact(partial(self._enter, weight=weight, ticket=None))
            try:
                while at_ns > now_ns:
                    await asyncio.sleep((at_ns - now_ns) / _NANOSECONDS)
                    again = partial(self._enter, weight=weight, ticket=ticket)
                    ticket, at_ns, now_ns = await self._transact(again)
            except asyncio.CancelledError:
                self._forget(ticket)
                raise
        return Grant(ticket, weight, (at_ns - asked_ns) / _NANOSECONDS, at_ns)

    async def sent(self, grant: Grant) -> None:
        """Notes that the request of this grant has left just now; a late one is moved in the log.

        Call it when the request is on the wire. Free of cost unless the request was late.
        """
        now_ns = time.monotonic_ns()
        if now_ns - grant.at_ns > self._late_ns:
            row = (grant.ticket, now_ns, grant.weight)
            await self._transact(
                lambda log: log.execute(
                    "INSERT OR REPLACE INTO spent (ticket, at_ns, weight) VALUES (?, ?, ?)", row
                )
            )

    async def pause(self, seconds: float) -> None:
        """Grants nothing for this long, in every process: the exchange has said that it is too much.

        A pause in force is prolonged, never cut; at most ten minutes are accepted.
        """
        until_ns = time.monotonic_ns() + round(min(max(seconds, 0.0), _LONGEST_PAUSE_SECONDS) * _NANOSECONDS)
        await self._transact(
            lambda log: log.execute("UPDATE pause SET until_ns = max(until_ns, ?)", (until_ns,))
        )

    async def outlook(self, weight: int) -> tuple[float, int]:
        """How long requests of this weight in all would wait now, in seconds, and the weight that is free now.

        Raises:
            RateLimitStateError: The shared file is unusable.
        """

        def look(log: sqlite3.Connection) -> tuple[float, int]:
            now_ns = time.monotonic_ns()
            self._settle(log, now_ns)
            windows, rest = divmod(weight - 1, self.weight_per_window)
            at_ns = self._earliest(log, rest + 1, -1, now_ns) + windows * self._window_ns
            return (at_ns - now_ns) / _NANOSECONDS, self._free(log, within_ns=0)

        return await self._transact(look)

    async def free_within(self, seconds: float) -> int:
        """The weight that could be granted from now until then, if nobody else asked; what others reserved is taken off.

        A unit of weight can be spent again a window after it was spent: now and after each whole window that fits.

        Raises:
            RateLimitStateError: The shared file is unusable.
        """
        within_ns = round(seconds * _NANOSECONDS)
        return 0 if within_ns < 0 else await self._transact(partial(self._free, within_ns=within_ns))

    def _free(self, log: sqlite3.Connection, *, within_ns: int) -> int:
        now_ns = time.monotonic_ns()
        begin_ns = max(now_ns, self._paused_until(log, now_ns))
        unspent, free = self.weight_per_window, 0
        self._settle(log, now_ns)
        newest_first = log.execute("SELECT at_ns, weight FROM spent ORDER BY at_ns DESC")
        # Reservations beyond the window's weight will spend again what older entries give back: the newest count.
        for at_ns, weight in newest_first:
            counted = min(weight, unspent)
            unspent -= counted
            free += counted * self._turns(max(begin_ns, at_ns + self._window_ns), now_ns + within_ns)
        return free + unspent * self._turns(begin_ns, now_ns + within_ns)

    def _turns(self, first_ns: int, last_ns: int) -> int:
        """How often a unit that is free at `first_ns` can be spent until `last_ns`."""
        return max(0, (last_ns - first_ns) // self._window_ns + 1)

    def _enter(self, log: sqlite3.Connection, *, weight: int, ticket: int | None) -> tuple[int, int, int]:
        """Enters a request at its earliest instant (again, when it has a ticket); returns ticket, instant and now.

        Only earlier tickets count against a request, so that later ones, planned around it, cannot push it back.
        """
        now_ns = time.monotonic_ns()
        self._settle(log, now_ns)
        at_ns = self._earliest(log, weight, -1 if ticket is None else ticket, now_ns)
        cursor = log.execute(
            "INSERT OR REPLACE INTO spent (ticket, at_ns, weight) VALUES (?, ?, ?)", (ticket, at_ns, weight)
        )
        return int(cursor.lastrowid or 0), at_ns, now_ns

    def _earliest(self, log: sqlite3.Connection, weight: int, before: int, now_ns: int) -> int:
        """The earliest instant at which a request fits, after tickets below `before` (-1: after all)."""
        spent = log.execute(
            "SELECT coalesce(sum(weight), 0) FROM spent WHERE ?1 < 0 OR ticket < ?1", (before,)
        ).fetchone()[0]
        at_ns = max(now_ns, self._paused_until(log, now_ns))
        excess = spent + weight - self.weight_per_window
        if excess > 0:
            oldest_first = log.execute(
                "SELECT at_ns, weight FROM spent WHERE ?1 < 0 OR ticket < ?1 ORDER BY at_ns", (before,)
            )
            for spent_at_ns, spent_weight in oldest_first:
                excess -= spent_weight
                if excess <= 0:
                    at_ns = max(at_ns, spent_at_ns + self._window_ns)
                    break
        return at_ns

    def _settle(self, log: sqlite3.Connection, now_ns: int) -> None:
        """Forgets what has left the window, and takes an instant that no reservation can have for just now."""
        log.execute("UPDATE spent SET at_ns = ? WHERE at_ns > ?", (now_ns, now_ns + 3 * self._window_ns))
        log.execute("DELETE FROM spent WHERE at_ns <= ?", (now_ns - self._window_ns,))

    def _paused_until(self, log: sqlite3.Connection, now_ns: int) -> int:
        """End of the pause in force; one further away than any can be was left by an earlier boot and is dropped."""
        until_ns = int(log.execute("SELECT until_ns FROM pause").fetchone()[0])
        if until_ns > now_ns + round(_LONGEST_PAUSE_SECONDS * _NANOSECONDS):
            log.execute("UPDATE pause SET until_ns = 0")
            return 0
        return until_ns

    def _forget(self, ticket: int) -> None:
        """Gives an unused reservation back. When the file is busy just now the reservation ages out instead."""
        with suppress(sqlite3.OperationalError):
            self._run(lambda log: log.execute("DELETE FROM spent WHERE ticket = ?", (ticket,)))

    async def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Runs `work` in one write transaction.

        Transactions last well under a millisecond, so they run on the event loop; when another process is in the middle
        of one, this one waits without holding the loop.
        """
        give_up = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                return self._run(work)
            except sqlite3.Error as error:
                if not _is_busy(error):
                    raise RateLimitStateError(
                        f"the request budget's file {self.path} is unusable: {error}. Stop every process that uses it "
                        "and delete it: it only remembers the last minute"
                    ) from error
                if time.monotonic() > give_up:
                    raise RateLimitStateError(
                        f"the request budget's file {self.path} has been locked for {_LOCK_PATIENCE_SECONDS:.0f} s: "
                        "find the process that hangs while it holds the file, and end it"
                    ) from error
            await asyncio.sleep(random.uniform(0.001, 0.01))  # noqa: S311  (jitter, no secret)

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._connection is None:
            self._connection = self._connect()
        log = self._connection
        log.execute("BEGIN IMMEDIATE")
        try:
            result = work(log)
            log.execute("COMMIT")
        except BaseException:
            if log.in_transaction:
                log.execute("ROLLBACK")
            raise
        return result

    def _connect(self) -> sqlite3.Connection:
        if self.path is None:
            target = ":memory:"
        else:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RateLimitStateError(f"cannot create the request budget's folder: {error}") from error
            target = str(self.path)
        # Waiting for a lock is done by the event loop, hence no timeout here.
        log = sqlite3.connect(target, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            if log.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA_VERSION:
                # WAL: a killed process leaves a sound file. NORMAL: no disk flush per request; a power cut may lose
                # the last minute, and a machine takes about as long to boot.
                log.execute("PRAGMA journal_mode = WAL")
                log.executescript(_SCHEMA)
            log.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            log.close()
            raise
        return log


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the file just now; the primary code is the low byte of SQLite's extended one."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
