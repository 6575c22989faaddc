"""Rows that break their contract: the check is recorded, nothing is written, nothing downstream runs."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import hl_assets.assets.wallet_metrics as asset
from hl_assets_tests.pipeline.conftest import (
    SLOT,
    FirstTick,
    Platform,
    assert_same_tables,
    checks_of,
    failure_of,
)


def break_rows(monkeypatch: pytest.MonkeyPatch, breaking: Any) -> None:
    """Have metrics come out wrong. The domain cannot make such rows, so its last step is replaced."""
    original = asset.metric_rows

    def broken(*arguments: Any, **named: Any) -> pd.DataFrame:
        return breaking(original(*arguments, **named))

    monkeypatch.setattr(asset, "metric_rows", broken)


@pytest.mark.parametrize(
    ("check", "breaking", "count"),
    [
        ("contract", lambda rows: rows.assign(roi=rows["roi"].where(rows.index > 2, -5.0)), 3),
        pytest.param(
            "unique_key",
            lambda rows: pd.concat([rows, rows.head(2)], ignore_index=True),
            4,
            marks=pytest.mark.soak,
        ),
    ],
)
def test_broken_rows_are_refused(
    first_tick: FirstTick,
    ticked: Platform,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    breaking: Any,
    count: int,
) -> None:
    ticked.at(SLOT + timedelta(minutes=10))
    break_rows(monkeypatch, breaking)
    result = ticked.tick()
    assert not result.success
    assert "nothing was written for 2026-05-31T12:20:00Z" in failure_of(result)
    evaluation = checks_of(result)["wallet_metrics", check]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert evaluation.metadata["failures"].records[0].data["rows"] == count
    assert 0 < len(evaluation.metadata["samples"].records) <= 20
    materialised = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert materialised == {
        "leaderboard",
        "vaults",
        "portfolio_histories",
        "tracked_wallets",
        "equity_curves",
    }
    after = ticked.read()
    derived = ("wallet_metrics", "ai_grades", "wallet_scores")
    assert_same_tables({name: first_tick.tables[name] for name in derived}, after)

    monkeypatch.undo()
    assert ticked.tick().success, "the next run heals the slot"
    assert ticked.manifest_slots()["wallet_scores"] == [SLOT, SLOT + timedelta(minutes=10)]
