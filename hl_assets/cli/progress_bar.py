"""A bar for whatever a command's work announces.

Belongs here: drawing announcements. Does not belong here: making them (`hl_assets.progress`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hl_assets.progress import Progress as Announcement
from hl_assets.progress import listening


@contextmanager
def progress_bar(console: Console, verb: str) -> Iterator[None]:
    """Draw what is announced during the block, one bar per step.

    Args:
        console: Where to draw.
        verb: What is being done to the units that are announced, e.g. `Fetching`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def draw(announcement: Announcement) -> None:
            if announcement.step not in tasks:
                tasks[announcement.step] = bar.add_task(announcement.step, total=announcement.total)
            failed = f", {announcement.failed} failed" if announcement.failed else ""
            bar.update(
                tasks[announcement.step],
                completed=announcement.done,
                description=f"{verb} {announcement.step}{failed}",
            )

        with listening(draw):
            yield
