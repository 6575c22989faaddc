"""Keeping what was read for some seconds, so that any number of scrapes costs one reading.

Belongs here: when facts are read, for how long they count, and not waiting for a warehouse that does not answer. Does not
belong here: what is read (`reading`).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import anyio.to_thread

from hl_assets.observability.facts import PlatformFacts
from hl_assets.warehouse.errors import WarehouseError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""How long a scrape waits for the warehouse: well below Prometheus's timeout of ten seconds."""


@dataclass(frozen=True)
class Reading:
    """The outcome of one reading.

    Attributes:
        facts: What is known; None if the warehouse did not answer (in time).
        seconds: How long reading took; None if it is not over.
    """

    facts: PlatformFacts | None = None
    seconds: float | None = None


class Refreshed:
    """Facts that are at most some seconds old. For one event loop.

    Args:
        read: Reads them; runs in a thread of its own, so a busy API does not keep it waiting.
        keep_seconds: For how long a reading counts, a failed one too, so that an outage is not asked again and again.
        patience_seconds: How long to wait for a reading; one that takes longer goes on and counts when it is there.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[], PlatformFacts],
        *,
        keep_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._keep = keep_seconds
        self._patience = patience_seconds
        self._clock = clock
        self._due = float("-inf")
        self._task: asyncio.Task[Reading] | None = None
        self._thread = anyio.CapacityLimiter(1)
        self.newest = Reading()

    async def refresh(self) -> None:
        """See to it that `newest` is what is known now."""
        if self._task is None:
            if self._clock() < self._due:
                return
            self._task = asyncio.ensure_future(self._reading())
            self._task.add_done_callback(self._finished)
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            self.newest = Reading()
            return
        self.newest = task.result()

    async def _reading(self) -> Reading:
        began = self._clock()
        facts: PlatformFacts | None
        try:
            facts = await anyio.to_thread.run_sync(self._read, limiter=self._thread)
        except WarehouseError as error:
            logger.warning("the platform's figures cannot be read: %s", error)
            facts = None
        return Reading(facts, self._clock() - began)

    def _finished(self, task: "asyncio.Task[Reading]") -> None:
        self._task = None
        self._due = self._clock() + self._keep
        if not task.cancelled() and task.exception() is None:
            self.newest = task.result()
