"""`hl-assets` as the tests of interchange call it: in this process, because importing it anew takes longer than what is tested.

As a process of its own it runs in `hl_assets_tests.cli`.
"""

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from hl_assets import cli
from hl_assets_tests.conftest import bare_environment


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


def run_command(folder: Path, environment: dict[str, str], *arguments: str) -> Ended:
    """Call `hl-assets` in a folder, with nothing of the developer's settings. An unknown error is raised, not printed."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, bare_environment(**environment), clear=True),
        mock.patch.object(sys, "argv", ["hl-assets", *arguments]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())
