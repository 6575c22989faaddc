"""A small HTTP server on loopback whose answers a test scripts down to the byte: cut, slow, dropped, malformed.

A real socket with a hand-written HTTP/1.1 answer, because frameworks refuse to send what must be tested here.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as it arrived; `at` is monotonic seconds, `index` counts from 0, `raw` is the body's bytes."""

    index: int
    at: float
    method: str
    path: str
    headers: dict[str, str]
    payload: Any
    raw: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An answer. `cut` keeps the declared length but sends only so many bytes; `drop` closes without an answer."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    delay_in_body: float = 0.0
    cut: int | None = None
    chunked: bool = False
    drop: bool = False


Handler = Callable[[Received], Reply]


class ScriptedServer:
    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Received] = []
        self.url = ""

    @property
    def count(self) -> int:
        return len(self.requests)

    def wait_for(self, count: int) -> None:
        """Blocks until that many requests have come."""
        give_up = time.monotonic() + 30
        while self.count < count:
            assert time.monotonic() < give_up, f"{self.count} of {count} requests came"
            time.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Received(
            len(self.requests), time.monotonic(), method, path, headers, json.loads(raw) if raw else None, raw
        )
        self.requests.append(request)
        reply = self.handler(request)
        await asyncio.sleep(reply.delay)
        if reply.drop:
            return False
        sent = {"date": formatdate(usegmt=True), "content-type": "application/json", **reply.headers}
        sent |= (
            {"transfer-encoding": "chunked"} if reply.chunked else {"content-length": str(len(reply.body))}
        )
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        part = reply.body if reply.cut is None else reply.body[: reply.cut]
        if reply.delay_in_body:
            writer.write(part[:10])
            part = part[10:]
            await writer.drain()
            await asyncio.sleep(reply.delay_in_body)
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if reply.chunked else part)
        if reply.chunked and reply.cut is None:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return reply.cut is None


@contextmanager
def running(handler: Handler) -> Iterator[ScriptedServer]:
    """Serves in a thread of its own until the block ends."""
    server = ScriptedServer(handler)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def main() -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**20)
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        listener.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()
