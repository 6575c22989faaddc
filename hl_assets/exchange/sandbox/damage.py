"""Faulty answers: what a client sees when a fault fires. Which request meets one is decided in `faults.py`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hl_assets.exchange.sandbox.faults import Endpoint, FaultRule, ShapeVariant

NULL = b"null"
JSON_TYPE = "application/json"
UNREADABLE = "Failed to deserialize the JSON body into the target type"
"""What the exchange answers with 422."""
_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)
_SLOW_SECONDS = 5.0
_SLOW_PIECES = 20
_STALL_SECONDS = 3600.0

Headers = Mapping[str, str]


def without_body(fault: FaultRule, headers: Headers) -> Response | None:
    """The answer to a request whose proper body is not needed; None if the fault works on the body."""
    if fault.kind == "rate_limited":
        return Response(NULL, 429, headers, JSON_TYPE)
    if fault.kind == "server_error":
        return Response(NULL, 500, headers, JSON_TYPE)
    if fault.kind == "bad_gateway":
        return Response(_HTML_502, 502, headers, "text/html")
    if fault.kind == "rejected":
        return Response(UNREADABLE, 422, headers, "text/plain")
    if fault.kind == "stalled":
        return StalledResponse(fault.seconds or _STALL_SECONDS)
    return None


def damaged(fault: FaultRule, body: bytes, headers: Headers) -> Response:
    """The proper body, spoilt as the fault says."""
    if fault.kind == "truncated":
        return TruncatedResponse(body, 200, headers, JSON_TYPE)
    if fault.kind == "garbled":
        return Response(_garbled(body), 200, headers, JSON_TYPE)
    if fault.kind == "slow":
        seconds = fault.seconds or _SLOW_SECONDS
        length = {**headers, "content-length": str(len(body))}
        return StreamingResponse(_trickle(body, seconds), 200, length, JSON_TYPE)
    return Response(reshaped(fault, body), 200, headers, JSON_TYPE)


def reshaped(fault: FaultRule, body: bytes) -> bytes:
    """A complete JSON body with other content: wrong shape, no rows, or fewer rows."""
    document = orjson.loads(body)
    if fault.kind == "wrong_shape":
        document = _WRONG[fault.endpoint](document, cast(ShapeVariant, fault.variant))
    elif fault.endpoint == "leaderboard":
        rows = document["leaderboardRows"]
        document["leaderboardRows"] = rows[: _kept(fault, len(rows))]
    else:
        document = document[: _kept(fault, len(document))]
    return orjson.dumps(document)


class TruncatedResponse(Response):
    """Promises the whole body, sends two thirds and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send an incomplete response; the server closes the connection of one that ends without its last part."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part = bytes(self.body)[: len(self.body) * 2 // 3]
        await send({"type": "http.response.body", "body": part, "more_body": True})


class StalledResponse(Response):
    """Says nothing until the client goes away or the time is over, then closes the connection."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Wait for the client's disconnect."""
        try:
            async with asyncio.timeout(self._seconds):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            # Headers without the promised body make the server cut the connection.
            await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"1")]})


def _garbled(body: bytes) -> bytes:
    """As long as the body, with a byte in the middle that no JSON text may hold."""
    middle = len(body) // 2
    return body[:middle] + b"\x00" + body[middle + 1 :]


async def _trickle(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    step = max(len(body) // _SLOW_PIECES, 1)
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds / _SLOW_PIECES)
        yield body[start : start + step]


def _kept(fault: FaultRule, rows: int) -> int:
    return 0 if fault.kind == "empty" else int(rows * fault.keep)


def _wrong_board(document: dict[str, Any], variant: ShapeVariant) -> dict[str, Any]:
    rows = document["leaderboardRows"]
    if variant == "null_rows":
        return {"leaderboardRows": None}
    if variant == "extra_row_type":
        rows.insert(len(rows) // 2, {"type": "banner", "text": "maintenance at 12:00 UTC"})
    elif variant == "missing_field":
        del rows[len(rows) // 2]["accountValue"]
    elif variant == "number_instead_of_string":
        rows[len(rows) // 2]["accountValue"] = float(rows[len(rows) // 2]["accountValue"])
    else:
        rows[len(rows) // 2]["windowPerformances"][-1][0] = "all"
    return document


def _wrong_vaults(document: list[Any], variant: ShapeVariant) -> Any:
    middle = document[len(document) // 2]
    if variant == "null_rows":
        return None
    if variant == "extra_row_type":
        document.insert(len(document) // 2, "maintenance")
    elif variant == "missing_field":
        del middle["summary"]["vaultAddress"]
    elif variant == "number_instead_of_string":
        middle["summary"]["tvl"] = float(middle["summary"]["tvl"])
    else:
        middle["pnls"][-1][0] = "all"
    return document


def _wrong_portfolio(document: Any, variant: ShapeVariant) -> Any:
    if not isinstance(document, list):
        return [document]  # another info answer, such as an object or null: any list is the wrong shape
    if variant == "extra_row_type":
        return [*document, ["year", {"note": "new window"}]]
    month = document[2]
    if variant == "missing_field":
        del month[1]["pnlHistory"]
    elif variant == "number_instead_of_string":
        month[1]["accountValueHistory"][0][1] = float(month[1]["accountValueHistory"][0][1])
    elif variant == "renamed_window":
        month[0] = "30d"
    else:
        month[1]["accountValueHistory"] = None
    return document


_WRONG: dict[Endpoint, Any] = {"leaderboard": _wrong_board, "vaults": _wrong_vaults, "info": _wrong_portfolio}
