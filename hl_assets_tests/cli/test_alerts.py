"""`hl-assets alerts`: what a person at a terminal sees."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from hl_assets.alerts.record import record_sent
from hl_assets.alerts.state import Sent
from hl_assets.cli.alerts import list_alerts
from hl_assets.schemas.alerts import ALERTS
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.alerts.builders import SCOPE, SECRET, T0, TOKEN, alert, receiving
from hl_assets_tests.conftest import bare_environment
from hl_assets_tests.exchange.scripted_server import Reply


def run(*arguments: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hl_assets.cli", "alerts", *arguments],
        env=bare_environment(HL_ASSETS_HOME=str(home), **environment),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_test_alert_is_delivered_and_said_so(tmp_path: Path) -> None:
    with receiving() as receiver:
        done = run("test", home=tmp_path, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("delivered: status 204 after 1 request in ")
    assert receiver.told == [("test", "test")]
    assert receiver.acknowledged[0]["type"] == "hl_assets.alert.test"
    assert TOKEN not in done.stdout + done.stderr


def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    with receiving(Reply(status=404, body=b"no such hook: " + TOKEN.encode())) as receiver:
        done = run("test", home=tmp_path, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=SECRET)
    assert done.returncode == 1
    assert done.stderr == (
        "not delivered after 1 request: the webhook answered 404; there is no such webhook; "
        "check ALERT_WEBHOOK_URL\n"
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "ALERT_WEBHOOK_URL is not set"),
        ({"ALERT_WEBHOOK_URL": f"https://h.example/{TOKEN}"}, "ALERT_WEBHOOK_SECRET: it is empty"),
        ({"ALERT_WEBHOOK_URL": f"http://h.example/{TOKEN}"}, "ALERT_WEBHOOK_URL: alerts would travel"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    done = run("test", home=tmp_path, **environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["test", "list"])
def test_help_has_examples(tmp_path: Path, command: str) -> None:
    assert f"hl-assets alerts {command}" in run(command, "--help", home=tmp_path).stdout


@pytest.fixture
def ledger(warehouse: Warehouse) -> dict[str, object]:
    """Settings of a database whose ledger holds three messages."""
    warehouse.ensure_tables([ALERTS])
    sent = [
        Sent(
            SCOPE.message(
                "occurred", alert(f"rank_jump/{n}", "rank_jump", title=f"jump {n}"),
                episode=str(n), first_seen=T0, decided_at=T0 + n * timedelta(minutes=1),
            ),
            T0 + n * timedelta(minutes=1), attempts=n, status=None if n == 1 else 200,
        )
        for n in (1, 2, 3)
    ]  # fmt: skip
    record_sent(warehouse, sent)
    record_sent(warehouse, sent[:1])
    return {"clickhouse_url": str(warehouse.endpoint), "clickhouse_database": warehouse.database}


def test_the_ledger_is_listed_newest_first(
    ledger: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    list_alerts(ledger, 2, as_json=False)
    shown = capsys.readouterr().out
    assert shown.index("jump 3") < shown.index("jump 2")
    assert "jump 1" not in shown
    list_alerts(ledger, 20, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [row["title"] for row in listed] == ["jump 3", "jump 2", "jump 1"]
    assert listed[0]["facts"] == {"n": 1}
    assert listed[0]["delivered_at"] == "2026-05-31T12:03:00Z"
    assert listed[2]["status_code"] is None
    assert listed[0]["about_slot"] is None


def test_an_empty_ledger_says_so(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    values: dict[str, object] = {
        "clickhouse_url": str(warehouse.endpoint), "clickhouse_database": warehouse.database
    }  # fmt: skip
    list_alerts(values, 5, as_json=False)
    assert capsys.readouterr().out == "no alert was delivered yet (source sandbox)\n"
    list_alerts(values, 5, as_json=True)
    assert capsys.readouterr().out == "[]\n"
