"""One call: every stop reason and every failure has its outcome, and the record says it all."""

import json
import uuid

import pytest

from hl_assets.claude.asking import ask
from hl_assets.claude.client import make_client
from hl_assets.claude.prices import Usage, usd
from hl_assets.grading.canonical import canonical_input, input_hash
from hl_assets_tests.claude.builders import MODEL, NOW, PRICE, answer_text, clock, profile
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.messages_api import TEST_KEY, Fault

ITEM = grade_input(row_id="row-5")


async def asked(api, *, attempt=1, retries=0, seconds=5.0, call_seconds=20.0, used=None, url=None):
    client = make_client(TEST_KEY, url or api.url, timeout=seconds, max_retries=retries)
    try:
        return await ask(
            client,
            used or profile(),
            ITEM,
            attempt=attempt,
            price=PRICE,
            clock=clock,
            call_seconds=call_seconds,
        )
    finally:
        await client.close()


async def test_an_answer_is_a_grade_and_a_full_record(messages_api):
    api = messages_api()
    result = await asked(api)
    call, sent = result.call, api.messages[0]
    assert result.grade is not None
    assert (result.grade.grade_source, result.grade.call_id) == ("llm", call.call_id)
    assert result.grade.ungrounded == ()
    assert uuid.UUID(hex=call.call_id)
    assert (call.outcome, call.stop_reason, call.error_kind, call.error) == ("graded", "end_turn", None, None)
    assert (call.row_id, call.attempt, call.mode, call.batch_id) == ("row-5", 1, "realtime", None)
    assert call.requested_at == NOW
    assert call.latency_seconds > 0
    assert call.request_id == sent.request_id
    assert call.canonical_input == canonical_input(ITEM)
    assert (call.input_hash, call.grade_key) == (input_hash(ITEM), profile().grade_key(ITEM))
    assert (call.model, call.effort, call.max_tokens) == (MODEL, "low", 2_000)
    assert call.prompt_hash == profile().prompt.sha256
    usage = sent.answer["usage"]
    assert (call.input_tokens, call.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
    assert call.estimated_usd == usd(PRICE, Usage(call.input_tokens, call.output_tokens))
    assert json.loads(call.raw_answer)["trading_style"] == result.grade.trading_style


async def test_the_body_sent_is_the_profiles_request(messages_api):
    api = messages_api()
    await asked(api)
    assert json.loads(api.messages[0].body) == json.loads(profile().request_bytes(ITEM))


async def test_cached_tokens_are_counted_and_cheaper(messages_api):
    api = messages_api(cache_minimum_tokens=100)
    first, second = (await asked(api)).call, (await asked(api)).call
    assert first.cache_write_tokens > 1_000
    assert second.cache_read_tokens == first.cache_write_tokens
    assert second.estimated_usd < first.estimated_usd


async def test_thinking_before_the_text_is_passed_over(messages_api):
    assert (await asked(messages_api(thinking="always"))).grade is not None


async def test_the_second_attempt_has_twice_the_tokens(messages_api):
    api = messages_api()
    call = (await asked(api, attempt=2)).call
    assert (call.attempt, call.max_tokens) == (2, 4_000)
    assert json.loads(api.messages[0].body)["max_tokens"] == 4_000


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        (Fault("truncation"), "truncated", "cut off"),
        (Fault("refusal", variant="text"), "refused", "declined"),
        (Fault("refusal", variant="empty"), "refused", "declined"),
        (Fault("odd_stop_reason", stop_reason="pause_turn"), "unexpected_stop", "pause_turn"),
        (Fault("odd_stop_reason", stop_reason="stop_sequence"), "unexpected_stop", "stop_sequence"),
        (Fault("odd_stop_reason", stop_reason="tool_use"), "unexpected_stop", "tool_use"),
        (Fault("odd_stop_reason", stop_reason="model_context_window_exceeded"), "unexpected_stop", "context"),
        (Fault("odd_stop_reason", stop_reason="of_the_future"), "unexpected_stop", "of_the_future"),
        (Fault("empty_content"), "invalid_answer", "no text"),
        (Fault("out_of_enum"), "invalid_answer", "Input should be"),
        (Fault("invalid_json"), "invalid_answer", "JSON"),
        (Fault("missing_field"), "invalid_answer", "required"),
        (Fault("extra_field"), "invalid_answer", "Extra"),
    ],
)  # fmt: skip
async def test_stop_reasons_and_answers(messages_api, fault, outcome, error):
    api = messages_api(faults=(fault,))
    result = await asked(api)
    call = result.call
    assert result.grade is None
    assert (call.outcome, call.error_kind) == (outcome, outcome)
    assert error in call.error
    assert call.stop_reason == api.messages[0].answer["stop_reason"]
    assert call.estimated_usd > 0
    assert call.request_id is not None


@pytest.mark.parametrize(
    ("kind", "outcome", "error_kind"),
    [
        ("invalid_request_error", "rejected", "bad_request"),
        ("authentication_error", "rejected", "authentication"),
        ("billing_error", "rejected", "billing"),
        ("permission_error", "rejected", "permission"),
        ("not_found_error", "rejected", "not_found"),
        ("rate_limit_error", "unavailable", "rate_limited"),
        ("api_error", "unavailable", "server_error"),
        ("timeout_error", "unavailable", "timeout"),
        ("overloaded_error", "unavailable", "overloaded"),
    ],
)
async def test_errors_of_the_service_bill_nothing(messages_api, kind, outcome, error_kind):
    api = messages_api(faults=(Fault(kind),))
    call = (await asked(api)).call
    assert (call.outcome, call.error_kind) == (outcome, error_kind)
    assert call.error.startswith("HTTP ")
    assert call.request_id == api.messages[0].request_id
    assert call.estimated_usd == 0.0
    assert (call.raw_answer, call.stop_reason, call.input_tokens) == (None, None, None)


@pytest.mark.parametrize("kind", ["rate_limit_error", "api_error", "overloaded_error", "reset"])
async def test_the_sdk_repeats_what_heals(messages_api, kind):
    api = messages_api(faults=(Fault(kind, lasts="transient", times=2),))
    result = await asked(api, retries=2)
    assert result.grade is not None
    assert len(api.messages) == 3


@pytest.mark.parametrize(("kind", "error_kind"), [("reset", "connection"), ("timeout", "timeout")])
async def test_an_answer_that_never_arrives_may_be_billed(messages_api, kind, error_kind):
    api = messages_api(faults=(Fault(kind),))
    call = (await asked(api, seconds=0.3)).call
    assert (call.outcome, call.error_kind, call.estimated_usd) == ("unavailable", error_kind, None)


async def test_nobody_there_bills_nothing():
    call = (await asked(None, url="http://127.0.0.1:9")).call
    assert (call.outcome, call.error_kind, call.estimated_usd) == ("unavailable", "connection", 0.0)


async def test_a_server_cannot_make_a_call_wait_for_hours(messages_api):
    api = messages_api(faults=(Fault("rate_limit_error", retry_after=3_600),))
    call = (await asked(api, retries=2, call_seconds=0.5)).call
    assert (call.outcome, call.error_kind) == ("unavailable", "timeout")
    assert call.latency_seconds < 5


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html>a proxy's page</html>"),
        ("application/json", b"{ not json"),
        ("application/json", b'"text"'),
        ("application/json", b"{}"),
        ("application/json", b'{"type": "message", "content": 5, "stop_reason": 7, "usage": []}'),
        ("application/json", json.dumps({"content": [{"type": "text"}], "stop_reason": "end_turn"}).encode()),
    ],
)
async def test_an_answer_of_another_make_is_an_outcome_too(foreign_server, content_type, body):
    call = (await asked(None, url=foreign_server(content_type, body))).call
    assert call.outcome in ("unavailable", "unexpected_stop", "invalid_answer")
    assert call.error
    assert call.estimated_usd is None


async def test_an_ungrounded_answer_is_a_grade_with_a_flag(messages_api):
    result = await asked(messages_api(faults=(Fault("ungrounded"),)))
    assert result.call.outcome == "graded"
    assert result.grade.ungrounded


async def test_the_last_text_block_is_the_answer(foreign_server):
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Let me see."}, {"type": "text", "text": answer_text()}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 20},
    }
    result = await asked(None, url=foreign_server("application/json", json.dumps(message).encode()))
    assert result.grade is not None
    assert result.call.raw_answer == answer_text()
