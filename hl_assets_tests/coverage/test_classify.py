"""Classifying a slot: the tables decide the status, runs and ticks the cause."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.coverage.classify import (
    STAGES,
    STILL_CHANGING,
    Knowledge,
    RunEvidence,
    SlotFacts,
    SlotRow,
    TickEvidence,
    Why,
    classify,
    deciding_run,
    one_line,
    slot_status,
)
from hl_assets.coverage.skips import over_reason, unfinished_reason
from hl_assets.coverage.vocabulary import COVERED, Cause, Status
from hl_assets.slots import SLOT

SLOT_AT = datetime(2026, 11, 20, 13, 10, tzinfo=UTC)
BEGAN = SLOT_AT - timedelta(days=3)
LATER = SLOT_AT + timedelta(hours=6)
ON = Knowledge(schedule_on=True, on_since=BEGAN)
WHOLE = SlotFacts(
    SLOT_AT,
    STAGES,
    scores_origin="live",
    board_as_of=SLOT_AT,
    n_wanted=12,
    n_answered=12,
    n_scored=12,
    n_ranked=9,
)
NOTHING = SlotFacts(SLOT_AT)
RAW = SlotFacts(SLOT_AT, STAGES[:2], board_as_of=SLOT_AT, n_wanted=12, n_answered=11)


def run(outcome: str = "failed", failure: str | None = "step", **more: object) -> RunEvidence:
    return RunEvidence("run-1", SLOT_AT, outcome, failure, **more)  # type: ignore[arg-type]


def verdict(facts: SlotFacts = NOTHING, knowledge: Knowledge = ON, **more: object) -> SlotRow:
    given = {"began": BEGAN, "now": LATER, **more}
    return classify(facts, knowledge, **given)  # type: ignore[arg-type]


def cause_with_run(evidence: RunEvidence, facts: SlotFacts = NOTHING) -> Why:
    found = verdict(facts, replace(ON, runs={SLOT_AT: evidence})).why
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (WHOLE, Status.LIVE),
        (replace(WHOLE, board_as_of=SLOT_AT - SLOT), Status.UNCHANGED),
        (replace(WHOLE, stages=STAGES[1:], board_as_of=None, is_panel=True), Status.LIVE),
        (replace(WHOLE, stages=STAGES[1:], board_as_of=None), Status.PARTIAL),
        (replace(WHOLE, n_answered=0), Status.PARTIAL),
        (replace(WHOLE, stages=STAGES[:4]), Status.PARTIAL),
        (SlotFacts(SLOT_AT, STAGES[:1]), Status.PARTIAL),
        (SlotFacts(SLOT_AT, STAGES[2:], scores_origin="reconstructed"), Status.RECONSTRUCTED),
        (SlotFacts(SLOT_AT, withdrawn=STAGES), Status.MISSING),
        (NOTHING, Status.MISSING),
    ],
)
def test_the_tables_decide_the_status(facts: SlotFacts, status: Status) -> None:
    assert slot_status(facts) is status


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (run("unfinished", None), Cause.RUN_UNFINISHED),
        (run("canceled", None), Cause.RUN_CANCELED),
        (run("canceled", "timed_out"), Cause.RUN_TIMED_OUT),
        (run(failure="timed_out"), Cause.RUN_TIMED_OUT),
        (run(failure="killed"), Cause.RUN_KILLED),
        (run(failure="not_started"), Cause.RUN_NOT_STARTED),
        (run(error_classes=("Failure", "ExchangeUnavailableError")), Cause.EXCHANGE_FAILED),
        (run(error_classes=("Failure", "PayloadShapeError")), Cause.EXCHANGE_FAILED),
        (run(error_classes=("Failure", "RateLimitStateError")), Cause.EXCHANGE_FAILED),
        (run(error_classes=("Failure", "WarehouseUnavailableError")), Cause.WAREHOUSE_FAILED),
        (run(error_classes=("Failure",), error="nothing was written for x: y"), Cause.CONTRACT_BROKEN),
        (run(error_classes=("Failure", "KeyError")), Cause.STEP_FAILED),
        (run("succeeded", None), Cause.UNKNOWN),
    ],
)
def test_a_run_gives_the_cause(evidence: RunEvidence, cause: Cause) -> None:
    found = cause_with_run(evidence)
    assert (found.cause, found.run_id) == (cause, "run-1")


@pytest.mark.parametrize(
    ("tick", "cause"),
    [
        (TickEvidence("skipped", over_reason(SLOT_AT, LATER)), Cause.EVALUATED_LATE),
        (TickEvidence("skipped", unfinished_reason(SLOT_AT, "r", "STARTED")), Cause.PREVIOUS_UNFINISHED),
        (TickEvidence("skipped", "the moon is full"), Cause.TICK_SKIPPED),
        (TickEvidence("failed", "boom"), Cause.SCHEDULE_ERROR),
        (TickEvidence("begun"), Cause.SCHEDULER_DOWN),
        (TickEvidence("requested", "run abc"), Cause.UNKNOWN),
    ],
)
def test_a_tick_gives_the_cause_where_there_is_no_run(tick: TickEvidence, cause: Cause) -> None:
    found = verdict(knowledge=replace(ON, ticks={SLOT_AT: tick})).why
    assert found is not None
    assert found.cause is cause
    assert tick.detail is None or tick.detail in str(found.detail)


@pytest.mark.parametrize(
    ("knowledge", "began", "cause"),
    [
        (ON, BEGAN, Cause.SCHEDULER_DOWN),
        (Knowledge(), BEGAN, Cause.SCHEDULE_OFF),
        (replace(ON, on_since=SLOT_AT + SLOT), BEGAN, Cause.SCHEDULE_OFF),
        (ON, SLOT_AT + SLOT, Cause.BEFORE_OBSERVATION),
        (Knowledge(), None, Cause.BEFORE_OBSERVATION),
        (replace(ON, ticks_kept_since=LATER), BEGAN, Cause.UNKNOWN),
        (replace(ON, skips_kept_since=LATER), BEGAN, Cause.SCHEDULER_DOWN),
        (
            replace(ON, skips_kept_since=LATER, ticks={SLOT_AT - SLOT: TickEvidence("requested")}),
            BEGAN,
            Cause.UNKNOWN,
        ),
    ],
)
def test_no_tick_is_told_apart_by_the_schedule_and_what_dagster_keeps(
    knowledge: Knowledge, began: datetime | None, cause: Cause
) -> None:
    found = verdict(knowledge=knowledge, began=began).why
    assert found is not None
    assert found.cause is cause


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (replace(WHOLE, n_answered=0), Cause.NO_ANSWERS),
        (RAW, Cause.NOT_DERIVED),
        (replace(RAW, withdrawn=STAGES[2:]), Cause.WITHDRAWN),
        (SlotFacts(SLOT_AT, withdrawn=STAGES), Cause.WITHDRAWN),
        (SlotFacts(SLOT_AT, STAGES[4:], scores_origin="live"), Cause.RAW_NOT_STORED),
        (SlotFacts(SLOT_AT, STAGES[:1]), Cause.UNKNOWN),
    ],
)
def test_what_is_stored_gives_the_cause_where_no_run_does(facts: SlotFacts, cause: Cause) -> None:
    found = verdict(facts).why
    assert found is not None
    assert found.cause is cause


def test_a_failed_run_explains_a_slot_that_is_stored_in_part() -> None:
    found = cause_with_run(run(step="wallet_metrics", error="boom"), RAW)
    assert (found.cause, found.step, found.detail) == (Cause.STEP_FAILED, "wallet_metrics", "boom")


def test_a_reconstructed_slot_keeps_the_cause_for_which_it_was_not_observed() -> None:
    facts = SlotFacts(SLOT_AT, STAGES[2:], scores_origin="reconstructed")
    row = verdict(facts, known=Why(Cause.EXCHANGE_FAILED, "no answer", "leaderboard", "run-1"))
    assert (row.status, row.settled) == (Status.RECONSTRUCTED, True)
    assert row.why == Why(Cause.EXCHANGE_FAILED, "no answer", "leaderboard", "run-1")
    assert verdict(facts).why == Why(Cause.SCHEDULER_DOWN)


def test_what_was_known_stays_until_dagster_knows_better() -> None:
    known = Why(Cause.PREVIOUS_UNFINISHED, "tick r is still STARTED")
    assert verdict(known=known).why == known
    assert cause_with_run(run(failure="killed")).cause is Cause.RUN_KILLED
    assert verdict(RAW, known=known).why == Why(Cause.NOT_DERIVED), "the tables say more than an old absence"
    assert verdict(WHOLE, known=known).why is None


def test_an_uncovered_slot_is_open_for_an_hour_and_while_a_run_is_unfinished() -> None:
    assert not verdict(now=SLOT_AT + STILL_CHANGING - SLOT).settled
    assert verdict(now=SLOT_AT + STILL_CHANGING).settled
    assert not verdict(knowledge=replace(ON, runs={SLOT_AT: run("unfinished", None)})).settled
    assert verdict(WHOLE, now=SLOT_AT + SLOT).settled


def test_of_several_runs_the_root_decides() -> None:
    first = run(failure="step")
    again = replace(first, run_id="run-2", created_at=SLOT_AT + SLOT)
    assert deciding_run([again, first]) == first
    assert deciding_run([again, replace(first, outcome="succeeded")]) == replace(first, outcome="succeeded")
    waiting = replace(again, outcome="unfinished")
    assert deciding_run([first, waiting]) == waiting
    assert deciding_run([]) is None


def test_when_the_platform_began_is_the_first_trace_of_it() -> None:
    assert Knowledge().began(None) is None
    assert ON.began(SLOT_AT) == BEGAN
    assert Knowledge(ticks={SLOT_AT: TickEvidence("begun")}).began(None) == SLOT_AT


def test_details_fit_on_a_line_of_a_terminal() -> None:
    assert one_line("a\n\x1b[31mb\t c ") == "a [31mb c"
    cut = one_line("x" * 1000)
    assert cut is not None
    assert len(cut) == 300
    assert one_line(None) is None


instants = st.integers(-300, 300).map(lambda steps: SLOT_AT + steps * SLOT)
runs = st.builds(
    RunEvidence,
    st.just("r"),
    instants,
    st.sampled_from(["unfinished", "succeeded", "failed", "canceled"]),
    st.sampled_from([None, "step", "not_started", "killed", "timed_out"]),
    error=st.none() | st.text(max_size=400),
)
ticks = st.builds(
    TickEvidence,
    st.sampled_from(["requested", "skipped", "failed", "begun"]),
    st.none() | st.text(max_size=400),
)
anything = st.builds(
    Knowledge,
    runs=st.dictionaries(instants, runs, max_size=4),
    ticks=st.dictionaries(instants, ticks, max_size=4),
    schedule_on=st.booleans(),
    on_since=st.none() | instants,
    skips_kept_since=st.none() | instants,
    ticks_kept_since=st.none() | instants,
)
facts_of_any_slot = st.builds(
    SlotFacts,
    st.just(SLOT_AT),
    stages=st.sets(st.sampled_from(STAGES)).map(lambda chosen: tuple(s for s in STAGES if s in chosen)),
    scores_origin=st.sampled_from([None, "live", "reconstructed"]),
    board_as_of=st.none() | instants,
    n_wanted=st.none() | st.integers(0, 5),
    n_answered=st.none() | st.integers(0, 5),
    is_panel=st.booleans(),
)


@given(facts_of_any_slot, anything, st.none() | instants, instants)
def test_every_slot_gets_a_verdict_and_every_uncovered_one_a_cause(
    facts: SlotFacts, knowledge: Knowledge, began: datetime | None, now: datetime
) -> None:
    row = classify(facts, knowledge, began=began, now=now)
    assert (row.why is None) == (row.status in {Status.LIVE, Status.UNCHANGED})
    assert row.settled or row.status not in COVERED
    if row.why is not None and row.why.detail is not None:
        assert len(row.why.detail) <= 300
        assert "\n" not in row.why.detail
    assert row.status is slot_status(facts), "Dagster never changes a status"


@given(facts_of_any_slot, anything, st.none() | instants, instants)
def test_examining_again_with_the_same_knowledge_changes_nothing(
    facts: SlotFacts, knowledge: Knowledge, began: datetime | None, now: datetime
) -> None:
    row = classify(facts, knowledge, began=began, now=now)
    assert classify(facts, knowledge, began=began, now=now, known=row.why) == row


@given(facts_of_any_slot, anything, st.none() | instants)
def test_what_dagster_forgets_is_not_lost(
    facts: SlotFacts, knowledge: Knowledge, began: datetime | None
) -> None:
    now = SLOT_AT + timedelta(days=100)
    first = classify(facts, knowledge, began=began, now=now)
    forgotten = Knowledge(schedule_on=True, ticks_kept_since=now)
    again = classify(facts, forgotten, began=began, now=now, known=first.why)
    from_tables = classify(facts, Knowledge(), began=None, now=now).why
    if first.why is not None and from_tables is not None and from_tables.cause is Cause.BEFORE_OBSERVATION:
        assert again.why == first.why
