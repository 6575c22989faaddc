"""Errors of the API as problem details (RFC 9457, `application/problem+json`).

Belongs here: the kinds of problem, their document, and how exceptions become one. Does not belong here: deciding that
something is wrong.

Source: M. Nottingham, E. Wilde, S. Dalal, Problem Details for HTTP APIs, RFC 9457, 2023.
"""

import http
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api.text import safe_prose
from hl_assets.warehouse.errors import (
    EmbeddedServerError,
    WarehouseError,
    WarehouseQueryError,
    WarehouseUnavailableError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
WAREHOUSE_RETRY_SECONDS = 5
NO_DATA_RETRY_SECONDS = 60
QUOTA_RETRY_SECONDS = 60
_UNEXPECTED = "an unexpected error; the server's log has it under the request id in `instance`"
_TYPE = "urn:hl-assets:problem:"
_LONGEST_NAME = 80
_NOTHING_STORED = frozenset({"UNKNOWN_DATABASE", "UNKNOWN_TABLE"})
_QUOTA_EXCEEDED = 201
"""ClickHouse's code; the quota is that of the API's database user (`hl_assets.warehouse.access`)."""


class ParameterError(BaseModel):
    """One parameter that cannot be used."""

    model_config = ConfigDict(extra="forbid")

    location: str = Field(description="Where it is: query, path or header", examples=["query"])
    name: str = Field(description="Its name", examples=["limit"])
    message: str = Field(
        description="What is wrong with it", examples=["Input should be less than or equal to 200"]
    )


class Problem(BaseModel):
    """Problem details of RFC 9457."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Kind of problem, a URN", examples=[f"{_TYPE}invalid-parameter"])
    title: str = Field(description="The kind in words", examples=["A parameter cannot be used"])
    status: int = Field(description="HTTP status", ge=400, le=599, examples=[422])
    detail: str = Field(
        description="What happened here, and what to do", examples=["limit: must be 1 to 200"]
    )
    instance: str = Field(
        description="This occurrence: URN of the request id", examples=["urn:hl-assets:request:4f9d3c"]
    )
    errors: list[ParameterError] | None = Field(None, description="The parameters, where some are to blame")
    current_snapshot: str | None = Field(
        None, description="Snapshot that is served now, where a cursor is of another"
    )
    run_id: str | None = Field(None, description="Run that is in the way, or that was started all the same")


@dataclass(frozen=True)
class Kind:
    """A kind of problem: last part of its URN, HTTP status, title."""

    name: str
    status: int
    title: str


INVALID_PARAMETER = Kind("invalid-parameter", 422, "A parameter cannot be used")
UNKNOWN_WALLET = Kind("unknown-wallet", 404, "Nothing is stored about the wallet")
UNKNOWN_SLOT = Kind("unknown-slot", 404, "The slot is not stored")
OTHER_SNAPSHOT = Kind("cursor-of-another-snapshot", 409, "The cursor belongs to another snapshot")
TICK_RUNNING = Kind("tick-running", 409, "A tick is already running")
NO_KEY = Kind("write-key-needed", 401, "A write key is needed")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "Too many requests")
STALE = Kind("stale", 503, "The newest data are too old")
NO_DATA = Kind("nothing-stored", 503, "Nothing is stored yet")
WAREHOUSE_DOWN = Kind("warehouse-down", 503, "The warehouse does not answer")
OVERLOADED = Kind("overloaded", 503, "Too many requests are waiting")
UNSETTLED = Kind("slot-being-rewritten", 503, "The slot is being rewritten")
TICK_FAILED = Kind("tick-not-started", 503, "The tick could not be started")
INTERNAL = Kind("internal", 500, "The API failed")


@dataclass
class ProblemError(Exception):
    """A problem to be answered.

    Attributes:
        kind: Which.
        detail: What happened and what to do; may quote nothing that was sent.
        retry_after: Seconds after which trying again can help.
        headers: Further headers of the answer.
        extension: Further members of the document, from `Problem`.
    """

    kind: Kind
    detail: str
    retry_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extension: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind.title}: {self.detail}"


def invalid(name: str, message: str, *, location: str = "query") -> ProblemError:
    """The problem of one parameter."""
    error = ParameterError(location=location, name=name, message=message)
    return ProblemError(INVALID_PARAMETER, f"{name}: {message}", extension={"errors": [error.model_dump()]})


def problem_response(problem: ProblemError, request_id: str) -> Response:
    """The answer to a problem."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(max(1, problem.retry_after))
    return _response(problem.kind, problem.detail, request_id, headers, problem.extension)


def _response(
    kind: Kind, detail: str, request_id: str, headers: Mapping[str, str], extension: Mapping[str, Any]
) -> Response:
    document = {
        "type": f"{_TYPE}{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": safe_prose(detail),
        "instance": f"urn:hl-assets:request:{request_id}",
        **extension,
    }
    return Response(orjson.dumps(document), kind.status, dict(headers), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every exception of the app with a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_bad_parameters)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(WarehouseError, _on_warehouse_error)


def request_id_of(request: Request) -> str:
    """The id the middleware gave the request."""
    return str(request.scope.get("state", {}).get("request_id", "unknown"))


def internal_error(request_id: str) -> Response:
    """The answer to an error that nobody expected; the log has it under the request id."""
    return problem_response(ProblemError(INTERNAL, _UNEXPECTED), request_id)


def _on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(error, request_id_of(request))


def _on_bad_parameters(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [_parameter_error(found) for found in error.errors()]
    detail = "; ".join(f"{found.name}: {found.message}" for found in errors[:5])
    extension = {"errors": [found.model_dump() for found in errors[:20]]}
    return problem_response(
        ProblemError(INVALID_PARAMETER, detail, extension=extension), request_id_of(request)
    )


def _parameter_error(found: Mapping[str, Any]) -> ParameterError:
    """An error of pydantic's without the value that was sent."""
    location, *names = found["loc"]
    name = safe_prose(".".join(map(str, names)))[:_LONGEST_NAME].replace("\n", " ")
    unknown = found["type"] == "extra_forbidden"
    message = "there is no such parameter" if unknown else str(found["msg"]).removeprefix("Value error, ")
    return ParameterError(location=str(location), name=name, message=message)


def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = http.HTTPStatus(error.status_code)
    kind = Kind(status.phrase.lower().replace(" ", "-"), status.value, status.phrase)
    headers = {"Cache-Control": "no-store", **(error.headers or {})}
    detail = {
        404: "there is nothing at this path; /openapi.json lists what there is",
        405: "this path does not take that method; the Allow header names those it takes",
    }.get(status.value, str(error.detail))
    return _response(kind, detail, request_id_of(request), headers, {})


def problem_of(error: WarehouseError) -> ProblemError:
    """What a failure of the warehouse is to a client."""
    if isinstance(error, WarehouseUnavailableError | EmbeddedServerError):
        detail = "the warehouse gave no answer; try again later"
        return ProblemError(WAREHOUSE_DOWN, detail, retry_after=WAREHOUSE_RETRY_SECONDS)
    if isinstance(error, WarehouseQueryError) and error.code == _QUOTA_EXCEEDED:
        detail = "too much is asked of the warehouse at the moment; try again later"
        return ProblemError(WAREHOUSE_DOWN, detail, retry_after=QUOTA_RETRY_SECONDS)
    if isinstance(error, WarehouseQueryError) and error.name in _NOTHING_STORED:
        detail = "the database has no tables of this version yet; run a tick (`hl-assets run`)"
        return ProblemError(NO_DATA, detail, retry_after=NO_DATA_RETRY_SECONDS)
    return ProblemError(INTERNAL, _UNEXPECTED)


def _on_warehouse_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, WarehouseError):
        raise error
    problem = problem_of(error)
    if problem.kind is INTERNAL:
        logger.error("request %s: query refused", request_id_of(request), exc_info=error)
    else:
        logger.warning("request %s: %s", request_id_of(request), error)
    return problem_response(problem, request_id_of(request))


_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to send the key", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}},
}
_MEANINGS = {
    401: "A write without the write key",
    404: "Unknown wallet or slot",
    409: "The cursor belongs to another snapshot, or a tick is already running",
    422: "A bad or unknown parameter",
    429: "Too many requests of this client",
    500: "The API failed",
    503: "The warehouse does not answer, or holds nothing recent enough",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's descriptions of these problems."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            **({"headers": dict(_HEADERS[status])} if status in _HEADERS else {}),
        }
        for status in sorted(statuses)
    }
