"""Which answers are failures, which of them can heal, and how long to wait before asking again.

Belongs here: classification of HTTP answers and transport errors, backoff, Retry-After, the common pause after a 429. Does
not belong here: sending (`client`), the budget of weight (`rate_limit`).

This is the only place in the platform where requests to the exchange are repeated.
"""

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from hl_assets.exchange.errors import (
    ErrorKind,
    ExchangeError,
    ExchangeRejectedError,
    ExchangeUnavailableError,
    excerpt,
)

RETRYABLE_TRANSPORT_ERRORS = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
    httpx.DecodingError,
)
"""What httpx raises for a path to the exchange that may be better next time; its other errors are mistakes of ours."""

_WAIT_AND_RETRY = (
    "The exchange or the way to it is in trouble: the next run asks again. If it lasts, check {host}."
)
_ADVICE: dict[int, str] = {
    403: "This egress address is refused: check from where you ask, and that no proxy or firewall stands between.",
    404: "Check the configured host and network path of the exchange.",
    408: _WAIT_AND_RETRY,
    413: "The request is malformed for this endpoint: report it.",
    422: "The exchange does not understand the request: check its type and fields against the documentation.",
    429: "Too much was asked from this egress address: lower weight_per_minute, or find what else uses the address.",
}
_SECONDS = re.compile(r"^[0-9]{1,9}\Z")


def status_error(
    response: httpx.Response,
    body: bytes,
    *,
    endpoint: str,
    wallet: str | None,
    retry_after_max_seconds: float,
) -> ExchangeError | None:
    """Returns the error an answer stands for, or None for 200.

    The body of an error is only quoted, never interpreted: it may be JSON `null`, text or a proxy's HTML page.
    """
    status = response.status_code
    if status == httpx.codes.OK:
        return None
    kind: ErrorKind
    if status == httpx.codes.REQUEST_TIMEOUT:
        kind = "timeout"
    elif status == httpx.codes.TOO_MANY_REQUESTS:
        kind = "rate_limited"
    elif httpx.codes.is_server_error(status):
        kind = "server_error"
    elif httpx.codes.is_client_error(status):
        kind = "rejected"
    else:
        kind = "unexpected_status"
    transient = kind not in {"rejected", "unexpected_status"}
    error_type = ExchangeUnavailableError if transient else ExchangeRejectedError
    fallback = (
        _WAIT_AND_RETRY if transient else "The same request will be refused again: check host and request."
    )
    phrase = response.reason_phrase or "no reason given"
    return error_type(
        f"the exchange answered {excerpt(phrase)} with body {excerpt(body)}",
        kind=kind,
        endpoint=endpoint,
        wallet=wallet,
        status=status,
        advice=_ADVICE.get(status, fallback).format(host=response.url.host),
        retry_after_seconds=retry_after(response, retry_after_max_seconds) if transient else None,
    )


def transport_error(
    error: httpx.RequestError, *, endpoint: str, wallet: str | None, host: str, status: int | None
) -> ExchangeUnavailableError:
    """Returns the typed error for a failure below HTTP; `status` is known when the body was being read."""
    kind: ErrorKind
    if isinstance(error, httpx.TimeoutException):
        kind, problem = "timeout", f"no answer in time ({type(error).__name__})"
    elif status is not None:
        kind, problem = (
            "truncated_body",
            f"the body broke off ({type(error).__name__}: {excerpt(str(error))})",
        )
    else:
        kind, problem = (
            "transport",
            f"no connection or no sound answer ({type(error).__name__}: {excerpt(str(error))})",
        )
    return ExchangeUnavailableError(
        problem,
        kind=kind,
        endpoint=endpoint,
        wallet=wallet,
        status=status,
        advice=_WAIT_AND_RETRY.format(host=host),
    )


def retry_after(response: httpx.Response, longest_seconds: float) -> float | None:
    """Returns what the answer's Retry-After asks for in seconds, or None when absent, unreadable or beyond `longest_seconds`.

    A date is read relative to the answer's own `Date`, so that no clock of ours matters.
    """
    text = response.headers.get("retry-after", "").strip()
    if _SECONDS.match(text):
        seconds = float(text)
    else:
        until, now = http_date(text), http_date(response.headers.get("date"))
        if until is None or now is None:
            return None
        seconds = (until - now).total_seconds()
    return seconds if 0 <= seconds <= longest_seconds else None


def http_date(text: str | None) -> datetime | None:
    """Returns the instant of an HTTP date header in UTC, or None when absent or unreadable."""
    if not text:
        return None
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def full_jitter(attempt: int, *, base_seconds: float, max_seconds: float) -> float:
    """Returns the wait before the attempt after `attempt` (1 is the first): uniform(0, min(max, base * 2**(attempt - 1))).

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    """
    ceiling = min(max_seconds, base_seconds * 2.0 ** min(attempt - 1, 60))
    return random.uniform(0.0, ceiling)  # noqa: S311  (jitter, no secret)


class Throttle:
    """How long everybody pauses after a 429: doubling while they go on, forgotten once an answer comes through.

    Requests in flight when the pause began do not count as new offences, however many of them come back with 429.

    Args:
        base_seconds: First pause.
        max_seconds: Longest pause.
    """

    def __init__(self, base_seconds: float, max_seconds: float) -> None:
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        self._streak = 0
        self._since = float("-inf")

    def refused(self, *, sent_at: float, now: float, asked_for: float | None) -> float | None:
        """Notes a 429; returns how many seconds all workers should pause, or None when a pause already answers it.

        Args:
            sent_at: Monotonic seconds at which the refused request was sent.
            now: Monotonic seconds.
            asked_for: Retry-After, when sane.
        """
        if sent_at <= self._since:
            return None
        self._streak += 1
        self._since = now
        planned = min(self._max_seconds, self._base_seconds * 2.0 ** min(self._streak - 1, 60))
        return max(planned * random.uniform(0.5, 1.0), asked_for or 0.0)  # noqa: S311  (jitter, no secret)

    def answered(self, *, sent_at: float) -> None:
        """Notes an answer that was not refused; one sent after the last pause began ends the streak."""
        if sent_at > self._since:
            self._streak = 0
