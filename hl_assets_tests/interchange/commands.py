"""The command line as a process."""

import subprocess
import sys
from pathlib import Path

from hl_assets_tests.conftest import bare_environment


def run_command(
    folder: Path, environment: dict[str, str], *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run `hl-assets` in a folder, with nothing of the developer's settings."""
    return subprocess.run(
        [sys.executable, "-m", "hl_assets.cli", *arguments],
        cwd=folder, env=bare_environment(**environment), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
