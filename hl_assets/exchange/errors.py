"""What can go wrong between the platform and the exchange, as typed errors that say what to do.

Belongs here: the error hierarchy and the safe rendering of foreign text. Does not belong here: deciding which HTTP answer
is which error (`retrying`) or what a payload must look like (`payloads`).

Every error survives pickling (Dagster and process pools carry errors across processes) and has a short machine-readable
`kind` that tables store; the message is for people.
"""

import reprlib
from typing import Any, ClassVar, Literal, Self

ErrorKind = Literal[
    "timeout",  # no answer in time, or HTTP 408
    "transport",  # connection refused, reset, closed before an answer
    "truncated_body",  # the connection ended inside the body
    "invalid_json",  # HTTP 200 whose body is no JSON: cut short, or a proxy's page
    "rate_limited",  # HTTP 429
    "server_error",  # HTTP 5xx
    "deadline",  # the time allowed for the whole fetch, retries included, ran out
    "rejected",  # any other 4xx: the same request will fail again
    "unexpected_status",  # neither success nor an error this client knows, such as a redirect
    "too_large",  # the body passed the configured size
    "payload_shape",  # valid JSON, but not the documented shape
]

_EXCERPT_LENGTH = 120


def excerpt(value: object, limit: int = _EXCERPT_LENGTH) -> str:
    """Returns a short, pure-ASCII repr of foreign data, safe for any log or terminal.

    Long values are cut, control characters and lone surrogates are escaped, containers are abbreviated.
    """
    renderer = reprlib.Repr()
    renderer.maxstring = renderer.maxother = renderer.maxlong = limit
    if isinstance(value, bytes):  # reprlib renders all of it before it cuts
        value = value[:limit]
    return renderer.repr(value).encode("ascii", "backslashreplace").decode("ascii")[: 2 * limit]


def _rebuild(cls: "type[ExchangeError]", fields: dict[str, Any]) -> "ExchangeError":
    error = cls.__new__(cls)
    error.__dict__.update(fields)
    return error


class ExchangeError(Exception):
    """Base of every failure of a fetch.

    Attributes:
        problem: What happened, in one clause.
        advice: What to do about it.
        kind: Machine-readable kind, see `ErrorKind`.
        endpoint: `leaderboard` or the info request's type, such as `portfolio`.
        wallet: Lower-case address asked about, or None.
        url: Address of the request, or None where only a body was parsed.
        status: HTTP status of the last answer, or None when there was none.
        attempts: Requests sent for this fetch before it was given up; 0 when none was sent.
        retry_after_seconds: What the answer's Retry-After asked for, when present and sane.
    """

    transient: ClassVar[bool] = False
    """Whether the same request may succeed later."""

    def __init__(
        self,
        problem: str,
        *,
        kind: ErrorKind,
        endpoint: str,
        advice: str,
        wallet: str | None = None,
        url: str | None = None,
        status: int | None = None,
        attempts: int = 0,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice
        self.kind: ErrorKind = kind
        self.endpoint = endpoint
        self.wallet = wallet
        self.url = url
        self.status = status
        self.attempts = attempts
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        subject = self.endpoint if self.wallet is None else f"{self.endpoint} of {self.wallet}"
        facts = [] if self.url is None else [self.url]
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.url is not None:
            facts.append(f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}")
        context = f" ({', '.join(facts)})" if facts else ""
        return f"{subject}: {self.problem}{context}. {self.advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))

    def located(self, *, url: str, attempts: int) -> Self:
        """Fills in what only the client knows about an error that was raised further down; returns the error."""
        self.url, self.attempts = url, attempts
        return self


class ExchangeUnavailableError(ExchangeError):
    """Transient: timeouts, transport failures, 408, 429, 5xx, cut bodies. Raised after the retries are spent."""

    transient = True


class ExchangeRejectedError(ExchangeError):
    """Permanent: 422, any other 4xx, an unexpected status or a body over the size limit. Never retried."""


class PayloadShapeError(ExchangeError):
    """Permanent: the answer is JSON but not of the documented shape.

    Attributes:
        path: Where, such as `$.leaderboardRows[17].windowPerformances[0][1].pnl`.
        value: What was found there: a cut repr of a leaf, or a description of a container. Never free text of users.
    """

    def __init__(
        self, path: str, value: str, expectation: str, *, endpoint: str, wallet: str | None = None
    ) -> None:
        super().__init__(
            f"{expectation} at {path}, found {value}",
            kind="payload_shape",
            endpoint=endpoint,
            wallet=wallet,
            advice="The exchange changed this payload's shape, or a proxy rewrote it: nothing of it was used. "
            "Compare the raw body with hl_assets/exchange/payloads.py and extend the shape there.",
        )
        self.path = path
        self.value = value


class UndecodableBodyError(PayloadShapeError):
    """The body is no JSON document at all: cut short, or a page of a proxy. The client retries it."""

    def __init__(self, value: str, *, endpoint: str, wallet: str | None = None) -> None:
        super().__init__("$", value, "a JSON document is expected", endpoint=endpoint, wallet=wallet)
        self.kind = "invalid_json"
        self.advice = "The body was cut short or replaced on the way: fetch it again."
