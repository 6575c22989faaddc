"""Fault switches: which request gets which fault. What a fault looks like on the wire is in `damage.py`.

Rules are tried in order; the first that applies to the endpoint and wallet, has requests left and wins its draw fires.
Draws are numbered per rule and seeded, so the same requests meet the same faults.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Self, get_args

import numpy as np

from hl_assets.exchange.sandbox.errors import SandboxConfigError
from hl_assets.exchange.sandbox.randomness import uniforms, wallet_keys

Endpoint = Literal["leaderboard", "vaults", "info"]
FaultKind = Literal[
    "rate_limited",
    "server_error",
    "bad_gateway",
    "rejected",
    "truncated",
    "garbled",
    "slow",
    "stalled",
    "wrong_shape",
    "empty",
    "shrunk",
]
ShapeVariant = Literal[
    "missing_field", "number_instead_of_string", "renamed_window", "extra_row_type", "null_rows"
]


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One fault switch.

    Args:
        endpoint: `leaderboard`, `vaults` or `info`.
        kind: `rate_limited` (429, body null), `server_error` (500, body null), `bad_gateway` (502, HTML),
            `rejected` (422, text), `truncated` (connection cut before Content-Length is reached), `garbled` (complete, but no
            JSON), `slow` (body trickles for `seconds`), `stalled` (no answer for `seconds`, then the connection is cut),
            `wrong_shape`, `empty` (no rows), `shrunk` (the first `keep` of the rows; not for info).
        probability: Chance of each matching request, in (0, 1].
        requests: Fire this many times, then never again; None for ever.
        wallets: Only requests for these wallets (info only); empty for all.
        variant: What is wrong with the shape; needed by `wrong_shape` alone.
        seconds: Duration of `slow` (default 5) and `stalled` (default 3600).
        keep: Share of rows `shrunk` leaves, in [0, 1).

    Raises:
        SandboxConfigError: A value is out of range or does not fit the kind.
    """

    endpoint: Endpoint
    kind: FaultKind
    probability: float = 1.0
    requests: int | None = None
    wallets: tuple[str, ...] = ()
    variant: ShapeVariant | None = None
    seconds: float | None = None
    keep: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "wallets", tuple(wallet.lower() for wallet in self.wallets))
        _refuse_unless(self.endpoint in get_args(Endpoint), "endpoint", self.endpoint, get_args(Endpoint))
        _refuse_unless(self.kind in get_args(FaultKind), "kind", self.kind, get_args(FaultKind))
        _refuse_unless(0 < self.probability <= 1, "probability", self.probability, "a number in (0, 1]")
        _refuse_unless(
            self.requests is None or self.requests > 0, "requests", self.requests, "a positive number or null"
        )
        _refuse_unless(
            not self.wallets or self.endpoint == "info",
            "wallets",
            self.wallets,
            "none unless endpoint is info",
        )
        shaped = (
            self.variant in get_args(ShapeVariant) if self.kind == "wrong_shape" else self.variant is None
        )
        _refuse_unless(
            shaped, "variant", self.variant, f"one of {get_args(ShapeVariant)} with wrong_shape, else none"
        )
        _refuse_unless(
            self.seconds is None or 0 < self.seconds <= 86_400, "seconds", self.seconds, "in (0, 86400]"
        )
        _refuse_unless(0 <= self.keep < 1, "keep", self.keep, "a share in [0, 1)")
        _refuse_unless(self.kind != "shrunk" or self.endpoint != "info", "kind", self.kind, "empty for info")

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """A rule from a control request's JSON object.

        Raises:
            SandboxConfigError: A field is unknown, missing or has the wrong type.
        """
        unknown = set(values) - {item.name for item in fields(cls)}
        if unknown:
            raise SandboxConfigError(f"fault rule has unknown fields {', '.join(sorted(map(str, unknown)))}")
        for name, types in _TYPES.items():
            if name in values and (not isinstance(values[name], types) or isinstance(values[name], bool)):
                raise SandboxConfigError(f"fault rule field {name} = {values[name]!r} has the wrong type")
        arguments = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        wallets = arguments.get("wallets", ())
        if isinstance(wallets, tuple) and not all(isinstance(wallet, str) for wallet in wallets):
            raise SandboxConfigError(f"fault rule field wallets = {wallets!r} is not a list of addresses")
        try:
            return cls(**arguments)  # type: ignore[arg-type]
        except TypeError as error:
            raise SandboxConfigError(f"fault rule is incomplete: {error}") from error


_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "endpoint": (str,),
    "kind": (str,),
    "probability": _NUMBER,
    "requests": (int, type(None)),
    "wallets": (list, tuple),
    "variant": (str, type(None)),
    "seconds": (*_NUMBER, type(None)),
    "keep": _NUMBER,
}


def _refuse_unless(fits: bool, name: str, value: object, allowed: object) -> None:
    if not fits:
        raise SandboxConfigError(f"fault rule field {name} = {value!r}; allowed: {allowed}")


@dataclass(slots=True)
class _Armed:
    rule: FaultRule
    number: int
    asked: int = 0
    fired: int = field(default=0)


class FaultPlan:
    """The switches that are on.

    Args:
        rules: Rules in order of precedence.
        seed: Seed of the draws.
    """

    def __init__(self, rules: Iterable[FaultRule] = (), seed: int = 0) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._numbers = 0
        for rule in rules:
            self.add(rule)

    def add(self, rule: FaultRule) -> None:
        """Switch a fault on, after those that are on already."""
        with self._lock:
            self._armed.append(_Armed(rule, self._numbers))
            self._numbers += 1

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Switch everything off, then these on."""
        fresh = list(rules)
        self.clear()
        for rule in fresh:
            self.add(rule)

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            self._armed.clear()

    def decide(self, endpoint: Endpoint, wallet: str | None = None) -> FaultRule | None:
        """The fault this request meets, if any; counts it."""
        with self._lock:
            for armed in self._armed:
                if self._fires(armed, endpoint, wallet):
                    armed.fired += 1
                    return armed.rule
        return None

    def report(self) -> list[dict[str, object]]:
        """The rules with how often each fired."""
        with self._lock:
            return [
                {
                    **{item.name: getattr(armed.rule, item.name) for item in fields(FaultRule)},
                    "fired": armed.fired,
                }
                for armed in self._armed
            ]

    def _fires(self, armed: _Armed, endpoint: Endpoint, wallet: str | None) -> bool:
        rule = armed.rule
        if rule.endpoint != endpoint or (rule.wallets and wallet not in rule.wallets):
            return False
        if rule.requests is not None and armed.fired >= rule.requests:
            return False
        armed.asked += 1
        return rule.probability >= 1 or self._draw(armed) < rule.probability

    def _draw(self, armed: _Armed) -> float:
        key = wallet_keys(self._seed, np.array([armed.number], dtype=np.uint64))
        return float(uniforms(key, armed.asked)[0])
