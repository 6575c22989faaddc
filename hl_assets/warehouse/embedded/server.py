"""ClickHouse's HTTP interface in front of the embedded engine.

Belongs here: turning a request into a `Statement` and an `Answer` into a response, as a ClickHouse server would, and
refusing what does not come from this machine's own programs. Does not belong here: the engine (`engine`), starting
and stopping (`process`, `__main__`).

Served: `/ping` and `/` with the query in the URL, the body or a multipart form; `param_*`, settings, `database`,
`default_format`, `query_id`; bodies in lz4, zstd, gzip, deflate; answers in lz4 or gzip when `enable_http_compression=1`.
Not served: sessions (`session_id` is accepted and ignored: every request stands alone), users and passwords (accepted
and ignored), external tables, progress headers, streaming (an answer is complete before its first byte is sent, so an
error always has its own status and code).

Loopback is no protection against a web page: a browser may send requests here. Requests with a browser's `Origin` or
a cross-site `Sec-Fetch-Site`, or with a foreign `Host` (DNS rebinding), are refused, and GET cannot change anything.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hl_assets.warehouse.embedded.bodies import BodyError, compress, decompress, form_fields
from hl_assets.warehouse.embedded.engine import Answer, Engine, EngineError, Statement

logger = logging.getLogger(__name__)

DISPLAY_NAME = "hl-assets embedded"
MAX_BODY_BYTES = 2**30
_WORKERS = 16
_SLOW_SECONDS = 10.0

# URL parameters the HTTP interface consumes; every other one is a ClickHouse setting.
_TRANSPORT_PARAMETERS = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_zlib_compression_level",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)

# ClickHouse's own mapping of the errors people meet; everything else is 500.
_STATUS_BY_CODE = {
    27: 400,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33: 400,  # CANNOT_READ_ALL_DATA
    41: 400,  # CANNOT_PARSE_DATETIME
    46: 404,  # UNKNOWN_FUNCTION
    47: 404,  # UNKNOWN_IDENTIFIER
    48: 501,  # NOT_IMPLEMENTED
    50: 404,  # UNKNOWN_TYPE
    53: 400,  # TYPE_MISMATCH
    60: 404,  # UNKNOWN_TABLE
    62: 400,  # SYNTAX_ERROR
    72: 400,  # CANNOT_PARSE_NUMBER
    73: 404,  # UNKNOWN_FORMAT
    81: 404,  # UNKNOWN_DATABASE
    115: 404,  # UNKNOWN_SETTING
    117: 400,  # INCORRECT_DATA
    159: 408,  # TIMEOUT_EXCEEDED
    457: 400,  # BAD_QUERY_PARAMETER
}


class _RefusedError(Exception):
    """A request that never reaches the engine."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EmbeddedServer:
    """The HTTP front of one engine.

    Args:
        engine: The engine to serve.
        instance: Name of this server process, told by `/hl-assets/instance`, so that a client with an old address
            can tell whether it still talks to the same server.
    """

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="statement")
        self._active = 0
        self._last_request = time.monotonic()
        self.app = Starlette(
            routes=[
                Route("/ping", self._ping, methods=["GET", "HEAD"]),
                Route("/hl-assets/instance", self._tell_instance, methods=["GET"]),
                Route("/", self._query, methods=["GET", "POST", "HEAD"]),
            ]
        )

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is running."""
        return 0.0 if self._active else time.monotonic() - self._last_request

    def close(self) -> None:
        """Wait for running statements; call before closing the engine."""
        self._pool.shutdown(wait=True)

    async def _ping(self, request: Request) -> Response:
        return self._guarded(request) or PlainTextResponse("Ok.\n")

    async def _tell_instance(self, request: Request) -> Response:
        return self._guarded(request) or PlainTextResponse(self._instance)

    def _guarded(self, request: Request) -> Response | None:
        """A refusal if the request may come from a web page, else None."""
        try:
            _refuse_strangers(request)
        except _RefusedError as refusal:
            return PlainTextResponse(f"{refusal}\n", status_code=refusal.status)
        return None

    async def _query(self, request: Request) -> Response:
        stranger = self._guarded(request)
        if stranger is not None:
            return stranger
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": "UTC",
        }
        self._active += 1
        try:
            return await self._answer(request, headers)
        except _RefusedError as refusal:
            return PlainTextResponse(f"{refusal}\n", status_code=refusal.status, headers=headers)
        except ClientDisconnect:
            logger.info("client went away while sending query %s", query_id)
            return Response(status_code=400, headers=headers)
        finally:
            self._active -= 1
            self._last_request = time.monotonic()

    async def _answer(self, request: Request, headers: dict[str, str]) -> Response:
        body = await _received(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._work, request, body, headers)

    def _work(self, request: Request, body: bytes, headers: dict[str, str]) -> Response:
        """Everything that takes time, in a worker thread: unpacking, running, packing."""
        statement = _statement(request, body)
        if not statement.text.strip():
            if request.method != "POST":
                return PlainTextResponse("Ok.\n", headers=headers)
            raise _RefusedError(400, "Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)")
        try:
            answer = self._engine.run(statement)
        except EngineError as error:
            return self._failure(error, statement, headers)
        _note_slow(answer, statement)
        return _success(answer, request, headers)

    def _failure(self, error: EngineError, statement: Statement, headers: Mapping[str, str]) -> Response:
        logger.info("code %d for: %s", error.code, _excerpt(statement))
        text = str(error) if "(version " in str(error) else f"{error} (version {self._engine.version})"
        status = _STATUS_BY_CODE.get(error.code, 500)
        headers = {**headers, "X-ClickHouse-Exception-Code": str(error.code)}
        return PlainTextResponse(f"{text}\n", status_code=status, headers=headers)


def _refuse_strangers(request: Request) -> None:
    host = request.headers.get("host", "")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name not in {"127.0.0.1", "localhost", "[::1]"}:
        raise _RefusedError(403, f"Host {host!r} is not this machine's loopback address")
    if "origin" in request.headers or request.headers.get("sec-fetch-site", "none") not in {
        "none",
        "same-origin",
    }:
        raise _RefusedError(403, "requests from web pages are refused")


def _statement(request: Request, received: bytes) -> Statement:
    parameters = dict(request.query_params)
    content_type = request.headers.get("content-type", "")
    try:
        body = decompress(received, request.headers.get("content-encoding", ""))
        if content_type.startswith("multipart/form-data"):
            parameters.update(form_fields(body, content_type))
            body = b""
    except BodyError as error:
        raise _RefusedError(400, str(error)) from error
    for flag in ("compress", "decompress"):
        if parameters.get(flag, "0") not in {"0", "false"}:
            raise _RefusedError(501, f"URL parameter {flag} (ClickHouse's own block format) is not supported")
    query = parameters.get("query", "").encode()
    return Statement(
        text=b"\n".join(part for part in (query, body) if part),
        database=parameters.get("database") or request.headers.get("x-clickhouse-database") or None,
        settings={
            name: value
            for name, value in parameters.items()
            if name not in _TRANSPORT_PARAMETERS and not name.startswith("param_")
        },
        parameters={
            n.removeprefix("param_"): value for n, value in parameters.items() if n.startswith("param_")
        },
        default_format=parameters.get("default_format")
        or request.headers.get("x-clickhouse-format")
        or "TabSeparated",
        read_only=request.method != "POST",
    )


async def _received(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _RefusedError(413, f"request body is larger than {MAX_BODY_BYTES} bytes; send it in parts")
        chunks.append(chunk)
    return b"".join(chunks)


def _success(answer: Answer, request: Request, headers: dict[str, str]) -> Response:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "elapsed_ns": str(round(answer.seconds * 1e9)),
    }
    headers = {**headers, "X-ClickHouse-Summary": json.dumps(summary)}
    body = answer.body
    if answer.format is not None:
        headers["X-ClickHouse-Format"] = answer.format
        if request.query_params.get("enable_http_compression") in {"1", "true"}:
            body, encoding = compress(body, request.headers.get("accept-encoding", ""))
            if encoding:
                headers["Content-Encoding"] = encoding
    return Response(body, headers=headers, media_type=_media_type(answer.format))


def _media_type(answer_format: str | None) -> str:
    if answer_format is None or answer_format.startswith(("TabSeparated", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    if answer_format.startswith("JSON"):
        return "application/json; charset=UTF-8"
    if answer_format.startswith("CSV"):
        return "text/csv; charset=UTF-8; header=absent"
    return "application/octet-stream"


def _note_slow(answer: Answer, statement: Statement) -> None:
    if answer.seconds > _SLOW_SECONDS:
        logger.warning("took %.1f s: %s", answer.seconds, _excerpt(statement))


def _excerpt(statement: Statement) -> str:
    text = statement.text[:300].decode(errors="replace")
    comment = statement.settings.get("log_comment", "")
    return f"{' '.join(text.split())} {comment}"
