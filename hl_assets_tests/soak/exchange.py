"""The local exchange of the soak, in a process of its own, with a log of what it really sent.

`python -m hl_assets_tests.soak.exchange --folder DIR --clock INSTANT`

Every answer passes a recorder at the outermost edge, after every fault. It keeps in the folder

- `served.bin`: the bodies of complete answers with status 200, each a zlib stream, equal ones once;
- `served.jsonl`: one line an answer: when (the exchange's clock, ms), what, for whom, status, and where the body is.

A line is written before the answer's last byte leaves, so nothing can be stored that is not in the log. Nothing here knows what
the platform makes of an answer.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, create_app
from hl_assets.exchange.sandbox.venue import Venue

SERVED_LINES = "served.jsonl"
SERVED_BODIES = "served.bin"
_KINDS = {"/Mainnet/leaderboard": "leaderboard", "/Mainnet/vaults": "vaults", "/info": "portfolio"}


class Recorder:
    """An ASGI application around the exchange's that logs what it sends.

    Args:
        app: The exchange.
        venue: Its clock.
        folder: Where the log is; continued if there is one.
    """

    def __init__(self, app: ASGIApp, venue: Venue, folder: Path) -> None:
        self._app, self._venue = app, venue
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._lines = os.open(folder / SERVED_LINES, flags, 0o644)
        self._bodies = os.open(folder / SERVED_BODIES, flags, 0o644)
        self._end = os.fstat(self._bodies).st_size
        self._known: dict[str, tuple[int, int]] = {}
        os.write(self._lines, b"\n")  # ends a line that a kill has cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; log it unless it is for the exchange's control."""
        kind = _KINDS.get(scope.get("path", ""))
        if scope["type"] != "http" or kind is None:
            await self._app(scope, receive, send)
            return
        asked, body = bytearray(), bytearray()
        answer: dict[str, Any] = {"at": self._venue.now_ms(), "what": kind}

        async def listening() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._log(answer, bytes(asked), bytes(body))
            await send(message)

        await self._app(scope, listening, recording)

    def _log(self, answer: dict[str, Any], asked: bytes, body: bytes) -> None:
        if answer["what"] == "portfolio":
            answer["wallet"] = json.loads(asked).get("user")
        if answer["status"] == 200:
            answer["sha256"] = hashlib.sha256(body).hexdigest()
            answer["offset"], answer["length"] = self._kept(answer["sha256"], body)
        answer["wall"] = time.time()
        os.write(self._lines, json.dumps(answer).encode() + b"\n")

    def _kept(self, sha256: str, body: bytes) -> tuple[int, int]:
        if sha256 not in self._known:
            packed = zlib.compress(body, 1)
            os.write(self._bodies, packed)
            self._known[sha256] = self._end, len(packed)
            self._end += len(packed)
        return self._known[sha256]


def main() -> None:
    """Serve until killed; the first line printed is the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--clock", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--wallets", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    config = SandboxConfig(
        wallets=chosen.wallets,
        seed=chosen.seed,
        clock=ClockSetting.frozen(chosen.clock),
        weight_limit=None,
        indented=False,
    )
    app = create_app(config)
    recorder = Recorder(app, app.state.venue, chosen.folder)
    # The exchange's Date is virtual, so uvicorn's own headers are off.
    server = uvicorn.Config(
        recorder,
        host="127.0.0.1",
        port=chosen.port,
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        lifespan="off",
    )
    listener = server.bind_socket()
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(server).run([listener])


if __name__ == "__main__":
    main()
