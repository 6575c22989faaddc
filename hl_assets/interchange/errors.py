"""Errors of exports, imports and recordings; each message names the file and what to do.

Belongs here: the error classes. Does not belong here: rejected rows, which are results and not errors (`rejects`).
"""


class InterchangeError(Exception):
    """Base of every error of this package."""


class ExportError(InterchangeError):
    """An export that cannot be made."""


class UnsupportedTypeError(InterchangeError):
    """A column of a contract has a ClickHouse type that files have none for."""


class UnreadableFileError(InterchangeError):
    """A file that is not what its name or its folder's manifest says; nothing of it can be used."""


class ForeignOriginError(InterchangeError):
    """Rows of one origin were to be imported into the database of another source."""


class CaptureError(InterchangeError):
    """A folder that a recording cannot be added to."""
