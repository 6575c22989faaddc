"""Errors of the stand-in: those it answers as the API would, and those that mean it was used wrongly.

Belongs here: the error envelope and the table of statuses. Which request gets which error is decided elsewhere.
Source of types and statuses: https://docs.claude.com/en/api/errors and `anthropic.types.shared` of the SDK.
"""

from typing import Any

STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class StandInError(Exception):
    """The stand-in was configured or asked in a way it cannot serve; says what to change."""


class ApiError(Exception):
    """An error answered over HTTP.

    Args:
        kind: The API's error type, a key of `STATUS_OF_TYPE`.
        message: What the caller reads.
        headers: Sent with it, e.g. `retry-after`.
    """

    def __init__(self, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message
        self.status = STATUS_OF_TYPE[kind]
        self.headers = headers or {}

    def envelope(self, request_id: str | None) -> dict[str, Any]:
        """The JSON body."""
        return {
            "type": "error",
            "error": {"type": self.kind, "message": self.message},
            "request_id": request_id,
        }


def invalid(message: str) -> ApiError:
    """A 400 with this message."""
    return ApiError("invalid_request_error", message)
