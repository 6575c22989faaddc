"""Batches against the stand-in: every result once, whatever order, whenever the process dies."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from hl_assets.claude.batch_records import BatchRequest, GradeBatch
from hl_assets.claude.batches import (
    BatchLimits,
    BatchRejectedError,
    BatchRun,
    BatchUnavailableError,
)
from hl_assets.claude.budget import Budget
from hl_assets.claude.client import make_client
from hl_assets.claude.prices import Usage, price_of, usd
from hl_assets.claude.reuse import settled
from hl_assets_tests.claude.builders import PRICE, profile, wallets
from hl_assets_tests.messages_api import TEST_KEY, Fault


class KilledError(BaseException):
    """The death of the process."""


class Warehouse:
    """Store and ledger of the tests; dies where it is told to."""

    def __init__(self, api):
        self.batches: dict[str, GradeBatch] = {}
        self.calls, self.items, self.history = [], [], []
        self.die_at_save = self.die_after_save = self.die_at_record = None
        self._api = api

    async def save(self, batch):
        paths = [f"{asked.method} {asked.path.split('msgbatch')[0]}" for asked in self._api.requests]
        self.history.append((batch.status, batch.batch_id is not None, paths))
        if self.die_at_save == batch.status:
            self.die_at_save = None
            raise KilledError
        self.batches[batch.intent_id] = GradeBatch.model_validate_json(batch.model_dump_json())
        if self.die_after_save == batch.status:
            self.die_after_save = None
            raise KilledError

    async def record(self, call, item):
        if self.die_at_record == len(self.calls):
            self.die_at_record = None
            raise KilledError
        self.calls.append(call)
        self.items.append(item)

    @property
    def open(self):
        return [batch for batch in self.batches.values() if batch.is_open]

    @property
    def recorded(self):
        return {call.call_id for call in self.calls}


def requests_for(count):
    return [
        BatchRequest(item=item, slot="2026-11-20T10:00", wallet=f"0x{number:040x}")
        for number, item in enumerate(wallets(count))
    ]


class Process:
    """One life of the process, with its own client and budget."""

    def __init__(self, api, warehouse, *, budget=None, sleep=None, **limits):
        self.slept, self.progress = [], []
        self.budget = budget or Budget(per_run_usd=100, per_day_usd=100, spent_today_usd=0)
        self.client = make_client(TEST_KEY, api.url, timeout=5, max_retries=0)
        self.run = BatchRun(
            self.client,
            profile(),
            ledger=warehouse,
            store=warehouse,
            budget=self.budget,
            price_for=price_of,
            clock=lambda: datetime.now(UTC),
            limits=BatchLimits(**limits),
            sleep=self._sleep,
            on_progress=lambda *now: self.progress.append(now),
        )

    async def _sleep(self, seconds):
        self.slept.append(seconds)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.client.close()


def creations(api):
    return [asked for asked in api.requests if (asked.method, asked.path) == ("POST", "/v1/messages/batches")]


async def resumed(api, warehouse, **settings):
    async with Process(api, warehouse, **settings) as process:
        return await process.run.resume(warehouse.open, warehouse.recorded), process


async def test_every_result_becomes_a_call_at_half_the_price(messages_api):
    api = messages_api(batch_polls=3)
    warehouse = Warehouse(api)
    async with Process(api, warehouse) as process:
        submission = await process.run.submit(requests_for(12))
        assert process.budget.reserved_usd > 0
        collected = await process.run.collect(submission.batch)
    assert collected.batch.status == "collected"
    assert warehouse.open == []
    assert submission.left_out == ()
    assert len(warehouse.calls) == 12
    assert process.slept == [60.0, 60.0]
    assert process.progress[0] == (0, 12, 0)
    assert process.progress[-1] == (12, 12, 0)
    assert process.budget.reserved_usd == 0
    assert process.budget.spent_usd == pytest.approx(sum(call.estimated_usd for call in warehouse.calls))
    order = [int(item.custom_id.partition("-")[2]) for item in warehouse.items]
    assert order != sorted(order)
    for call, item in zip(warehouse.calls, warehouse.items, strict=True):
        assert (call.outcome, call.mode, call.batch_id) == ("graded", "batch", collected.batch.batch_id)
        assert call.call_id == item.call_id
        assert item.wallet == f"0x{int(call.row_id.removeprefix('row-')):040x}"
        assert call.canonical_input == item.question.canonical
        assert call.estimated_usd == pytest.approx(
            usd(PRICE, Usage(call.input_tokens, call.output_tokens)) / 2
        )
        assert call.latency_seconds is None
        assert call.requested_at == collected.batch.submitted_at
    made = {
        answered.custom_id: answered.message["content"][-1]["text"]
        for answers in api.answered_by_content.values()
        for answered in answers
    }
    assert made == {i.custom_id: c.raw_answer for c, i in zip(warehouse.calls, warehouse.items, strict=True)}


async def test_what_is_sent_is_the_profiles_request_and_no_wallet(messages_api):
    api = messages_api()
    async with Process(api, Warehouse(api)) as process:
        submission = await process.run.submit(requests_for(2))
    (sent,) = creations(api)
    assert b"0x0" not in sent.body
    for request, item in zip(json.loads(sent.body)["requests"], wallets(2), strict=True):
        assert request["params"] == json.loads(profile().request_bytes(item))
        assert request["custom_id"].startswith(submission.batch.intent_id)


async def test_intent_then_submission_then_id_then_poll(messages_api):
    api = messages_api()
    warehouse = Warehouse(api)
    async with Process(api, warehouse) as process:
        await process.run.collect((await process.run.submit(requests_for(2))).batch)
    create, poll = "POST /v1/messages/batches", "GET /v1/messages/batches/"
    intended, submitted, collected = warehouse.history
    assert intended == ("intended", False, [])
    assert submitted == ("submitted", True, [create])
    assert collected[:2] == ("collected", True)
    assert collected[2][:2] == [create, poll]


async def test_calls_of_a_batch_settle_their_inputs(messages_api):
    api = messages_api()
    warehouse = Warehouse(api)
    async with Process(api, warehouse) as process:
        await process.run.collect((await process.run.submit(requests_for(3))).batch)
    for item in wallets(3):
        calls = [call for call in warehouse.calls if call.row_id == item.row_id]
        assert settled(item, calls, profile(), give_up_after=3).grade_source == "cache"


class TestRestart:
    async def test_killed_before_the_intent_is_stored(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        warehouse.die_at_save = "intended"
        async with Process(api, warehouse) as process:
            with pytest.raises(KilledError):
                await process.run.submit(requests_for(3))
        assert creations(api) == []
        assert warehouse.open == []

    async def test_killed_before_submitting(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        await self.intended_only(api, warehouse)
        ((found,), process) = await resumed(api, warehouse)
        assert found.batch.status == "abandoned"
        assert found.calls == ()
        assert process.slept[0] == pytest.approx(120, abs=10)
        assert warehouse.open == []
        assert creations(api) == []

    async def intended_only(self, api, warehouse):
        warehouse.die_after_save = "intended"
        async with Process(api, warehouse) as process:
            with pytest.raises(KilledError):
                await process.run.submit(requests_for(3))

    async def test_killed_between_submitting_and_storing_the_id(self, messages_api):
        api = messages_api(batch_polls=2)
        warehouse = Warehouse(api)
        warehouse.die_at_save = "submitted"
        async with Process(api, warehouse) as process:
            with pytest.raises(KilledError):
                await process.run.submit(requests_for(5))
        (lost,) = warehouse.open
        assert lost.batch_id is None
        (found,), again = await resumed(api, warehouse)
        assert found.batch.status == "collected"
        assert len(found.calls) == len(warehouse.calls) == 5
        assert len(creations(api)) == 1
        assert again.budget.spent_usd == pytest.approx(sum(call.estimated_usd for call in warehouse.calls))

    async def test_killed_while_polling(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        async with Process(api, warehouse) as process:
            await process.run.submit(requests_for(5))
        (found,), _ = await resumed(api, warehouse)
        assert found.batch.status == "collected"
        assert len(warehouse.calls) == 5
        assert len(creations(api)) == 1

    @pytest.mark.parametrize("collected_before", [0, 1, 4])
    async def test_killed_while_collecting(self, messages_api, collected_before):
        api = messages_api()
        warehouse = Warehouse(api)
        warehouse.die_at_record = collected_before
        async with Process(api, warehouse) as process:
            submission = await process.run.submit(requests_for(5))
            with pytest.raises(KilledError):
                await process.run.collect(submission.batch)
        (found,), again = await resumed(api, warehouse)
        assert len(found.calls) == 5 - collected_before
        assert len(warehouse.recorded) == len(warehouse.calls) == 5
        assert again.budget.spent_usd == pytest.approx(sum(call.estimated_usd for call in found.calls))
        assert again.budget.reserved_usd == 0

    async def test_killed_before_it_is_stored_as_collected(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        warehouse.die_at_save = "collected"
        async with Process(api, warehouse) as process:
            submission = await process.run.submit(requests_for(5))
            with pytest.raises(KilledError):
                await process.run.collect(submission.batch)
        (found,), _ = await resumed(api, warehouse)
        assert found.calls == ()
        assert found.batch.status == "collected"
        assert len(warehouse.calls) == 5

    async def test_anothers_batch_of_the_same_size_is_not_taken_for_it(self, messages_api):
        api = messages_api()
        warehouse, stranger = Warehouse(api), Warehouse(api)
        async with Process(api, stranger) as process:
            await process.run.submit(requests_for(3))
        warehouse.die_at_save = "submitted"
        async with Process(api, warehouse) as process:
            with pytest.raises(KilledError):
                await process.run.submit(requests_for(3))
        async with Process(api, stranger) as process:
            await process.run.submit(requests_for(3))
        (found,), _ = await resumed(api, warehouse)
        assert found.batch.status == "collected"
        assert {item.custom_id[:32] for item in warehouse.items} == {found.batch.intent_id}

    async def test_only_anothers_batches_means_it_was_never_taken(self, messages_api):
        api = messages_api()
        warehouse, stranger = Warehouse(api), Warehouse(api)
        async with Process(api, stranger) as process:
            await process.run.submit(requests_for(3))
        await self.intended_only(api, warehouse)
        (found,), _ = await resumed(api, warehouse)
        assert found.batch.status == "abandoned"

    async def test_a_batch_that_may_be_it_and_is_not_done_decides_nothing(self, messages_api):
        api = messages_api(batch_polls=99)
        warehouse = Warehouse(api)
        warehouse.die_at_save = "submitted"
        async with Process(api, warehouse) as process:
            with pytest.raises(KilledError):
                await process.run.submit(requests_for(3))
        (found,), _ = await resumed(api, warehouse, wait_seconds=100)
        assert found.batch.status == "intended"
        assert warehouse.open == [found.batch]

    async def test_an_old_intent_is_not_looked_for_among_new_batches(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        async with Process(api, Warehouse(api)) as process:
            submission = await process.run.submit(requests_for(3))
        old = submission.batch.model_copy(
            update={
                "batch_id": None,
                "status": "intended",
                "intended_at": datetime.now(UTC) - timedelta(days=2),
            }
        )
        await warehouse.save(old)
        (found,), process = await resumed(api, warehouse)
        assert found.batch.status == "abandoned"
        assert process.slept == []


class TestResults:
    async def collected(self, api, count=6, faults=(), **limits):
        warehouse = Warehouse(api)
        async with Process(api, warehouse, **limits) as process:
            submission = await process.run.submit(requests_for(count))
            api.set_faults(faults)
            found = await process.run.collect(submission.batch)
        assert len(found.calls) == len(warehouse.calls) == count
        assert process.budget.reserved_usd == 0
        return found, warehouse, process

    @pytest.mark.parametrize(
        ("fault", "outcome", "kind", "billed"),
        [
            (Fault("expired", on="batch_item"), "unavailable", "expired", False),
            (Fault("canceled", on="batch_item"), "unavailable", "canceled", False),
            (Fault("api_error", on="batch_item"), "unavailable", "api", False),
            (Fault("invalid_request_error", on="batch_item"), "rejected", "bad_request", False),
            (Fault("truncation"), "truncated", "truncated", True),
            (Fault("refusal"), "refused", "refused", True),
            (Fault("invalid_json"), "invalid_answer", "invalid_answer", True),
            (Fault("odd_stop_reason"), "unexpected_stop", "unexpected_stop", True),
        ],
    )
    async def test_each_way_to_end(self, messages_api, fault, outcome, kind, billed):
        _, warehouse, _ = await self.collected(messages_api(), faults=(fault,))
        for call in warehouse.calls:
            assert (call.outcome, call.error_kind) == (outcome, kind)
            assert (call.estimated_usd > 0) == billed
            assert call.error

    async def test_a_look_that_fails_is_repeated(self, messages_api):
        faults = (Fault("api_error", on="batch_retrieve", lasts="transient", times=3),)
        found, _, process = await self.collected(messages_api(), faults=faults)
        assert found.batch.status == "collected"
        assert len(process.slept) >= 3

    async def test_a_service_that_stays_away_leaves_it_open(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        async with Process(api, warehouse, break_after=4) as process:
            submission = await process.run.submit(requests_for(2))
            api.set_faults([Fault("overloaded_error", on="batch_retrieve", lasts="permanent")])
            with pytest.raises(BatchUnavailableError, match="next run tries again"):
                await process.run.collect(submission.batch)
        assert process.slept == [60.0] * 3
        assert warehouse.open == [submission.batch]

    async def test_a_broken_stream_of_results_is_read_again(self, messages_api):
        faults = (Fault("reset", on="batch_results", lasts="transient", times=1),)
        found, warehouse, _ = await self.collected(messages_api(), count=40, faults=faults)
        assert found.batch.status == "collected"
        assert len(warehouse.recorded) == 40
        assert {call.outcome for call in warehouse.calls} == {"graded"}

    async def test_a_deleted_batch_is_lost_and_says_so(self, messages_api):
        api = messages_api(batch_polls=0)
        warehouse = Warehouse(api)
        async with Process(api, warehouse) as process:
            submission = await process.run.submit(requests_for(3))
            await process.client.messages.batches.delete(submission.batch.batch_id)
            found = await process.run.collect(submission.batch)
        assert found.batch.status == "lost"
        assert warehouse.open == []
        assert {(call.error_kind, call.estimated_usd) for call in warehouse.calls} == {
            ("missing_result", None)
        }

    async def test_not_done_in_time_stays_open(self, messages_api):
        api = messages_api(batch_polls=99)
        warehouse = Warehouse(api)
        async with Process(api, warehouse, wait_seconds=150) as process:
            submission = await process.run.submit(requests_for(2))
            found = await process.run.collect(submission.batch)
        assert found.batch == submission.batch
        assert found.calls == ()
        assert process.slept == [60.0, 60.0]

    async def test_a_batch_without_an_id_is_for_resume(self, messages_api):
        api = messages_api()
        async with Process(api, Warehouse(api)) as process:
            batch = (await process.run.submit(requests_for(1))).batch.model_copy(update={"batch_id": None})
            with pytest.raises(ValueError, match="resume"):
                await process.run.collect(batch)


class TestSubmitting:
    @pytest.mark.parametrize(
        ("kind", "error", "words"),
        [
            ("authentication_error", BatchRejectedError, "ANTHROPIC_API_KEY was refused"),
            ("invalid_request_error", BatchRejectedError, "the service refused: HTTP 400"),
            ("overloaded_error", BatchUnavailableError, "was not taken"),
        ],
    )
    async def test_a_batch_that_was_not_taken_is_abandoned(self, messages_api, kind, error, words):
        api = messages_api(faults=(Fault(kind, on="batch_create"),))
        warehouse = Warehouse(api)
        async with Process(api, warehouse) as process:
            with pytest.raises(error, match=words):
                await process.run.submit(requests_for(2))
        assert warehouse.open == []
        assert process.budget.reserved_usd == process.budget.spent_usd == 0
        assert len(creations(api)) == 1

    @pytest.mark.parametrize("kind", ["reset", "api_error"])
    async def test_one_that_may_have_been_taken_stays_open_and_is_found(self, messages_api, kind):
        api = messages_api(faults=(Fault(kind, on="batch_create"),))
        warehouse = Warehouse(api)
        async with Process(api, warehouse) as process:
            with pytest.raises(BatchUnavailableError, match="may or may not have been taken"):
                await process.run.submit(requests_for(3))
        assert len(creations(api)) == 1
        assert len(warehouse.open) == 1
        (found,), _ = await resumed(api, warehouse)
        taken = kind == "reset"
        assert found.batch.status == ("collected" if taken else "abandoned")
        assert len(warehouse.calls) == (3 if taken else 0)

    async def test_what_does_not_fit_the_budget_is_left_out(self, messages_api):
        api = messages_api()
        purse = Budget(per_run_usd=0.004, per_day_usd=math.inf, spent_today_usd=0)
        async with Process(api, Warehouse(api), budget=purse) as process:
            submission = await process.run.submit(requests_for(10))
        kept = submission.batch.request_count
        assert 0 < kept < 10
        assert submission.limit == "budget_run"
        assert [request.item.row_id for request in submission.left_out] == [
            f"row-{n}" for n in range(kept, 10)
        ]
        assert len(json.loads(creations(api)[0].body)["requests"]) == kept

    async def test_no_money_is_no_batch(self, messages_api):
        api = messages_api()
        warehouse = Warehouse(api)
        purse = Budget(per_run_usd=1, per_day_usd=1, spent_today_usd=1)
        async with Process(api, warehouse, budget=purse) as process:
            submission = await process.run.submit(requests_for(2))
        assert (submission.batch, submission.limit) == (None, "budget_day")
        assert api.requests == []
        assert warehouse.history == []

    async def test_what_does_not_fit_one_batch_is_left_out(self, messages_api):
        api = messages_api()
        async with Process(api, Warehouse(api), max_requests=4) as process:
            submission = await process.run.submit(requests_for(6))
        assert submission.batch.request_count == 4
        assert len(submission.left_out) == 2
        assert submission.limit is None

    async def test_a_repetition_has_twice_the_tokens(self, messages_api):
        api = messages_api()
        async with Process(api, Warehouse(api)) as process:
            await process.run.submit([BatchRequest(wallets(1)[0], "slot", "wallet", attempt=2)])
        assert json.loads(creations(api)[0].body)["requests"][0]["params"]["max_tokens"] == 4_000

    async def test_a_resumed_batch_holds_its_money(self, messages_api):
        api = messages_api(batch_polls=99)
        warehouse = Warehouse(api)
        async with Process(api, warehouse) as process:
            await process.run.submit(requests_for(4))
            reserved = process.budget.reserved_usd
        _, again = await resumed(api, warehouse, wait_seconds=0)
        assert again.budget.reserved_usd == pytest.approx(reserved)
