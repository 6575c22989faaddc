"""Finished answers, kept in bounded memory, each made once however many clients ask for it at the same time.

Belongs here: the cache. Does not belong here: what is in an answer, when it is out of date (its key names the snapshot).
"""

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

_T = TypeVar("_T")

_GZIP_LEVEL = 5
_SMALL = 1_000
"""Bytes below which compression is not worth it."""


class Body:
    """A finished answer.

    Attributes:
        raw: JSON.
        etag: Weak entity tag of its content (the compressed form is the same content).
    """

    __slots__ = ("_packed", "etag", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.etag = f'W/"{hashlib.sha256(raw).hexdigest()[:32]}"'
        self._packed: bytes | None = None

    @property
    def compressible(self) -> bool:
        """Whether it is large enough for compression."""
        return len(self.raw) >= _SMALL

    def packed(self) -> bytes:
        """Its gzip, made once."""
        if self._packed is None:
            self._packed = gzip.compress(self.raw, _GZIP_LEVEL, mtime=0)
        return self._packed

    @property
    def size(self) -> int:
        """Bytes it takes, an estimate for its compressed form included."""
        return len(self.raw) * 5 // 4 + 512


class Together:
    """Work that is done once for everybody who wants it at the same time. For one event loop."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        """The result of the work under way for a key, begun now if there is none.

        A client that goes away does not stop it: others may be waiting. What it raises, everybody who waits gets.
        """
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(make())
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        result: _T = await asyncio.shield(task)
        return result

    def _finished(self, key: Hashable, done: "asyncio.Task[Any]") -> None:
        del self._tasks[key]
        if not done.cancelled():
            done.exception()  # looked at, in case everybody who waited went away


class BodyCache:
    """The least recently used answers go first. For one event loop.

    Args:
        max_bytes: Most memory for answers; 0 keeps none, but still makes each only once at a time.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bodies: OrderedDict[Hashable, Body] = OrderedDict()
        self._making = Together()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._bodies)

    def find(self, key: Hashable) -> Body | None:
        """The answer, if it is there."""
        body = self._bodies.get(key)
        if body is not None:
            self.hits += 1
            self._bodies.move_to_end(key)
        return body

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Body]]) -> Body:
        """The answer; made, if it is not there. Whoever asks meanwhile waits for the same one."""
        found = self.find(key)
        return found if found is not None else await self._making.run(key, lambda: self._made(key, make))

    async def _made(self, key: Hashable, make: Callable[[], Awaitable[Body]]) -> Body:
        self.misses += 1
        body = await make()
        if body.size <= self._max_bytes:
            self._bodies[key] = body
            self.bytes += body.size
            while self.bytes > self._max_bytes:
                _, gone = self._bodies.popitem(last=False)
                self.bytes -= gone.size
        return body
