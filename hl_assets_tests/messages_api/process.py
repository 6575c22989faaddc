"""The stand-in in a process of its own, for tests that kill processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running_process(*arguments: str) -> Iterator[str]:
    """Base URL of `python -m hl_assets_tests.messages_api --port 0 ARGUMENTS`; terminated at the end."""
    command = [sys.executable, "-m", "hl_assets_tests.messages_api", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), f"the stand-in did not start: {url!r}"
            yield url
        finally:
            process.terminate()
            process.wait(10)
