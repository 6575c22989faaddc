"""The console that commands print on.

Belongs here: how wide output is. Does not belong here: what is printed.
"""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 260


def make_console() -> Console:
    """A console as wide as the terminal; output into a pipe or file is wide, so that nothing is cut."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
