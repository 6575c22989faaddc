"""Fault switches: which request meets which fault. What the fault looks like is in `damage.py` and `server.py`.

Belongs here: the rules and the draw. A draw depends on the seed, the fault and what the request asks about, never on the
order of arrival, so a test can say beforehand which rows fail.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from hl_assets_tests.messages_api.answers import Body
from hl_assets_tests.messages_api.errors import STATUS_OF_TYPE, StandInError

AnswerKind = Literal[
    "truncation",
    "refusal",
    "empty_content",
    "odd_stop_reason",
    "out_of_enum",
    "invalid_json",
    "missing_field",
    "extra_field",
    "ungrounded",
    "wrong_row",
    "raised_scores",
    "unsteady",
]
StatusKind = Literal[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
]
ConnectionKind = Literal["timeout", "slow", "reset"]
BatchKind = Literal["expired", "canceled"]
FaultKind = AnswerKind | StatusKind | ConnectionKind | BatchKind
Endpoint = Literal[
    "messages",
    "count_tokens",
    "models",
    "batch_create",
    "batch_retrieve",
    "batch_list",
    "batch_results",
    "batch_cancel",
    "batch_delete",
    "batch_item",
]
Duration = Literal["transient", "permanent", "redrawn"]

ANSWER_KINDS = frozenset(get_args(AnswerKind))
STATUS_KINDS = frozenset(STATUS_OF_TYPE)
CONNECTION_KINDS = frozenset(get_args(ConnectionKind))
BATCH_KINDS = frozenset(get_args(BatchKind))
_KINDS = ANSWER_KINDS | STATUS_KINDS | CONNECTION_KINDS | BATCH_KINDS
_HEALING = STATUS_KINDS | CONNECTION_KINDS | {"truncation"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One switch. The first switch that is due decides; a request meets at most one fault.

    Args:
        kind: What happens. In the answer: `truncation` (JSON cut, stop reason `max_tokens`), `refusal`,
            `empty_content`, `odd_stop_reason`, `out_of_enum`, `invalid_json`, `missing_field`, `extra_field`,
            `ungrounded` (prose quotes numbers the request does not hold), `wrong_row` (that, and echoed names are
            another row's), `raised_scores` (every number from a list at its highest, every High/Medium/Low High),
            `unsteady` (valid, but different each time). Instead of it: an error type of the API; `timeout` (silence
            until the client leaves), `slow` (`seconds` late), `reset` (headers and half the body, then the connection
            closes; the request was served). In a batch's results: `expired`, `canceled`.
        probability: Share of contents that meet it, in (0, 1].
        lasts: `transient`: the first `times` requests about the content meet it, later ones do not. `permanent`: all
            do. `redrawn`: each request draws anew. None: transient for errors, connections and truncation, else
            permanent.
        times: See `transient`.
        when: Only request bodies this accepts.
        containing: Only request bodies whose JSON text contains this.
        on: Where. Faults in the answer on `messages` also meet the items of a batch; errors, `expired` and `canceled`
            meet items only with `batch_item`.
        until_max_tokens: `truncation` only: heals when this much is allowed, however often it is asked.
        variant: `refusal` only: with `text` or `empty` content; None draws.
        stop_reason: `odd_stop_reason` only.
        retry_after: Seconds in the `retry-after` header of an error; None sends none.
        seconds: `slow` only.

    Raises:
        StandInError: The values do not fit together.
    """

    kind: FaultKind
    probability: float = 1.0
    lasts: Duration | None = None
    times: int = 1
    when: Callable[[Body], bool] | None = None
    containing: str | None = None
    on: Endpoint = "messages"
    until_max_tokens: int | None = None
    variant: Literal["text", "empty"] | None = None
    stop_reason: str = "pause_turn"
    retry_after: float | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        _need(self.kind in _KINDS, f"unknown fault {self.kind!r}; known: {', '.join(sorted(_KINDS))}")
        _need(
            self.on in get_args(Endpoint),
            f"unknown place {self.on!r}; known: {', '.join(get_args(Endpoint))}",
        )
        _need(0 < self.probability <= 1, f"probability {self.probability} is not in (0, 1]")
        _need(
            self.lasts in {None, *get_args(Duration)},
            f"lasts {self.lasts!r}; known: {', '.join(get_args(Duration))}",
        )
        _need(self.variant in {None, "text", "empty"}, f"variant {self.variant!r} is neither text nor empty")
        _need(self.times >= 1, "times must be at least 1")
        _need(self.seconds > 0, "seconds must be positive")
        in_answer = self.on in {"messages", "batch_item"}
        _need(in_answer or self.kind not in ANSWER_KINDS, f"{self.kind} is a fault of messages")
        _need(self.on == "batch_item" or self.kind not in BATCH_KINDS, f"{self.kind} needs on = batch_item")
        _need(
            self.on != "batch_item" or self.kind not in CONNECTION_KINDS, f"no connection carries a {self.on}"
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """A switch from a JSON object; `when` cannot be given so.

        Raises:
            StandInError: A field is unknown, missing or of the wrong type.
        """
        known = {item.name for item in fields(cls)} - {"when"}
        if unknown := set(values) - known:
            raise StandInError(
                f"unknown fault fields {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise StandInError(f"fault {dict(values)}: {error}") from error

    @classmethod
    def from_text(cls, text: str) -> Self:
        """A switch from `kind=probability[,field=value...]`, e.g. `refusal=0.05,variant=empty`.

        Raises:
            StandInError: It cannot be read.
        """
        head, *rest = text.split(",")
        kind, _, probability = head.partition("=")
        values: dict[str, Any] = {"kind": kind, "probability": _number(probability or "1", float, text)}
        for part in rest:
            name, separator, value = part.partition("=")
            _need(bool(separator), f"{text!r}: {part!r} is not field=value")
            kind_of = {"times": int, "until_max_tokens": int, "retry_after": float, "seconds": float}.get(
                name
            )
            values[name] = _number(value, kind_of, text) if kind_of else value
        return cls.from_mapping(values)

    @property
    def duration(self) -> Duration:
        """How long it lasts, defaults filled in."""
        return self.lasts or ("transient" if self.kind in _HEALING else "permanent")

    def describe(self) -> dict[str, Any]:
        """As a JSON object; a predicate is only named."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**found, "when": None if self.when is None else repr(self.when), "lasts": self.duration}


class FaultPlan:
    """The switches that are on.

    Args:
        faults: In order of precedence.
        seed: Of the draws.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.faults, self._seed = tuple(faults), seed

    def due(self, on: Endpoint, content: str, ask: int, body: Body) -> Fault | None:
        """The fault this request meets.

        Args:
            on: Endpoint asked.
            content: Key of what it asks about.
            ask: Which request about this content it is, from 1.
            body: Request body, empty for a GET.
        """
        for fault in self.faults:
            if self._applies(fault, on, body) and self._meets(fault, content, ask, body):
                return fault
        return None

    def uniform(self, label: str, content: str) -> float:
        """A draw in [0, 1) that depends on seed, label and content only."""
        raw = hashlib.sha256(f"{self._seed}|{label}|{content}".encode()).digest()
        return int.from_bytes(raw[:8], "big") / 2**64

    @staticmethod
    def _applies(fault: Fault, on: Endpoint, body: Body) -> bool:
        here = fault.on == on or (
            on == "batch_item" and fault.on == "messages" and fault.kind in ANSWER_KINDS
        )
        if not here:
            return False
        if fault.containing is not None and fault.containing not in json.dumps(body, ensure_ascii=False):
            return False
        return fault.when is None or fault.when(body)

    def _meets(self, fault: Fault, content: str, ask: int, body: Body) -> bool:
        label = f"{fault.kind}:{fault.variant}:{fault.stop_reason}"
        if fault.until_max_tokens is not None:
            if body.get("max_tokens", 0) >= fault.until_max_tokens:
                return False
        elif fault.duration == "transient" and ask > fault.times:
            return False
        elif fault.duration == "redrawn":
            label = f"{label}:{ask}"
        return self.uniform(label, content) < fault.probability


def _need(fits: bool, message: str) -> None:
    if not fits:
        raise StandInError(message)


def _number(text: str, kind: Callable[[str], Any], whole: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise StandInError(f"{whole!r}: {text!r} is not a number") from error


def kinds() -> list[str]:
    """Every kind of fault, sorted."""
    return sorted(_KINDS)
