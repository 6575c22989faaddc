"""What happened to watched wallets between two slots: jumps of rank, score and trust, leaving the ranking, coming to rest.

Belongs here: pure functions from a wallet's state then and now to events. Does not belong here: reading those (`reading`).

Two scores are compared only if they are of one scale: same origin, configuration and formulas. A slot that was observed is never
compared with one that was reconstructed, and a fetch that failed says nothing about a wallet.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hl_assets.alerts.alert import Alert, Fact, Kind, Severity
from hl_assets.alerts.config import Limits
from hl_assets.slots import slot_text

MAX_ALERTS_PER_SLOT = 20
"""When more happens at once, one alert tells how much."""

_RESTING = frozenset({"dormant", "wiped_out"})
_MAX_WALLETS = 10


@dataclass(frozen=True)
class Basis:
    """What makes scores comparable.

    Attributes:
        origin: Where the facts come from.
        config_hash: The scoring configuration.
        config_version: Version of the scoring formulas.
        formula_version: Version of the metrics' formulas.
    """

    origin: str
    config_hash: str
    config_version: str
    formula_version: str


@dataclass(frozen=True)
class Scored:
    """A wallet's row in a scored slot.

    Attributes:
        as_of: The slot.
        basis: What it may be compared with.
        rank: `calculated_rank`, None: not ranked.
        score: `weighted_score`, None with the rank.
        trust: `trust`, None: unknown.
        ineligible_reason: Why it is not ranked.
    """

    as_of: datetime
    basis: Basis
    rank: int | None
    score: float | None
    trust: float | None
    ineligible_reason: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Watched wallets in the newest scored slot, and before.

    Attributes:
        slot: Newest scored slot.
        judged: Newest slot that was looked at before.
        basis: Of the newest slot.
        now: Wallet -> its row of the newest slot.
        before: Wallet -> its newest row up to `judged`.
        failed_now: Wallets whose fetch failed in the newest slot.
        failed_before: Wallets whose fetch failed in the slot `judged`.
        status_now: Wallet -> tracked status in the newest slot.
        status_before: Wallet -> its newest tracked status up to `judged`.
    """

    slot: datetime
    judged: datetime
    basis: Basis
    now: Mapping[str, Scored] = field(default_factory=dict)
    before: Mapping[str, Scored] = field(default_factory=dict)
    failed_now: frozenset[str] = frozenset()
    failed_before: frozenset[str] = frozenset()
    status_now: Mapping[str, str] = field(default_factory=dict)
    status_before: Mapping[str, str] = field(default_factory=dict)


def wallet_alerts(comparison: Comparison, limits: Limits) -> tuple[Alert, ...]:
    """What happened to watched wallets; one alert about all of it when it is too much."""
    wallets = sorted({*comparison.before, *comparison.status_before})
    found = [
        alert
        for wallet in wallets
        for alert in _alerts_of(wallet, comparison, limits)
        if alert.kind in limits.kinds
    ]
    if len(found) <= MAX_ALERTS_PER_SLOT:
        return tuple(found)
    return (_many(found, comparison),)


def _alerts_of(wallet: str, comparison: Comparison, limits: Limits) -> Iterator[Alert]:
    before, now = comparison.before.get(wallet), comparison.now.get(wallet)
    if before is not None and before.basis == comparison.basis:
        if now is not None and now.rank is not None:
            yield from _jumps(wallet, before, now, limits)
        else:
            yield from _left(wallet, before, now, comparison)
    yield from _came_to_rest(wallet, comparison)


def _jumps(wallet: str, before: Scored, now: Scored, limits: Limits) -> Iterator[Alert]:
    changes: tuple[tuple[Kind, str, float | None, float | None, float, str], ...] = (
        ("rank_jump", "rank", before.rank, now.rank, limits.rank_jump, "places"),
        ("score_jump", "weighted score", before.score, now.score, limits.score_jump, "points"),
        ("trust_jump", "trust", before.trust, now.trust, limits.trust_jump, "percentage points"),
    )
    for kind, name, old, new, limit, unit in changes:
        if old is None or new is None or abs(new - old) < limit:
            continue
        better = new < old if kind == "rank_jump" else new > old
        facts: dict[str, Fact] = {
            "before": _rounded(old),
            "now": _rounded(new),
            "change": _rounded(new - old),
            "unit": unit,
            "limit": limit,
            "better": better,
        }
        title = f"{wallet}: {name} {_rounded(old)} -> {_rounded(new)}"
        severity: Severity = "info" if better else "warning"
        yield _event(wallet, kind, severity, title, slots=(before.as_of, now.as_of), facts=facts)


def _left(wallet: str, before: Scored, now: Scored | None, comparison: Comparison) -> Iterator[Alert]:
    if before.rank is None or (now is None and wallet in comparison.failed_now):
        return
    # Its last row must be what was known when the slot before was looked at, or this was told then.
    if before.as_of != comparison.judged and wallet not in comparison.failed_before:
        return
    reason = "not_fetched" if now is None else now.ineligible_reason
    facts: dict[str, Fact] = {"rank_before": before.rank, "reason": reason}
    title = f"{wallet} is no longer ranked (it was {before.rank}): {reason or 'no reason stored'}"
    yield _event(wallet, "left_ranking", "warning", title, slots=(before.as_of, comparison.slot), facts=facts)


def _came_to_rest(wallet: str, comparison: Comparison) -> Iterator[Alert]:
    before, now = comparison.status_before.get(wallet), comparison.status_now.get(wallet)
    if before is None or now is None or now == before or now not in _RESTING:
        return
    severity: Severity = "error" if now == "wiped_out" else "warning"
    facts: dict[str, Fact] = {"before": before, "now": now}
    title = f"{wallet} is {now} (it was {before})"
    yield _event(
        wallet, "status_change", severity, title, slots=(comparison.judged, comparison.slot), facts=facts
    )


def _event(
    wallet: str,
    kind: Kind,
    severity: Severity,
    title: str,
    *,
    slots: tuple[datetime, datetime],
    facts: Mapping[str, Fact],
) -> Alert:
    before, now = slots
    more: dict[str, Fact] = {"wallet": wallet, "slot_before": slot_text(before), **facts}
    return Alert(f"{kind}/{wallet}", kind, severity, title, more, now)


def _many(found: Sequence[Alert], comparison: Comparison) -> Alert:
    counts = Counter(alert.kind for alert in found)
    wallets = dict.fromkeys(str(alert.facts["wallet"]) for alert in found)
    facts: dict[str, Fact] = {
        **{str(kind): count for kind, count in sorted(counts.items())},
        "wallets": len(wallets),
        "some": tuple(wallets)[:_MAX_WALLETS],
        "slot_before": slot_text(comparison.judged),
    }
    title = f"{len(found)} changes of {len(wallets)} watched wallets in slot {slot_text(comparison.slot)}"
    return Alert("many_changes", "many_changes", "warning", title, facts, comparison.slot)


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, 2)
