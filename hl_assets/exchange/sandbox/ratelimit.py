"""The exchange's limit: 1,200 weight in any sliding minute per client address, and the weight of each request type.

Time here is always real, whatever the virtual clock shows. What a refused client is told is in `server.py`.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_S = 60.0
DEFAULT_LIMIT = 1_200
_LIGHT = (
    "l2Book",
    "allMids",
    "clearinghouseState",
    "orderStatus",
    "spotClearinghouseState",
    "exchangeStatus",
)
_WEIGHTS = {**dict.fromkeys(_LIGHT, 2), "userRole": 60}
_OTHER_WEIGHT = 20
_MAX_MINUTES = 1_440


def weight_of(info_type: object) -> int:
    """Weight of an info request (exchange documentation, "Rate limits and user limits"); 20 where none is listed.

    A body that cannot be read costs 20 as well: whether the exchange charges for it is not documented.
    """
    return _WEIGHTS.get(info_type, _OTHER_WEIGHT) if isinstance(info_type, str) else _OTHER_WEIGHT


@dataclass(slots=True)
class SlidingSum:
    """Weight in the last minute, and the most there ever was."""

    entries: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0
    highest: int = 0

    def at(self, moment: float) -> int:
        """Weight in (moment - 60 s, moment]."""
        while self.entries and self.entries[0][0] <= moment - WINDOW_S:
            self.total -= self.entries.popleft()[1]
        return self.total

    def add(self, moment: float, weight: int) -> None:
        """Count a request."""
        self.total = self.at(moment) + weight
        self.entries.append((moment, weight))
        self.highest = max(self.highest, self.total)


class WeightLimiter:
    """Admits requests while a client's sliding minute has room; a refused request uses none.

    Args:
        limit: Weight a minute and client; None admits everything and still counts.
        monotonic: Real seconds that never go back.
    """

    def __init__(
        self, limit: int | None = DEFAULT_LIMIT, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        self._admitted: dict[str, SlidingSum] = {}
        self._offered: dict[str, SlidingSum] = {}
        self._first: float | None = None
        self._last: float | None = None
        self._by_minute: dict[int, int] = {}
        self.refused = 0
        self.total = 0

    def admit(self, client: str, weight: int) -> bool:
        """Whether the client may spend the weight now; spends it if so."""
        moment = self._monotonic()
        self._offered.setdefault(client, SlidingSum()).add(moment, weight)
        used = self._admitted.setdefault(client, SlidingSum())
        if self.limit is not None and used.at(moment) + weight > self.limit:
            self.refused += 1
            return False
        used.add(moment, weight)
        self._count(moment, weight)
        return True

    def report(self) -> dict[str, object]:
        """Figures of the limiter; weights, real seconds."""
        moment = self._monotonic()
        elapsed = 0.0 if self._first is None or self._last is None else self._last - self._first
        return {
            "limit_per_minute": self.limit,
            "total": self.total,
            "refused_requests": self.refused,
            "used_last_60s": {client: used.at(moment) for client, used in self._admitted.items()},
            "max_in_any_60s": max((used.highest for used in self._admitted.values()), default=0),
            "max_offered_in_any_60s": max((used.highest for used in self._offered.values()), default=0),
            "by_minute": [self._by_minute.get(minute, 0) for minute in range(int(elapsed // WINDOW_S) + 1)][
                -_MAX_MINUTES:
            ],
            "seconds_first_to_last": round(elapsed, 3),
        }

    def _count(self, moment: float, weight: int) -> None:
        self._first = moment if self._first is None else self._first
        self._last = moment
        self.total += weight
        minute = int((moment - self._first) // WINDOW_S)
        self._by_minute[minute] = self._by_minute.get(minute, 0) + weight
