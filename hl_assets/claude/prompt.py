"""The prompt: versioned text files that ship with the package.

Belongs here: loading and hashing them. The texts live in `prompts/<version>/`; a published version is never edited, since
its hash is part of every stored grade: a change of wording is a new version.
"""

import hashlib
import re
from dataclasses import dataclass, field
from importlib.resources import files

_VERSION = re.compile(r"v[0-9]+")


class UnknownPromptError(ValueError):
    """There is no prompt of that version; the message names those there are."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is told before every input.

    Attributes:
        version: name of the folder it was read from.
        text: the system prompt.
        sha256: of the text in UTF-8, 64 hexadecimal digits.
    """

    version: str
    text: str = field(repr=False)
    sha256: str


def load_prompt(version: str = "v1") -> Prompt:
    """The prompt of a version.

    Raises:
        UnknownPromptError: no such version.
    """
    folder = files("hl_assets.claude").joinpath("prompts")
    known = sorted(entry.name for entry in folder.iterdir() if _VERSION.fullmatch(entry.name))
    if version not in known:
        raise UnknownPromptError(f"no prompt {version!r}; choose one of {', '.join(known)}")
    text = folder.joinpath(version, "system.md").read_text(encoding="utf-8").strip()
    return Prompt(version=version, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())
