"""A bar for every long step that announces its progress.

Belongs here: drawing. Does not belong here: announcing (`hl_assets.progress`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hl_assets.progress import Progress as Announcement
from hl_assets.progress import listening

_DOING = {
    "portfolios": "Fetching portfolios",
    "grades": "Grading",
    "batch": "Waiting for the batch",
    "answers": "Asking",
}
"""What is being done in a step, for commands that do several."""


@contextmanager
def progress_bar(console: Console, verb: str | None = None) -> Iterator[None]:
    """Draw whatever is announced during the block, one bar per step.

    Args:
        console: Where to draw.
        verb: What is being done to the units that are announced, e.g. `Exporting`; None: what the step is known for.
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
                total=announcement.total,
                description=f"{_doing(announcement.step, verb)}{failed}",
            )

        with listening(draw):
            yield


def _doing(step: str, verb: str | None) -> str:
    return _DOING.get(step, step) if verb is None else f"{verb} {step}"
