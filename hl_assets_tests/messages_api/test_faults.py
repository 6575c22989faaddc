"""Every fault as the real client sees it, and who meets it."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anthropic
import pytest
from pydantic import ValidationError

from hl_assets_tests.messages_api import Fault, MessagesApi, MessagesApiConfig, StandInError, content_key
from hl_assets_tests.messages_api.faults import kinds
from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.samples import Verdict, request

ROWS = range(100)


async def ask(
    api: MessagesApi, body: dict[str, Any] | None = None, **options: Any
) -> anthropic.types.Message:
    async with api.client(**options) as client:
        message: anthropic.types.Message = await client.messages.create(**(body or request()))
    return message


def _wait_until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.01)


def text_of(message: anthropic.types.Message) -> str:
    last = message.content[-1]
    assert last.type == "text"
    return last.text


# Faults in the answer


async def test_truncation_cuts_the_json_and_heals_when_asked_again(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("truncation"),))
    cut, whole = await ask(api), await ask(api)
    assert (cut.stop_reason, whole.stop_reason) == ("max_tokens", "end_turn")
    assert cut.usage.output_tokens == 1_000
    assert text_of(whole).startswith(text_of(cut))
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(cut))


async def test_truncation_can_ask_for_a_budget(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("truncation", until_max_tokens=2_000),))
    reasons = [
        (await ask(api, request(max_tokens=most))).stop_reason for most in (1_000, 1_999, 2_000, 1_000)
    ]
    assert reasons == ["max_tokens", "max_tokens", "end_turn", "max_tokens"]


async def test_truncation_can_last(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("truncation", lasts="permanent"),))
    reasons = [(await ask(api, request(max_tokens=most))).stop_reason for most in (1_000, 64_000)]
    assert reasons == ["max_tokens", "max_tokens"]


@pytest.mark.parametrize(("variant", "blocks"), [("text", 1), ("empty", 0)])
async def test_a_refusal(messages_api: StartMessagesApi, variant: Any, blocks: int) -> None:
    message = await ask(messages_api(faults=(Fault("refusal", variant=variant),)))
    assert (message.stop_reason, len(message.content)) == ("refusal", blocks)
    assert message.stop_details is not None
    assert message.stop_details.type == "refusal"
    assert (message.usage.output_tokens > 0) == bool(blocks)


async def test_both_refusals_come_when_none_is_named(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("refusal"),))
    async with api.client() as client:
        found = {len((await client.messages.create(**request(row))).content) for row in range(20)}
    assert found == {0, 1}


async def test_empty_content_and_an_odd_stop_reason(messages_api: StartMessagesApi) -> None:
    empty = await ask(messages_api(faults=(Fault("empty_content"),)))
    assert (empty.content, empty.stop_reason) == ([], "end_turn")
    paused = await ask(messages_api(faults=(Fault("odd_stop_reason"),)))
    assert paused.stop_reason == "pause_turn"
    unheard = await ask(messages_api(faults=(Fault("odd_stop_reason", stop_reason="new_reason"),)))
    assert str(unheard.stop_reason) == "new_reason"
    Verdict.model_validate_json(text_of(unheard))


async def test_invalid_json_was_not_cut(messages_api: StartMessagesApi) -> None:
    message = await ask(messages_api(faults=(Fault("invalid_json"),)))
    assert message.stop_reason == "end_turn"
    assert text_of(message).endswith("}")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(message))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("out_of_enum", "literal_error"),
        ("missing_field", "missing"),
        ("extra_field", "extra_forbidden"),
    ],
)
@pytest.mark.parametrize("row", range(5))
async def test_an_answer_off_the_schema(
    messages_api: StartMessagesApi, kind: Any, error: str, row: int
) -> None:
    message = await ask(messages_api(faults=(Fault(kind),)), request(row))
    assert message.stop_reason == "end_turn"
    with pytest.raises(ValidationError) as caught:
        Verdict.model_validate_json(text_of(message))
    assert {found["type"] for found in caught.value.errors()} == {error}


@pytest.mark.parametrize(("kind", "own_row"), [("ungrounded", True), ("wrong_row", False)])
async def test_an_answer_about_other_numbers(
    messages_api: StartMessagesApi, kind: Any, own_row: bool
) -> None:
    body = request(5)
    verdict = Verdict.model_validate_json(text_of(await ask(messages_api(faults=(Fault(kind),)), body)))
    assert (verdict.row_id == "row-5") == own_row
    for prose in (verdict.overall_assessment, verdict.reasoning.roi, verdict.reasoning.max_drawdown):
        quoted = re.findall(r"\d+(?:\.\d+)?", prose)
        assert quoted
        assert not any(number in body["messages"][0]["content"] for number in quoted)


async def test_scores_can_be_raised_to_the_highest(messages_api: StartMessagesApi) -> None:
    verdict = Verdict.model_validate_json(text_of(await ask(messages_api(faults=(Fault("raised_scores"),)))))
    assert (verdict.scores.roi, verdict.scores.max_drawdown, verdict.confidence) == (100, 100, "High")


async def test_an_unsteady_grader_is_valid_but_does_not_repeat_itself(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("unsteady"),))
    async with api.client() as client:
        texts = [text_of(await client.messages.create(**request())) for _ in range(8)]
    assert all(Verdict.model_validate_json(text) for text in texts)
    assert len(set(texts)) > 4


async def test_a_fault_that_has_no_place_in_the_answer_fails_the_test(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("out_of_enum"),))
    with pytest.raises(anthropic.InternalServerError, match="the stand-in itself failed"):
        await ask(api, {**request(), "output_config": {"effort": "low"}})
    assert isinstance(api.failures[0], StandInError)
    api.failures.clear()


# Errors and connections


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("invalid_request_error", anthropic.BadRequestError),
        ("authentication_error", anthropic.AuthenticationError),
        ("billing_error", anthropic.PaymentRequiredError),
        ("permission_error", anthropic.PermissionDeniedError),
        ("not_found_error", anthropic.NotFoundError),
        ("rate_limit_error", anthropic.RateLimitError),
        ("api_error", anthropic.InternalServerError),
        ("timeout_error", anthropic.GatewayTimeoutError),
        ("overloaded_error", anthropic.OverloadedError),
    ],
)
async def test_an_error_is_the_clients_exception(
    messages_api: StartMessagesApi, kind: Any, raised: type[anthropic.APIStatusError]
) -> None:
    api = messages_api(faults=(Fault(kind, retry_after=7),))
    with pytest.raises(raised) as caught:
        await ask(api)
    assert type(caught.value) is raised
    assert caught.value.type == kind
    assert caught.value.response.headers["retry-after"] == "7"
    assert api.answered_by_content == {}
    assert (await ask(api)).stop_reason == "end_turn"


async def test_the_client_retries_after_the_time_it_is_told(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("rate_limit_error", retry_after=0.2, times=2),))
    message = await ask(api, max_retries=2)
    assert message.stop_reason == "end_turn"
    assert [(asked.status, asked.ask) for asked in api.messages] == [(429, 1), (429, 2), (200, 3)]
    first, second, third = [asked.at for asked in api.messages]
    assert min(second - first, third - second) >= 0.19


async def test_silence_lasts_until_the_client_gives_up(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("timeout"),))
    with pytest.raises(anthropic.APITimeoutError):
        await ask(api, timeout=0.2)
    await asyncio.to_thread(_wait_until, lambda: api.messages[0].finished_at is not None)
    assert (api.messages[0].status, api.messages[0].fault) == (None, "timeout")
    assert (await ask(api)).stop_reason == "end_turn"
    assert api.max_in_flight == 1


async def test_a_slow_answer_comes_late_or_too_late(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("slow", seconds=0.3, lasts="permanent"),))
    started = time.monotonic()
    await ask(api)
    assert time.monotonic() - started >= 0.3
    with pytest.raises(anthropic.APITimeoutError):
        await ask(api, timeout=0.1)
    assert len(api.answered_by_content[content_key(request())]) == 1


async def test_a_connection_that_breaks_in_the_body(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("reset"),))
    with pytest.raises(anthropic.APIConnectionError) as caught:
        await ask(api)
    assert not isinstance(caught.value, anthropic.APITimeoutError)
    assert len(api.answered_by_content[content_key(request())]) == 1
    assert (await ask(api)).stop_reason == "end_turn"


async def test_leaving_does_not_wait_for_those_who_hear_nothing() -> None:
    running = ExitStack()
    api = running.enter_context(MessagesApi(MessagesApiConfig(faults=(Fault("timeout"),))))
    async with api.client() as client:
        waiting = asyncio.create_task(client.messages.create(**request()))
        await asyncio.to_thread(_wait_until, lambda: bool(api.messages))
        started = time.monotonic()
        await asyncio.to_thread(running.close)
        assert time.monotonic() - started < 2
        with pytest.raises(anthropic.APIConnectionError):
            await waiting
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]))


@pytest.mark.parametrize("on", ["models", "count_tokens", "batch_create", "batch_list"])
async def test_other_endpoints_can_fail_too(messages_api: StartMessagesApi, on: Any) -> None:
    api = messages_api(faults=(Fault("overloaded_error", on=on),))
    async with api.client() as client:
        calls: dict[str, Any] = {
            "models": lambda: client.models.retrieve("claude-haiku-5-5"),
            "count_tokens": lambda: client.messages.count_tokens(
                model="claude-haiku-5-5", messages=request()["messages"]
            ),
            "batch_create": lambda: client.messages.batches.create(
                requests=[{"custom_id": "x", "params": request()}]  # type: ignore[typeddict-item]
            ),
            "batch_list": client.messages.batches.list,
        }
        await client.messages.create(**request())
        with pytest.raises(anthropic.OverloadedError):
            await calls[on]()
        await calls[on]()


# Who meets them


async def statuses(api: MessagesApi, rows: list[int]) -> dict[int, str]:
    """What each row got: a stop reason or the name of an exception."""

    async with api.client() as client:

        async def one(row: int) -> tuple[int, str]:
            try:
                return row, str((await client.messages.create(**request(row))).stop_reason)
            except anthropic.APIError as error:
                return row, type(error).__name__

        return dict(await asyncio.gather(*(one(row) for row in rows)))


MIXED = (Fault("api_error", 0.1, lasts="permanent"), Fault("refusal", 0.2), Fault("odd_stop_reason", 0.1))


async def test_who_fails_depends_on_seed_and_content_and_not_on_order(messages_api: StartMessagesApi) -> None:
    rows = list(ROWS)
    first = await statuses(messages_api(faults=MIXED, seed=4), rows)
    again = await statuses(messages_api(faults=MIXED, seed=4), rows[::-1])
    other = await statuses(messages_api(faults=MIXED, seed=5), rows)
    assert first == again != other
    assert set(first.values()) == {"InternalServerError", "refusal", "pause_turn", "end_turn"}
    refused = sum(result == "refusal" for result in first.values())
    assert 7 <= refused <= 30  # 100 x 0.9 x 0.2 = 18, standard deviation 3.8


async def test_a_test_can_say_beforehand_who_fails(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=MIXED, seed=4)
    told = {row: api.fault_for(request(row)) for row in ROWS}
    found = await statuses(api, list(ROWS))
    names = {"InternalServerError": "api_error", "refusal": "refusal", "pause_turn": "odd_stop_reason"}
    assert {row: fault.kind if fault else None for row, fault in told.items()} == {
        row: names.get(result) for row, result in found.items()
    }


async def test_a_larger_budget_or_other_prompt_is_the_same_content(messages_api: StartMessagesApi) -> None:
    api = messages_api(faults=(Fault("refusal", 0.5, lasts="transient"),))
    row = next(row for row in ROWS if api.fault_for(request(row)))
    assert (await ask(api, request(row))).stop_reason == "refusal"
    assert (await ask(api, request(row, max_tokens=2_000, system="Other."))).stop_reason == "end_turn"


async def test_faults_heal_last_or_are_drawn_anew(messages_api: StartMessagesApi) -> None:
    async def reasons(fault: Fault) -> list[str | None]:
        api = messages_api(faults=(fault,))
        async with api.client() as client:
            return [(await client.messages.create(**request())).stop_reason for _ in range(12)]

    assert await reasons(Fault("refusal", times=2, lasts="transient")) == ["refusal"] * 2 + ["end_turn"] * 10
    assert await reasons(Fault("refusal")) == ["refusal"] * 12
    assert set(await reasons(Fault("refusal", 0.5, lasts="redrawn"))) == {"refusal", "end_turn"}


async def test_a_fault_can_be_ordered_for_one_row(messages_api: StartMessagesApi) -> None:
    faults = (
        Fault("refusal", containing="row-2"),
        Fault("api_error", when=lambda body: body["max_tokens"] == 77),
    )
    api = messages_api(faults=faults)
    assert await statuses(api, [1, 2, 3]) == {1: "end_turn", 2: "refusal", 3: "end_turn"}
    with pytest.raises(anthropic.InternalServerError):
        await ask(api, request(9, max_tokens=77))
    api.set_faults([])
    assert await statuses(api, [2]) == {2: "end_turn"}


def test_a_switch_is_read_from_text() -> None:
    assert Fault.from_text("refusal=0.05") == Fault("refusal", 0.05)
    assert Fault.from_text("truncation") == Fault("truncation")
    assert Fault.from_text(
        "rate_limit_error=0.5,retry_after=2,times=3,lasts=transient,containing=row-1"
    ) == Fault("rate_limit_error", 0.5, retry_after=2.0, times=3, lasts="transient", containing="row-1")
    assert "refusal" in kinds()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("refuse=0.1", "unknown fault 'refuse'; known: api_error"),
        ("refusal=2", "not in"),
        ("refusal=often", "not a number"),
        ("refusal=0.1,kind_of=x", "unknown fault fields kind_of"),
        ("refusal=0.1,variant", "not field=value"),
        ("refusal=0.1,variant=long", "neither text nor empty"),
        ("refusal=0.1,on=models", "is a fault of messages"),
        ("expired=0.1", "needs on = batch_item"),
        ("reset=0.1,on=batch_item", "no connection"),
        ("refusal=0.1,lasts=ever", "lasts 'ever'"),
        ("refusal=0.1,on=nowhere", "unknown place"),
        ("refusal=0.1,times=0", "at least 1"),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused(text: str, told: str) -> None:
    with pytest.raises(StandInError, match=told):
        Fault.from_text(text)
