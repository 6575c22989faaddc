"""Bodies of HTTP requests and responses: compression and multipart forms.

Belongs here: decoding what clients send and encoding what they accept. Does not belong here: what a request means.
"""

import gzip
import zlib
from email.parser import BytesParser
from email.policy import HTTP

import lz4.frame

_MIN_COMPRESSED_BYTES = 4_096
"""Smaller answers are sent as they are: compressing them costs more than it saves."""


class BodyError(Exception):
    """A request body cannot be decoded; the message says why."""


def decompress(body: bytes, encoding: str) -> bytes:
    """Undo a `Content-Encoding` (identity, lz4, zstd, gzip, deflate).

    Raises:
        BodyError: Unknown encoding or damaged data.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    try:
        if name == "lz4":
            return _lz4_decompress(body)
        if name == "zstd":
            return _zstd_decompress(body)
        if name == "gzip":
            return gzip.decompress(body)
        if name == "deflate":
            return zlib.decompress(body)
    except (RuntimeError, OSError, EOFError, zlib.error, ValueError) as error:
        raise BodyError(f"request body is not valid {name}: {error}") from error
    raise BodyError(f"Content-Encoding {encoding!r} is not supported; use lz4, zstd, gzip, deflate or none")


def compress(body: bytes, accept_encoding: str) -> tuple[bytes, str | None]:
    """Compress an answer if the client accepts lz4 or gzip and it is worth it; returns body and encoding."""
    accepted = {part.split(";")[0].strip().lower() for part in accept_encoding.split(",")}
    if len(body) < _MIN_COMPRESSED_BYTES:
        return body, None
    if "lz4" in accepted:
        return bytes(lz4.frame.compress(body)), "lz4"
    if "gzip" in accepted:
        return gzip.compress(body, compresslevel=1), "gzip"
    return body, None


def form_fields(body: bytes, content_type: str) -> dict[str, str]:
    """Text fields of a multipart form (how clickhouse-connect sends long query parameters).

    Raises:
        BodyError: Not a readable form, or it carries files (external tables are not supported).
    """
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    if not message.is_multipart():
        raise BodyError("request says multipart/form-data but its body is not a form")
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str) or part.get_filename() is not None:
            raise BodyError("external tables are not supported by the embedded ClickHouse")
        payload = part.get_payload(decode=True)
        fields[name] = payload.decode() if isinstance(payload, bytes) else ""
    return fields


def _lz4_decompress(body: bytes) -> bytes:
    """All frames of a body: clickhouse-connect sends one per block of rows, and lz4 stops after the first."""
    rest = memoryview(body)
    parts: list[bytes] = []
    while rest or not parts:
        part, length = lz4.frame.decompress(rest, return_bytes_read=True)
        parts.append(part)
        rest = rest[length:]
    return b"".join(parts)


def _zstd_decompress(body: bytes) -> bytes:
    from backports import zstd  # noqa: PLC0415 - rarely used; comes with clickhouse-connect

    try:
        return bytes(zstd.decompress(body))
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
