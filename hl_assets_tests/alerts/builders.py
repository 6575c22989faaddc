"""Alerts, messages and receivers for these tests."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from hl_assets.alerts.alert import Alert, Kind, Message
from hl_assets.alerts.turning import Scope
from hl_assets.alerts.webhook import Webhook
from hl_assets_tests.exchange.scripted_server import Received, Reply, ScriptedServer, running

T0 = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
SCOPE = Scope("simulated", "hl_assets_sandbox")
KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "T0KEN-in-the-path"


def alert(key: str = "stale/wallet_scores", kind: Kind = "stale", **more: Any) -> Alert:
    values: dict[str, Any] = {"severity": "error", "title": f"about {key}", "facts": {"n": 1}, **more}
    return Alert(key=key, kind=kind, **values)


def message(**more: Any) -> Message:
    return SCOPE.message("opened", alert(**more), episode="first", first_seen=T0, decided_at=T0)


@dataclass
class Receiver:
    """A webhook's receiver that checks signatures, answers as scripted, and keeps what it acknowledged.

    Attributes:
        script: Answers still to be given; then 204.
        acknowledged: Bodies answered with 2xx, each id once.
    """

    script: list[Reply] = field(default_factory=list)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    faulty: Callable[[dict[str, Any]], Reply | None] | None = None
    server: ScriptedServer | None = None
    wrong: list[str] = field(default_factory=list)

    def answer(self, request: Received) -> Reply:
        if problem := wrong_with(request):
            self.wrong.append(problem)
            return Reply(status=401)
        reply = self.script.pop(0) if self.script else None
        if reply is None and self.faulty is not None:
            reply = self.faulty(request.payload)
        reply = reply or Reply(status=204)
        known = {body["data"]["id"] for body in self.acknowledged}
        if 200 <= reply.status < 300 and not reply.drop and request.headers["webhook-id"] not in known:
            self.acknowledged.append(request.payload)
        return reply

    @property
    def requests(self) -> list[Received]:
        assert self.server is not None
        return self.server.requests

    @property
    def told(self) -> list[tuple[str, str]]:
        """(event, key) of what was acknowledged."""
        return [(body["data"]["event"], body["data"]["key"]) for body in self.acknowledged]

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"{self.server.url}/hooks/{TOKEN}?also={TOKEN}"

    def webhook(self, **more: Any) -> Webhook:
        values = {"timeout_seconds": 0.5, "backoff_seconds": 0.01, **more}
        return Webhook(SecretStr(self.url), SecretStr(SECRET), **values)


def wrong_with(request: Received) -> str:
    """What is wrong with a request's signature, by Standard Webhooks; empty if nothing is."""
    headers = request.headers
    if headers["webhook-id"] != request.payload["data"]["id"]:
        return "the id differs from the body's"
    if abs(int(headers["webhook-timestamp"]) - time.time()) > 300:
        return "too old or too new"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.raw
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    return "" if f"v1,{expected}" in headers["webhook-signature"].split(" ") else "a wrong signature"


@contextmanager
def receiving(*script: Reply) -> Iterator[Receiver]:
    """A receiver that runs until the block ends."""
    receiver = Receiver(list(script))
    with running(receiver.answer) as server:
        receiver.server = server
        yield receiver
    assert receiver.wrong == []
