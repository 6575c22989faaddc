"""The `Dockerfile` as instructions, for tests that check it and that replay its steps.

Belongs here: reading it. Does not belong here: running its steps.
"""

import re
from pathlib import Path

from hl_assets_tests.conftest import REPOSITORY

DOCKERFILE = REPOSITORY / "Dockerfile"


def instructions(path: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """(instruction, arguments) in order, comments dropped and continued lines joined."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in filter(None, joined.splitlines()):
        word, _, rest = line.partition(" ")
        found.append((word, rest.strip()))
    return found


def environment() -> dict[str, str]:
    """Variables that the image sets, the search path left out."""
    pairs = [pair.partition("=") for word, rest in instructions() if word == "ENV" for pair in rest.split()]
    return {name: value for name, _, value in pairs if name != "PATH"}


def copied_into(folder: str) -> list[str]:
    """Files of the repository that the final stage copies into a folder."""
    final = instructions()
    start = max(index for index, (word, _) in enumerate(final) if word == "FROM")
    copies = [rest.split() for word, rest in final[start:] if word == "COPY" and "--from" not in rest]
    return [name for *names, target in copies if target.rstrip("/") == folder.rstrip("/") for name in names]
