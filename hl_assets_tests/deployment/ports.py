"""Free ports, and waiting for what listens on them."""

import socket
import time
from collections.abc import Callable

import httpx


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, happened: Callable[[], bool], seconds: float) -> None:
    """Poll until something has happened; the test fails with its name if it does not in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.25)


def answers(url: str) -> bool:
    """Whether a URL answers 200."""
    try:
        return httpx.get(url, trust_env=False, timeout=10).status_code == 200
    except httpx.TransportError:
        return False
