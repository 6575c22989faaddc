"""What happens to every request: an id, the rate limit, the log line, the measurement, a last resort for errors.

Belongs here: exactly that. Does not belong here: anything a single endpoint decides.
"""

import logging
import re
import time
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hl_assets.api.limits import Network, TokenBuckets, client_of
from hl_assets.api.problems import TOO_MANY_REQUESTS, ProblemError, internal_error, problem_response
from hl_assets.api.telemetry import UNMATCHED, Telemetry
from hl_assets.observability.context import working_on

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that monitoring asks; the rate limit leaves them alone."""


class Gate:
    """ASGI middleware around the app.

    Args:
        app: The app.
        buckets: The rate limit.
        proxies: Proxies whose `X-Forwarded-For` is believed.
        telemetry: Where requests are counted.
    """

    def __init__(
        self, app: ASGIApp, buckets: TokenBuckets, proxies: Sequence[Network], telemetry: Telemetry
    ) -> None:
        self._app = app
        self._buckets = buckets
        self._proxies = proxies
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = accepted_id(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        peer = scope["client"][0] if scope.get("client") else None
        client = client_of(peer, headers.getlist("x-forwarded-for"), self._proxies)
        sent = _Sent(send, request_id)
        self._telemetry.active.inc()
        # A request's route is known once the router has found it, in the same scope.
        with working_on(lambda: {"request_id": request_id, "route": _route_of(scope)}):
            try:
                await self._answer(scope, receive, sent, client, request_id)
            finally:
                self._telemetry.active.dec()
                self._report(scope, sent, client, request_id, time.perf_counter() - began)

    async def _answer(
        self, scope: Scope, receive: Receive, sent: "_Sent", client: str, request_id: str
    ) -> None:
        wait = 0 if scope["path"] in UNLIMITED else self._buckets.take(client)
        if wait:
            self._telemetry.limited.inc()
            problem = ProblemError(
                TOO_MANY_REQUESTS, f"the rate limit is used up; try again in {wait} s", retry_after=wait
            )
            await problem_response(problem, request_id)(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except Exception:
            logger.exception("request %s failed", request_id)
            if sent.status is not None:
                raise
            await internal_error(request_id)(scope, receive, sent)

    def _report(self, scope: Scope, sent: "_Sent", client: str, request_id: str, seconds: float) -> None:
        path = _route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = sent.status or 0
        self._telemetry.requests.labels(path, method, str(status)).inc()
        self._telemetry.seconds.labels(path).observe(seconds)
        # The template and not the path: what a client sent does not get into the log.
        logger.info(
            "%s %s %d %.1f ms %d bytes client=%s request_id=%s",
            method, path, status, seconds * 1e3, sent.bytes, client, request_id,
            extra={
                "method": method, "status": status, "milliseconds": round(seconds * 1e3, 1), "bytes": sent.bytes,
                "client": client,
            },
        )  # fmt: skip


def _route_of(scope: Scope) -> str:
    """The route's template; what a client sent is in no label, log or comment."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else UNMATCHED


class _Sent:
    """The way to the client, with the headers every answer has, remembering what went through."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None
        self.bytes = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)


def accepted_id(given: str | None) -> str:
    """The client's request id if it is a plain short word, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex
