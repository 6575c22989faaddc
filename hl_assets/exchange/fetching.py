"""One fetch: attempts at one request until it succeeds, fails for good, or patience ends.

Belongs here: sending, reading, retrying, deadlines, and telling the budget what happened. Does not belong here: which requests
there are (`client`), what a failure is and how long to wait (`retrying`), shapes (`payloads`).
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NoReturn, TypeVar

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from hl_assets.exchange.config import ExchangeConfig
from hl_assets.exchange.egress import WayOut, best_way
from hl_assets.exchange.errors import (
    ExchangeError,
    ExchangeRejectedError,
    ExchangeUnavailableError,
    PayloadShapeError,
    UndecodableBodyError,
)
from hl_assets.exchange.rate_limit import Grant
from hl_assets.exchange.retrying import (
    RETRYABLE_TRANSPORT_ERRORS,
    full_jitter,
    http_date,
    status_error,
    transport_error,
)

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_ERROR_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Call(Generic[_T]):
    """One thing to fetch: where, at what price, how patiently, and how to read the answer."""

    endpoint: str
    wallet: str | None
    method: str
    url: str
    payload: dict[str, str] | None
    weight: int
    read_timeout_seconds: float
    max_bytes: int
    parse: Callable[[bytes], _T]
    parse_in_thread: bool


@dataclass
class Tally:
    """What a fetch has cost so far."""

    started: float
    attempts: int = 0
    weight: int = 0
    last_error: ExchangeError | None = None

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the fetch began."""
        return time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[_T]):
    """A parsed answer and the fields of `Response` that its attempt knows."""

    parsed: _T
    circumstances: dict[str, Any]


class Fetcher:
    """Carries out calls by the ways out there are, within one event loop.

    Args:
        config: Hosts, limits and patience.
        clock: Stamps answers; timezone-aware.
    """

    def __init__(self, config: ExchangeConfig, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._clock = clock
        self._ways = [WayOut(config, egress) for egress in config.ways_out]

    async def open(self) -> None:
        """Makes the connection pools; connections are opened by the first requests."""
        for way in self._ways:
            await way.open()

    async def close(self) -> None:
        """Closes connections and the budgets' files."""
        for way in self._ways:
            await way.close()

    async def weight_within(self, seconds: float) -> int:
        """The weight that could still be spent from now until then.

        Raises:
            RateLimitStateError: The budget's shared file is unusable.
        """
        return sum([await way.budget.free_within(seconds) for way in self._ways])

    def now(self) -> datetime:
        """The clock's instant in UTC."""
        instant = self._clock()
        if instant.tzinfo is None:
            raise ValueError(f"the client's clock must return timezone-aware instants, got {instant!r}")
        return instant.astimezone(UTC)

    async def fetch(self, call: Call[_T], tally: Tally, deadline_seconds: float | None) -> Answer[_T]:
        """Carries out the call, repeating what can heal, within the deadline; counts what it costs in `tally`.

        Raises:
            ExchangeUnavailableError: Attempts or deadline are spent.
            ExchangeRejectedError: The request was refused for good.
            PayloadShapeError: The payload's shape has changed.
        """
        config = self._config

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked_for = error.retry_after_seconds if isinstance(error, ExchangeError) else None
            backoff = full_jitter(
                state.attempt_number,
                base_seconds=config.backoff_base_seconds,
                max_seconds=config.backoff_max_seconds,
            )
            return max(backoff, asked_for or 0.0)

        def note(state: RetryCallState) -> None:
            pause = state.next_action.sleep if state.next_action else 0.0
            logger.info("attempt %d failed, next in %.1f s: %s", tally.attempts, pause, tally.last_error)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ExchangeUnavailableError),
            stop=stop_after_attempt(config.max_attempts),
            wait=wait,
            before_sleep=note,
            reraise=True,
        )
        if deadline_seconds is not None and deadline_seconds <= 0:
            self._give_up(call, tally, deadline_seconds)
        try:
            async with asyncio.timeout(deadline_seconds) as scope:
                return await retrying(self._attempt, call, tally)
        except TimeoutError:
            if not scope.expired():
                raise
            self._give_up(call, tally, deadline_seconds)

    def _give_up(self, call: Call[_T], tally: Tally, deadline_seconds: float | None) -> NoReturn:
        last = tally.last_error
        if deadline_seconds is None or deadline_seconds <= 0:
            problem = "not asked, because the time allowed for the whole batch was over"
        else:
            problem = f"not finished within {deadline_seconds:.1f} s"
        if last is not None:
            problem += f"; the last attempt failed: {last.problem}"
        raise ExchangeUnavailableError(
            problem,
            kind="deadline",
            endpoint=call.endpoint,
            wallet=call.wallet,
            url=call.url,
            status=None if last is None else last.status,
            attempts=tally.attempts,
            advice="The next run asks again. If it lasts: ask for fewer wallets, or allow more time or weight.",
        ) from last

    async def _attempt(self, call: Call[_T], tally: Tally) -> Answer[_T]:
        try:
            way = await best_way(self._ways, max(call.weight, 1))
            if not call.weight:
                return await self._send(call, tally, way, None)
            async with way.permission(call.weight) as grant:
                tally.weight += grant.weight
                return await self._send(call, tally, way, grant)
        except ExchangeError as error:
            tally.last_error = error.located(url=call.url, attempts=tally.attempts)
            raise

    async def _send(self, call: Call[_T], tally: Tally, way: WayOut, grant: Grant | None) -> Answer[_T]:
        """Sends one request and reads its answer; whatever is wrong with it leaves as an `ExchangeError`."""
        http = way.http
        tally.attempts += 1
        sent_at = time.monotonic()
        status: int | None = None
        try:
            async with http.stream(
                call.method,
                call.url,
                json=call.payload,
                timeout=httpx.Timeout(
                    call.read_timeout_seconds, connect=self._config.connect_timeout_seconds
                ),
                extensions=_tracing(way, grant),
            ) as response:
                status = response.status_code
                body = await _read(call, response)
        except RETRYABLE_TRANSPORT_ERRORS as error:
            if len(self._ways) > 1 and status is None and not isinstance(error, httpx.ReadTimeout):
                way.set_aside()
            host = httpx.URL(call.url).host
            raise transport_error(
                error, endpoint=call.endpoint, wallet=call.wallet, host=host, status=status
            ) from error
        latency = time.monotonic() - sent_at
        observed_at = self.now()
        failure = status_error(
            response,
            body,
            endpoint=call.endpoint,
            wallet=call.wallet,
            retry_after_max_seconds=self._config.retry_after_max_seconds,
        )
        if grant is not None:
            await _ease_off(way, failure, sent_at)
        if failure is not None:
            raise failure
        sha256, parsed = await _digest_and_parse(call, body)
        return Answer(
            parsed=parsed,
            circumstances={
                "body": body,
                "sha256": sha256,
                "observed_at": observed_at,
                "server_date": http_date(response.headers.get("date")),
                "last_modified": http_date(response.headers.get("last-modified")),
                "attempts": tally.attempts,
                "weight": tally.weight,
                "latency_seconds": latency,
            },
        )


def _tracing(way: WayOut, grant: Grant | None) -> dict[str, Any]:
    """An httpx extension that tells the budget when the request is on the wire: connecting can take a while."""
    if grant is None:
        return {}

    async def trace(event: str, _info: dict[str, Any]) -> None:
        if event == "http11.send_request_body.complete":
            await way.budget.sent(grant)

    return {"trace": trace}


async def _ease_off(way: WayOut, failure: ExchangeError | None, sent_at: float) -> None:
    """After a 429 everybody pauses, in every process of this egress address."""
    if failure is None or failure.kind != "rate_limited":
        way.throttle.answered(sent_at=sent_at)
        return
    pause = way.throttle.refused(sent_at=sent_at, now=time.monotonic(), asked_for=failure.retry_after_seconds)
    if pause is not None:
        logger.warning(
            "the exchange limits egress address %s: all its requests pause for %.1f s", way.name, pause
        )
        await way.budget.pause(pause)


async def _read(call: Call[Any], response: httpx.Response) -> bytes:
    """Reads the body up to the allowed size; of an error's body only what its message quotes."""
    chunks: list[bytes] = []
    size = 0
    if response.status_code != httpx.codes.OK:
        # The status decides; a body that breaks off must not turn a 429 or a 422 into something else.
        with suppress(*RETRYABLE_TRANSPORT_ERRORS):
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > _ERROR_BODY_BYTES:
                    break
        return b"".join(chunks)
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > call.max_bytes:
            raise ExchangeRejectedError(
                f"the body is larger than the {call.max_bytes} bytes allowed",
                kind="too_large",
                endpoint=call.endpoint,
                wallet=call.wallet,
                status=response.status_code,
                advice="If the exchange has grown that much, raise the limit in the exchange's configuration.",
            )
    return b"".join(chunks)


async def _digest_and_parse(call: Call[_T], body: bytes) -> tuple[str, _T]:
    """Hashes and parses a body that came with status 200.

    One that is no JSON was damaged on the way and is worth a retry; one of another shape is not.
    """

    def work() -> tuple[str, _T]:
        return hashlib.sha256(body).hexdigest(), call.parse(body)

    try:
        return await asyncio.to_thread(work) if call.parse_in_thread else work()
    except UndecodableBodyError as error:
        raise ExchangeUnavailableError(
            error.problem,
            kind="invalid_json",
            endpoint=call.endpoint,
            wallet=call.wallet,
            status=httpx.codes.OK,
            advice=error.advice,
        ) from error
    except PayloadShapeError as error:
        error.status = httpx.codes.OK
        raise
