"""Batches through the real client: life, results out of order, refusals, faults."""

from typing import Any

import anthropic
import pytest
from anthropic.types.messages import MessageBatchIndividualResponse

from hl_assets_tests.messages_api import Fault, MessagesApi, content_key
from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.samples import Verdict, request


def items(count: int, **changes: Any) -> list[Any]:
    return [{"custom_id": f"row-{number}", "params": request(number, **changes)} for number in range(count)]


async def finished(
    client: anthropic.AsyncAnthropic, requests: list[Any]
) -> list[MessageBatchIndividualResponse]:
    """Results in the order they come, of a batch that ends with its first poll."""
    batch = await client.messages.batches.create(requests=requests)
    return [line async for line in await client.messages.batches.results(batch.id)]


async def test_a_batch_ends_after_its_polls_and_answers_every_item_once(
    messages_api: StartMessagesApi,
) -> None:
    api = messages_api(batch_polls=3)
    async with api.client() as client:
        made = await client.messages.batches.create(requests=items(30))
        assert made.id.startswith("msgbatch_")
        assert (made.processing_status, made.request_counts.processing, made.results_url) == (
            "in_progress",
            30,
            None,
        )
        polled = [await client.messages.batches.retrieve(made.id) for _ in range(3)]
        lines = [line async for line in await client.messages.batches.results(made.id)]
    assert [batch.processing_status for batch in polled] == ["in_progress", "in_progress", "ended"]
    counts = polled[-1].request_counts
    assert (counts.succeeded, counts.processing, counts.errored) == (30, 0, 0)
    assert polled[-1].ended_at is not None
    assert polled[-1].results_url == f"{api.url}/v1/messages/batches/{made.id}/results"
    order = [line.custom_id for line in lines]
    assert sorted(order) == sorted(item["custom_id"] for item in items(30))
    assert order != [item["custom_id"] for item in items(30)]
    for line in lines:
        assert line.result.type == "succeeded"
        text = line.result.message.content[-1]
        assert text.type == "text"
        assert Verdict.model_validate_json(text.text).row_id == line.custom_id
        assert line.result.message.usage.service_tier == "batch"
    assert {len(found) for found in api.answered_by_content.values()} == {1}
    assert api.answered_by_content[content_key(request(4))][0].custom_id == "row-4"


async def test_a_batch_can_take_time_instead_of_polls(messages_api: StartMessagesApi) -> None:
    now = 0.0
    async with messages_api(batch_polls=0, batch_seconds=60.0, clock=lambda: now).client() as client:
        batch = await client.messages.batches.create(requests=items(1))
        first = await client.messages.batches.retrieve(batch.id)
        now = 60.0
        second = await client.messages.batches.retrieve(batch.id)
    assert [first.processing_status, second.processing_status] == ["in_progress", "ended"]


async def test_results_before_the_end_are_not_to_be_had(messages_api: StartMessagesApi) -> None:
    async with messages_api(batch_polls=9).client() as client:
        batch = await client.messages.batches.create(requests=items(1))
        with pytest.raises(anthropic.AnthropicError, match="results_url"):
            await client.messages.batches.results(batch.id)
        with pytest.raises(anthropic.NotFoundError, match="has not ended"):
            await client.get(f"/v1/messages/batches/{batch.id}/results", cast_to=object)
        with pytest.raises(anthropic.BadRequestError, match="before it has ended"):
            await client.messages.batches.delete(batch.id)


@pytest.mark.parametrize("kept", [0.0, 0.5])
async def test_a_cancelled_batch_ends_with_canceled_items(
    messages_api: StartMessagesApi, kept: float
) -> None:
    api = messages_api(batch_polls=9, batch_kept_on_cancel=kept)
    async with api.client() as client:
        batch = await client.messages.batches.create(requests=items(40))
        stopped = await client.messages.batches.cancel(batch.id)
        ended = await client.messages.batches.retrieve(batch.id)
        lines = [line async for line in await client.messages.batches.results(batch.id)]
        with pytest.raises(anthropic.BadRequestError, match="already ended"):
            await client.messages.batches.cancel(batch.id)
        assert (await client.messages.batches.delete(batch.id)).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.batches.retrieve(batch.id)
    assert (stopped.processing_status, ended.processing_status) == ("canceling", "ended")
    assert stopped.cancel_initiated_at is not None
    types = [line.result.type for line in lines]
    assert types.count("canceled") == ended.request_counts.canceled == 40 - ended.request_counts.succeeded
    assert (ended.request_counts.succeeded > 0) == (kept > 0)
    assert len(api.answered_by_content) == ended.request_counts.succeeded


async def test_batches_are_listed_newest_first_in_pages(messages_api: StartMessagesApi) -> None:
    async with messages_api().client() as client:
        made = [(await client.messages.batches.create(requests=items(1))).id for _ in range(5)]
        listed = [batch.id async for batch in client.messages.batches.list(limit=2)]
        first = await client.messages.batches.list(limit=2)
    assert listed == made[::-1]
    assert (first.has_more, first.first_id, first.last_id) == (True, made[4], made[3])


@pytest.mark.parametrize(
    ("requests", "told"),
    [
        ([], "between 1 and 100000"),
        (items(1) * 2, "requests.1.custom_id: Duplicate custom_id: row-0"),
        ([{**items(1)[0], "custom_id": "0xabc:def"}], "should match pattern"),
        ([{**items(1)[0], "custom_id": "x" * 65}], "at most 64 characters"),
        ([{"custom_id": "x"}], "requests.0.params: Field required"),
    ],
    ids=["none", "duplicate", "pattern", "length", "params"],
)
async def test_a_batch_with_unusable_ids_is_refused(
    messages_api: StartMessagesApi, requests: Any, told: str
) -> None:
    async with messages_api().client() as client:
        with pytest.raises(anthropic.BadRequestError, match=told):
            await client.messages.batches.create(requests=requests)


async def test_invalid_parameters_show_in_the_results_only(messages_api: StartMessagesApi) -> None:
    good, bad = items(2)
    bad["params"]["model"] = "claude-none"
    async with messages_api().client() as client:
        results = {line.custom_id: line.result for line in await finished(client, [good, bad])}
    assert results["row-0"].type == "succeeded"
    assert results["row-1"].type == "errored"
    assert results["row-1"].error.error.type == "not_found_error"


async def test_each_result_type_comes_to_the_items_it_was_ordered_for(messages_api: StartMessagesApi) -> None:
    def about(number: int) -> Any:
        return lambda body: f'"row-{number}"' in body["messages"][0]["content"]

    faults = (
        Fault("api_error", on="batch_item", when=about(1)),
        Fault("expired", on="batch_item", when=about(2)),
        Fault("canceled", on="batch_item", when=about(3)),
        Fault("refusal", when=about(4)),
        Fault("overloaded_error", when=about(5)),
    )
    async with messages_api(faults=faults).client() as client:
        results = {line.custom_id: line.result for line in await finished(client, items(6))}
    assert [results[f"row-{number}"].type for number in range(6)] == [
        "succeeded",
        "errored",
        "expired",
        "canceled",
        "succeeded",
        "succeeded",
    ]
    errored, refused = results["row-1"], results["row-4"]
    assert errored.type == "errored"
    assert errored.error.error.type == "api_error"
    assert refused.type == "succeeded"
    assert refused.message.stop_reason == "refusal"


async def test_a_batch_whose_answer_is_lost_was_made_nevertheless(messages_api: StartMessagesApi) -> None:
    async with messages_api(faults=(Fault("reset", on="batch_create"),)).client() as client:
        with pytest.raises(anthropic.APIConnectionError):
            await client.messages.batches.create(requests=items(2))
        listed = [batch async for batch in client.messages.batches.list()]
    assert [batch.request_counts.processing for batch in listed] == [2]


async def test_a_result_file_that_breaks_off_can_be_fetched_again(messages_api: StartMessagesApi) -> None:
    async with messages_api(faults=(Fault("reset", on="batch_results"),)).client() as client:
        batch = await client.messages.batches.create(requests=items(40))
        read = []
        # The client does not wrap an error in the middle of a stream: its HTTP library's own comes through.
        with pytest.raises(Exception, match=r"closed connection|incomplete"):  # noqa: PT012
            async for line in await client.messages.batches.results(batch.id):
                read.append(line.custom_id)  # noqa: PERF401
        again = [line.custom_id async for line in await client.messages.batches.results(batch.id)]
    assert 0 < len(read) < 40 == len(again)
    assert read == again[: len(read)]


async def test_the_same_row_is_counted_in_batches_and_messages_together(
    messages_api: StartMessagesApi,
) -> None:
    api: MessagesApi = messages_api()
    async with api.client() as client:
        await finished(client, items(1))
        await client.messages.create(**request(0))
    assert [answer.custom_id for answer in api.answered_by_content[content_key(request(0))]] == [
        "row-0",
        None,
    ]
