"""Progress of long work as lines in Dagster's log: one for each tenth of the way.

Belongs here: writing what is announced during a step into its log. Does not belong here: announcing (`hl_assets.progress`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterLogManager

from hl_assets.progress import Progress, listening


@contextmanager
def progress_logged(log: DagsterLogManager) -> Iterator[None]:
    """Log every tenth of each step that is announced during the block."""
    tenths: dict[str, int] = {}

    def note(progress: Progress) -> None:
        tenth = progress.done * 10 // progress.total if progress.total else 0
        if tenth > tenths.get(progress.step, 0):
            log.info(f"{progress.done} of {progress.total} {progress.step}, {progress.failed} failed")
        tenths[progress.step] = tenth

    with listening(note):
        yield
