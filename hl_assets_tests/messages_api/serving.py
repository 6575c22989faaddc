"""Running the stand-in: in a background thread for tests, in the foreground for the command line."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.types import ASGIApp

from hl_assets_tests.messages_api.answers import Body, content_key
from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.record import Answered, Asked
from hl_assets_tests.messages_api.server import StandIn

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

LOOPBACK = "127.0.0.1"
TEST_KEY = "sk-ant-test-key-of-the-stand-in"
_START_SECONDS = 30.0
_BACKLOG = 2_048
_KEEP_ALIVE_SECONDS = 120
_TICK_SECONDS = 0.1
# Reading the certificates for each client takes longer than most tests; loopback needs none.
_NO_TLS = ssl.create_default_context()


class MessagesApi:
    """The stand-in on a loopback port, served by a thread while the context is open.

    Args:
        config: Settings.
        port: Port to listen on; 0 takes a free one.

    Raises:
        StandInError: On entering: the port is taken. On leaving: the stand-in itself failed at a request.
    """

    def __init__(self, config: MessagesApiConfig | None = None, port: int = 0) -> None:
        self._stand_in = StandIn(config or MessagesApiConfig())
        self._port = port

    def __enter__(self) -> Self:
        self._listener = _listen(LOOPBACK, self._port)
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        ready = threading.Event()
        self._server = _Server(_uvicorn_config(self._stand_in.app()), ready.set)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="messages-api", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            self._stop()
            raise StandInError(f"the stand-in did not start within {_START_SECONDS:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        failures = self._stand_in.record.failures
        if failures and error is None:
            raise StandInError(f"the stand-in failed at {len(failures)} requests") from failures[0]

    def _stop(self) -> None:
        self._server.stop()
        self._thread.join(_START_SECONDS)
        self._listener.close()

    @property
    def requests(self) -> list[Asked]:
        """Every HTTP request so far, in order of arrival."""
        return self._stand_in.record.requests()

    @property
    def messages(self) -> list[Asked]:
        """The `POST /v1/messages` among them."""
        return [asked for asked in self.requests if asked.path == "/v1/messages"]

    @property
    def answered_by_content(self) -> dict[str, list[Answered]]:
        """Messages made, by `content_key` of the request: one entry each means nothing was answered twice."""
        return self._stand_in.record.answers()

    @property
    def max_in_flight(self) -> int:
        """Most messages that were being answered together."""
        return self._stand_in.record.max_in_flight

    @property
    def failures(self) -> list[BaseException]:
        """Errors of the stand-in itself, e.g. of the answerer; clear it to leave without an error."""
        return self._stand_in.record.failures

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the switches; requests already being answered keep theirs."""
        self._stand_in.set_faults(faults)

    def fault_for(self, body: Body, ask: int = 1) -> Fault | None:
        """The fault the request with this body meets when its content is asked for the `ask`th time."""
        return self._stand_in.plan.due("messages", content_key(body), ask, body)

    def reset(self) -> None:
        """Forget requests, counts, cached prompts and batches; the switches stay."""
        self._stand_in.reset()

    def client(self, **options: Any) -> "AsyncAnthropic":
        """The real client on this server; no retries and 10 s unless the options say otherwise."""
        # Imported here, because a stand-in in a process of its own would wait a second for it.
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # noqa: PLC0415

        http = DefaultAsyncHttpxClient(verify=_NO_TLS)
        settings = {"api_key": TEST_KEY, "base_url": self.url, "max_retries": 0, "timeout": 10.0, **options}
        return AsyncAnthropic(**{"http_client": http, **settings})


def run(config: MessagesApiConfig, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted or terminated.

    Args:
        config: Settings.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        on_ready: Called once with the base URL when requests are answered.

    Raises:
        StandInError: The port is taken.
    """
    listener = _listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    try:
        _Server(_uvicorn_config(StandIn(config).app()), lambda: on_ready(url)).run([listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn that says when it listens and stops at once."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._ready()

    async def main_loop(self) -> None:
        # As uvicorn's own, which would notice a stop only with its next tick.
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # As uvicorn's own with force_exit, without its pause: connections are cut, waiting requests end by that.
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def stop(self) -> None:
        """From any thread: end now, whoever is still waiting for an answer."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._wake.set)


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    # Its log would report every answer a fault breaks off.
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        backlog=_BACKLOG,
    )


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StandInError(f"the stand-in cannot listen on {host}:{port}: {error}") from error
    return listener
