import pytest

from hl_assets.exchange.sandbox import FaultRule, SandboxConfigError
from hl_assets.exchange.sandbox.faults import FaultPlan

WALLET = "0x" + "ab" * 20


def test_a_rule_fires_for_its_endpoint_only_and_as_often_as_told():
    plan = FaultPlan([FaultRule("info", "server_error", requests=2)])
    assert plan.decide("leaderboard") is None
    fired = [plan.decide("info", WALLET) is not None for _ in range(4)]
    assert fired == [True, True, False, False]
    assert plan.report()[0]["fired"] == 2


def test_a_wallet_filter_ignores_case_and_lets_others_pass():
    plan = FaultPlan([FaultRule("info", "bad_gateway", wallets=(WALLET.upper().replace("X", "x"),))])
    assert plan.decide("info", "0x" + "00" * 20) is None
    assert plan.decide("info", WALLET) is not None


def test_probability_is_met_and_repeats_with_the_seed():
    def pattern(seed: int) -> list[bool]:
        plan = FaultPlan([FaultRule("info", "slow", probability=0.3)], seed)
        return [plan.decide("info", WALLET) is not None for _ in range(2_000)]

    assert 0.26 < sum(pattern(1)) / 2_000 < 0.34
    assert pattern(1) == pattern(1)
    assert pattern(1) != pattern(2)


def test_the_first_rule_that_applies_wins_and_clearing_switches_off():
    plan = FaultPlan([FaultRule("info", "slow", requests=1), FaultRule("info", "stalled")])
    kinds = [rule.kind for rule in (plan.decide("info"), plan.decide("info")) if rule]
    assert kinds == ["slow", "stalled"]
    plan.clear()
    assert plan.decide("info") is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"endpoint": "info"}, "kind"),
        ({"endpoint": "trades", "kind": "slow"}, "endpoint"),
        ({"endpoint": "info", "kind": "fire"}, "kind"),
        ({"endpoint": "info", "kind": "shrunk"}, "kind"),
        ({"endpoint": "info", "kind": "slow", "probability": 0}, "probability"),
        ({"endpoint": "info", "kind": "slow", "probability": "often"}, "probability"),
        ({"endpoint": "info", "kind": "slow", "requests": 0}, "requests"),
        ({"endpoint": "info", "kind": "slow", "requests": True}, "requests"),
        ({"endpoint": "info", "kind": "slow", "wallets": [1]}, "wallets"),
        ({"endpoint": "vaults", "kind": "slow", "wallets": [WALLET]}, "wallets"),
        ({"endpoint": "info", "kind": "wrong_shape"}, "variant"),
        ({"endpoint": "info", "kind": "slow", "variant": "null_rows"}, "variant"),
        ({"endpoint": "info", "kind": "slow", "seconds": -1}, "seconds"),
        ({"endpoint": "leaderboard", "kind": "shrunk", "keep": 1.0}, "keep"),
        ({"endpoint": "info", "kind": "slow", "speed": 3}, "speed"),
    ],
)
def test_an_unusable_rule_is_refused_by_the_fields_name(values: dict[str, object], named: str):
    with pytest.raises(SandboxConfigError, match=named):
        FaultRule.from_mapping(values)


def test_a_rule_from_json_equals_the_constructed_one():
    values = {
        "endpoint": "info",
        "kind": "wrong_shape",
        "variant": "null_rows",
        "requests": 3,
        "wallets": [WALLET],
    }
    expected = FaultRule("info", "wrong_shape", variant="null_rows", requests=3, wallets=(WALLET,))
    assert FaultRule.from_mapping(values) == expected
