"""What the stand-in was asked and what it answered, kept for assertions.

Belongs here: the record, safe to read from any thread while requests run. The API key is never kept.
"""

import copy
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

_SECRET_HEADERS = {"x-api-key", "authorization"}


@dataclass(slots=True)
class Asked:
    """One HTTP request.

    Attributes:
        number: From 0, in order of arrival.
        at: Arrival, seconds since 1970.
        method: HTTP method.
        path: Path without query.
        query: Raw query string.
        headers: Lower-case names; without the key.
        key_accepted: Whether a key came and was accepted; None before it was looked at.
        body: Raw bytes.
        in_flight: Messages being answered when it arrived, itself included; 0 for other endpoints.
        content: Key of what it asks about; None if it was refused before that was known.
        ask: Which request about this content it was, from 1.
        fault: Kind of the fault it met.
        status: HTTP status sent; None while or if nothing was sent.
        stop_reason: Of the message sent.
        request_id: As sent.
        answer: The JSON object sent.
        finished_at: When the answer was sent or the client had left.
    """

    number: int
    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    in_flight: int
    body: bytes = b""
    key_accepted: bool | None = None
    content: str | None = None
    ask: int | None = None
    fault: str | None = None
    status: int | None = None
    stop_reason: str | None = None
    request_id: str | None = None
    answer: Any = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """One message that was made: over HTTP, or as a result of a batch (`custom_id` set)."""

    content: str
    ask: int
    fault: str | None
    message: dict[str, Any]
    custom_id: str | None = None


@dataclass
class Record:
    """Everything since the start or the last `clear`."""

    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self._empty()

    def _empty(self) -> None:
        self._requests: list[Asked] = []
        self._answers: dict[str, list[Answered]] = defaultdict(list)
        self._asks: Counter[str] = Counter()
        self._most = self._in_flight

    def clear(self) -> None:
        """Forget everything but what is in flight."""
        with self._lock:
            self._empty()

    def open(self, method: str, path: str, query: str, headers: dict[str, str], counts: bool) -> Asked:
        """A request arrives; `counts` if it is one of the messages in flight."""
        kept = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        with self._lock:
            self._in_flight += counts
            self._most = max(self._most, self._in_flight)
            flying = self._in_flight if counts else 0
            asked = Asked(len(self._requests), time.time(), method, path, query, kept, flying)
            self._requests.append(asked)
        return asked

    def close(self, asked: Asked, counts: bool) -> None:
        """Its answer was sent, or nobody waits for it any more."""
        with self._lock:
            self._in_flight -= counts
            asked.finished_at = time.time()

    def count(self, content: str) -> int:
        """Number of this request among those about the content, from 1."""
        with self._lock:
            self._asks[content] += 1
            return self._asks[content]

    def answered(self, answer: Answered) -> None:
        """A message was made."""
        with self._lock:
            self._answers[answer.content].append(answer)

    def requests(self) -> list[Asked]:
        """Copies, in order of arrival."""
        with self._lock:
            return [copy.copy(asked) for asked in self._requests]

    def answers(self) -> dict[str, list[Answered]]:
        """Messages made, by content key."""
        with self._lock:
            return {key: list(found) for key, found in self._answers.items()}

    @property
    def max_in_flight(self) -> int:
        """Most messages that were in flight together."""
        with self._lock:
            return self._most
