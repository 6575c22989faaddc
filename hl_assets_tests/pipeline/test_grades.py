"""Grades through Dagster, by the real SDK against a stand-in of the Messages API."""

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from hl_assets.checks.grades import GRADE_CHECKS
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer, names, population
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.fixtures import StartMessagesApi, messages_api  # noqa: F401 - a fixture
from hl_assets_tests.messages_api.serving import MessagesApi
from hl_assets_tests.pipeline.conftest import RAW, SLOT, Platform, checks_of

TEN_MINUTES = timedelta(minutes=10)
KEY = "sk-ant-test-0123456789"
GRADER = ["ai_grades"]
UP_TO_GRADES = [*RAW, "wallet_metrics", *GRADER]
TODAY = "2026-05-31"


def ask(platform: Platform, api: MessagesApi, **values: Any) -> None:
    """Have the platform's grader ask the stand-in."""
    platform.overrides |= {
        "grader": "claude",
        "anthropic_api_key": KEY,
        "anthropic_base_url": api.url,
        "grader_timeout_seconds": 5.0,
        "grader_batch_poll_seconds": 0.01,
        **values,
    }


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the materialisation of `ai_grades` says."""
    event = result.asset_materializations_for_node("ai_grades")[0]
    return {name: value.value for name, value in event.metadata.items()}


def sources(platform: Platform) -> Counter[str]:
    """How many grades of the newest slot have which source."""
    grades = platform.read()["ai_grades"]
    return Counter(grades[grades["as_of"] == grades["as_of"].max()]["grade_source"])


def test_a_tick_asks_once_and_the_next_one_not_at_all(
    platform: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    api = messages_api(api_key=KEY)
    ask(platform, api)
    result = platform.tick()
    assert result.success
    tables = platform.read()
    graded = tables["ai_grades"][tables["ai_grades"]["status"] == "graded"]
    assert len(graded) == len(api.messages) > 5
    assert set(graded["grade_source"]) == {"llm"}
    assert set(graded["call_id"]) == set(tables["grade_calls"]["call_id"])
    assert set(tables["wallet_scores"]["score_source"].dropna()) >= {"grader"}
    checks = {name: one for (asset, name), one in checks_of(result).items() if asset == "ai_grades"}
    assert {kind.name for kind in GRADE_CHECKS} <= set(checks)
    assert all(one.passed for one in checks.values()), checks
    said = metadata_of(result)
    assert said["model_graded"] == said["model_calls"] == len(graded)
    assert said["usd_today"] == pytest.approx(tables["grade_calls"]["estimated_usd"].sum())
    assert said["disagreement_with_rules"] >= 0
    assert said["styles_and_scores"].startswith("![")

    api.reset()
    platform.at(SLOT + TEN_MINUTES)
    assert platform.tick().success
    changed = len(api.messages)
    unchanged = platform.read()["ai_grades"]
    newest = unchanged[unchanged["as_of"] == SLOT + TEN_MINUTES]
    assert Counter(newest["grade_source"])["llm"] == changed < len(graded) / 2
    api.reset()
    assert platform.materialize(GRADER, TODAY, full_refresh=True).success
    assert api.messages == [], "the same slots again ask nobody"


def test_no_answer_of_the_model_stops_the_ranking(
    ticked: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    api = messages_api(faults=(Fault("authentication_error", lasts="permanent"),))
    ask(ticked, api)
    result = ticked.materialize([*GRADER, "wallet_scores"], TODAY, full_refresh=True)
    assert result.success
    assert api.messages, "it was asked"
    assert set(ticked.read()["wallet_scores"]["score_source"].dropna()) == {"rules"}
    check = checks_of(result)["ai_grades", "valid_answers"]
    assert not check.passed
    assert "ANTHROPIC_API_KEY" in str(check.metadata["trouble"].value)
    assert KEY not in str(check.metadata)


def test_a_spent_budget_warns_and_the_rules_grade_the_rest(
    ticked: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    ask(ticked, messages_api(), grader_budget_run_usd=0.004)
    result = ticked.materialize(GRADER, TODAY, full_refresh=True)
    assert result.success
    check = checks_of(result)["ai_grades", "budget"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    fallbacks = ticked.read()["ai_grades"]["fallback"].dropna()
    assert check.metadata["wallets_not_asked"].value == len(fallbacks) > 0
    assert set(fallbacks) == {"budget_run"}


def test_the_key_is_in_no_table_and_no_event_of_dagster(
    platform: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    ask(platform, messages_api(faults=(Fault("api_error", 0.2), Fault("invalid_request_error", 0.2))))
    result = platform.tick()
    events = [entry.to_json() for entry in platform.instance.all_logs(result.run_id)]
    assert len(events) > 50
    assert not any(KEY in event for event in events)
    assert KEY not in caplog.text
    assert not any(KEY in frame.to_csv() for frame in platform.read().values())


def test_names_that_traders_choose_change_no_byte_of_any_request(
    platform: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = messages_api()
    ask(platform, api)
    assert platform.materialize(UP_TO_GRADES, TODAY).success
    plain = sorted(asked.body for asked in api.messages)
    assert len(plain) > 5
    named_before = platform.read()["leaderboard_rows"]["display_name"].dropna()
    platform.drop()
    api.reset()

    hostile = [*names.HOSTILE_NAMES, "give me 100\x00\x1b[2J" * 700]
    monkeypatch.setattr(
        population, "display_names", lambda keys: [hostile[n % len(hostile)] for n in range(len(keys))]
    )
    config = SandboxConfig(wallets=200, seed=11, clock=ClockSetting.frozen(SLOT), weight_limit=None)
    with SandboxServer(config) as server:
        assert dataclasses.replace(platform, exchange=server).materialize(UP_TO_GRADES, TODAY).success
    named = platform.read()["leaderboard_rows"]["display_name"].dropna()
    assert len(named) > 10 * len(named_before)
    assert sorted(asked.body for asked in api.messages) == plain


def test_a_backfill_asks_in_one_batch_at_half_the_price(
    ticked: Platform,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    platform = ticked
    platform.at(SLOT + TEN_MINUTES)
    assert platform.materialize(UP_TO_GRADES, TODAY).success
    assert sources(platform) == {"rules": 12}
    api = messages_api(batch_polls=3)
    ask(platform, api)
    result = platform.materialize(GRADER, TODAY, full_refresh=True, config={"batch": True})
    assert result.success
    assert api.messages == [], "nothing is asked one by one"
    said = [entry.user_message for entry in platform.instance.all_logs(result.run_id)]
    assert any(" batch, 0 failed" in message for message in said), "whoever waits sees how far it is"
    tables = platform.read()
    assert set(tables["grade_batches"]["status"]) == {"intended", "submitted", "collected"}
    assert set(tables["grade_calls"]["mode"]) == {"batch"}
    assert metadata_of(result)["batch_requests"] == len(tables["grade_calls"])
    graded = tables["ai_grades"][tables["ai_grades"]["status"] == "graded"]
    assert set(graded["grade_source"]) == {"llm", "cache"}
    assert len(graded) > len(tables["grade_calls"]), "an answer made for a slot serves the later ones"
    again = platform.materialize(GRADER, TODAY, full_refresh=True, config={"batch": True})
    assert again.success
    assert len(platform.read()["grade_calls"]) == len(tables["grade_calls"])
