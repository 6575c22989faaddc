"""Token counts and prompt caching through the real client."""

from typing import Any

import anthropic

from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.samples import MODEL, request

_MARK = {"type": "ephemeral"}


def with_system(number: int, characters: int, **mark: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": "r" * characters, "cache_control": {**_MARK, **mark}}]
    return request(number, system=blocks)


async def usage(client: anthropic.AsyncAnthropic, body: dict[str, Any]) -> tuple[int, int | None, int | None]:
    used = (await client.messages.create(**body)).usage
    return used.input_tokens, used.cache_creation_input_tokens, used.cache_read_input_tokens


async def test_a_marked_prefix_is_written_once_then_read(messages_api: StartMessagesApi) -> None:
    async with messages_api(cache_minimum_tokens=1_000).client() as client:
        first, second = [await usage(client, with_system(number, 5_000)) for number in (1, 2)]
        other_model = await usage(client, {**with_system(3, 5_000), "model": "claude-sonnet-5-5"})
        other_schema = await usage(client, {**with_system(4, 5_000), "output_config": {"effort": "low"}})
    assert first[1] is not None
    assert first[1] > 5_000 / 3.5
    assert second == (first[0], 0, first[1])
    assert other_model[1:] == (first[1], 0)
    assert other_schema[2] == 0


async def test_below_the_minimum_nothing_is_cached_and_nothing_says_so(
    messages_api: StartMessagesApi,
) -> None:
    async with messages_api(cache_minimum_tokens=4_096).client() as client:
        found = [await usage(client, with_system(number, 5_000)) for number in (1, 1)]
    assert [used[1:] for used in found] == [(0, 0), (0, 0)]
    assert found[0][0] > 5_000 / 3.5


async def test_without_a_mark_nothing_is_cached(messages_api: StartMessagesApi) -> None:
    async with messages_api(cache_minimum_tokens=1).client() as client:
        found = [await usage(client, request(1, system="r" * 5_000)) for _ in range(2)]
    assert [used[1:] for used in found] == [(0, 0), (0, 0)]


async def test_a_prefix_lives_five_minutes_or_an_hour_after_its_last_use(
    messages_api: StartMessagesApi,
) -> None:
    now = 0.0
    async with messages_api(cache_minimum_tokens=1_000, clock=lambda: now).client() as client:
        short, long = with_system(1, 5_000), with_system(1, 6_000, ttl="1h")
        created = (await client.messages.create(**long)).usage.cache_creation
        assert created is not None
        assert created.ephemeral_1h_input_tokens > 0 == created.ephemeral_5m_input_tokens
        await usage(client, short)
        reads = {}
        for now in (290.0, 580.0, 881.0):
            reads[now] = bool((await usage(client, short))[2])
        assert reads == {290.0: True, 580.0: True, 881.0: False}
        assert (await usage(client, long))[2]
        now = 10_000.0
        assert not (await usage(client, long))[2]


async def test_counting_agrees_with_what_the_message_is_charged(messages_api: StartMessagesApi) -> None:
    api = messages_api(cache_minimum_tokens=1_000)
    async with api.client() as client:
        body = with_system(1, 5_000)
        counted = await client.messages.count_tokens(
            **{key: value for key, value in body.items() if key != "max_tokens"}
        )
        charged = await usage(client, body)
        assert counted.input_tokens == sum(part or 0 for part in charged)
        small = await client.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": "r" * 350}]
        )
    assert 100 < small.input_tokens < 120
    assert api.requests[0].path == "/v1/messages/count_tokens"
    assert len(api.answered_by_content) == 1
