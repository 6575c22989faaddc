"""Reading just enough of a SQL statement to serve it: where an INSERT's data begins and which format was asked for.

Belongs here: tokenising the head of a statement. Does not belong here: running it (`engine`), judging it (ClickHouse
does that).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD_BYTES = 262_144
"""ClickHouse's own `max_query_size`: the statement in front of an INSERT's data cannot be longer."""

_TOKEN = re.compile(
    rb"""
      (?P<skip>\s+ | --[^\n]*(?:\n|\Z) | \#[!\ ][^\n]*(?:\n|\Z) | /\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NO_DATA_FOLLOWS = frozenset({b"VALUES", b"SELECT", b"WITH", b"WATCH", b"INFILE"})
_TRAILING_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*\Z", re.IGNORECASE)
_AFTER_FORMAT = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")


@dataclass(frozen=True)
class DataInsert:
    """An INSERT whose rows follow the statement.

    Attributes:
        statement: The statement up to, without, its FORMAT clause.
        format: Input format of the rows.
        data: The rows, in that format.
    """

    statement: str
    format: str
    data: bytes


def split_insert(body: bytes) -> DataInsert | None:
    """Split `INSERT ... FORMAT x <rows>`; None for every other statement (also INSERT ... SELECT and VALUES).

    Raises:
        UnicodeDecodeError: The statement is not UTF-8.
    """
    words = _words(body[:_HEAD_BYTES])
    first = next(words, None)
    if first is None or first[0] != b"INSERT":
        return None
    for word, start, end in words:
        if word in _NO_DATA_FOLLOWS:
            return None
        if word == b"FORMAT":
            return _data_insert(body, start, end)
    return None


def output_format(sql: str) -> str | None:
    """The format named in the statement's own trailing FORMAT clause, None if it names none."""
    match = _TRAILING_FORMAT.search(sql)
    return match.group(1) if match else None


def _words(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Unquoted words outside parentheses: upper case, with their start and end."""
    depth = 0
    for match in _TOKEN.finditer(head):
        if match.lastgroup == "other":
            depth += {b"(": 1, b")": -1}.get(match.group(), 0)
        elif match.lastgroup == "word" and depth == 0:
            yield match.group().upper(), match.start(), match.end()


def _data_insert(body: bytes, format_start: int, format_end: int) -> DataInsert | None:
    name = re.match(rb"\s+(\w+)", body[format_end : format_end + 200])
    if name is None:
        return None
    after = format_end + name.end()
    gap = _AFTER_FORMAT.match(body, after)
    return DataInsert(
        statement=body[:format_start].decode(),
        format=name.group(1).decode(),
        data=body[gap.end() if gap else after :],
    )
