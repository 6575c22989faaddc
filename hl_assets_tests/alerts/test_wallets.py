"""What happened to watched wallets: only what is comparable is compared."""

from dataclasses import replace
from typing import Any

import pytest

from hl_assets.alerts.alert import Alert
from hl_assets.alerts.config import Limits
from hl_assets.alerts.wallets import MAX_ALERTS_PER_SLOT, Basis, Comparison, Scored, wallet_alerts
from hl_assets.resources.alerts import limits_of
from hl_assets.settings import Settings
from hl_assets.slots import SLOT
from hl_assets_tests.alerts.builders import T0

LIMITS: Limits = limits_of(Settings.load(alert_rank_jump=20, alert_score_jump=10, alert_trust_jump=15))
BASIS = Basis("live", "0" * 16, "1", "4")
WALLET = "0x" + "ab" * 20
NOW, BEFORE = T0, T0 - SLOT


def scored(**more: Any) -> Scored:
    return Scored(**{"as_of": NOW, "basis": BASIS, "rank": 50, "score": 70.0, "trust": 60.0, **more})


def compare(before: dict[str, Any], now: dict[str, Any] | None, **more: Any) -> list[Alert]:
    comparison = Comparison(
        slot=NOW,
        judged=BEFORE,
        basis=BASIS,
        before={WALLET: scored(**{"as_of": BEFORE, **before})},
        now={} if now is None else {WALLET: scored(**now)},
    )
    return list(wallet_alerts(replace(comparison, **more), LIMITS))


@pytest.mark.parametrize(
    ("before", "now", "kind", "severity"),
    [
        ({"rank": 50}, {"rank": 70}, "rank_jump", "warning"),
        ({"rank": 50}, {"rank": 30}, "rank_jump", "info"),
        ({"score": 70.0}, {"score": 80.0}, "score_jump", "info"),
        ({"score": 70.0}, {"score": 59.9}, "score_jump", "warning"),
        ({"trust": 60.0}, {"trust": 45.0}, "trust_jump", "warning"),
        ({"trust": 60.0}, {"trust": 75.0}, "trust_jump", "info"),
    ],
)
def test_a_jump_of_the_limit_is_told(
    before: dict[str, Any], now: dict[str, Any], kind: str, severity: str
) -> None:
    (found,) = compare(before, now)
    assert (found.kind, found.severity, found.key) == (kind, severity, f"{kind}/{WALLET}")
    assert found.slot == NOW
    assert found.facts["slot_before"] == "2026-05-31T11:50:00Z"
    assert WALLET in found.title


@pytest.mark.parametrize("now", [{"rank": 69}, {"score": 79.9}, {"trust": 45.1}, {"trust": None}, {}])
def test_less_is_not(now: dict[str, Any]) -> None:
    assert compare({}, now) == []


@pytest.mark.parametrize("other", ["origin", "config_hash", "config_version", "formula_version"])
def test_another_scale_is_not_compared(other: str) -> None:
    basis = replace(BASIS, **{other: "reconstructed" if other == "origin" else "f" * 16})
    assert compare({"rank": 1, "basis": basis}, {"rank": 500}) == []
    assert compare({"rank": 1, "basis": basis}, None) == []


def test_leaving_the_ranking_is_told_with_its_reason() -> None:
    (found,) = compare({"rank": 3}, {"rank": None, "score": None, "ineligible_reason": "span_below_minimum"})
    assert found.kind == "left_ranking"
    assert found.facts["reason"] == "span_below_minimum"
    (found,) = compare({"rank": 3}, None)
    assert found.facts["reason"] == "not_fetched"


def test_a_failed_fetch_is_no_leaving() -> None:
    assert compare({"rank": 3}, None, failed_now=frozenset({WALLET})) == []


def test_a_wallet_that_left_after_a_failed_fetch_is_told_once() -> None:
    older = {"rank": 3, "as_of": BEFORE - SLOT}
    assert len(compare(older, None, failed_before=frozenset({WALLET}))) == 1
    assert compare(older, None) == [], "it left in the slot before and was told then"


def test_a_jump_over_a_failed_fetch_is_told() -> None:
    (found,) = compare({"rank": 3, "as_of": BEFORE - SLOT}, {"rank": 90})
    assert found.facts["slot_before"] == "2026-05-31T11:40:00Z"


@pytest.mark.parametrize(
    ("before", "now", "severity"),
    [
        ("active", "dormant", "warning"),
        ("active", "wiped_out", "error"),
        ("off_board", "wiped_out", "error"),
        ("dormant", "wiped_out", "error"),
        ("active", "off_board", None),
        ("dormant", "active", None),
        ("wiped_out", "wiped_out", None),
    ],
)
def test_coming_to_rest_is_told(before: str, now: str, severity: str | None) -> None:
    found = compare({}, {}, status_before={WALLET: before}, status_now={WALLET: now})
    assert [alert.severity for alert in found] == ([] if severity is None else [severity])


def test_a_wallet_without_a_past_is_not_compared() -> None:
    comparison = Comparison(NOW, BEFORE, BASIS, now={WALLET: scored()}, status_now={WALLET: "wiped_out"})
    assert wallet_alerts(comparison, LIMITS) == ()


def test_too_much_at_once_is_one_alert() -> None:
    wallets = [f"0x{n:040x}" for n in range(MAX_ALERTS_PER_SLOT + 1)]
    comparison = Comparison(
        NOW,
        BEFORE,
        BASIS,
        now={wallet: scored(rank=500) for wallet in wallets},
        before={wallet: scored(as_of=BEFORE) for wallet in wallets},
    )
    (found,) = wallet_alerts(comparison, LIMITS)
    assert found.kind == "many_changes"
    assert found.facts["rank_jump"] == found.facts["wallets"] == len(wallets)
    assert len(found.facts["some"]) == 10  # type: ignore[arg-type]


def test_kinds_that_nobody_wants_are_left_out() -> None:
    comparison = Comparison(
        NOW, BEFORE, BASIS, now={WALLET: scored(rank=500, score=20.0)}, before={WALLET: scored(as_of=BEFORE)}
    )
    found = wallet_alerts(comparison, replace(LIMITS, kinds=frozenset({"score_jump"})))
    assert [alert.kind for alert in found] == ["score_jump"]
