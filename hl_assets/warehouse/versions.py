"""Versions of published rows: strictly increasing numbers that also tell when a publication began.

Belongs here: where versions come from. Does not belong here: what is done with them (`publish`).
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

_RANDOM_BITS = 16
_NANOSECONDS = 1_000_000_000


class VersionSource(Protocol):
    """Where a publisher gets its versions."""

    def next(self, above: int) -> int:
        """A version greater than `above` and than every version this source gave before."""
        ...

    def begun_before(self, seconds: float) -> int:
        """A version that is greater than those of publications begun longer ago than `seconds`."""
        ...


class ClockVersions:
    """Versions from the clock: nanoseconds since 1970, the lowest 16 bits random.

    The random bits keep two processes apart that publish in the same 65 microseconds. A clock that was set back does
    no harm: the publisher passes the largest published version as `above`.

    Args:
        now_ns: The clock, nanoseconds since 1970.
        random_below: Random integer in [0, n).
    """

    def __init__(
        self, now_ns: Callable[[], int] = time.time_ns, random_below: Callable[[int], int] = secrets.randbelow
    ) -> None:
        self._now_ns = now_ns
        self._random_below = random_below
        self._lock = threading.Lock()
        self._last = 0

    def next(self, above: int) -> int:
        """A version greater than `above` and than every version this source gave before."""
        noise = self._random_below(1 << _RANDOM_BITS)
        with self._lock:
            floor = max(self._last, above)
            by_clock = (self._now_ns() >> _RANDOM_BITS << _RANDOM_BITS) | noise
            self._last = by_clock if by_clock > floor else floor + 1 + noise
            return self._last

    def begun_before(self, seconds: float) -> int:
        """A version that is greater than those of publications begun longer ago than `seconds`."""
        return max(self._now_ns() - int(seconds * _NANOSECONDS), 0)
