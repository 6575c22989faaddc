"""Answering: from a request to a finished document, in one snapshot, without blocking the event loop.

Belongs here: snapshot, thread pool, cache, staleness and the proof that what was read was whole, for every answer alike.
Does not belong here: what a single answer holds (`routes`), HTTP (`responses`).
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import anyio
import anyio.to_thread
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api import models
from hl_assets.api.caching import Body, BodyCache, Together
from hl_assets.api.problems import (
    NO_DATA,
    NO_DATA_RETRY_SECONDS,
    OVERLOADED,
    STALE,
    UNKNOWN_SLOT,
    UNSETTLED,
    ProblemError,
)
from hl_assets.api.responses import body_response
from hl_assets.api.snapshots import NoSlotError, Snapshot, Snapshots, UnsettledError
from hl_assets.api.telemetry import Telemetry
from hl_assets.api.ticks import TickLauncher
from hl_assets.observability.catalogue import Limits
from hl_assets.observability.collector import PlatformCollector
from hl_assets.observability.context import about
from hl_assets.observability.reading import read_platform
from hl_assets.observability.refreshing import Refreshed
from hl_assets.scoring.entities import EntityFlag
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, slot_of, slot_text
from hl_assets.warehouse.connection import Warehouse

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_REREADS = 5
_WAITING_PER_THREAD = 32
"""Queries that may wait per running one; more is an overload."""


@dataclass(frozen=True)
class View:
    """What an answer is built from.

    Attributes:
        store: The warehouse; only to be used by `queries`.
        snapshot: What to read.
        stale: Whether that is too old for the instant asked about.
        now: The present moment.
        hidden_flags: Entity flags whose wallets lists leave out unless asked otherwise.
    """

    store: Warehouse
    snapshot: Snapshot
    stale: bool
    now: datetime
    hidden_flags: tuple[EntityFlag, ...]

    def document(self) -> models.Snapshot:
        """The snapshot as answers show it."""
        scores = self.snapshot.scores
        return models.Snapshot(
            as_of=self.snapshot.as_of,
            id=self.snapshot.id,
            published_at=scores.published_at,
            origin=scores.origin,
            stale=self.stale,
            consistent=self.snapshot.consistent,
        )


Build = Callable[[View], BaseModel]


class Service:
    """What every endpoint uses.

    Args:
        settings: The platform's settings.
        store: The warehouse.
        launcher: Who can start ticks; None = nobody.
        hidden_flags: Entity flags whose wallets lists leave out unless asked otherwise.
    """

    def __init__(
        self,
        settings: Settings,
        store: Warehouse,
        launcher: TickLauncher | None,
        hidden_flags: tuple[EntityFlag, ...],
    ) -> None:
        self.settings = settings
        self.launcher = launcher
        self.telemetry = Telemetry()
        self._store = store
        self.snapshots = Snapshots(store, patience=settings.api_snapshot_seconds, comment=about)
        self.cache = BodyCache(settings.api_cache_mb * 2**20)
        self._looks = Together()
        self.hidden_flags = hidden_flags
        self._threads = anyio.CapacityLimiter(settings.api_threads)
        self._tick_threads = anyio.CapacityLimiter(2)
        self.telemetry.watch_cache(
            lambda: self.cache.hits, lambda: self.cache.misses, lambda: self.cache.bytes
        )
        self.platform = Refreshed(
            lambda: read_platform(self.store, settings.origin, settings.now()),
            keep_seconds=settings.api_metrics_seconds,
        )
        self.telemetry.show(
            PlatformCollector(lambda: self.platform.newest, limits_of(settings), settings.source)
        )

    @property
    def store(self) -> Warehouse:
        """The warehouse; statements say which request they are for."""
        return self._store.with_comment(**about())

    async def in_thread(self, call: Callable[[], _T], *, ticks: bool = False) -> _T:
        """Run something that waits for the warehouse, or for a tick to start, without blocking the event loop.

        Raises:
            ProblemError: Too many are waiting already.
        """
        limiter = self._tick_threads if ticks else self._threads
        if limiter.statistics().tasks_waiting >= _WAITING_PER_THREAD * limiter.total_tokens:
            raise ProblemError(
                OVERLOADED, "too many requests wait for the warehouse; try again", retry_after=1
            )
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    async def answer(
        self,
        request: Request,
        name: str,
        build: Build,
        *,
        as_of: datetime | None = None,
        key: tuple[object, ...] = (),
        exact_slot: bool = False,
    ) -> Response:
        """The response to a request: built from one snapshot, or taken from the cache.

        Args:
            request: The request.
            name: Name of the answer, part of its cache key.
            build: Reads the snapshot and makes the document; runs in a thread.
            as_of: Instant asked about; None = the present.
            key: Everything else the document depends on.
            exact_slot: Whether `as_of` has to be a stored slot itself.
        """
        return body_response(
            request, await self.body(name, build, as_of=as_of, key=key, exact_slot=exact_slot)
        )

    async def body(
        self,
        name: str,
        build: Build,
        *,
        as_of: datetime | None = None,
        key: tuple[object, ...] = (),
        exact_slot: bool = False,
    ) -> Body:
        """The document of `answer`. Raises as `snapshot` and `build` do."""
        for _ in range(_REREADS):
            snapshot = await self.snapshot(as_of)
            if exact_slot and snapshot.as_of != as_of:
                raise unknown_slot(as_of)
            view = self._view(snapshot, as_of)
            full_key = (name, snapshot.id, view.stale, key)
            try:
                return await self.cache.get(full_key, lambda view=view: self._make(name, view, build))  # type: ignore[misc]
            except _VanishedError:
                self.telemetry.rereads.inc()
        raise ProblemError(UNSETTLED, "the slot is published again and again; try again", retry_after=1)

    async def snapshot(self, as_of: datetime | None) -> Snapshot:
        """The snapshot of the newest slot at or before an instant.

        Raises:
            ProblemError: 404 for an instant before the first slot, 503 where nothing is stored.
        """
        known = self.snapshots.remembered(as_of)
        if known is not None:
            return known
        try:
            if (
                not self.settings.api_snapshot_seconds
            ):  # a look that began before this request may be too old for it
                return await self.in_thread(lambda: self.snapshots.at(as_of))
            return await self._looks.run(as_of, lambda: self.in_thread(lambda: self.snapshots.at(as_of)))
        except NoSlotError:
            raise _no_slot(as_of) from None
        except UnsettledError:
            raise ProblemError(
                UNSETTLED, "the slot is published again and again; try again", retry_after=1
            ) from None

    def now(self) -> datetime:
        """The present moment."""
        return self.settings.now()

    def age_seconds(self, snapshot: Snapshot) -> float:
        """Seconds since a snapshot's slot."""
        return (self.now() - snapshot.as_of).total_seconds()

    def next_slot_seconds(self) -> int:
        """Seconds until the next slot can be there."""
        now = self.now()
        return math.ceil((slot_of(now) + SLOT - now).total_seconds()) + 60

    def _view(self, snapshot: Snapshot, as_of: datetime | None) -> View:
        now = self.now()
        asked = now if as_of is None else min(as_of, now)
        stale = (asked - snapshot.as_of).total_seconds() > self.settings.freshness_fail_minutes * 60
        if stale and as_of is None and self.settings.api_refuse_stale:
            raise self.stale(snapshot)
        return View(self.store, snapshot, stale, now, self.hidden_flags)

    def stale(self, snapshot: Snapshot) -> ProblemError:
        """The problem of data that are too old."""
        return ProblemError(
            STALE,
            f"the newest slot is {slot_text(snapshot.as_of)}, older than {self.settings.freshness_fail_minutes} minutes",
            retry_after=self.next_slot_seconds(),
        )

    async def _make(self, name: str, view: View, build: Build) -> Body:
        def read() -> Body:
            began = time.perf_counter()
            try:
                document = build(view)
            except ProblemError:
                if not self.snapshots.still_whole(view.snapshot):
                    raise _VanishedError from None
                raise
            if not self.snapshots.still_whole(view.snapshot):
                raise _VanishedError
            body = Body(document.model_dump_json(by_alias=True, exclude_unset=True).encode())
            self.telemetry.reads.labels(name).observe(time.perf_counter() - began)
            return body

        return await self.in_thread(read)


def limits_of(settings: Settings) -> Limits:
    """What the settings allow, as metrics show it."""
    minutes = SLOT.total_seconds() / 60
    return Limits(
        weight_per_slot=int(settings.weight_per_minute * minutes) * max(1, len(settings.egresses)),
        usd_per_day=settings.grader_budget_day_usd,
        freshness_seconds={
            "warn": settings.freshness_warn_minutes * 60,
            "fail": settings.freshness_fail_minutes * 60,
        },
    )


class _VanishedError(Exception):
    """Rows of the snapshot were removed while it was read."""


def unknown_slot(slot: datetime | None) -> ProblemError:
    """The problem of a slot that is not stored."""
    named = "the slot" if slot is None else slot_text(slot)
    return ProblemError(UNKNOWN_SLOT, f"{named} is not stored; /v1/coverage lists what is")


def _no_slot(as_of: datetime | None) -> ProblemError:
    if as_of is None:
        return ProblemError(
            NO_DATA, "no slot is scored yet; run a tick (`hl-assets run`)", retry_after=NO_DATA_RETRY_SECONDS
        )
    return ProblemError(UNKNOWN_SLOT, f"no slot is stored at or before {slot_text(as_of)}")
