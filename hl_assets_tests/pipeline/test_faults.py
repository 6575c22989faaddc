"""Every fault the exchange can have: the tick ends with the right failure or warning, and nothing is lost or invented.

What the client makes of each kind is tested at the client (`hl_assets_tests.exchange`); here one of each sort goes through the
pipeline, and `make soak` sends all of them.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from hl_assets_tests.pipeline.conftest import (
    DAY,
    RAW,
    SLOT,
    FirstTick,
    Platform,
    assert_same_tables,
    checks_of,
    failure_of,
)

STATUS: list[dict[str, Any]] = [{"kind": "rate_limited"}, {"kind": "server_error"}, {"kind": "bad_gateway"}]
BODY: list[dict[str, Any]] = [{"kind": "truncated"}, {"kind": "garbled"}]
SLOW: dict[str, Any] = {"kind": "slow", "seconds": 0.3}
STALLED: dict[str, Any] = {"kind": "stalled", "seconds": 3}
SHAPES = ["missing_field", "number_instead_of_string", "renamed_window", "extra_row_type", "null_rows"]


def one_of_each(*sorts: Sequence[Any]) -> list[Any]:
    """The first of each sort, and the others in the soak only."""
    return [
        one if first else pytest.param(one, marks=pytest.mark.soak)
        for sort in sorts
        for first, one in zip([True] + [False] * len(sort), sort, strict=False)
    ]


def name_of(rule: dict[str, Any]) -> str:
    return str(rule["kind"])


def strike(platform: Platform, rule: dict[str, Any], **where: Any) -> None:
    """Switch a fault on; a stalled answer is given up after a second, because that is waited for."""
    platform.fault(**rule, **where)
    if rule["kind"] == "stalled":
        platform.overrides = {"info_timeout_seconds": 1.0, "leaderboard_timeout_seconds": 1.0}


@pytest.mark.parametrize("rule", one_of_each(STATUS, BODY, [STALLED, SLOW]), ids=name_of)
def test_a_passing_fault_of_the_board_is_survived(
    first_tick: FirstTick, platform: Platform, rule: dict[str, Any]
) -> None:
    strike(platform, rule, endpoint="leaderboard", requests=2)
    assert platform.materialize(["leaderboard"], DAY).success
    board = ("leaderboard_snapshots", "leaderboard_rows")
    assert_same_tables({name: first_tick.tables[name] for name in board}, platform.read())


@pytest.mark.parametrize("rule", one_of_each(STATUS[::-1], [STALLED, *BODY]), ids=name_of)
def test_a_lasting_fault_of_the_board_fails_the_tick_and_publishes_nothing(
    platform: Platform, rule: dict[str, Any]
) -> None:
    strike(platform, rule, endpoint="leaderboard")
    result = platform.tick()
    assert not result.success
    message = failure_of(result)
    assert message.startswith("leaderboard: ")
    assert "3 attempts" in message
    assert not any(platform.manifest_slots().values())
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["leaderboard"]


@pytest.mark.parametrize("variant", one_of_each(SHAPES[:4], SHAPES[4:]))
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


def test_a_shrunk_board_is_published_with_a_warning(ticked: Platform) -> None:
    ticked.at(SLOT + timedelta(hours=1))
    ticked.fault(endpoint="leaderboard", kind="shrunk", keep=0.5)
    result = ticked.tick()
    assert result.success
    check = checks_of(result)["leaderboard", "row_count_drift"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["drift"].value == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rule", one_of_each(STATUS, BODY, [STALLED, SLOW]), ids=name_of)
def test_a_passing_fault_of_portfolios_is_survived(
    first_tick: FirstTick, platform: Platform, rule: dict[str, Any]
) -> None:
    strike(platform, rule, endpoint="info", requests=4)
    result = platform.materialize(RAW, DAY)
    assert result.success
    tables = platform.read()
    assert set(tables["portfolio_fetches"]["status"]) == {"ok"}
    assert_same_tables({"portfolio_points": first_tick.tables["portfolio_points"]}, tables)
    assert checks_of(result)["portfolio_histories", "coverage"].passed


@pytest.mark.parametrize("rule", one_of_each([STATUS[1], STATUS[0], BODY[0]]), ids=name_of)
def test_wallets_that_fail_are_rows_and_a_warning_and_heal(
    first_tick: FirstTick, ticked: Platform, rule: dict[str, Any]
) -> None:
    wallets = first_tick.tables["portfolio_fetches"].sort_values("selection_rank")["wallet"].tolist()
    ticked.at(SLOT + timedelta(minutes=10))
    ticked.fault(endpoint="info", wallets=wallets[:3], **rule)
    result = ticked.tick()
    assert result.success
    check = checks_of(result)["portfolio_histories", "coverage"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["share"].value == pytest.approx(0.75)
    tables = ticked.read()
    fetches = tables["portfolio_fetches"]
    failed = fetches[(fetches["as_of"] > SLOT) & (fetches["status"] == "failed")]
    assert set(failed["wallet"]) == set(wallets[:3])
    assert failed["error_kind"].notna().all()
    assert (failed["attempts"] == 3).all()
    metrics = tables["wallet_metrics"]
    assert set(metrics.loc[metrics["as_of"] > SLOT, "wallet"]) == set(wallets[3:]), "nothing is invented"

    ticked.control("DELETE", "/faults")
    ticked.control("DELETE", "/stats")
    assert ticked.tick().success
    healed = ticked.read()
    assert set(healed["portfolio_fetches"]["status"]) == {"ok"}
    assert len(healed["wallet_scores"]) == 24
    assert ticked.control("GET", "/stats")["requests"]["info:portfolio"] == 3, (
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


@pytest.mark.parametrize("variant", one_of_each(SHAPES[1:4] + SHAPES[:1]))
def test_a_changed_shape_of_a_portfolio_fails_that_wallet_alone(platform: Platform, variant: str) -> None:
    platform.fault(endpoint="info", kind="wrong_shape", variant=variant, requests=1)
    assert platform.materialize(RAW, DAY).success
    fetches = platform.read()["portfolio_fetches"]
    failed = fetches[fetches["status"] == "failed"]
    assert failed["error_kind"].tolist() == ["payload_shape"]
    assert failed["attempts"].tolist() == [1]
    assert " at $" in failed["error"].iloc[0]


def test_the_same_wallets_are_published_after_a_storm(first_tick: FirstTick, ticked: Platform) -> None:
    calm = dict(first_tick.tables)
    for rule in (*STATUS, BODY[0]):
        ticked.fault(endpoint="info", probability=0.2, **rule)
    ticked.at(SLOT + timedelta(minutes=10))
    ticked.overrides = {"max_attempts": 20}
    assert ticked.tick().success
    stormy = ticked.read()
    del calm["equity_curves"]  # keeps a day's newest slot only
    assert_same_tables(
        calm, {name: f[f["as_of"] == SLOT].reset_index(drop=True) for name, f in stormy.items()}
    )
    later = stormy["portfolio_fetches"]
    assert set(later.loc[later["as_of"] > SLOT, "status"]) == {"ok"}
