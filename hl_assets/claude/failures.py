"""What the SDK's errors mean here: is the service away, or did it refuse the request, and was anything billed.

Belongs here: mapping errors. Making calls belongs in `asking`, `batches` and `models`.
"""

from dataclasses import dataclass

import httpx2
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncAnthropic,
)

from hl_assets.claude.calls import CallOutcome
from hl_assets.claude.client import scrubbed

CALL_ERRORS = (AnthropicError, httpx2.HTTPError, TimeoutError, ValueError)
"""What a failed call raises: errors of the SDK, of its transport, of time, and of bodies that are no JSON."""
HALTING = frozenset({"authentication", "billing", "permission", "not_found"})
"""Kinds of error that every further call would meet too, so nobody asks any more."""

_KINDS = {
    400: "bad_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "bad_request",
    429: "rate_limited",
    504: "timeout",
    529: "overloaded",
}
_HEALING = frozenset({408, 409, 429})
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)
"""The transport's errors that come before a request has left."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call without an answer.

    Attributes:
        outcome: `unavailable` or `rejected`.
        kind: class of failure.
        text: what failed, scrubbed.
        request_id: the service's, if it answered at all.
        billed: whether the service may have written an answer that never arrived.
    """

    outcome: CallOutcome
    kind: str
    text: str
    request_id: str | None = None
    billed: bool = False


def failure_of(error: Exception, client: AsyncAnthropic) -> Failure:
    """What an error of the SDK means.

    Args:
        error: an `AnthropicError`; an error of its transport, which streams of results raise; `TimeoutError` of a call that took too long altogether; `ValueError` of an answer that is
            no JSON.
        client: whose key must not be in the text.

    Raises:
        TypeError: another error: that one is a bug, not a failed call.
    """
    match error:
        case APIStatusError():
            return _of_status(error, client)
        case APITimeoutError():
            return Failure("unavailable", "timeout", _text(error, client), billed=_sent(error))
        case APIConnectionError() | httpx2.HTTPError():
            return Failure("unavailable", "connection", _text(error, client), billed=_sent(error))
        case TimeoutError():
            return Failure("unavailable", "timeout", "no answer in the time a call may take", billed=True)
        case APIResponseValidationError() | ValueError():
            return Failure("unavailable", "malformed_response", _text(error, client), billed=True)
        case AnthropicError():
            return Failure("rejected", "client", _text(error, client))
        case _:
            raise TypeError(f"{type(error).__name__} is no failure of a call") from error


def kind_of_status(status: int) -> str:
    """Class of failure of an HTTP status."""
    return _KINDS.get(status, "server_error" if status >= 500 else f"http_{status}")


def _of_status(error: APIStatusError, client: AsyncAnthropic) -> Failure:
    status = error.status_code
    heals = status in _HEALING or status >= 500
    said = error.api_message if isinstance(error.api_message, str) else type(error).__name__
    return Failure(
        outcome="unavailable" if heals else "rejected",
        kind=kind_of_status(status),
        text=scrubbed(f"HTTP {status}: {said}", client),
        request_id=error.request_id,
    )


def _text(error: Exception, client: AsyncAnthropic) -> str:
    cause = error.__cause__
    because = "" if cause is None else f" ({type(cause).__name__}: {cause})"
    return scrubbed(f"{type(error).__name__}: {error}{because}", client)


def _sent(error: Exception) -> bool:
    return not isinstance(error.__cause__, _NEVER_SENT)
