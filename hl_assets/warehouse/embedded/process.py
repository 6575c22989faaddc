"""Starting, finding and stopping the process that serves a data folder.

Belongs here: `ensure_running`, `status`, `stop`. Does not belong here: what the process does (`__main__`, `server`).

Who owns a folder is decided by the kernel's file lock alone, never by a pid: a pid file outlives `kill -9`, the lock
does not. The state file only tells the lock holder's address.
"""

import http.client
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import Timeout

from hl_assets.warehouse.embedded.state import HOST, Home, ServerState
from hl_assets.warehouse.errors import EmbeddedServerError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 5
_PACKAGE_PARENT = Path(__file__).resolve().parents[3]

_children: dict[Path, subprocess.Popen[bytes]] = {}
"""Servers this process started, kept to reap them when they end; they outlive this process."""


def ensure_running(home: Path, *, idle_stop_seconds: float = 0, timeout_seconds: float = 30) -> str:
    """Return the address of the server of a data folder, starting it if it does not run.

    Any number of processes may call this at the same time; they all get the same server.

    Args:
        home: Data folder; created if missing.
        idle_stop_seconds: A server started by this call stops itself after so long without a request; 0 = never.
        timeout_seconds: How long to wait for a server to answer.

    Returns:
        `http://127.0.0.1:<port>`.

    Raises:
        EmbeddedServerError: It does not come up; the message ends with the tail of its log.
    """
    place = Home(home.resolve())
    if url := _answering(place):
        return url
    place.create()
    deadline = time.monotonic() + timeout_seconds
    try:
        with place.start_lock().acquire(timeout=timeout_seconds):
            return _wait_or_start(place, idle_stop_seconds, deadline)
    except Timeout:
        raise _failure(place, f"another process has been starting it for {timeout_seconds:g} s") from None


def status(home: Path) -> ServerState | None:
    """The process serving a folder (its `port` is None while it starts), None if nobody does."""
    place = Home(home.resolve())
    return place.read_state() if place.is_owned() else None


def stop(home: Path, *, timeout_seconds: float = 30) -> bool:
    """Stop the server of a folder cleanly and wait until it is gone; one that somebody starts meanwhile is left alone.

    Returns:
        Whether a server was running.

    Raises:
        EmbeddedServerError: It does not stop in time; nothing is killed by force.
    """
    place = Home(home.resolve())
    deadline = time.monotonic() + timeout_seconds
    told: ServerState | None = None
    while place.is_owned():
        state = place.read_state()
        if told is not None and state is not None and state.instance != told.instance:
            break  # its successor
        # Only a server that answers with its own instance name is told to stop: a pid alone may be somebody else's.
        if told is None and _answering(place) and (told := place.read_state()):
            _terminate(told.pid)
        if time.monotonic() > deadline:
            raise _not_stopping(place, timeout_seconds)
        time.sleep(_POLL_SECONDS)
    child = _children.get(place.folder)
    if child is not None and (told is None or child.pid == told.pid or child.poll() is not None):
        del _children[place.folder]
        child.wait()
    return told is not None


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:  # it went by itself between answering and now
        logger.debug("process %d was already gone", pid)


def _answering(place: Home) -> str | None:
    """Address of the folder's server if it answers and is the one in the state file."""
    state = place.read_state()
    if state is None or state.port is None:
        return None
    connection = http.client.HTTPConnection(HOST, state.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/hl-assets/instance")
        answer = connection.getresponse()
        same = answer.status == http.client.OK and answer.read().decode() == state.instance
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
    return state.url if same else None


def _wait_or_start(place: Home, idle_stop_seconds: float, deadline: float) -> str:
    child: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        if url := _answering(place):
            return url
        if child is None and not place.is_owned():
            child = _spawn(place, idle_stop_seconds)
        if child is not None and child.poll() is not None:
            raise _failure(place, f"it exited with code {child.returncode} while starting")
        time.sleep(_POLL_SECONDS)
    raise _failure(place, "it did not answer in time")


def _spawn(place: Home, idle_stop_seconds: float) -> subprocess.Popen[bytes]:
    """Start the server as a process of its own session: it survives its starter and ignores the terminal's Ctrl-C."""
    command = [sys.executable, "-m", "hl_assets.warehouse.embedded", "--home", str(place.folder)]
    command += ["--idle-stop-seconds", str(idle_stop_seconds)]
    with place.output.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own module
            command,
            cwd=_PACKAGE_PARENT,  # where `-m` finds the package, installed or not
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[place.folder] = child
    logger.info("starting the embedded ClickHouse of %s (pid %d)", place.folder, child.pid)
    return child


def _failure(place: Home, what: str) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"the embedded ClickHouse of {place.folder} is not available: {what}. "
        f"Look at {place.log}, or set CLICKHOUSE_URL to use another server.\n{place.tail()}"
    )


def _not_stopping(place: Home, timeout_seconds: float) -> EmbeddedServerError:
    state = place.read_state()
    pid = f"pid {state.pid}" if state else "unknown pid"
    return EmbeddedServerError(
        f"the embedded ClickHouse of {place.folder} ({pid}) did not stop within {timeout_seconds:g} s; "
        f"a statement may still be running. Its log:\n{place.tail()}"
    )
