"""The client takes nothing from the environment, and its key is never shown."""

import json
import logging

import pytest

from hl_assets.claude.asking import ask
from hl_assets.claude.client import ApiKeyError, make_client, scrubbed
from hl_assets.claude.grader import AskLimits
from hl_assets_tests.claude.builders import PRICE, MemoryLedger, clock, grader, profile, wallets
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.messages_api import TEST_KEY, Fault

SECRET = "not-even-shaped-like-a-key-0123456789"


def test_the_environment_decides_nothing(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://elsewhere.example")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "other")
    client = make_client(SECRET)
    assert str(client.base_url).rstrip("/") == "https://api.anthropic.com"
    assert client.api_key == SECRET
    assert client.timeout == 30.0
    assert client.max_retries == 2


@pytest.mark.parametrize("key", ["", " ", f"{SECRET}\n", f"{SECRET} ", "k\u00e9y"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key):
    with pytest.raises(ApiKeyError) as refused:
        make_client(key)
    assert SECRET not in str(refused.value)


def test_texts_are_scrubbed_to_one_short_line():
    client = make_client(SECRET)
    text = scrubbed(f"key {SECRET}\nand sk-ant-abc-123_x " + "x" * 1_000, client)
    assert text.startswith("key [secret removed] and [secret removed] xxx")
    assert len(text) == 500


@pytest.mark.parametrize(
    "kind",
    ["authentication_error", "overloaded_error", "invalid_request_error", "reset", "invalid_json", None],
)
async def test_the_key_is_in_no_record_log_or_repr(messages_api, caplog, capsys, kind):
    caplog.set_level(logging.DEBUG)
    api = messages_api(faults=() if kind is None else (Fault(kind, lasts="permanent"),))
    client = make_client(TEST_KEY, api.url, max_retries=1)
    ledger = MemoryLedger()
    asking = grader(client, ledger)
    grades = await asking.grade(wallets(2))
    client_free = await ask(client, profile(), grade_input(), price=PRICE, clock=clock, call_seconds=10)
    await client.close()
    shown = [ledger.calls, grades, client_free, asking.trouble, asking.tally, client, asking, vars(asking)]
    assert ledger.calls
    assert TEST_KEY not in repr(shown)
    assert TEST_KEY not in caplog.text
    assert TEST_KEY not in "".join(capsys.readouterr())
    assert not any(TEST_KEY in repr(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_service_that_repeats_the_key_does_not_get_it_into_a_record(foreign_server, caplog, status):
    caplog.set_level(logging.DEBUG)
    error = {"type": "error", "error": {"type": "some_error", "message": f"no good: {SECRET}"}}
    url = foreign_server("application/json", json.dumps(error).encode(), status)
    client, ledger = make_client(SECRET, url, max_retries=0), MemoryLedger()
    asking = grader(client, ledger, limits=AskLimits(break_after=1))
    grades = await asking.grade(wallets(1))
    await client.close()
    assert asking.trouble
    assert ledger.calls[0].error == f"HTTP {status}: no good: [secret removed]"
    assert SECRET not in repr([ledger.calls, grades, asking.trouble])
    assert SECRET not in caplog.text
