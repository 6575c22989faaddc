"""Running the local exchange: in a background thread for tests, in the foreground for the command line."""

import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from hl_assets.exchange.sandbox.config import SandboxConfig
from hl_assets.exchange.sandbox.control import PREFIX
from hl_assets.exchange.sandbox.errors import SandboxError
from hl_assets.exchange.sandbox.server import NETWORK, create_app
from hl_assets.exchange.sandbox.source import Source
from hl_assets.exchange.sandbox.venue import Venue

LOOPBACK = "127.0.0.1"
_START_SECONDS = 30.0
_BACKLOG = 2_048

logger = logging.getLogger(__name__)


class SandboxServer:
    """The local exchange on a loopback port, served by a thread while the context is open.

    Args:
        config: Settings.
        port: Port to listen on; 0 takes a free one.
        source: Accounts to serve instead of those the settings name.

    Raises:
        SandboxError: On entering: settings, recording, clock or port cannot be used.
    """

    def __init__(self, config: SandboxConfig, port: int = 0, source: Source | None = None) -> None:
        self._config, self._port, self._source = config, port, source
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        app = create_app(self._config, self._source)
        self.venue: Venue = app.state.venue
        self._listener = _listen(LOOPBACK, self._port)
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._server = _Server(_uvicorn_config(app), self._ready.set)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="sandbox-exchange", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            self.__exit__(None, None, None)
            raise SandboxError(f"the local exchange did not start within {_START_SECONDS:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(_START_SECONDS)
        self._listener.close()

    @property
    def info_url(self) -> str:
        """Base of `/info`."""
        return self.url

    @property
    def stats_url(self) -> str:
        """Base of `/leaderboard` and `/vaults`."""
        return f"{self.url}/{NETWORK}"

    @property
    def control_url(self) -> str:
        """Base of the control paths: `/clock`, `/faults`, `/stats`, `/truth`, `/wallets`."""
        return self.url + PREFIX


def run_sandbox(
    config: SandboxConfig, host: str = LOOPBACK, port: int = 0, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve the local exchange until the process is interrupted or terminated.

    Args:
        config: Settings.
        host: Address to listen on. Control answers loopback clients only, wherever it listens.
        port: Port; 0 takes a free one.
        on_ready: Called once with the base URL when requests are answered; a log line is written as well.

    Raises:
        SandboxError: Settings, recording, clock or port cannot be used.
    """
    app = create_app(config)
    listener = _listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"

    def ready() -> None:
        logger.info(
            "local exchange ready at %s (info %s/info, bulk %s/%s, control %s%s)",
            url,
            url,
            url,
            NETWORK,
            url,
            PREFIX,
        )
        if on_ready is not None:
            on_ready(url)

    try:
        _Server(_uvicorn_config(app), ready).run([listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then report."""
        await super().startup(sockets)
        self._ready()


def _uvicorn_config(app: Starlette) -> uvicorn.Config:
    # The exchange's Date is virtual, so uvicorn's own headers are off; its log would report every truncated body.
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
        backlog=_BACKLOG,
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
        raise SandboxError(f"the local exchange cannot listen on {host}:{port}: {error}") from error
    return listener
