"""Every fault the exchange can have: the tick ends with the right failure or warning, and nothing is lost or invented."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from hl_assets_tests.pipeline.conftest import SLOT, Platform, assert_same_tables, checks_of, failure_of

TRANSIENT = [
    {"kind": "rate_limited"},
    {"kind": "server_error"},
    {"kind": "bad_gateway"},
    {"kind": "truncated"},
    {"kind": "slow", "seconds": 0.3},
    {"kind": "stalled", "seconds": 3},
]
SHAPES = ["missing_field", "number_instead_of_string", "renamed_window", "extra_row_type", "null_rows"]


def name_of(rule: dict[str, Any]) -> str:
    return str(rule["kind"])


@pytest.mark.parametrize("rule", TRANSIENT, ids=name_of)
def test_a_passing_fault_of_the_board_is_survived(platform: Platform, rule: dict[str, Any]) -> None:
    platform.fault(endpoint="leaderboard", requests=2, **rule)
    assert platform.tick().success


@pytest.mark.parametrize("rule", [rule for rule in TRANSIENT if rule["kind"] != "slow"], ids=name_of)
def test_a_lasting_fault_of_the_board_fails_the_tick_and_publishes_nothing(
    platform: Platform, rule: dict[str, Any]
) -> None:
    platform.fault(endpoint="leaderboard", **rule)
    result = platform.tick()
    assert not result.success
    message = failure_of(result)
    assert message.startswith("leaderboard: ")
    assert "3 attempts" in message
    assert not any(platform.manifest_slots().values())
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["leaderboard"]


@pytest.mark.parametrize("variant", SHAPES)
def test_a_changed_shape_of_the_board_names_path_and_value(platform: Platform, variant: str) -> None:
    platform.fault(endpoint="leaderboard", kind="wrong_shape", variant=variant)
    message = failure_of(platform.tick())
    assert " at $" in message
    assert "found" in message
    assert not any(platform.manifest_slots().values())


def test_an_empty_board_is_an_error_and_not_written(platform: Platform) -> None:
    platform.fault(endpoint="leaderboard", kind="empty")
    result = platform.tick()
    assert "leaderboard_rows has no rows" in failure_of(result)
    check = checks_of(result)["leaderboard", "non_empty"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not any(platform.manifest_slots().values())


def test_a_shrunk_board_is_published_with_a_warning(platform: Platform) -> None:
    assert platform.tick().success
    platform.at(SLOT + timedelta(hours=1))
    platform.fault(endpoint="leaderboard", kind="shrunk", keep=0.5)
    result = platform.tick()
    assert result.success
    check = checks_of(result)["leaderboard", "row_count_drift"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["drift"].value == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rule", TRANSIENT, ids=name_of)
def test_a_passing_fault_of_portfolios_is_survived(platform: Platform, rule: dict[str, Any]) -> None:
    platform.fault(endpoint="info", requests=4, **rule)
    result = platform.tick()
    assert result.success
    assert set(platform.read()["portfolio_fetches"]["status"]) == {"ok"}
    assert checks_of(result)["portfolio_histories", "coverage"].passed


@pytest.mark.parametrize(
    "rule",
    [*(rule for rule in TRANSIENT if rule["kind"] in {"rate_limited", "server_error", "truncated"})],
    ids=name_of,
)
def test_wallets_that_fail_are_rows_and_a_warning_and_heal(platform: Platform, rule: dict[str, Any]) -> None:
    platform.overrides = {"top_n": 10}
    assert platform.tick().success
    wallets = platform.read()["portfolio_fetches"].sort_values("selection_rank")["wallet"].tolist()
    platform.at(SLOT + timedelta(minutes=10))
    platform.fault(endpoint="info", wallets=wallets[:3], **rule)
    result = platform.tick()
    assert result.success
    check = checks_of(result)["portfolio_histories", "coverage"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["share"].value == pytest.approx(0.7)
    tables = platform.read()
    fetches = tables["portfolio_fetches"]
    failed = fetches[(fetches["as_of"] > SLOT) & (fetches["status"] == "failed")]
    assert set(failed["wallet"]) == set(wallets[:3])
    assert failed["error_kind"].notna().all()
    assert (failed["attempts"] == 3).all()
    metrics = tables["wallet_metrics"]
    assert set(metrics.loc[metrics["as_of"] > SLOT, "wallet"]) == set(wallets[3:]), "nothing is invented"

    platform.control("DELETE", "/faults")
    platform.control("DELETE", "/stats")
    assert platform.tick().success
    healed = platform.read()
    assert set(healed["portfolio_fetches"]["status"]) == {"ok"}
    assert len(healed["wallet_scores"]) == 20
    assert platform.control("GET", "/stats")["requests"]["info:portfolio"] == 3, (
        "only what failed is asked again"
    )


def test_an_exchange_that_knows_no_portfolio_gives_empty_slices(platform: Platform) -> None:
    platform.fault(endpoint="info", kind="server_error")
    result = platform.tick()
    assert result.success
    checks = checks_of(result)
    assert not checks["portfolio_histories", "coverage"].passed
    assert not checks["wallet_scores", "non_empty"].passed
    tables = platform.read()
    assert set(tables["portfolio_fetches"]["status"]) == {"failed"}
    assert all(
        tables[table].empty for table in ("portfolio_points", "wallet_metrics", "ai_grades", "wallet_scores")
    )
    slots = platform.manifest_slots()
    assert slots["wallet_scores"] == [SLOT], "an empty slice is a published slice"


@pytest.mark.parametrize("variant", [shape for shape in SHAPES if shape != "null_rows"])
def test_a_changed_shape_of_a_portfolio_fails_that_wallet_alone(platform: Platform, variant: str) -> None:
    platform.fault(endpoint="info", kind="wrong_shape", variant=variant, requests=1)
    assert platform.tick().success
    fetches = platform.read()["portfolio_fetches"]
    failed = fetches[fetches["status"] == "failed"]
    assert failed["error_kind"].tolist() == ["payload_shape"]
    assert failed["attempts"].tolist() == [1]
    assert " at $" in failed["error"].iloc[0]


def test_the_same_wallets_are_published_after_a_storm(platform: Platform) -> None:
    assert platform.tick().success
    calm = platform.read()
    for rule in TRANSIENT[:4]:
        platform.fault(endpoint="info", probability=0.2, **rule)
    platform.at(SLOT + timedelta(minutes=10))
    platform.overrides = {"max_attempts": 8}
    assert platform.tick().success
    stormy = platform.read()
    del calm["equity_curves"]  # keeps a day's newest slot only
    assert_same_tables(
        calm, {name: f[f["as_of"] == SLOT].reset_index(drop=True) for name, f in stormy.items()}
    )
    later = stormy["portfolio_fetches"]
    assert set(later.loc[later["as_of"] > SLOT, "status"]) == {"ok"}
