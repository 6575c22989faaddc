"""The grader against the stand-in, through the real SDK: order, limits, faults, crashes."""

import asyncio
import math
from collections import Counter

import pytest

from hl_assets.claude.budget import Budget
from hl_assets.claude.client import make_client
from hl_assets.claude.grader import AskLimits, GradeProgress
from hl_assets.claude.prices import PRICES
from hl_assets.grading.rules import grade_by_rules
from hl_assets.grading.service import grade_batch
from hl_assets_tests.claude.builders import (
    MODEL,
    MemoryLedger,
    grader,
    profile,
    stored_call,
    wallets,
)
from hl_assets_tests.messages_api import TEST_KEY, Fault


async def grade(api, items, *, retries=0, seconds=5.0, url=None, **settings):
    client = make_client(TEST_KEY, url or api.url, timeout=seconds, max_retries=retries)
    ledger = settings.pop("ledger", MemoryLedger())
    asking = grader(client, ledger, **settings)
    try:
        grades = await asking.grade(items)
    finally:
        await client.close()
    assert [answer.row_id for answer in grades] == [item.row_id for item in items]
    return grades, asking, ledger


async def until(holds):  # polls: the stand-in lives in another thread
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def past_of(calls):
    return {row: [call for call in calls if call.row_id == row] for row in {call.row_id for call in calls}}


def budget(run=math.inf, day=math.inf, spent=0.0):
    return Budget(per_run_usd=run, per_day_usd=day, spent_today_usd=spent)


def fallbacks(grades):
    return Counter(answer.fallback for answer in grades)


class TestAsking:
    async def test_every_input_is_asked_once_and_recorded(self, messages_api):
        api, items = messages_api(latency_seconds=0.01), wallets(30)
        seen: list[tuple[int, int, int]] = []
        on_progress: GradeProgress = lambda *now: seen.append(now)  # noqa: E731
        grades, asking, ledger = await grade(
            api, items, on_progress=on_progress, limits=AskLimits(concurrency=4)
        )
        assert {answer.grade_source for answer in grades} == {"llm"}
        assert [answer.call_id for answer in grades] == [
            {call.row_id: call.call_id for call in ledger.calls}[item.row_id] for item in items
        ]
        assert len(api.messages) == len(ledger.calls) == 30
        assert 1 < api.max_in_flight <= 4
        assert seen[0] == (0, 30, 0)
        assert seen[-1] == (30, 30, 0)
        assert asking.tally.graded == asking.tally.calls == asking.tally.total == 30
        assert asking.tally.usd == pytest.approx(sum(call.estimated_usd for call in ledger.calls))
        assert asking.tally.input_tokens == sum(call.input_tokens for call in ledger.calls)
        assert asking.trouble is None

    async def test_behind_the_readiness_gate(self, messages_api):
        items = wallets(3)
        client = make_client(TEST_KEY, messages_api().url)
        grades = await grade_batch(grader(client), items)
        await client.close()
        assert [answer.grade_source for answer in grades] == ["llm"] * 3

    async def test_nothing_to_do_is_no_call(self, messages_api):
        api = messages_api()
        assert (await grade(api, []))[0] == []
        assert api.requests == []

    async def test_a_call_is_recorded_before_its_grade_is_used(self, messages_api):
        ledger = MemoryLedger(seconds=0.05)
        progress = []
        await grade(
            messages_api(),
            wallets(4),
            ledger=ledger,
            on_progress=lambda done, total, failed: progress.append((done, len(ledger.calls))),
        )
        assert all(done <= recorded for done, recorded in progress)

    async def test_a_ledger_that_fails_is_not_hidden(self, messages_api):
        with pytest.raises(OSError, match="disk full"):
            await grade(messages_api(), wallets(4), ledger=MemoryLedger(error=OSError("disk full")))


class TestReuse:
    async def test_unchanged_inputs_make_no_calls(self, messages_api):
        api, items = messages_api(), wallets(10)
        first, _, ledger = await grade(api, items)
        again, asking, _ = await grade(api, items, past=past_of(ledger.calls))
        assert len(api.messages) == 10
        assert {answer.grade_source for answer in again} == {"cache"}
        assert asking.tally.cached == 10
        assert asking.tally.calls == 0
        for one, other in zip(first, again, strict=True):
            assert one.model_copy(update={"grade_source": "cache"}) == other

    async def test_after_a_crash_only_the_rest_is_asked(self, messages_api):
        api, items = messages_api(), wallets(10)
        _, _, ledger = await grade(api, items[:6])
        own = {call.call_id for call in ledger.calls}
        grades, asking, _ = await grade(api, items, past=past_of(ledger.calls), own_calls=own)
        assert len(api.messages) == 10
        assert all(len(made) == 1 for made in api.answered_by_content.values())
        assert {answer.grade_source for answer in grades} == {"llm"}
        assert asking.tally.graded == 10

    async def test_a_question_wasted_too_often_is_left_to_the_rules(self, messages_api):
        api, item = messages_api(), wallets(1)[0]
        wasted = [stored_call(item, "invalid_answer", call_id=str(n)) for n in range(3)]
        (answer,), asking, _ = await grade(api, [item], past={item.row_id: wasted})
        assert answer == grade_by_rules(item).model_copy(update={"fallback": "gave_up"})
        assert api.messages == []
        assert asking.tally.fallbacks == {"gave_up": 1}


class TestOutcomes:
    async def test_a_truncated_answer_is_asked_again_with_twice_the_tokens(self, messages_api):
        api = messages_api(faults=(Fault("truncation", until_max_tokens=3_000),))
        (answer,), asking, ledger = await grade(api, wallets(1))
        assert answer.grade_source == "llm"
        assert [(call.attempt, call.max_tokens, call.outcome) for call in ledger.calls] == [
            (1, 2_000, "truncated"),
            (2, 4_000, "graded"),
        ]
        assert answer.call_id == ledger.calls[1].call_id
        assert asking.tally.calls == 2

    async def test_truncated_twice_is_failed_and_the_next_run_starts_with_twice(self, messages_api):
        api = messages_api(faults=(Fault("truncation", lasts="permanent"),))
        (answer,), asking, ledger = await grade(api, wallets(1))
        assert (answer.status, answer.grade_source) == ("failed", "failed")
        assert answer.call_id == ledger.calls[1].call_id
        assert answer.status_reasons == ("truncated: the answer was cut off at max_tokens",)
        assert asking.tally.failed == 1
        _, _, again = await grade(api, wallets(1), past=past_of(ledger.calls))
        assert [call.attempt for call in again.calls] == [2]

    async def test_a_refusal_is_final_and_left_to_the_rules(self, messages_api):
        api = messages_api(faults=(Fault("refusal"),))
        (answer,), asking, ledger = await grade(api, wallets(1))
        assert (answer.grade_source, answer.fallback, answer.call_id) == ("rules", "refused", None)
        assert asking.tally.refused == 1
        (again,), _, _ = await grade(api, wallets(1), past=past_of(ledger.calls))
        assert again == answer
        assert len(api.messages) == 1

    @pytest.mark.parametrize(
        ("kind", "outcome"),
        [
            ("invalid_json", "invalid_answer"),
            ("odd_stop_reason", "unexpected_stop"),
            ("overloaded_error", "unavailable"),
            ("invalid_request_error", "rejected"),
        ],
    )
    async def test_other_outcomes_are_failed_with_their_call(self, messages_api, kind, outcome):
        (answer,), _, ledger = await grade(messages_api(faults=(Fault(kind),)), wallets(1))
        assert (answer.status, answer.grade_source) == ("failed", "failed")
        assert answer.call_id == ledger.calls[0].call_id
        assert answer.status_reasons[0] == f"{outcome}: {ledger.calls[0].error}"

    async def test_one_failure_stops_no_other(self, messages_api):
        api, items = messages_api(), wallets(12)
        api.set_faults([Fault("invalid_json", containing=f'data_points\\":{150 + 5},')])
        grades, _, _ = await grade(api, items)
        assert [answer.status for answer in grades].index("failed") == 5
        assert Counter(answer.grade_source for answer in grades) == {"llm": 11, "failed": 1}


class TestBreaker:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("authentication_error", "ANTHROPIC_API_KEY was refused (401)"),
            ("billing_error", "cannot pay (402)"),
            ("permission_error", f"may not use {MODEL} (403)"),
            ("not_found_error", f"{MODEL} was not found (404)"),
        ],
    )
    async def test_what_every_call_would_meet_stops_asking_at_once(self, messages_api, caplog, kind, words):
        api = messages_api(faults=(Fault(kind, lasts="permanent"),))
        grades, asking, ledger = await grade(api, wallets(40), limits=AskLimits(concurrency=2))
        assert len(api.messages) == len(ledger.calls) <= 2
        assert fallbacks(grades) == {"unavailable": 40}
        assert words in asking.trouble
        assert words in caplog.text

    async def test_a_wrong_key_is_refused(self, messages_api):
        grades, asking, _ = await grade(messages_api(api_key="another"), wallets(3))
        assert fallbacks(grades) == {"unavailable": 3}
        assert "set a valid key" in asking.trouble

    async def test_many_failures_in_a_row_stop_asking(self, messages_api):
        api = messages_api(faults=(Fault("overloaded_error", lasts="permanent"),))
        limits = AskLimits(concurrency=1, break_after=5)
        grades, asking, _ = await grade(api, wallets(20), limits=limits)
        assert len(api.messages) == 5
        assert Counter(answer.grade_source for answer in grades) == {"failed": 5, "rules": 15}
        assert asking.trouble.startswith(f"5 calls to {MODEL} in a row got no answer")

    async def test_an_answer_in_between_starts_the_count_anew(self, messages_api):
        api, items = messages_api(), wallets(12)
        healthy = items[4]
        api.set_faults(
            [
                Fault(
                    "overloaded_error",
                    lasts="permanent",
                    when=lambda body: str(150 + 4) not in str(body["messages"]),
                )
            ]
        )
        limits = AskLimits(concurrency=1, break_after=5)
        grades, asking, _ = await grade(api, items, limits=limits)
        assert next(g for g in grades if g.row_id == healthy.row_id).grade_source == "llm"
        assert len(api.messages) == 4 + 1 + 5
        assert asking.trouble is not None

    async def test_nobody_there(self):
        limits = AskLimits(break_after=3, concurrency=1)
        grades, asking, _ = await grade(None, wallets(6), url="http://127.0.0.1:9", limits=limits)
        assert fallbacks(grades) == {None: 3, "unavailable": 3}
        assert "ConnectError" in asking.trouble


class TestBudget:
    async def test_the_first_get_the_money_and_the_rest_the_rules(self, messages_api):
        api, items = messages_api(latency_seconds=0.005), wallets(40)
        grades, asking, ledger = await grade(api, items, budget=budget(run=0.01))
        spent = sum(call.estimated_usd for call in ledger.calls)
        assert 0 < spent <= 0.01
        by_rule = [answer.fallback == "budget_run" for answer in grades]
        assert 0 < sum(by_rule) < 40
        assert by_rule == sorted(by_rule)
        assert asking.tally.usd == pytest.approx(spent)
        assert asking.tally.rules == asking.tally.fallbacks["budget_run"] == sum(by_rule)

    async def test_the_days_money_is_named(self, messages_api):
        grades, _, _ = await grade(messages_api(), wallets(2), budget=budget(day=0.01, spent=0.01))
        assert fallbacks(grades) == {"budget_day": 2}

    async def test_a_repetition_that_cannot_be_paid_is_left_to_the_rules(self, messages_api):
        api = messages_api(faults=(Fault("truncation", lasts="permanent"),))
        (answer,), _, ledger = await grade(api, wallets(1), budget=budget(run=0.0021))
        assert answer.fallback == "budget_run"
        assert len(ledger.calls) == 1

    async def test_timeouts_count_in_full(self, messages_api):
        purse = budget(run=1.0)
        api = messages_api(faults=(Fault("timeout"),))
        await grade(api, wallets(1), seconds=0.2, budget=purse)
        assert purse.spent_usd > PRICES[MODEL].output * 2_000e-6

    async def test_a_dearer_model_is_reckoned_at_its_price(self, messages_api):
        client = make_client(TEST_KEY, messages_api().url)
        purse = budget(run=0.01)
        used = profile(model="claude-opus-5-5")
        asking = grader(client, used=used, budget=purse, price=PRICES[used.model])
        grades = await asking.grade(wallets(2))
        await client.close()
        assert fallbacks(grades) == {"budget_run": 2}


class TestDeadline:
    async def test_after_it_nobody_asks(self, messages_api):
        api = messages_api()
        grades, _, _ = await grade(api, wallets(3), limits=AskLimits(deadline_seconds=0))
        assert fallbacks(grades) == {"deadline": 3}
        assert api.messages == []

    async def test_calls_under_way_are_not_lost(self, messages_api):
        api = messages_api(latency_seconds=1.2)
        limits = AskLimits(concurrency=2, deadline_seconds=0.8)
        grades, asking, ledger = await grade(api, wallets(6), limits=limits)
        assert [answer.grade_source for answer in grades] == ["llm"] * 2 + ["rules"] * 4
        assert fallbacks(grades) == {None: 2, "deadline": 4}
        assert len(ledger.calls) == asking.tally.calls == 2

    async def test_waiting_for_money_past_it_is_no_call(self, messages_api):
        api = messages_api(latency_seconds=1.2)
        purse = budget(run=0.003)
        limits = AskLimits(concurrency=2, deadline_seconds=0.8)
        grades, _, _ = await grade(api, wallets(2), limits=limits, budget=purse)
        assert [answer.fallback for answer in grades] == [None, "deadline"]
        assert purse.reserved_usd == 0.0


class TestCancelling:
    async def test_it_propagates_and_nothing_paid_is_lost(self, messages_api):
        api = messages_api(latency_seconds=0.1)
        ledger, purse = MemoryLedger(seconds=0.3), budget(run=1.0)
        client = make_client(TEST_KEY, api.url)
        asking = grader(client, ledger, budget=purse, limits=AskLimits(concurrency=3))
        running = asyncio.create_task(asking.grade(wallets(9)))
        await until(lambda: ledger.begun == 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await client.close()
        assert len(ledger.calls) == 3
        assert purse.reserved_usd == 0.0

    async def test_a_call_cancelled_under_way_counts_in_full(self, messages_api):
        purse = budget(run=1.0)
        api = messages_api(latency_seconds=5)
        client = make_client(TEST_KEY, api.url)
        running = asyncio.create_task(grader(client, budget=purse).grade(wallets(1)))
        await until(lambda: api.messages)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await client.close()
        assert purse.spent_usd > 0.001
        assert purse.reserved_usd == 0.0


async def test_a_board_with_every_fault_ends_with_one_grade_each(messages_api):
    kinds = [
        "refusal", "invalid_json", "out_of_enum", "missing_field", "empty_content", "odd_stop_reason", "ungrounded",
        "truncation", "rate_limit_error", "api_error", "overloaded_error", "reset", "invalid_request_error",
    ]  # fmt: skip
    faults = tuple(Fault(kind, probability=0.03, lasts="permanent") for kind in kinds)
    api, items = messages_api(faults=faults), wallets(300)
    grades, asking, ledger = await grade(api, items)
    by_row = {call.row_id: call for call in ledger.calls}
    assert asking.trouble is None
    assert asking.tally.total == len(grades) == 300
    for answer in grades:
        outcome = by_row[answer.row_id].outcome
        expected = {"graded": "llm", "refused": "rules"}.get(outcome, "failed")
        assert answer.grade_source == expected
        assert answer.call_id == (None if outcome == "refused" else by_row[answer.row_id].call_id)
    assert {"llm", "rules", "failed"} == {answer.grade_source for answer in grades}
    assert asking.tally.calls == len(ledger.calls) == len(api.messages)
    assert len({call.call_id for call in ledger.calls}) == len(ledger.calls)
    assert any(answer.ungrounded for answer in grades)


@pytest.mark.parametrize(
    "bad", [{"concurrency": 0}, {"break_after": 0}, {"deadline_seconds": -1}, {"call_seconds": math.nan}]
)
def test_limits_are_limits(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        AskLimits(**bad)
