"""How a line of a log looks: text for people, or one JSON object for a log store.

Belongs here: formatters, and keeping secrets and control characters out of both. Does not belong here: which process logs where
(`hl_assets.cli.logs`, `hl_assets.resources.logs`), what is logged.

Names of fields and levels in lower case are those that Dagster's own services write with `--log-format json`, but for `message`.
Everything that is not printable ASCII is escaped, so that no quoted name can forge a line or steer a terminal.
"""

import json
import logging
import math
import re
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from hl_assets.observability.context import about

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

MASK = "***"
MAX_MESSAGE = 4_000
MAX_EXCEPTION = 8_000
"""Docker splits lines of more than 16 kB, and half an object is no JSON."""

SHORTEST_SECRET = 6
"""A shorter secret is a word that may stand in any line; masking it would say what it is."""

_IN_URL = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*(?=@)")
_KEY = re.compile(r"sk-ant-[\w-]+|whsec_[\w+/=-]+")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_ORDINARY = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"})
"""Attributes of every record; what a caller adds with `extra` is not among them."""

THROUGH_DAGSTER = "dagster_meta"
"""Attribute of a record that Dagster's log of a run has taken over: a mapping that says of which run and step it is."""

_SLOT_TAG, _PARTITION_TAG = "hl_assets/slot", "dagster/partition"


class Masking:
    """Replaces secrets in text.

    Args:
        secrets: Texts that must not be written; short ones are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted(
            {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """The text without secrets, without user and password in URLs, without anything that looks like a key."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _KEY.sub(MASK, _IN_URL.sub(MASK, text))


class JsonFormatter(logging.Formatter):
    """One JSON object per line.

    Fields: `timestamp` (ISO 8601, UTC), `level`, `logger`, `message`; what the work is about (`run_id`, `asset`, `slot`,
    `request_id`, ...) where that is known; `exception` with the traceback; plain values that the caller gave as `extra`.

    Args:
        mask: What takes secrets out.
    """

    def __init__(self, mask: Masking | None = None) -> None:
        super().__init__()
        self._mask = mask or Masking()

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        line: dict[str, Any] = {
            "timestamp": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **about(),
            **_extra(record),
            **_of_run(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _trace(record)
        return json.dumps(
            {name: self._plain(name, value) for name, value in line.items() if value is not None},
            ensure_ascii=True,
        )

    def _plain(self, name: str, value: Any) -> Any:
        if isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        text = self._mask(str(value))
        return _tail(text) if name == "exception" else _head(text)


class TextFormatter(logging.Formatter):
    """A line for people; a traceback follows on lines of its own.

    Args:
        mask: What takes secrets out.
    """

    def __init__(self, mask: Masking | None = None) -> None:
        super().__init__()
        self._mask = mask or Masking()

    def format(self, record: logging.LogRecord) -> str:
        """Instant (UTC), level, logger, message."""
        message = escaped(_head(self._mask(_message(record))))
        line = f"{_instant(record)} {record.levelname} {record.name} {message}"
        if record.exc_info and record.exc_info[1] is not None:
            trace = _tail(self._mask(_trace(record)))
            line += "\n" + "\n".join(escaped(part) for part in trace.split("\n"))
        return line


def formatter_of(log_format: LogFormat, mask: Masking) -> logging.Formatter:
    """The formatter that LOG_FORMAT names."""
    return JsonFormatter(mask) if log_format == "json" else TextFormatter(mask)


def escaped(text: str) -> str:
    r"""Text whose characters are all printable: others are written as Python would (`\x1b`, `\u202e`)."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _instant(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """Plain values that the caller added."""
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _ORDINARY and _NAME.fullmatch(name) and isinstance(value, str | int | float | datetime)
    }


def _message(record: logging.LogRecord) -> str:
    """What was said; Dagster puts run and step before it, which are fields of their own here."""
    said = _meta(record).get("orig_message")
    return said if isinstance(said, str) else record.getMessage()


def _meta(record: logging.LogRecord) -> Mapping[str, Any]:
    found = getattr(record, THROUGH_DAGSTER, None)
    return found if isinstance(found, Mapping) else {}


def _of_run(record: logging.LogRecord) -> dict[str, Any]:
    """Run, job, asset, partition, slot and event of a record that came through Dagster; None where it has none."""
    meta = _meta(record)
    if not meta:
        return {}
    tags, event = meta.get("job_tags") or {}, meta.get("dagster_event")
    error = getattr(getattr(event, "event_specific_data", None), "error", None)
    return {
        "run_id": meta.get("run_id"),
        "job": meta.get("job_name"),
        "asset": meta.get("step_key"),
        "partition": tags.get(_PARTITION_TAG),
        "slot": tags.get(_SLOT_TAG),
        "event": getattr(event, "event_type_value", None),
        "exception": None if error is None else error.to_string(),
    }


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")  # type: ignore[misc] # checked by callers


def _head(text: str) -> str:
    left = len(text) - MAX_MESSAGE
    return text if left <= 0 else f"{text[:MAX_MESSAGE]}... ({left} more characters)"


def _tail(text: str) -> str:
    """The end of a traceback says what happened."""
    left = len(text) - MAX_EXCEPTION
    return text if left <= 0 else f"({left} characters before) ...{text[-MAX_EXCEPTION:]}"
