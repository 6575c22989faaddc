"""Progress of long work, from where it happens to whoever shows it.

Belongs here: announcing how far a long step is. Does not belong here: showing it; the CLI draws a bar, Dagster's
assets write a log line now and then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a step is: `done` of `total` units, and how many of those failed."""

    step: str
    done: int
    total: int
    failed: int = 0


Listener = Callable[[Progress], None]
_listeners: list[Listener] = []


def announce(progress: Progress) -> None:
    """Tell every listener of this process."""
    for listener in tuple(_listeners):
        listener(progress)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called for every announcement made in this process during the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
