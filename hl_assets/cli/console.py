"""The console that commands print on.

Belongs here: how wide output is, and making text of others harmless for a terminal. Does not belong here: what is printed.
"""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 260


def make_console() -> Console:
    """A console as wide as the terminal; output into a pipe or file is wide, so that nothing is cut."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def harmless(text: str) -> str:
    """Text without characters that would steer a terminal, line breaks and tabs kept.

    Errors may quote what the exchange, a file or a server sent. Print the result with `markup=False` or as rich's `Text`: square
    brackets are left as they are.
    """
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
