"""The model's standing, as the service tells it."""

from datetime import UTC, datetime

import pytest

from hl_assets.claude.client import make_client
from hl_assets.claude.models import check_model
from hl_assets_tests.claude.builders import MODEL, profile
from hl_assets_tests.messages_api import TEST_KEY, Fault


async def status(api, url=None, **changes):
    client = make_client(TEST_KEY, url or api.url, max_retries=0)
    found = await check_model(client, profile(**changes))
    await client.close()
    return found


async def test_a_model_in_good_standing(messages_api):
    found = await status(messages_api())
    assert (found.model, found.known, found.lifecycle, found.note) == (MODEL, True, "active", None)


async def test_one_that_will_retire(messages_api):
    found = await status(messages_api(), model="claude-sonnet-4-5")
    assert found.lifecycle == "deprecated"
    assert found.retires_at == datetime(2026, 11, 30, tzinfo=UTC)
    assert "will be retired on 2026-11-30" in found.note


async def test_one_that_cannot_be_asked_so(messages_api):
    found = await status(messages_api(), model="claude-3-5-haiku-20241022", max_tokens=5_000)
    for words in ("retired and answers no more", "JSON schema", "effort low", "at most 8192 tokens"):
        assert words in found.note


async def test_one_that_is_unknown(messages_api):
    found = await status(messages_api(), model="claude-of-tomorrow")
    assert found.known is False
    assert "claude-of-tomorrow was not found (404): check GRADER_MODEL" in found.note


async def test_a_refused_key(messages_api):
    found = await status(messages_api(api_key="another"))
    assert found.known is None
    assert "ANTHROPIC_API_KEY was refused (401)" in found.note


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error"])
async def test_a_service_in_trouble_is_reported(messages_api, kind):
    found = await status(messages_api(faults=(Fault(kind, on="models"),)))
    assert found.known is None
    assert "could not be looked up: HTTP" in found.note


async def test_nobody_there_is_reported():
    found = await status(None, url="http://127.0.0.1:9")
    assert found.known is None
    assert "ConnectError" in found.note
