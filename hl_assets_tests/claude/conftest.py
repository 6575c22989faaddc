"""The stand-in Messages API for the tests of what asks it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hl_assets_tests.messages_api.fixtures import messages_api

__all__ = ["messages_api"]


@pytest.fixture
def foreign_server() -> Iterator[Callable[..., str]]:
    """Starts servers that answer everything with the same body; gives their address."""
    with ExitStack() as running:

        def start(content_type: str, body: bytes, status: int = 200) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    self.rfile.read(int(self.headers["content-length"]))
                    self.send_response(status)
                    self.send_header("content-type", content_type)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    """Says nothing."""

            server = running.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            running.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start
