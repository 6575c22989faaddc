"""Lines of logs: one JSON object each, nothing forged, no secret, and what the work is about."""

import contextlib
import json
import logging
import subprocess
import sys
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.cli.serve import READY_PREFIX
from hl_assets.jobs import console_log
from hl_assets.observability.context import about, working_on
from hl_assets.observability.logs import (
    MASK,
    MAX_EXCEPTION,
    MAX_MESSAGE,
    JsonFormatter,
    Masking,
    TextFormatter,
    escaped,
)
from hl_assets.resources.logs import console_logger
from hl_assets.settings import Settings, secret_texts
from hl_assets_tests.conftest import REPOSITORY, bare_environment

HOSTILE = '\x1b[31mred\x1b[0m\n{"level": "forged"}\r\u2028\u202eevil\x00\x7f\ud800 \'quoted\''


def record(message: str, *arguments: Any, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("hl_assets.test").makeRecord(
        "hl_assets.test", logging.WARNING, "file.py", 1, message, arguments, None, extra=extra
    )
    made.created = 1_780_229_407.5124
    return made


def raised(message: str) -> logging.LogRecord:
    made = record("failed")
    with contextlib.suppress(ValueError):
        try:
            fail(message)
        finally:
            made.exc_info = sys.exc_info()
    return made


def fail(message: str) -> None:
    raise ValueError(message)


def fields(made: logging.LogRecord, mask: Masking | None = None) -> dict[str, Any]:
    line = JsonFormatter(mask).format(made)
    assert line.isascii()
    assert line.isprintable(), "one line, and nothing that steers a terminal"
    loaded: dict[str, Any] = json.loads(line)
    return loaded


def test_the_fields_of_a_line() -> None:
    assert fields(record("%d of %s", 3, "ten", route="/x", milliseconds=1.5, ok=True)) == {
        "timestamp": "2026-05-31T12:10:07.512Z",
        "level": "warning",
        "logger": "hl_assets.test",
        "message": "3 of ten",
        "route": "/x",
        "milliseconds": 1.5,
        "ok": True,
    }


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_is_one_line_and_comes_back(text: str) -> None:
    assert fields(record("%s", text))["message"] == Masking()(text)
    line = TextFormatter().format(record("%s", text))
    assert line.isprintable()


def test_a_hostile_name_forges_no_line() -> None:
    assert fields(record("name %s", HOSTILE))["level"] == "warning"
    line = TextFormatter().format(record("name %s", HOSTILE))
    assert len(line.splitlines()) == 1
    assert line.startswith("2026-05-31T12:10:07.512Z WARNING hl_assets.test name \\x1b[31mred")
    assert escaped("naïve 価格") == "naïve 価格"


def test_an_exception_is_a_field() -> None:
    told = fields(raised("why"))
    assert told["exception"].startswith("Traceback")
    assert told["exception"].endswith("ValueError: why")
    text = TextFormatter().format(raised(HOSTILE)).splitlines()
    assert text[1].startswith("Traceback")
    assert all(line.isprintable() for line in text)


def test_long_lines_are_cut_where_it_hurts_least() -> None:
    message = fields(record("x" * 50_000))["message"]
    assert message.endswith(f"({50_000 - MAX_MESSAGE} more characters)")
    assert fields(raised("y" * 50_000))["exception"].endswith("y" * 100)
    assert len(fields(raised("y" * 50_000))["exception"]) < MAX_EXCEPTION + 100


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not(value: float) -> None:
    assert fields(record("x", seconds=value))["seconds"] == str(value)


def test_what_work_is_about() -> None:
    with working_on(lambda: {"request_id": "r1"}):
        assert fields(record("x"))["request_id"] == "r1"
        with working_on(lambda: {"request_id": "r2"}):
            assert about() == {"request_id": "r2"}
        assert about() == {"request_id": "r1"}
    assert about() == {}


# Secrets


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings.load(
        clickhouse_url="https://hl:p%40ssw0rd%2F1@clickhouse:8443/db",
        anthropic_api_key="key-of-the-model",
        api_write_key="write-key-of-the-api",
        egress_proxies="http://u1:secret-one@10.0.0.1:80,http://u2:secret-two@10.0.0.2:80",
        dagster_postgres_url="postgresql://dagster@postgres/dagster",
        dagster_postgres_password="another secret",
    )


def test_no_secret_of_the_settings_gets_into_a_line(settings: Settings) -> None:
    mask = Masking(secret_texts(settings))
    secrets = [
        "p%40ssw0rd%2F1",
        "p@ssw0rd/1",
        "key-of-the-model",
        "write-key-of-the-api",
        "secret-one",
        "secret-two",
    ]
    secrets.append("another secret")
    made = raised(" and ".join(secrets))
    made.msg = "refused: " + "; ".join(secrets)
    for formatter in (JsonFormatter(mask), TextFormatter(mask)):
        line = formatter.format(made)
        assert not [secret for secret in secrets if secret in line]
        assert MASK in line


def test_what_looks_like_a_secret_is_none_to_write() -> None:
    told = fields(
        record(
            "no answer from https://user:hunter2@host:8443/x?y=1 with sk-ant-api03-AbC_d-1 or whsec_abc+/="
        )
    )
    assert told["message"] == f"no answer from https://{MASK}@host:8443/x?y=1 with {MASK} or {MASK}"


def test_masking_leaves_the_rest_alone() -> None:
    mask = Masking(["abc", "longer secret", "longer secret indeed"])
    assert (
        mask("abc is short; longer secret indeed; http://host:80/a@b")
        == f"abc is short; {MASK}; http://host:80/a@b"
    )


def test_every_secret_is_known(settings: Settings) -> None:
    known = secret_texts(settings)
    for field in ("clickhouse_url", "anthropic_api_key", "egress_proxies", "dagster_postgres_password"):
        assert getattr(settings, field).get_secret_value() in known


# Runs


@dg.op
def talk(context: dg.OpExecutionContext) -> None:
    context.log.info("hello %s", HOSTILE)
    logging.getLogger("hl_assets.somewhere").warning("of a module")
    logging.getLogger("hl_assets.somewhere").info("not told")
    raise ValueError("https://user:hunter2@host failed")


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What a run of a job prints with LOG_FORMAT=json and this repository's `python_logs`."""
    stream = StringIO()
    python_logs = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))["python_logs"]
    made = dg.GraphDefinition("tick", node_defs=[talk]).to_job(
        logger_defs={"console": console_logger(Settings.load(log_format="json"))}
    )
    with (
        dg.instance_for_test(overrides={"python_logs": python_logs}) as instance,
        contextlib.redirect_stderr(stream),
    ):
        result = made.execute_in_process(
            instance=instance,
            tags={"hl_assets/slot": "2026-05-31T12:10:00Z", "dagster/partition": "2026-05-31"},
            run_config=console_log("INFO"),
            raise_on_error=False,
        )
        assert not result.success
    return [json.loads(line) for line in stream.getvalue().splitlines() if line.startswith("{")]


def test_lines_of_a_run_say_which(lines: list[dict[str, Any]]) -> None:
    (hello,) = [line for line in lines if line["message"].startswith("hello")]
    assert hello["message"] == f"hello {HOSTILE}"
    of_run = {"job": "tick", "asset": "talk", "partition": "2026-05-31", "slot": "2026-05-31T12:10:00Z"}
    assert of_run.items() <= hello.items()
    assert len(hello["run_id"]) == 36
    (of_module,) = [line for line in lines if line["logger"] != "hello" and line["message"] == "of a module"]
    assert of_run.items() <= of_module.items()
    assert of_module["level"] == "warning"
    assert not [line for line in lines if line["message"] == "not told"]


def test_a_failed_step_has_its_traceback_and_no_password(lines: list[dict[str, Any]]) -> None:
    (failed,) = [line for line in lines if line.get("event") == "STEP_FAILURE"]
    assert failed["level"] == "error"
    assert "ValueError" in failed["exception"]
    assert "hunter2" not in json.dumps(lines)
    for line in lines:
        datetime.fromisoformat(line["timestamp"])


def test_text_is_dagsters_own(settings: Settings) -> None:
    assert console_logger(settings) is dg.colored_console_logger


def test_a_record_through_dagster_is_said_without_its_prefix() -> None:
    event = SimpleNamespace(event_type_value="STEP_OUTPUT", event_specific_data=None)
    meta = {"orig_message": "said", "run_id": "r", "step_key": None, "job_tags": None, "dagster_event": event}
    made = record("tick - r - said", dagster_meta=meta)
    told = fields(made)
    assert (told["message"], told["run_id"], told["event"]) == ("said", "r", "STEP_OUTPUT")
    assert "asset" not in told
    assert TextFormatter().format(made).endswith("hl_assets.test said")


# A service


def test_the_api_logs_json_without_its_password(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hl_assets.cli", "serve", "--port", "0"],
        cwd=tmp_path,
        env=bare_environment(CLICKHOUSE_URL="http://hl:hunter2secret@127.0.0.1:1", LOG_FORMAT="json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY_PREFIX), process.communicate()
        url = line.removeprefix(READY_PREFIX).split()[0]
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/readyz", headers={"X-Request-ID": "mine"}).status_code == 503
            assert client.get("/metrics").status_code == 200
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    told = [json.loads(line) for line in errors.splitlines()]
    assert "hunter2secret" not in errors
    (request,) = [line for line in told if line.get("status") == 503]
    assert (request["route"], request["request_id"], request["method"]) == ("/readyz", "mine", "GET")
    assert [line for line in told if line["level"] == "warning" and line.get("request_id") == "mine"]
    assert told[-1]["message"] == "stopped"
