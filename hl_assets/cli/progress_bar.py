"""A bar for every long step that announces its progress.

Belongs here: drawing. Does not belong here: announcing (`hl_assets.progress`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hl_assets.progress import Progress as Announcement
from hl_assets.progress import listening

_VERBS = {
    "portfolios": "Fetching portfolios",
    "grades": "Grading",
    "batch": "Waiting for the batch",
    "answers": "Asking",
}


@contextmanager
def progress_bar(console: Console) -> Iterator[None]:
    """Draw whatever is announced during the block."""
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
                total=announcement.total,
                description=f"{_VERBS.get(announcement.step, announcement.step)}{failed}",
            )

        with listening(draw):
            yield
