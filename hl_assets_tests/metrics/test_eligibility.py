import numpy as np
import pytest

from hl_assets.metrics.eligibility import EligibilityRules, assess_eligibility
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, curves, without_flows

UP_AND_DOWN = [100, 90, 105, 95, 110, 100, 120, 100, 130, 125, 140, 130]


def assess(*wallets, rules=None, step_ms=DAY_MS):
    return assess_eligibility(compute_wallet_metrics(curves(*wallets, step_ms=step_ms)), rules)


def test_the_first_gate_failed_is_the_reason():
    result = assess(
        ([], []),
        ([1, 2], [0, 0]),
        ([100, -20, *[100] * 12], [0, -10, *[-10] * 12]),
        without_flows(UP_AND_DOWN[:9]),
        without_flows(UP_AND_DOWN),
        without_flows(list(range(100, 120))),
    )
    assert result.reasons == [
        "no_points",
        "never_funded",
        "unknown_return",
        "too_few_points",
        None,
        "too_few_metrics",
    ]
    assert result.eligible.tolist() == [False, False, False, False, True, False]


def test_a_short_span_is_a_gate_of_its_own():
    assert assess(without_flows(UP_AND_DOWN), step_ms=HOUR_MS).reasons == ["span_too_short"]


def test_a_wallet_under_90_days_and_a_tested_one_are_eligible_by_default():
    young = assess(without_flows(UP_AND_DOWN))  # lacks cagr and calmar_ratio
    untested = assess(
        without_flows(list(range(100, 120))), step_ms=10 * DAY_MS
    )  # lacks calmar_ratio, recovery_factor
    assert young.reasons == untested.reasons == [None]


def test_rules_decide():
    wallet = without_flows(UP_AND_DOWN)
    assert assess(wallet, rules=EligibilityRules(min_points=13)).reasons == ["too_few_points"]
    assert assess(wallet, rules=EligibilityRules(min_points=12)).reasons == [None]
    assert assess(wallet, rules=EligibilityRules(min_span_days=11.5)).reasons == ["span_too_short"]
    assert assess(wallet, rules=EligibilityRules(min_span_days=11)).reasons == [None]
    assert assess(wallet, rules=EligibilityRules(min_metrics=5)).reasons == ["too_few_metrics"]


@pytest.mark.parametrize(
    "bad", [{"min_points": 1}, {"min_span_days": -1.0}, {"min_metrics": 0}, {"min_metrics": 7}]
)
def test_impossible_rules_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        EligibilityRules(**bad)


def test_nobody_at_all():
    result = assess()
    assert result.reasons == []
    assert result.eligible.dtype == np.bool_
