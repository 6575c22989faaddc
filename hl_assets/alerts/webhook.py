"""Delivering a message to the webhook: signed, repeated where that can help, within a bounded time.

Belongs here: HTTP, which answers are failures and which of them can heal. Does not belong here: what is delivered when
(`turning`, `evaluation`).

A URL may hold a token, and an answer may quote the URL: neither the URL nor anything that an answer says but its status gets into a
log, an error or a repr. Requests go straight to httpx's transport, because httpx's client logs the URL of each request, and
what httpcore logs at level DEBUG (host, headers of the answer) is dropped. Redirects are not followed and the environment's
proxies are not used.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic import SecretStr

from hl_assets import __version__
from hl_assets.alerts.alert import Message
from hl_assets.alerts.config import parse_secrets
from hl_assets.alerts.signing import signed_headers
from hl_assets.exchange.retrying import RETRYABLE_TRANSPORT_ERRORS, full_jitter, retry_after

FailureKind = Literal["timeout", "no_answer", "throttled", "server_error", "redirect", "rejected", "mistake"]

_LONGEST_RETRY_AFTER_SECONDS = 3600.0
_HEALS = frozenset({408, 425, 429})
_LATER = "it is tried again; if it lasts, check that the receiver runs and that this machine may reach it"
_ADVICE = {
    400: "the receiver does not take the body; it is described in docs/alerts.md",
    401: "the receiver refuses us; check the token in ALERT_WEBHOOK_URL and that it knows ALERT_WEBHOOK_SECRET",
    403: "the receiver refuses us; check the token in ALERT_WEBHOOK_URL and that it knows ALERT_WEBHOOK_SECRET",
    404: "there is no such webhook; check ALERT_WEBHOOK_URL",
    405: "the address takes no POST; check ALERT_WEBHOOK_URL",
    410: "the receiver wants no more messages; set another ALERT_WEBHOOK_URL or unset it",
    429: "the receiver gets too many messages; raise ALERT_REPEAT_HOURS or leave kinds out of ALERT_KINDS",
}


_SILENT: ContextVar[bool] = ContextVar("hl_assets_webhook_silent", default=False)


class _SilentFilter(logging.Filter):
    """Drops what is logged while a message is being delivered, and nothing else."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not _SILENT.get()


_FILTER = _SilentFilter()
for _name in ("connection", "http11"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_FILTER)


@contextmanager
def _silently() -> Iterator[None]:
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


@dataclass(frozen=True)
class Receipt:
    """A delivery that the receiver acknowledged.

    Attributes:
        status: HTTP status, 200 to 299.
        attempts: Requests made.
        seconds: How long all of it took.
    """

    status: int
    attempts: int
    seconds: float


class DeliveryError(Exception):
    """A message that was not acknowledged; the receiver may have it all the same.

    Attributes:
        kind: What happened.
        status: HTTP status, None without an answer.
        attempts: Requests made.
        retry_after_seconds: How long the receiver asks to be left alone, at most an hour.
    """

    def __init__(
        self,
        problem: str,
        *,
        kind: FailureKind,
        status: int | None = None,
        attempts: int = 1,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.kind: FailureKind = kind
        self.status = status
        self.attempts = attempts
        self.retry_after_seconds = retry_after_seconds

    @property
    def transient(self) -> bool:
        """Whether the same request can succeed later without anyone changing anything."""
        return self.kind in {"timeout", "no_answer", "throttled", "server_error"}

    def after(self, attempts: int) -> "DeliveryError":
        """The same with the number of requests that were made."""
        return DeliveryError(
            str(self),
            kind=self.kind,
            status=self.status,
            attempts=attempts,
            retry_after_seconds=self.retry_after_seconds,
        )


@dataclass(frozen=True)
class Webhook:
    """A receiver.

    Attributes:
        url: Where messages are posted; a secret.
        secret: One or more signing secrets, `whsec_...`, separated by spaces.
        timeout_seconds: Longest single request, from connecting to the answer's head.
        attempts: Requests per delivery at most.
        backoff_seconds: First pause before a repetition; doubles, with jitter.
        now: Seconds since 1970.
    """

    url: SecretStr
    secret: SecretStr
    timeout_seconds: float = 5.0
    attempts: int = 3
    backoff_seconds: float = 0.5
    now: Callable[[], float] = time.time

    def deliver(self, message: Message, *, within_seconds: float) -> Receipt:
        """Post a message, again if that can help.

        Args:
            message: What to say.
            within_seconds: How long all attempts and pauses together may take.

        Raises:
            DeliveryError: Not acknowledged.
        """
        with _silently():
            return asyncio.run(self._deliver(message, within_seconds))

    async def _deliver(self, message: Message, within_seconds: float) -> Receipt:
        keys = parse_secrets(self.secret.get_secret_value())
        body = message.body()
        began = time.monotonic()
        attempt = 0
        async with httpx.AsyncHTTPTransport() as transport:
            while True:
                attempt += 1
                left = within_seconds - (time.monotonic() - began)
                answer = await self._attempt(
                    transport, message.id, body, keys, min(left, self.timeout_seconds)
                )
                if not isinstance(answer, DeliveryError):
                    return Receipt(answer, attempt, time.monotonic() - began)
                pause = max(
                    full_jitter(attempt, base_seconds=self.backoff_seconds, max_seconds=8.0),
                    answer.retry_after_seconds or 0.0,
                )
                left = within_seconds - (time.monotonic() - began)
                if not answer.transient or attempt >= self.attempts or pause >= left:
                    raise answer.after(attempt)
                await asyncio.sleep(pause)

    async def _attempt(
        self,
        transport: httpx.AsyncHTTPTransport,
        message_id: str,
        body: bytes,
        keys: Sequence[bytes],
        seconds: float,
    ) -> int | DeliveryError:
        """One request: the status if it was acknowledged, else what went wrong.

        Errors are returned, not raised: an exception that holds httpx's own would show it, and with it the address.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": f"hl_assets/{__version__}",
            **signed_headers(keys, message_id, int(self.now()), body),
        }
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                request = httpx.Request("POST", self.url.get_secret_value(), headers=headers, content=body)
                response = await transport.handle_async_request(request)
                await response.aclose()  # whatever it says, nobody reads it
        except (TimeoutError, httpx.TimeoutException):
            return DeliveryError(f"the webhook did not answer in {seconds:.1f} s; {_LATER}", kind="timeout")
        except RETRYABLE_TRANSPORT_ERRORS as error:
            name = type(error).__name__
            return DeliveryError(f"no connection to the webhook ({name}); {_LATER}", kind="no_answer")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = type(error).__name__
            return DeliveryError(
                f"the webhook cannot be asked ({name}); check ALERT_WEBHOOK_URL", kind="mistake"
            )
        return _judged(response)


def _judged(response: httpx.Response) -> int | DeliveryError:
    status = response.status_code
    if httpx.codes.is_success(status):
        return status
    kind: FailureKind
    if status == httpx.codes.TOO_MANY_REQUESTS:
        kind = "throttled"
    elif status in _HEALS or httpx.codes.is_server_error(status):
        kind = "server_error"
    elif httpx.codes.is_redirect(status):
        kind = "redirect"
    else:
        kind = "rejected"
    advice = _ADVICE.get(status) or {
        "redirect": "redirects are not followed; set ALERT_WEBHOOK_URL to where it leads",
        "rejected": "the same request will be refused again; check ALERT_WEBHOOK_URL and the receiver",
    }.get(kind, _LATER)
    transient = kind in {"throttled", "server_error"}
    return DeliveryError(
        f"the webhook answered {status}; {advice}",
        kind=kind,
        status=status,
        retry_after_seconds=retry_after(response, _LONGEST_RETRY_AFTER_SECONDS) if transient else None,
    )
