"""Answers that are not plain: none at all, or broken off.

Belongs here: what frameworks refuse to send. Which request gets it is decided in `faults.py`.
"""

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class BrokenOff(Response):
    """Promises the whole body, sends half of it and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server closes the connection of a response that ends without its last part."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": part, "more_body": True})


class Silence(Response):
    """Says nothing until the client has left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the disconnect; the server drops what is sent after it."""
        while (await receive())["type"] != "http.disconnect":
            pass


async def wait_or_leave(request: Request, seconds: float) -> bool:
    """Wait so long; False as soon as the client has left."""
    if seconds <= 0:
        return True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
        return False
    return True
