"""Which alerts are wanted, their thresholds, and what the texts of the `ALERT_*` settings mean.

Belongs here: parsing and judging those texts. Does not belong here: reading the environment (`hl_assets.settings`).

No error quotes a URL or a secret: the URL of a webhook often holds a token.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from hl_assets.alerts.alert import KINDS, Kind

ANY_JOB = "*"
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, no secret
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
_MAKE_ONE = (
    'python -c "import base64, secrets; '
    "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
)
_CHOOSABLE: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in {"many_changes", "test"})
DEFAULT_KINDS = ",".join(_CHOOSABLE)
_JOB = re.compile(r"[A-Za-z0-9_]+\Z")


class AlertConfigError(ValueError):
    """A text of the `ALERT_*` settings that cannot be used; the message says why and what to write."""


@dataclass(frozen=True)
class Limits:
    """From where on something is worth an alert.

    Attributes:
        kinds: Kinds of alerts that are wanted.
        repeat_after: After how long an alert that lasts is told again, and an event of the same key at the earliest.
        after_failures: Job, or `*` for the others -> failures in a row.
        stale_after: Age of the newest slot.
        missing_slots: Slots without scores within `missing_within`.
        missing_within: How far back missing slots count.
        min_coverage: Share of wanted wallets answered, below which it is too little.
        rank_jump: Places.
        score_jump: Points of `weighted_score`, which goes from 20 to 100.
        trust_jump: Percentage points of `trust`, which goes from 0 to 100.
    """

    kinds: frozenset[Kind]
    repeat_after: timedelta
    after_failures: Mapping[str, int]
    stale_after: timedelta
    missing_slots: int
    missing_within: timedelta
    min_coverage: float
    rank_jump: int
    score_jump: float
    trust_jump: float

    def failures_of(self, job: str) -> int | None:
        """Failures in a row after which a job is worth an alert; None: never."""
        return self.after_failures.get(job, self.after_failures.get(ANY_JOB))


def parse_kinds(text: str) -> frozenset[Kind]:
    """The kinds that a comma-separated text names.

    Raises:
        AlertConfigError: One of them is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(_CHOOSABLE)):
        raise AlertConfigError(f"no kinds of alerts: {', '.join(unknown)}; there are {DEFAULT_KINDS}")
    return frozenset(kind for kind in _CHOOSABLE if kind in names)


def parse_after_failures(text: str) -> dict[str, int]:
    """Job -> failures in a row, from e.g. `tick=2,*=3`.

    Raises:
        AlertConfigError: It does not have that form.
    """
    found: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        job, equals, number = (piece.strip() for piece in part.partition("="))
        good = (job == ANY_JOB or _JOB.match(job)) and equals and number.isascii() and number.isdigit()
        if not good or not 1 <= int(number) <= MAX_FAILURES or job in found:
            raise AlertConfigError(
                f"{part!r} is not JOB=N with N from 1 to {MAX_FAILURES}, each job once; write e.g. tick=2,*=3"
            )
        found[job] = int(number)
    return found


MAX_FAILURES = 50
"""Largest threshold; run histories are read a little further back than that."""


def check_webhook_url(url: str, *, allow_http: bool) -> None:
    """Refuse a webhook URL that cannot be used.

    Raises:
        AlertConfigError: Not https (http is for this machine, unless it is allowed), or no usable URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise AlertConfigError("it is no URL; write https://host/path") from None
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        raise AlertConfigError("it is no http(s) URL with a host; write https://host/path")
    if parts.fragment or not url.isascii() or any(character.isspace() for character in url):
        raise AlertConfigError("it has a fragment, a space or a character beyond ASCII; percent-encode it")
    if parts.username is not None:
        raise AlertConfigError("it has a user or password; put a token into the path or query instead")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise AlertConfigError(
            "alerts would travel in clear text; write https://, or set ALERT_ALLOW_HTTP=true for a network you trust"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The signing keys that a text of one or more `whsec_...`, separated by spaces, holds.

    Source: Standard Webhooks 1.0.0, "Signature scheme": random, 24 to 64 bytes, base64 behind `whsec_`.

    Raises:
        AlertConfigError: None or an unusable one; no secret is quoted.
    """
    keys = tuple(_key(part, position) for position, part in enumerate(text.split(), start=1))
    if not keys:
        raise AlertConfigError(f"it is empty; make one with: {_MAKE_ONE}")
    return keys


def _key(text: str, position: int) -> bytes:
    if not text.startswith(SECRET_PREFIX):
        raise AlertConfigError(
            f"secret {position} does not begin with {SECRET_PREFIX}; make one with: {_MAKE_ONE}"
        )
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise AlertConfigError(
            f"secret {position} is not base64 behind {SECRET_PREFIX}; make one with: {_MAKE_ONE}"
        ) from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise AlertConfigError(
            f"secret {position} is {len(key)} bytes long instead of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}; "
            f"make one with: {_MAKE_ONE}"
        )
    return key
