"""Requesting a tick: what the API needs of whoever can start one.

Belongs here: the interface and its errors. Does not belong here: starting anything (the command line hands in a launcher
that knows Dagster).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TickStarted:
    """A tick that was accepted.

    Attributes:
        run_id: Dagster's id of the run.
        slot: The slot it materialises, as text.
    """

    run_id: str
    slot: str


class TickRunningError(Exception):
    """A tick is unfinished, so another is refused.

    Attributes:
        run_id: The unfinished run, None while it is still starting.
    """

    def __init__(self, run_id: str | None) -> None:
        super().__init__(f"tick {run_id or '(starting)'} is not finished")
        self.run_id = run_id


class TickNotStartedError(Exception):
    """The tick could not be started; the message says why."""


class TickLauncher(Protocol):
    """Starts ticks."""

    def start(self) -> TickStarted:
        """Start a tick of the current slot, in a process of its own, and return once it is accepted.

        Raises:
            TickRunningError: One is unfinished.
            TickNotStartedError: It did not start.
        """
        ...
