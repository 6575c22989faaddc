"""A proxy between a client and ClickHouse that remembers what every statement said it was for.

Belongs here: forwarding HTTP as it is, and the `log_comment` of each request. Does not belong here: judging them.
"""

import http.client
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import lz4.frame

_LZ4 = b"\x04\x22\x4d\x18"
_NOT_FORWARDED = {"host", "connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Statement:
    """One request.

    Attributes:
        comment: Its `log_comment`; empty if it had none.
        text: The beginning of its body, or of the query in its address.
    """

    comment: dict[str, str]
    text: str


class RecordingProxy:
    """Serves on loopback while the context is open.

    Args:
        target: Address of ClickHouse.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.statements: list[Statement] = []

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.read_body()
                proxy.remember(self.path, body)
                status, headers, answer = proxy.forward(self.command, self.path, dict(self.headers), body)
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def read_body(self) -> bytes:
                if self.headers.get("transfer-encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                chunks = []
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            do_GET = do_POST  # noqa: N815 - the library calls it so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def remember(self, path: str, body: bytes) -> None:
        given = parse_qs(urlsplit(path).query)
        if body.startswith(_LZ4):  # inserts
            body = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=200)
        text = given.get("query", [body[:200].decode(errors="replace")])[0]
        self.statements.append(Statement(json.loads(given.get("log_comment", ["{}"])[0]), text))

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(
            self._target.hostname or "", self._target.port or 80, timeout=60
        )
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_FORWARDED}
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            content = answer.read()
            told = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in {*_NOT_FORWARDED, "content-length"}
            ]
            return answer.status, told, content
        finally:
            connection.close()
