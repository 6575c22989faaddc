"""Listening: the app under uvicorn, in the foreground for the command line, in a thread for tests and benchmarks.

Belongs here: sockets and the server's life. Does not belong here: the app.
"""

import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

logger = logging.getLogger(__name__)

_BACKLOG = 2_048
_START_SECONDS = 30.0
_GRACE_SECONDS = 10


class ListenError(Exception):
    """The API cannot listen where it should; the message says why and what to do."""


def run_api(app: FastAPI, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted or terminated; requests in progress are finished first.

    Args:
        app: The app.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        on_ready: Called with the base URL when requests are answered.

    Raises:
        ListenError: The port is taken, or the address not this machine's.
    """
    listener = _listen(host, port)
    try:
        _Server(_config(app), lambda: on_ready(_url(host, listener))).run([listener])
    finally:
        listener.close()


class ApiServer:
    """The API on a loopback port, served by a thread while the context is open."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def __enter__(self) -> Self:
        self._listener = _listen("127.0.0.1", 0)
        self.url = _url("127.0.0.1", self._listener)
        ready = threading.Event()
        self._server = _Server(_config(self._app), ready.set)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="api", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            self.__exit__(None, None, None)
            raise ListenError(f"the API did not start within {_START_SECONDS:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)
        self._listener.close()


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then report."""
        await super().startup(sockets)
        self._ready()


def _config(app: FastAPI) -> uvicorn.Config:
    # The app believes proxies itself, and only the configured ones; uvicorn would believe loopback.
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=20,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=32_768,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(
            f"the API cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
