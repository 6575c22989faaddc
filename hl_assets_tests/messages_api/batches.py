"""Batches of messages: kept in memory, ended by polls and time, answered out of order.

Belongs here: the state of a batch and its JSON. Items are answered when the batch ends, by the same replies and faults
as single messages.
Source: https://docs.claude.com/en/docs/build-with-claude/batch-processing and `anthropic.types.messages` of the SDK.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hl_assets_tests.messages_api.answers import Body, digest
from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.errors import ApiError, invalid

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_REQUESTS = 100_000
_LIFE = timedelta(hours=24)

Status = Literal["in_progress", "canceling", "ended"]
Result = dict[str, Any]
AnswerItem = Callable[[str, Any], Result]


@dataclass(slots=True)
class Batch:
    """One batch; `results` maps custom ids to results once it has ended."""

    id: str
    requests: list[dict[str, Any]]
    created: datetime
    created_clock: float
    status: Status = "in_progress"
    polls: int = 0
    cancelled: datetime | None = None
    ended: datetime | None = None
    results: dict[str, Result] = field(default_factory=dict)

    def describe(self, base_url: str) -> dict[str, Any]:
        """The JSON object of the SDK's `MessageBatch`."""
        done = Counter(result["type"] for result in self.results.values())
        counts = {name: done[name] for name in ("succeeded", "errored", "canceled", "expired")}
        open_now = 0 if self.status == "ended" else len(self.requests)
        ended = self.status == "ended"
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status,
            "request_counts": {"processing": open_now, **counts},
            "created_at": _text(self.created),
            "expires_at": _text(self.created + _LIFE),
            "cancel_initiated_at": _text(self.cancelled),
            "ended_at": _text(self.ended),
            "archived_at": None,
            "results_url": f"{base_url}/v1/messages/batches/{self.id}/results" if ended else None,
        }


class Batches:
    """The batches of one stand-in.

    Args:
        config: Settings.
        answer: Makes the result of an item from its custom id and parameters.
    """

    def __init__(self, config: MessagesApiConfig, answer: AnswerItem) -> None:
        self._config, self._answer = config, answer
        self._batches: dict[str, Batch] = {}
        self._made = 0

    def create(self, body: Body) -> Batch:
        """Accept a batch that was checked."""
        self._made += 1
        name = f"msgbatch_{digest([self._config.seed, self._made])[:24]}"
        batch = Batch(name, body["requests"], datetime.now(UTC), self._config.clock())
        self._batches[name] = batch
        self._advance(batch)
        return batch

    def retrieve(self, name: str) -> Batch:
        """A poll; it may be the one that ends the batch.

        Raises:
            ApiError: 404.
        """
        batch = self._find(name)
        batch.polls += 1
        self._advance(batch)
        return batch

    def newest_first(self) -> list[Batch]:
        """All batches."""
        for batch in self._batches.values():
            self._advance(batch)
        return list(reversed(self._batches.values()))

    def cancel(self, name: str) -> Batch:
        """Stop a batch that has not ended; it ends with the next poll.

        Raises:
            ApiError: 404, or 400 if it has ended.
        """
        batch = self._find(name)
        if batch.status == "ended":
            raise invalid(f"Batch {name} cannot be canceled because it has already ended.")
        batch.status, batch.cancelled = "canceling", batch.cancelled or datetime.now(UTC)
        return batch

    def delete(self, name: str) -> dict[str, Any]:
        """Remove a batch that has ended.

        Raises:
            ApiError: 404, or 400 if it has not ended.
        """
        if self._find(name).status != "ended":
            raise invalid(f"Batch {name} cannot be deleted before it has ended; cancel it first.")
        del self._batches[name]
        return {"id": name, "type": "message_batch_deleted"}

    def results(self, name: str) -> bytes:
        """The result file, one JSON object a line, in an order that is not that of the requests.

        Raises:
            ApiError: 404, also while it has not ended.
        """
        batch = self._find(name)
        if batch.status != "ended":
            raise ApiError("not_found_error", f"Batch {name} has no results yet: it has not ended.")
        order = list(batch.results)
        random.Random(f"{self._config.seed}|{name}").shuffle(order)
        if len(order) > 1 and order == list(batch.results):
            order.reverse()
        lines = [{"custom_id": custom_id, "result": batch.results[custom_id]} for custom_id in order]
        return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)

    def _find(self, name: str) -> Batch:
        if name not in self._batches:
            raise ApiError("not_found_error", f"No message batch has the id {name}.")
        return self._batches[name]

    def _advance(self, batch: Batch) -> None:
        if batch.status == "ended":
            return
        age = self._config.clock() - batch.created_clock
        due = batch.polls >= self._config.batch_polls and age >= self._config.batch_seconds
        if due or batch.status == "canceling":
            batch.results = {item["custom_id"]: self._result(batch, item) for item in batch.requests}
            batch.status, batch.ended = "ended", datetime.now(UTC)

    def _result(self, batch: Batch, item: dict[str, Any]) -> Result:
        if batch.cancelled and not self._was_answered(item["custom_id"]):
            return {"type": "canceled"}
        return self._answer(item["custom_id"], item["params"])

    def _was_answered(self, custom_id: str) -> bool:
        share = int(digest([self._config.seed, custom_id])[:8], 16) / 2**32
        return share < self._config.batch_kept_on_cancel


def check_batch(body: Body) -> None:
    """Refuse what `POST /v1/messages/batches` would refuse. Parameters of the items are checked when they are answered.

    Raises:
        ApiError: 400.
    """
    for name in body:
        if name != "requests":
            raise invalid(f"{name}: Extra inputs are not permitted")
    items = body.get("requests")
    if not isinstance(items, list):
        raise invalid(
            "requests: Field required" if items is None else "requests: Input should be a valid list"
        )
    if not 1 <= len(items) <= _MOST_REQUESTS:
        raise invalid(f"requests: List should have between 1 and {_MOST_REQUESTS} items; got {len(items)}")
    seen: set[str] = set()
    for index, item in enumerate(items):
        seen.add(_checked_id(item, f"requests.{index}", seen))


def _checked_id(item: Any, where: str, seen: set[str]) -> str:
    if not isinstance(item, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    for name in ("custom_id", "params"):
        if name not in item:
            raise invalid(f"{where}.{name}: Field required")
    for name in item:
        if name not in {"custom_id", "params"}:
            raise invalid(f"{where}.{name}: Extra inputs are not permitted")
    custom_id = item["custom_id"]
    if not isinstance(custom_id, str) or not custom_id:
        raise invalid(f"{where}.custom_id: Input should be a valid string")
    if len(custom_id) > 64:
        raise invalid(f"{where}.custom_id: String should have at most 64 characters")
    if not _CUSTOM_ID.fullmatch(custom_id):
        raise invalid(f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    if custom_id in seen:
        raise invalid(f"{where}.custom_id: Duplicate custom_id: {custom_id}")
    return custom_id


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")
