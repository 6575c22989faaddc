"""Untrusted text made harmless before it leaves the API.

Belongs here: removing characters that steer a reader's terminal or page. Does not belong here: escaping for JSON (the
serialiser's part) or HTML (the reader's).
"""

import unicodedata

NAME_LENGTH = 200
PROSE_LENGTH = 20_000
_REMOVED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, formats (all direction marks among them), surrogates, private, unassigned, separators."""


def safe_name(name: object) -> str | None:
    """A display name without control and direction characters, on one line, at most 200 characters.

    None stays None: the account has no name. A name of nothing but such characters is an empty text.
    """
    if not isinstance(name, str):
        return None
    return "".join(_visible(name[: 4 * NAME_LENGTH]))[:NAME_LENGTH]


def safe_prose(text: str) -> str:
    """A longer text without those characters; line breaks stay."""
    return "\n".join("".join(_visible(line)) for line in text[:PROSE_LENGTH].split("\n"))


def _visible(text: str) -> list[str]:
    return [character for character in text if unicodedata.category(character) not in _REMOVED]
