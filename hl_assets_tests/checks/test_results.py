"""Check results from plain facts: verdicts, severities and what they show."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from hl_assets.checks.freshness import freshness_result
from hl_assets.checks.results import Coverage, coverage_result, drift_result, non_empty_result, report_result
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.schemas.validation import RuleFailure, ValidationReport
from hl_assets.settings import Settings

NOW = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def test_a_broken_contract_is_an_error_with_counts_and_at_most_twenty_samples() -> None:
    failures = (RuleFailure("roi", "greater_than_or_equal_to(-1)", 40),)
    samples = tuple({"column": "roi", "rule": "ge", "value": "-2.0", "row": str(row)} for row in range(30))
    result = report_result("contract", [ValidationReport("wallet_metrics", 100, failures, samples)])
    assert (result.passed, result.severity) == (False, ERROR)
    assert result.metadata["failures"].records[0].data["rows"] == 40
    assert len(result.metadata["samples"].records) == 20


def test_a_kept_contract_passes_and_says_over_what() -> None:
    result = report_result("contract", [ValidationReport("a", 3, (), ()), ValidationReport("b", 4, (), ())])
    assert result.passed
    assert result.metadata["rows"].value == 7
    assert result.metadata["tables"].value == "a, b"


def test_emptiness_is_an_error_only_where_there_are_always_rows() -> None:
    assert (non_empty_result(LEADERBOARD_ROWS, 0).passed, non_empty_result(LEADERBOARD_ROWS, 0).severity) == (
        False,
        ERROR,
    )
    assert (non_empty_result(WALLET_SCORES, 0).passed, non_empty_result(WALLET_SCORES, 0).severity) == (
        False,
        WARN,
    )
    assert non_empty_result(WALLET_SCORES, 1).passed


@pytest.mark.parametrize(
    ("rows", "previous", "passed"),
    [
        (100, None, True),
        (100, 100, True),
        (79, 100, False),
        (121, 100, False),
        (80, 100, True),
        (5, 0, False),
    ],
)
def test_drift_is_relative_to_the_slot_before(rows: int, previous: int | None, passed: bool) -> None:
    result = drift_result(WALLET_SCORES, rows, previous, 0.2)
    assert (result.passed, result.severity) == (passed, WARN)


@pytest.mark.parametrize(("done", "wanted", "passed"), [(90, 100, True), (89, 100, False), (0, 0, False)])
def test_coverage_is_a_share_and_nothing_wanted_is_no_share(done: int, wanted: int, passed: bool) -> None:
    result = coverage_result(Coverage(done, wanted, "fetched / wanted", [("0x1", "timeout")]), 0.9)
    assert (result.passed, result.severity) == (passed, WARN)
    assert ("share" in result.metadata) == (wanted > 0)
    assert result.metadata["missing"].records[0].data["reason"] == "timeout"


@pytest.mark.parametrize(
    ("age", "passed", "severity"),
    [
        (timedelta(minutes=10), True, WARN),
        (timedelta(minutes=20), False, WARN),
        (timedelta(minutes=30), False, ERROR),
        (None, False, ERROR),
    ],
)
def test_freshness_warns_and_then_fails_as_the_newest_slot_ages(
    age: timedelta | None, passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    newest = None if age is None else NOW - age
    result = freshness_result("wallet_scores", newest, NOW, Settings.load())
    assert (result.passed, result.severity) == (passed, severity)
