"""`hl-assets grade` and `grade-eval`, by rule and against a stand-in of the Messages API."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from hl_assets.cli.app import app
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.fixtures import StartMessagesApi, messages_api  # noqa: F401 - a fixture
from hl_assets_tests.pipeline.conftest import (  # noqa: F401 - fixtures
    FirstTick,
    Platform,
    exchange_server,
    first_tick,
    instance,
    platform,
    ticked,
)

KEY = "sk-ant-test-0123456789"
Call = Callable[..., Result]


@pytest.fixture
def call(ticked: Platform, monkeypatch: pytest.MonkeyPatch) -> Call:  # noqa: F811
    """Runs a command on what the first tick published."""
    assert ticked.warehouse.home is not None
    monkeypatch.setenv("CLICKHOUSE_URL", ensure_running(ticked.warehouse.home))
    monkeypatch.setenv("CLICKHOUSE_DATABASE", str(ticked.warehouse.database))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env=environment)

    return run


@pytest.fixture
def wallet(ticked: Platform) -> str:  # noqa: F811
    """The best ranked wallet."""
    scores = ticked.read()["wallet_scores"].dropna(subset=["calculated_rank"])
    return str(scores.sort_values("calculated_rank")["wallet"].iloc[0])


def asking(url: str) -> dict[str, str]:
    return {"GRADER": "claude", "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url}


def test_a_dry_run_shows_request_tokens_and_price_without_a_key(call: Call, wallet: str) -> None:
    shown = call("grade", wallet, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "You are a senior quantitative analyst" in shown.output
    assert '"json_schema"' in shown.output
    assert "Not sent. At most" in shown.output
    assert "USD for an answer of 500 tokens" in shown.output
    assert wallet not in shown.output, "the model is not told whom it grades"


def test_without_a_key_the_rules_grade_and_say_how_to_change_that(call: Call, wallet: str) -> None:
    shown = call("grade", wallet)
    assert shown.exit_code == 0, shown.output
    assert "no ANTHROPIC_API_KEY is set" in shown.output
    assert "Grade by rule (rules-" in shown.output


def test_a_model_is_asked_once_and_its_call_is_kept(
    call: Call,
    wallet: str,
    ticked: Platform,  # noqa: F811
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    api = messages_api(api_key=KEY)
    first = call("grade", wallet, **asking(api.url))
    assert first.exit_code == 0, first.output
    assert "Grade by the model (claude-haiku-5-5/low/v1-" in first.output
    assert "1 calls" in first.output
    again = call("grade", wallet, **asking(api.url))
    assert "0 calls" in again.output
    assert len(api.messages) == 1
    fresh = call("grade", wallet, "--fresh", **asking(api.url))
    assert "1 calls" in fresh.output
    with Warehouse(ticked.warehouse) as store:
        assert list(store.read_table(GRADE_CALLS)["wallet"]) == [wallet] * 2
    assert KEY not in first.output + again.output + fresh.output


def test_a_refused_key_is_told_with_what_to_do(
    call: Call,
    wallet: str,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    api = messages_api(api_key="another")
    shown = call("grade", wallet, **asking(api.url))
    assert "ANTHROPIC_API_KEY was refused (401)" in shown.output
    assert "Grade by rule" in shown.output
    evaluated = call("grade-eval", **asking(api.url))
    assert "ANTHROPIC_API_KEY was refused (401)" in str(evaluated.exception)


def test_an_unknown_wallet_is_named(call: Call) -> None:
    shown = call("grade", f"0x{7:040x}")
    assert shown.exit_code != 0
    assert f"0x{7:040x} has no metrics" in str(shown.exception)


def test_the_configured_grader_is_evaluated(
    call: Call,
    messages_api: StartMessagesApi,  # noqa: F811
) -> None:
    api = messages_api(faults=(Fault("refusal", 0.1),))
    shown = call("grade-eval", "--repeat", "2", "--json", **asking(api.url))
    report = json.loads(shown.output)
    assert report["grader_version"].startswith("claude-haiku-5-5/low/v1-")
    assert report["calls"] == len(api.messages) > 100
    assert report["estimated_usd"] > 0
    assert shown.exit_code == 1, "the stand-in's answers are no good grades"
