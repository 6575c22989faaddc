"""Cursors: where the next page of a list begins, bound to one snapshot and one query.

Belongs here: writing and reading cursors. Does not belong here: what a list is.

A cursor is not a secret and gives no rights; it is checked so that a page never silently belongs to another list.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from hl_assets.api.problems import OTHER_SNAPSHOT, ProblemError, invalid

_SHAPE = re.compile(rb"v1\|([0-9a-f]{16})\|([0-9a-f]{8})\|([0-9]{1,7})")


def query_hash(parameters: Iterable[tuple[str, str]]) -> str:
    """Names the parameters of a list."""
    text = "&".join(f"{name}={value}" for name, value in sorted(parameters))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def make_cursor(snapshot_id: str, query: str, offset: int) -> str:
    """A cursor to the row at an offset."""
    return base64.urlsafe_b64encode(f"v1|{snapshot_id}|{query}|{offset}".encode("ascii")).decode().rstrip("=")


def offset_of(cursor: str | None, snapshot_id: str, query: str) -> int:
    """The row a cursor points at; 0 without one.

    Raises:
        ProblemError: 422 for a text that is no cursor or one of other parameters, 409 for one of another snapshot.
    """
    if cursor is None:
        return 0
    match = _SHAPE.fullmatch(_decoded(cursor))
    if match is None:
        raise invalid("cursor", "is not a cursor of this API; take `page.next_cursor` as it is")
    snapshot, asked, offset = (part.decode("ascii") for part in match.groups())
    if asked != query:
        raise invalid("cursor", "belongs to other parameters; keep sort, filters and limit as they were")
    if snapshot != snapshot_id:
        raise ProblemError(
            OTHER_SNAPSHOT,
            "another snapshot is served now; start again without `cursor`, or page with `as_of` to stay in one slot",
            extension={"current_snapshot": snapshot_id},
        )
    return int(offset)


def _decoded(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
