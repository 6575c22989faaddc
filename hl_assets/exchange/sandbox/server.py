"""HTTP routes of the local exchange: the same paths, answers and refusals as the real one.

`GET /Mainnet/leaderboard`, `GET /Mainnet/vaults`, `POST /info` (`portfolio`, `vaultDetails`); everything under
`/sandbox/` is control (`control.py`). A request is counted, limited, possibly spoilt by a fault, then answered. Building
a bulk body runs in a thread, so it does not keep other requests waiting. No number is computed here.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hl_assets.exchange.sandbox.config import SandboxConfig
from hl_assets.exchange.sandbox.control import control_routes
from hl_assets.exchange.sandbox.damage import JSON_TYPE, NULL, UNREADABLE, damaged, without_body
from hl_assets.exchange.sandbox.errors import InstantOutOfRangeError, NotRecordedError
from hl_assets.exchange.sandbox.faults import Endpoint
from hl_assets.exchange.sandbox.ratelimit import weight_of
from hl_assets.exchange.sandbox.source import Source
from hl_assets.exchange.sandbox.venue import Venue

NETWORK = "Mainnet"
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SUBJECTS = {"portfolio": "user", "vaultDetails": "vaultAddress"}

logger = logging.getLogger(__name__)

MakeBody = Callable[[int], bytes]


def create_app(config: SandboxConfig, source: Source | None = None) -> Starlette:
    """The local exchange as an ASGI application; building a large population takes seconds.

    Args:
        config: Settings.
        source: Accounts to serve instead of those the settings name.

    Raises:
        SandboxConfigError: The settings cannot be used.
        RecordingError: The recording cannot be served.
        InstantOutOfRangeError: The clock is set outside what the source answers.
    """
    venue = Venue(config, source)
    routes = [
        Route(f"/{NETWORK}/leaderboard", _bulk(venue, "leaderboard", venue.bodies.leaderboard)),
        Route(f"/{NETWORK}/vaults", _bulk(venue, "vaults", venue.bodies.vaults)),
        Route("/info", _info(venue), methods=["POST"]),
        *control_routes(venue),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            InstantOutOfRangeError: _out_of_range,
            NotRecordedError: _not_recorded,
            Exception: _failed,
        },
    )
    app.state.venue = venue
    return app


def _bulk(venue: Venue, endpoint: Endpoint, body: MakeBody) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:  # noqa: ARG001
        venue.requests[endpoint] += 1
        now_ms = venue.now_ms()
        headers = _headers(now_ms)
        if modified := venue.bodies.last_modified(now_ms):
            headers["last-modified"] = formatdate(modified.timestamp(), usegmt=True)
        return await _answer(venue, endpoint, None, headers, lambda: body(now_ms))

    return answer


def _info(venue: Venue) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        kind, subject = _understood(await request.body())
        venue.requests[f"info:{kind}" if kind in _SUBJECTS else "info:other"] += 1
        now_ms = venue.now_ms()
        headers = _headers(now_ms)
        client = request.client.host if request.client else "unknown"
        if not venue.limiter.admit(client, weight_of(kind)):
            return _counted(venue, Response(NULL, 429, headers, JSON_TYPE))
        if subject is None:
            return await _answer(venue, "info", None, headers, None)
        make = venue.bodies.portfolio if kind == "portfolio" else venue.bodies.vault_details
        return await _answer(venue, "info", subject, headers, lambda: make(subject, now_ms))

    return answer


async def _answer(
    venue: Venue,
    endpoint: Endpoint,
    wallet: str | None,
    headers: dict[str, str],
    make: Callable[[], bytes] | None,
) -> Response:
    """The proper answer, or the fault that is due; `make` is None where the request itself cannot be read."""
    fault = venue.faults.decide(endpoint, wallet)
    spoilt = without_body(fault, headers) if fault else None
    if spoilt is not None:
        return _counted(venue, spoilt, fault.kind if fault else None)
    if make is None:
        return _counted(venue, Response(UNREADABLE, 422, headers, "text/plain"))
    body = await run_in_threadpool(make)
    if fault is not None:
        return _counted(venue, await run_in_threadpool(damaged, fault, body, headers), fault.kind)
    return _counted(venue, Response(body, 200, headers, JSON_TYPE))


def _counted(venue: Venue, response: Response, fault: str | None = None) -> Response:
    label = "cut" if fault in ("stalled", "truncated") else str(response.status_code)
    venue.statuses[label] += 1
    return response


def _understood(raw: bytes) -> tuple[str | None, str | None]:
    """Type and lower-case subject of an info request; None for what the exchange could not deserialise."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(kind, str):
        return None, None
    subject = document.get(_SUBJECTS.get(kind))
    if not isinstance(subject, str) or not _ADDRESS.fullmatch(subject):
        return kind, None
    return kind, subject.lower()


def _headers(now_ms: int) -> dict[str, str]:
    return {
        "date": formatdate(now_ms / 1000, usegmt=True),
        "server": "nginx/1.22.1",
        "x-cache": "Miss from cloudfront",
        "access-control-allow-origin": "*",
    }


async def _out_of_range(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return Response(str(error), 503, media_type="text/plain")


async def _not_recorded(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return Response(str(error), 404, media_type="text/plain")


async def _failed(request: Request, error: Exception) -> Response:
    logger.error("the local exchange failed at %s %s", request.method, request.url.path, exc_info=error)
    return Response("the local exchange itself failed; its log says why", 500, media_type="text/plain")
