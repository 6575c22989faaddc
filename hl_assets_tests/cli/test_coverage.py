"""`hl-assets coverage`: what it says of stored rows, and of none."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from hl_assets.assets.coverage_facts import coverage_frame
from hl_assets.cli.coverage import show_coverage
from hl_assets.cli.errors import CommandError
from hl_assets.coverage.classify import SlotFacts, SlotRow, Why
from hl_assets.coverage.vocabulary import Cause, Status
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.slots import SLOT
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.conftest import REPOSITORY, bare_environment

START = datetime(2026, 11, 20, 12, 50, tzinfo=UTC)
DOWN = Why(Cause.SCHEDULER_DOWN)
BROKEN = Why(Cause.EXCHANGE_FAILED, "leaderboard: no answer", "leaderboard", "run-1")
BEFORE = Why(Cause.BEFORE_OBSERVATION)
VERDICTS = [
    (Status.MISSING, BEFORE), (Status.LIVE, None), *[(Status.MISSING, DOWN)] * 6, (Status.PARTIAL, BROKEN),
    (Status.UNCHANGED, None), (Status.RECONSTRUCTED, DOWN),
]  # fmt: skip


@pytest.fixture
def settings(warehouse: Warehouse) -> dict[str, object]:
    """Settings that name the test's database, empty."""
    endpoint = warehouse.endpoint
    return {
        "clickhouse_url": f"http://{endpoint.host}:{endpoint.port}",
        "clickhouse_database": warehouse.database,
        "clock": START + 13 * SLOT,
    }


@pytest.fixture
def filled(warehouse: Warehouse, settings: dict[str, object]) -> dict[str, object]:
    """The same with eleven settled slots."""
    warehouse.ensure_tables([SLOT_COVERAGE])
    rows = [
        SlotRow(SlotFacts(START + step * SLOT), status, why, settled=True)
        for step, (status, why) in enumerate(VERDICTS)
    ]
    frame = coverage_frame(rows, START, "simulated")
    slices = [
        Slice(SLOT_COVERAGE, row.facts.slot, frame.iloc[place : place + 1]) for place, row in enumerate(rows)
    ]
    Publisher(warehouse).publish(slices, Provenance("r", "1", "simulated"))
    return settings


def told(
    settings: dict[str, object], capsys: pytest.CaptureFixture[str], *, start=None, end=None
) -> list[str]:
    show_coverage(settings, start, end, as_json=False, png=None)
    return capsys.readouterr().out.splitlines()


def test_shares_gaps_causes_and_advice(filled: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(filled, capsys)
    assert lines[0] == (
        "11 slots from 2026-11-20 12:50 to 2026-11-20 14:30 UTC: 1 live, 1 unchanged, 1 reconstructed, 1 partial, 7 missing"
    )
    assert lines[1].startswith("covered: 30.00% 24 h (3/10)")
    assert "not counted: 1 slots before the platform began to observe" in lines
    assert "not settled yet: the newest 2 ended slots (job `coverage`)" in lines
    assert "longest gap: 2026-11-20 13:10 to 14:10 (7 slots): scheduler_down and exchange_failed" in lines
    assert "2026-11-20 13:10 to 14:00 (6 slots): scheduler_down" in lines
    assert "2026-11-20 14:10 (1 slot): partial, exchange_failed: leaderboard: no answer" in lines
    assert any(line.startswith("  exchange_failed: the exchange did not answer") for line in lines)
    assert "--from 2026-11-20T14:10:00Z --to 2026-11-20T14:10:00Z --every 10m" in lines[-1]


def test_a_range(filled: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(filled, capsys, start="2026-11-20T14:20:00Z", end="2026-11-20")
    assert lines[1:] == ["covered: 100.00% the range (2/2)", "no gaps"]
    with pytest.raises(CommandError, match="the table has 2026-11-20T12:50:00Z to 2026-11-20T14:30:00Z"):
        told(filled, capsys, start="2026-11-21")


def test_json(filled: dict[str, object], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    show_coverage(filled, None, None, as_json=True, png=tmp_path / "slots.png")
    said = json.loads(capsys.readouterr().out)
    assert (said["slots"], said["before_observation"], said["unsettled"]) == (11, 1, 2)
    assert said["by_status"]["missing"] == 7
    assert said["covered"]["since the start"] == {"covered": 3, "slots": 10, "share": 0.3}
    assert [(gap["slots"], gap["cause"]) for gap in said["gaps"]] == [
        (6, "scheduler_down"),
        (1, "exchange_failed"),
    ]
    assert all(gap["advice"] for gap in said["gaps"])
    assert (tmp_path / "slots.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_store_says_what_to_do(
    warehouse: Warehouse, settings: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        CommandError, match=r"no slot is settled in database .*`hl-assets dev --source sandbox`"
    ):
        told(settings, capsys)
    warehouse.ensure_tables([SLOT_COVERAGE])
    with pytest.raises(CommandError, match="no slot is settled"):
        told(settings, capsys)


def test_it_needs_no_dagster_and_its_help_has_examples(tmp_path: Path) -> None:
    code = "import sys, hl_assets.cli.coverage; assert 'dagster' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
    command = [sys.executable, "-m", "hl_assets.cli", "coverage", "--help"]
    shown = subprocess.run(
        command, cwd=tmp_path, env=bare_environment(COLUMNS="200"), capture_output=True, text=True, check=True
    )
    assert "Examples" in shown.stdout
    assert "--png may.png" in shown.stdout


def test_rows_survive_the_table(filled: dict[str, object], warehouse: Warehouse) -> None:
    rows = warehouse.read_table(SLOT_COVERAGE)
    assert rows["cause"].iloc[8] == "exchange_failed"
    assert rows["failed_step"].iloc[8] == "leaderboard"
    assert rows["cause"].iloc[1] is None
    assert pd.isna(rows["n_wanted"].iloc[0])
    assert rows["origin"].iloc[10] == "reconstructed"
