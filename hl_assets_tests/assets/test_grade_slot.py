"""A slot graded through the real SDK against a stand-in of the Messages API, with the ledger in the real engine."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hl_assets.assets import grade_calls
from hl_assets.assets.grade_calls import stored_answers
from hl_assets.assets.grade_slot import GradedSlot, SlotToGrade, grade_slot, rederived
from hl_assets.grading.interface import Grade, GradeInput
from hl_assets.resources.grader import GraderResource
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.fixtures import StartMessagesApi, messages_api  # noqa: F401 - a fixture
from hl_assets_tests.messages_api.serving import MessagesApi

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
KEY = "sk-ant-test-0123456789"
CONCURRENCY = 16


def grader(api: MessagesApi, home: Path, **values: Any) -> GraderResource:
    """The configured grader, asking the stand-in."""
    settings = Settings.load(
        **{
            "grader": "claude",
            "anthropic_api_key": KEY,
            "anthropic_base_url": api.url,
            "grader_concurrency": CONCURRENCY,
            "grader_timeout_seconds": 0.6,
            "grader_budget_run_usd": 100.0,
            "grader_budget_day_usd": 100.0,
            "clock": SLOT + timedelta(seconds=30),
            "home": home,
            **values,
        }
    )
    return GraderResource.from_settings(settings)


def inputs(count: int) -> list[GradeInput]:
    """Wallets that differ in every figure."""
    rng = np.random.default_rng(5)
    standing = rng.random((count, 6))
    names = ("max_drawdown", "roi", "cagr", "calmar_ratio", "avg_drawdown", "recovery_factor")
    return [
        grade_input(
            row_id=f"row-{row}",
            percentiles=dict(zip(names, map(float, standing[row]), strict=True)),
            max_drawdown=-float(standing[row, 0]) * 0.9,
            roi=float(standing[row, 1]) * 7,
            cagr=float(standing[row, 2]) * 8,
            quality={"data_span_days": 20.0 + row, "data_points": 60 + row},
        )
        for row in range(count)
    ]


def slot_of(items: Sequence[GradeInput], slot: datetime = SLOT) -> SlotToGrade:
    """A slot with these wallets."""
    return SlotToGrade(slot, "simulated", items, [f"0x{int(item.row_id[4:]):040x}" for item in items])


@pytest.fixture
def store(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_tables([GRADE_CALLS])
    return warehouse


def calls(store: Warehouse) -> pd.DataFrame:
    return store.read_table(GRADE_CALLS)


def described(grades: Sequence[Grade]) -> dict[str, int]:
    """How many grades have which source and fallback."""
    return dict(Counter(f"{grade.grade_source}:{grade.fallback or ''}" for grade in grades))


FAULTS = (
    *(
        Fault(kind, 0.02, **how)  # type: ignore[arg-type]
        for kind, how in [
            ("truncation", {"lasts": "transient"}),
            ("truncation", {"lasts": "permanent"}),
            ("refusal", {"variant": "text"}),
            ("refusal", {"variant": "empty"}),
            ("out_of_enum", {}),
            ("invalid_json", {}),
            ("missing_field", {}),
            ("extra_field", {}),
            ("empty_content", {}),
            ("odd_stop_reason", {}),
            ("ungrounded", {}),
            ("raised_scores", {}),
            ("rate_limit_error", {"retry_after": 0.1}),
            ("overloaded_error", {}),
            ("api_error", {}),
            ("invalid_request_error", {"lasts": "permanent"}),
            ("timeout", {}),
            ("slow", {"seconds": 0.2}),
            ("reset", {}),
        ]
    ),
    Fault("overloaded_error", 0.005, lasts="permanent"),
    Fault("timeout", 0.005, lasts="permanent"),
)

_VALID = {None, "ungrounded", "raised_scores", "slow"}
_REPEATED_BY_THE_SDK = {"rate_limit_error", "overloaded_error", "api_error", "timeout", "reset"}
_REQUESTS_PER_CALL = 3


def expected_source(api: MessagesApi, body: dict[str, Any]) -> str:
    """What a wallet ends with, from the faults that its requests meet one after the other."""
    asks = iter(range(1, 2 * _REQUESTS_PER_CALL + 1))
    for _call in range(2):
        kinds = [_kind(api.fault_for(body, ask)) for ask in itertools.islice(asks, 1)]
        while kinds[-1] in _REPEATED_BY_THE_SDK and len(kinds) < _REQUESTS_PER_CALL:
            kinds.append(_kind(api.fault_for(body, next(asks))))
        if kinds[-1] != "truncation":
            break
    if kinds[-1] == "refusal":
        return "rules:refused"
    return "llm:" if kinds[-1] in _VALID else "failed:"


def _kind(fault: Fault | None) -> str | None:
    return None if fault is None else fault.kind


@pytest.mark.parametrize("wallets", [200, pytest.param(1_000, marks=pytest.mark.soak)])
def test_wallets_under_every_fault_each_end_with_one_grade_of_the_right_source(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
    wallets: int,
) -> None:
    api = messages_api(faults=FAULTS, api_key=KEY)
    resource = grader(api, tmp_path)
    assert resource.model is not None
    items = inputs(wallets)
    graded = grade_slot(store, slot_of(items), resource)

    bodies = [resource.model.profile.request(item) for item in items]
    met = {_kind(api.fault_for(body)) for body in bodies}
    every = {None, *(fault.kind for fault in FAULTS)}
    assert met == every if wallets == 1_000 else len(met) > len(every) // 2
    assert [grade.row_id for grade in graded.grades] == [item.row_id for item in items]
    surprises = [
        (f"{grade.grade_source}:{grade.fallback or ''}", grade.status_reasons, api.fault_for(body))
        for grade, body in zip(graded.grades, bodies, strict=True)
        if f"{grade.grade_source}:{grade.fallback or ''}" != expected_source(api, body)
    ]
    assert surprises == []
    assert_ledger_adds_up(store, graded, api)
    assert_grades_keep_the_rules(graded, items)
    answers = stored_answers(store, [grade.call_id for grade in graded.grades if grade.call_id])
    assert rederived(graded.grades, slot_of(items), answers) == ({}, described(graded.grades)["llm:"])


def assert_ledger_adds_up(store: Warehouse, graded: GradedSlot, api: MessagesApi) -> None:
    """Every call is in the ledger once, with what it cost, and no answer is missing from it."""
    stored, tally = calls(store), graded.tally
    assert tally is not None
    assert tally.calls == len(stored) == stored["call_id"].nunique()
    assert tally.usd == pytest.approx(stored["estimated_usd"].sum())
    assert graded.usd_today == pytest.approx(tally.usd)
    assert tally.output_tokens == stored["output_tokens"].sum()
    assert stored[stored["outcome"] == "graded"]["wallet"].is_unique
    sent = [asked.request_id for asked in api.messages if asked.status == 200 and asked.fault != "reset"]
    answered = stored[stored["stop_reason"].notna()]
    assert sorted(answered["request_id"]) == sorted(sent)


def assert_grades_keep_the_rules(graded: GradedSlot, items: Sequence[GradeInput]) -> None:
    """Caps hold, whatever the model answered."""
    for grade, item in zip(graded.grades, items, strict=True):
        if grade.scores is not None and item.metrics.max_drawdown is not None:
            assert item.metrics.max_drawdown <= -0.05 or (grade.scores.max_drawdown or 0) <= 60
        if grade.scores is not None and item.metrics.cagr is not None:
            assert item.metrics.cagr <= 5.0 or (grade.scores.cagr or 0) <= 60
        assert item.data_quality.data_span_days is not None
        assert item.data_quality.data_span_days >= 30 or grade.confidence in {None, "Low"}


def test_unchanged_inputs_are_not_asked_again_and_changed_ones_are(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api = messages_api()
    items = inputs(20)
    first = grade_slot(store, slot_of(items), grader(api, tmp_path))
    assert described(first.grades) == {"llm:": 20}
    later = SLOT + timedelta(minutes=10)
    nudged = [
        item.model_copy(
            update={"metrics": item.metrics.model_copy(update={"roi": (item.metrics.roi or 0) + 0.001})}
        )
        for item in items
    ]
    second = grade_slot(store, slot_of(nudged, later), grader(api, tmp_path))
    assert described(second.grades) == {"cache:": 20}
    assert len(api.messages) == 20
    assert [g.call_id for g in second.grades] == [g.call_id for g in first.grades]
    moved = grade_input(row_id="row-3", percentiles={"roi": 0.05})
    third = grade_slot(store, slot_of([*items[:3], moved], later), grader(api, tmp_path))
    assert described(third.grades) == {"cache:": 3, "llm:": 1}


def test_the_same_slot_again_gives_the_same_grades(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api = messages_api(faults=(Fault("refusal", 0.3), Fault("ungrounded", 0.3)))
    items = inputs(20)
    first = grade_slot(store, slot_of(items), grader(api, tmp_path))
    asked = len(api.messages)
    again = grade_slot(store, slot_of(items), grader(api, tmp_path))
    assert again.grades == first.grades
    assert len(api.messages) == asked, "refusals are settled as grades are"


def test_an_answer_grows_old(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api, items = messages_api(), inputs(3)
    grade_slot(store, slot_of(items), grader(api, tmp_path))
    old = slot_of(items, SLOT + timedelta(days=7))
    assert described(grade_slot(store, old, grader(api, tmp_path)).grades) == {"llm:": 3}


def test_what_never_gets_a_valid_answer_is_left_to_the_rules_after_three_paid_attempts(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api, items = messages_api(faults=(Fault("invalid_json"),)), inputs(1)
    found = [
        described(
            grade_slot(store, slot_of(items, SLOT + n * timedelta(minutes=10)), grader(api, tmp_path)).grades
        )
        for n in range(5)
    ]
    assert found == [{"failed:": 1}] * 3 + [{"rules:gave_up": 1}] * 2
    assert len(api.messages) == 3


def test_the_budget_of_run_and_day_holds_over_slots_and_runs_and_serves_the_best_first(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api, items = messages_api(), inputs(40)
    limited = {"grader_budget_run_usd": 0.01, "grader_budget_day_usd": 0.015}
    first = grade_slot(store, slot_of(items), grader(api, tmp_path, **limited))
    spent = calls(store)["estimated_usd"].sum()
    assert 0 < spent <= 0.01
    assert set(described(first.grades)) == {"llm:", "rules:budget_run"}
    by_source: dict[str, list[float]] = {"llm": [], "rules": []}
    for grade, item in zip(first.grades, items, strict=True):
        by_source[grade.grade_source].append(float(np.mean(list(item.percentiles.model_dump().values()))))
    best = sorted(by_source["llm"] + by_source["rules"], reverse=True)[: len(by_source["llm"]) // 2]
    assert set(best) <= set(by_source["llm"])
    same_run = grade_slot(store, slot_of(items), grader(api, tmp_path, **limited), spent_in_run_usd=0.01)
    assert calls(store)["estimated_usd"].sum() == spent, "the run has nothing left"
    assert set(described(same_run.grades)) == {"llm:", "rules:budget_run"}
    next_run = grade_slot(store, slot_of(items), grader(api, tmp_path, **limited))
    assert "rules:budget_day" in described(next_run.grades)
    assert spent < calls(store)["estimated_usd"].sum() <= 0.015


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("authentication_error", "ANTHROPIC_API_KEY"), ("not_found_error", "GRADER_MODEL")],
)
def test_a_refused_key_or_model_costs_one_round_and_says_what_to_do(
    kind: str,
    advice: str,
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
) -> None:
    api = messages_api(faults=(Fault(kind, lasts="permanent"),))  # type: ignore[arg-type]
    graded = grade_slot(store, slot_of(inputs(60)), grader(api, tmp_path))
    assert described(graded.grades) == {"rules:unavailable": 60}
    assert advice in (graded.trouble or "")
    assert len(api.messages) <= CONCURRENCY
    assert KEY not in repr(graded)


def test_without_a_key_the_rules_grade_and_nobody_is_asked(store: Warehouse, tmp_path: Path) -> None:
    resource = GraderResource.from_settings(
        Settings.load(home=tmp_path, source="live", anthropic_api_key=None)
    )
    graded = grade_slot(store, slot_of(inputs(5)), resource)
    assert described(graded.grades) == {"rules:": 5}
    assert graded.tally is None
    assert "ANTHROPIC_API_KEY" in resource.why
    assert calls(store).empty


def killed_grading(
    config: WarehouseConfig, resource: GraderResource, items: list[GradeInput], after: int
) -> None:
    """Grade until so many calls are stored, then die as kill -9 does."""
    append, stored = grade_calls.append_entries, 0

    def deadly(store: Warehouse, contract: Any, entries: pd.DataFrame) -> None:
        nonlocal stored
        append(store, contract, entries)
        stored += len(entries)
        if stored >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    grade_calls.append_entries = deadly
    with Warehouse(config) as store:
        grade_slot(store, slot_of(items), resource)


def test_after_a_kill_only_what_was_under_way_is_asked_again(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    embedded_server: Path,
    tmp_path: Path,
) -> None:
    api, items = messages_api(latency_seconds=0.01), inputs(150)
    config = WarehouseConfig(home=embedded_server, database=store.database)
    resource = grader(api, tmp_path)
    for after in (20, 35):
        child = multiprocessing.get_context("fork").Process(
            target=killed_grading, args=(config, resource, items, after)
        )
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
    before = calls(store)
    assert len(before) >= 55
    graded = grade_slot(store, slot_of(items), resource)
    assert described(graded.grades) == {"llm:": 150}
    after_all = calls(store)
    assert len(after_all) == 150, "no wallet has two stored answers"
    assert graded.tally is not None
    assert graded.tally.calls == 150 - len(before)
    asked = Counter(one.content for one in api.messages)
    assert sum(asked.values()) - 150 <= 2 * CONCURRENCY, "only calls under way at a kill are lost"


def test_the_key_is_in_no_table_log_error_or_repr(
    store: Warehouse,
    messages_api: StartMessagesApi,  # noqa: F811
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    echoing = dataclasses.replace(Fault("invalid_request_error", 0.5, lasts="permanent"))
    api = messages_api(faults=(echoing, Fault("authentication_error", 0.2)))
    resource = grader(api, tmp_path)
    graded = grade_slot(store, slot_of(inputs(30)), resource)
    texts = [repr(graded), repr(resource), str(resource), caplog.text, calls(store).to_csv(), repr(store)]
    assert not any(KEY in text for text in texts)
    assert all("x-api-key" not in asked.headers for asked in api.messages)
