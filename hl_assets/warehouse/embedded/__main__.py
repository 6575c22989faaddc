"""`python -m hl_assets.warehouse.embedded --home DIR`: serve one data folder until told to stop.

Belongs here: the serving process from lock to shutdown. Does not belong here: requests (`server`), the engine
(`engine`), starting this process in the background (`process`).

SIGTERM and SIGINT stop it cleanly: no new requests, running statements finish, the engine closes.
After `kill -9` the next start finds the lock free and ignores the stale state file.
"""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn
from filelock import Timeout

from hl_assets.warehouse.embedded.state import HOST, Home, ServerState
from hl_assets.warehouse.errors import EmbeddedServerError, EmbeddedServerRunningError

logger = logging.getLogger("hl_assets.warehouse.embedded")

_LOG_BYTES = 2_000_000
_GRACE_SECONDS = 20
_LOCK_SECONDS = 0.5
"""Long enough to outlast somebody asking for the status, who holds the lock for an instant."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class _Server(uvicorn.Server):
    """uvicorn that announces itself, stops when idle, and leaves closing the engine to its caller.

    uvicorn itself would raise a received SIGTERM again after serving, and the process would end before that.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        announce: Callable[[], None],
        idle_seconds: Callable[[], float],
        idle_stop_seconds: float,
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._idle_seconds = idle_seconds
        self._idle_stop_seconds = idle_stop_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell where."""
        await super().startup(sockets=sockets)
        self._announce()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; returns whether to stop."""
        if self._idle_stop_seconds and self._idle_seconds() > self._idle_stop_seconds:
            logger.info("no request for %g s: stopping", self._idle_stop_seconds)
            self.should_exit = True
        return await super().on_tick(counter)

    def _stop(self) -> None:
        self.should_exit = True


def serve(
    home: Path, *, port: int = 0, idle_stop_seconds: float = 0, memory_limit_bytes: int | None = None
) -> None:
    """Serve a data folder until SIGTERM, SIGINT or idleness.

    Args:
        home: Data folder; created if missing.
        port: Port on 127.0.0.1; 0 = the last one if it is free, else any.
        idle_stop_seconds: Stop after so long without a request; 0 = never.
        memory_limit_bytes: Memory limit of the engine; None = half of this machine's (or container's) memory.

    Raises:
        EmbeddedServerRunningError: Another process serves the folder.
        EmbeddedServerError: The port is taken or the folder cannot be opened.
    """
    place = Home(home.resolve())
    place.create()
    lock = place.owner_lock()
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise _already_running(place) from None
    try:
        _log_to(place.log)  # only the owner writes the log
        previous = place.read_state()
        state = ServerState(
            os.getpid(), None, secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="seconds")
        )
        place.write_state(state)
        limit = memory_limit_bytes or _memory_bytes() // 2
        with _listening(port, previous.port if previous else None) as listener:
            _serve_owned(place, state, listener, idle_stop_seconds, limit)
    except EmbeddedServerError:
        logger.exception("cannot serve")
        raise
    finally:
        lock.release()


def _serve_owned(
    place: Home,
    state: ServerState,
    listener: socket.socket,
    idle_stop_seconds: float,
    memory_limit_bytes: int,
) -> None:
    # Imported after the lock is held: a refused start answers at once, and chDB reads TZ when it is loaded.
    from hl_assets.warehouse.embedded.engine import Engine, EngineError  # noqa: PLC0415
    from hl_assets.warehouse.embedded.server import EmbeddedServer  # noqa: PLC0415

    began = time.monotonic()
    try:
        engine = Engine(place.data, memory_limit_bytes=memory_limit_bytes)
    except EngineError as error:
        raise EmbeddedServerError(f"chDB cannot open {place.data}: {error}") from error
    front = EmbeddedServer(engine, state.instance)
    try:
        config = uvicorn.Config(
            front.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=3600,  # a pooled connection must not be closed under a client about to use it
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        ready = ServerState(
            state.pid, listener.getsockname()[1], state.instance, state.started_at, engine.version
        )
        seconds = time.monotonic() - began
        logger.info(
            "ClickHouse %s serves %s at %s (opened in %.2f s)",
            ready.version,
            place.folder,
            ready.url,
            seconds,
        )

        def announce() -> None:
            place.write_state(ready)

        server = _Server(config, announce, front.idle_seconds, idle_stop_seconds)
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        front.close()
        engine.close()
        logger.info("stopped")


@contextmanager
def _listening(port: int, last_port: int | None) -> Iterator[socket.socket]:
    """A socket bound to the port, or for port 0 to the last one or, if that is taken, to any."""
    candidates = [port] if port else [last_port, 0] if last_port else [0]
    for candidate in candidates:
        # Named TCP, so that asyncio switches Nagle's algorithm off: without it every answer waits 40 ms (measured).
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
        except OSError as error:
            listener.close()
            if candidate == candidates[-1]:
                raise EmbeddedServerError(f"cannot listen on {HOST}:{candidate}: {error.strerror}") from error
            continue
        with listener:
            yield listener
        return


def _already_running(place: Home) -> EmbeddedServerRunningError:
    state = place.read_state()
    owner = f"process {state.pid}" if state else "a process that is still starting"
    return EmbeddedServerRunningError(
        f"{place.folder} is already served by {owner}; a data folder has one server. "
        "Use that one, stop it first, or name another folder.",
        pid=state.pid if state else None,
    )


def _memory_bytes() -> int:
    """Memory of this machine, or of the container if it has less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup v2, or "max"
        return min(total, int(_CGROUP_LIMIT.read_text()))
    return total


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s %(message)s")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m hl_assets.warehouse.embedded", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="data folder")
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1; 0 = the last one, else any free one"
    )
    parser.add_argument(
        "--idle-stop-seconds", type=float, default=0, help="stop after so long idle; 0 = never"
    )
    parser.add_argument("--memory-limit-bytes", type=int, help="default: half of the machine's memory")
    chosen = parser.parse_args()
    # chDB takes its time zone from the process; a data folder must mean the same everywhere.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        serve(
            chosen.home,
            port=chosen.port,
            idle_stop_seconds=chosen.idle_stop_seconds,
            memory_limit_bytes=chosen.memory_limit_bytes,
        )
    except EmbeddedServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
