"""Messages through the real client: what a valid request gets and an invalid one is told."""

import asyncio
import json
from typing import Any

import anthropic
import pytest

from hl_assets_tests.messages_api import TEST_KEY, MessagesApi, content_key
from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.samples import MODEL, SCHEMA, Verdict, request, row


def text_of(message: anthropic.types.Message) -> str:
    last = message.content[-1]
    assert last.type == "text"
    return last.text


async def refused(api: MessagesApi, **changes: Any) -> str:
    """The message of the 400 the request gets; parameters the client does not know go in its `extra_body`."""
    async with api.client() as client:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.messages.create(**request(**changes))
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id == api.requests[-1].request_id
    assert str(caught.value.request_id).startswith("req_")
    return str(caught.value.api_message)


async def test_the_answer_follows_the_schema_and_the_row(messages_api: StartMessagesApi) -> None:
    api = messages_api()
    async with api.client() as client:
        message = await client.messages.create(**request(7))
    verdict = Verdict.model_validate_json(text_of(message))
    assert (verdict.row_id, verdict.scores.max_drawdown, verdict.scores.roi) == ("row-7", 100, 40)
    assert verdict.reasoning.roi.count("1.57") == 1
    assert (message.id[:4], message.type, message.role, message.model) == (
        "msg_",
        "message",
        "assistant",
        MODEL,
    )
    assert message.stop_reason == "end_turn"
    assert message._request_id == api.requests[0].request_id


async def test_equal_numbers_get_equal_answers_whatever_their_order_or_name(
    messages_api: StartMessagesApi,
) -> None:
    first = row(3)
    second = {"row_id": "another", **{key: first[key] for key in ("percentiles", "metrics")}}
    async with messages_api().client() as client:
        answers = [
            json.loads(
                text_of(
                    await client.messages.create(
                        **request(messages=[{"role": "user", "content": json.dumps(item)}])
                    )
                )
            )
            for item in (first, second)
        ]
    assert answers[0].pop("row_id") == "row-3"
    assert answers[1].pop("row_id") == "another"
    assert answers[0] == answers[1]


async def test_a_higher_percentile_never_lowers_its_score(messages_api: StartMessagesApi) -> None:
    scores = []
    async with messages_api().client() as client:
        for percentile in (0.0, 0.19, 0.2, 0.55, 0.81, 1.0):
            content = json.dumps(row(1, roi=percentile))
            message = await client.messages.create(**request(messages=[{"role": "user", "content": content}]))
            scores.append(Verdict.model_validate_json(text_of(message)).scores.roi)
    assert scores == [20, 20, 40, 60, 100, 100]


async def test_the_tests_own_answerer_is_asked_with_the_body(messages_api: StartMessagesApi) -> None:
    api = messages_api(answerer=lambda body: {"asked": body["max_tokens"]})
    async with api.client() as client:
        message = await client.messages.create(**request(max_tokens=123))
    assert json.loads(text_of(message)) == {"asked": 123}


async def test_a_failing_answerer_fails_the_test_that_uses_it(messages_api: StartMessagesApi) -> None:
    def answerer(body: dict[str, Any]) -> str:
        raise LookupError("no such row")

    api = messages_api(answerer=answerer)
    async with api.client() as client:
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(**request())
    assert [type(failure) for failure in api.failures] == [LookupError]
    api.failures.clear()


async def test_an_answer_longer_than_the_budget_is_cut(messages_api: StartMessagesApi) -> None:
    api = messages_api()
    async with api.client() as client:
        whole = await client.messages.create(**request())
        message = await client.messages.create(**request(max_tokens=20))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 20
    assert text_of(whole).startswith(text_of(message))
    assert len(text_of(message)) == 70


@pytest.mark.parametrize(
    ("setting", "asked", "types"),
    [
        ("asked", None, ["text"]),
        ("asked", {"type": "adaptive"}, ["thinking", "text"]),
        ("always", None, ["thinking", "text"]),
        ("never", {"type": "enabled", "budget_tokens": 1_024}, ["text"]),
    ],
)
async def test_thinking_comes_first_and_counts_as_output(
    messages_api: StartMessagesApi, setting: str, asked: Any, types: list[str]
) -> None:
    changes = {"max_tokens": 2_000, **({"thinking": asked} if asked else {})}
    async with messages_api(thinking=setting).client() as client:
        message = await client.messages.create(**request(**changes))
    assert [block.type for block in message.content] == types
    details = message.usage.output_tokens_details
    assert details is not None
    assert (details.thinking_tokens > 0) == ("thinking" in types)
    written = -(-len(text_of(message)) // 3.5)
    assert message.usage.output_tokens == written + details.thinking_tokens


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"extra_body": {"temperature": 0.2}}, "temperature: Extra inputs are not permitted"),
        ({"extra_body": {"max_tokens": None}}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": 10**6}, "max_tokens: 1000000 > 64000"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "user", "content": ""}]}, "text content blocks must be non-empty"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": [{"role": "assistant", "content": "{"}]}, "assistant message prefill"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be"),
        ({"output_config": {"effort": "low"}, "model": "claude-haiku-4-5"}, "does not support the effort"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type: Input should be"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
        (
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
async def test_an_invalid_request_is_told_why(
    messages_api: StartMessagesApi, changes: dict[str, Any], told: str
) -> None:
    api = messages_api()
    assert told in await refused(api, **changes)
    assert api.answered_by_content == {}


@pytest.mark.parametrize("name", ["model", "max_tokens", "messages"])
async def test_what_is_needed_is_missed(messages_api: StartMessagesApi, name: str) -> None:
    body = {key: value for key, value in request().items() if key != name}
    async with messages_api().client() as client:
        with pytest.raises(anthropic.BadRequestError, match=f"{name}: Field required"):
            await client.post("/v1/messages", body=body, cast_to=object)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {}}, "'additionalProperties' must be explicitly set to false"),
        (
            {**SCHEMA, "$defs": {**SCHEMA["$defs"], "Scores": {"type": "object", "properties": {}}}},
            "'additionalProperties' must be explicitly set to false",
        ),
        ({"type": "integer", "minimum": 1}, "For 'integer' type, property 'minimum' is not supported"),
        ({"type": "number", "minimum": 1, "maximum": 2}, "properties minimum, maximum are not supported"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, "other than 0 or 1"),
        ({"type": "string", "maxLength": 9}, "property 'maxLength' is not supported"),
        ({"oneOf": [{"type": "string"}]}, "'oneOf' is not supported"),
        ({"$ref": "#/$defs/none"}, "Invalid $ref"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
            "Circular reference",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_a_schema_the_api_does_not_take_is_refused(
    messages_api: StartMessagesApi, schema: dict[str, Any], told: str
) -> None:
    output = {"format": {"type": "json_schema", "schema": schema}}
    assert told in await refused(messages_api(), output_config=output)


@pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("model", ["claude-haiku-9", "claude-3-5-haiku-20241022"])
async def test_an_unknown_or_retired_model_is_not_found(messages_api: StartMessagesApi, model: str) -> None:
    async with messages_api().client() as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            await client.messages.create(**request(model=model))
    assert (caught.value.type, caught.value.api_message) == ("not_found_error", f"model: {model}")


async def test_the_key_is_checked_and_not_kept(messages_api: StartMessagesApi) -> None:
    api = messages_api(api_key=TEST_KEY)
    async with api.client() as client:
        await client.messages.create(**request())
        await client.with_options(default_headers={"x-api-key": TEST_KEY}).messages.create(**request())
    async with api.client(api_key="sk-wrong") as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await client.messages.create(**request())
    assert caught.value.type == "authentication_error"
    assert [asked.key_accepted for asked in api.requests] == [True, True, False]
    assert TEST_KEY not in str(api.requests)
    assert "sk-wrong" not in str(api.requests)


async def test_a_request_without_key_or_version_is_refused(messages_api: StartMessagesApi) -> None:
    api = messages_api()
    async with api.client(default_headers={"Authorization": anthropic.omit}) as client:
        with pytest.raises(anthropic.AuthenticationError, match="an API key is required"):
            await client.messages.create(**request())
    async with api.client(default_headers={"x-api-key": "k", "Authorization": anthropic.omit}) as client:
        await client.messages.create(**request())
    async with api.client(default_headers={"anthropic-version": anthropic.omit}) as client:
        with pytest.raises(anthropic.BadRequestError, match="anthropic-version: header is required"):
            await client.messages.create(**request())


async def test_everything_asked_is_recorded(messages_api: StartMessagesApi) -> None:
    api = messages_api()
    async with api.client() as client:
        await client.messages.create(**request(1))
        await client.messages.create(**request(1, max_tokens=900))
        await client.messages.create(**request(2))
    first, second, third = api.messages
    assert json.loads(first.body) == request(1)
    assert first.content == second.content == content_key(request(1)) != third.content
    assert [asked.ask for asked in api.messages] == [1, 2, 1]
    assert first.at < second.at < third.at
    assert (first.status, first.stop_reason, first.answer["id"]) == (
        200,
        "end_turn",
        api.answered_by_content[content_key(request(1))][0].message["id"],
    )
    assert {key: len(found) for key, found in api.answered_by_content.items()} == {
        content_key(request(1)): 2,
        content_key(request(2)): 1,
    }
    api.reset()
    assert (api.requests, api.answered_by_content, api.max_in_flight) == ([], {}, 0)


async def test_concurrency_is_counted(messages_api: StartMessagesApi) -> None:
    api = messages_api(latency_seconds=0.3)
    gate = asyncio.Semaphore(5)

    async with api.client() as client:

        async def ask(number: int) -> None:
            async with gate:
                await client.messages.create(**request(number))

        await asyncio.gather(*(ask(number) for number in range(10)))
    assert api.max_in_flight == 5
    assert max(asked.in_flight for asked in api.messages) == 5


async def test_a_path_that_does_not_exist(messages_api: StartMessagesApi) -> None:
    async with messages_api().client() as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            await client.post("/v1/complete", body={}, cast_to=object)
    assert caught.value.type == "not_found_error"
