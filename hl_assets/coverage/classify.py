"""Classifying one slot: its status from what is stored, its cause from what is known of runs and ticks.

Belongs here: pure functions and the values they take. Does not belong here: reading them (`assets.coverage_facts`,
`assets.coverage_evidence`).

What is stored decides the status alone; Dagster decides only the cause. What nobody knows is `unknown` with what is missing
in `cause_detail`, never a guess: a tick that Dagster has purged is not one that never was.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from hl_assets.coverage.skips import skip_cause
from hl_assets.coverage.vocabulary import COVERED, Cause, Status
from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.rate_limit import RateLimitStateError
from hl_assets.slots import SLOT, slot_text
from hl_assets.warehouse.errors import WarehouseError

SNAPSHOTS, FETCHES, SCORES = "leaderboard_snapshots", "portfolio_fetches", "wallet_scores"
STAGES = (SNAPSHOTS, FETCHES, "wallet_metrics", "ai_grades", SCORES)
"""The tables that have every slot, in the order data flow."""

STILL_CHANGING = timedelta(hours=1)
"""How long after its beginning an uncovered slot is examined again: late portfolios and repeated runs arrive within it."""
_MAX_DETAIL = 300
_SKIP_REACH = 2 * SLOT
"""A tick can be in the way of the two slots after its own: it may take a slot and a half."""

_FAILURE_TEXTS = (
    ("was not observed while it was the present", Cause.RUN_TOO_LATE),
    ("is too old to fetch them for", Cause.RUN_TOO_LATE),
    ("nothing was written for", Cause.CONTRACT_BROKEN),
)
"""Sentences of failures that a step raises by itself, which have no error of a type of their own."""

RunOutcome = Literal["unfinished", "succeeded", "failed", "canceled"]
FailureKind = Literal["step", "not_started", "killed", "timed_out"]


@dataclass(frozen=True)
class SlotFacts:
    """What the warehouse holds of a slot.

    Attributes:
        slot: The slot.
        stages: Tables published for it, of `STAGES`, in their order.
        withdrawn: Those of `STAGES` that were published and taken back.
        quarantined: Tables whose rows of it could not be derived, each with the reason.
        versions: Table -> version that was seen.
        scores_origin: Origin of the published scores; None without scores.
        run_id: Run that published the newest stage; None if there is none.
        board_as_of: Slot under which its board is stored; None without a snapshot.
        n_wanted: Wallets asked about; None without fetches.
        n_answered: Of these, answered ones.
        is_panel: Whether all of its fetches come from a panel file, which has no boards.
        n_scored: Rows of scores; None without scores.
        n_ranked: Ranked wallets; None without a record of the scoring.
    """

    slot: datetime
    stages: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    scores_origin: str | None = None
    run_id: str | None = None
    board_as_of: datetime | None = None
    n_wanted: int | None = None
    n_answered: int | None = None
    is_panel: bool = False
    n_scored: int | None = None
    n_ranked: int | None = None

    @property
    def observed(self) -> bool:
        """Whether everything raw is stored."""
        return FETCHES in self.stages and (SNAPSHOTS in self.stages or self.is_panel)

    @property
    def unanswered(self) -> bool:
        """Whether wallets were asked about and none was answered."""
        return bool(self.n_wanted) and self.n_answered == 0


@dataclass(frozen=True)
class RunEvidence:
    """A run for a slot, as Dagster knows it.

    Attributes:
        run_id: Its id.
        created_at: When it was requested.
        outcome: How it stands; a run without a sign of life for longer than a tick may take has failed.
        failure: In which way it failed; None if it did not.
        step: The step that failed; None if none did.
        error: What the failure says.
        error_classes: Names of the errors behind it, outermost first.
    """

    run_id: str
    created_at: datetime
    outcome: RunOutcome
    failure: FailureKind | None = None
    step: str | None = None
    error: str | None = None
    error_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TickEvidence:
    """The schedule's tick for a slot.

    Attributes:
        outcome: What came of evaluating the schedule; `begun`: it never ended.
        detail: Reason of a skip, error of a failure, or ids of the runs requested.
    """

    outcome: Literal["requested", "skipped", "failed", "begun"]
    detail: str | None = None


@dataclass(frozen=True)
class Knowledge:
    """What Dagster knows of a range of slots.

    Attributes:
        runs: Slot -> its deciding run (`deciding_run`).
        ticks: Slot -> its tick.
        schedule_on: Whether the schedule is switched on.
        on_since: Since when, None if it is off or was never seen by a daemon.
        skips_kept_since: Skipped ticks before this instant may be purged; None: they never are.
        ticks_kept_since: All ticks before this instant may be purged; None: they never are.
    """

    runs: Mapping[datetime, RunEvidence] = field(default_factory=dict)
    ticks: Mapping[datetime, TickEvidence] = field(default_factory=dict)
    schedule_on: bool = False
    on_since: datetime | None = None
    skips_kept_since: datetime | None = None
    ticks_kept_since: datetime | None = None

    def began(self, first_snapshot: datetime | None) -> datetime | None:
        """When this platform began to observe: its first snapshot, run, tick or switching on; None if it never did."""
        known = (first_snapshot, self.on_since, *self.runs, *self.ticks)
        return min((instant for instant in known if instant is not None), default=None)


@dataclass(frozen=True)
class Why:
    """Why a slot is not covered, or was not observed.

    Attributes:
        cause: The cause.
        detail: One line of text.
        step: The step that failed, if one did.
        run_id: The run that is to blame, if one is.
    """

    cause: Cause
    detail: str | None = None
    step: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class SlotRow:
    """A row of `slot_coverage` without its origin and the instant it was examined."""

    facts: SlotFacts
    status: Status
    why: Why | None
    settled: bool

    @property
    def run_id(self) -> str | None:
        """The run to blame, else the one that published."""
        return self.why.run_id if self.why is not None and self.why.run_id else self.facts.run_id


def deciding_run(runs: Sequence[RunEvidence]) -> RunEvidence | None:
    """Of several runs for a slot the one that says most: unfinished, else the newest that succeeded, else the first.

    The first failure is the root: what was run again later could only find that the slot is over.
    """
    ordered = sorted(runs, key=lambda run: run.created_at)
    for outcome in ("unfinished", "succeeded"):
        if found := [run for run in ordered if run.outcome == outcome]:
            return found[-1]
    return ordered[0] if ordered else None


def slot_status(facts: SlotFacts) -> Status:
    """The status that the stored tables give a slot."""
    if facts.scores_origin == "reconstructed":
        return Status.RECONSTRUCTED
    if facts.observed and SCORES in facts.stages and not facts.unanswered:
        seen_before = facts.board_as_of is not None and facts.board_as_of < facts.slot
        return Status.UNCHANGED if seen_before else Status.LIVE
    return Status.PARTIAL if facts.stages else Status.MISSING


def classify(
    facts: SlotFacts, knowledge: Knowledge, *, began: datetime | None, now: datetime, known: Why | None = None
) -> SlotRow:
    """The row of an ended slot.

    Args:
        facts: What is stored.
        knowledge: What Dagster knows.
        began: When the platform began to observe (`Knowledge.began`).
        now: The present moment.
        known: What was found earlier; kept while Dagster has no run or tick that says otherwise, because it forgets.
    """
    status = slot_status(facts)
    if status in {Status.LIVE, Status.UNCHANGED}:
        return SlotRow(facts, status, None, settled=True)
    why = _why(facts, status, knowledge, began)
    forgotten = facts.slot not in knowledge.runs and facts.slot not in knowledge.ticks
    if known is not None and forgotten and why.cause in _FROM_ABSENCE:
        why = known
    over = now >= facts.slot + STILL_CHANGING and why.cause is not Cause.RUN_UNFINISHED
    return SlotRow(facts, status, why, settled=status in COVERED or over)


_FROM_ABSENCE = frozenset({Cause.UNKNOWN, Cause.SCHEDULER_DOWN, Cause.SCHEDULE_OFF, Cause.BEFORE_OBSERVATION})
"""Causes concluded from what is not there."""


def _why(facts: SlotFacts, status: Status, knowledge: Knowledge, began: datetime | None) -> Why:
    run, tick = knowledge.runs.get(facts.slot), knowledge.ticks.get(facts.slot)
    certain = _why_for_certain(facts, status)
    if certain is not None:
        return certain
    if run is not None and run.outcome != "succeeded":
        return _why_run(run)
    stored = None if status is Status.RECONSTRUCTED else _why_stored(facts)
    if stored is not None:
        return stored
    if run is not None:
        return Why(
            Cause.UNKNOWN,
            f"run {run.run_id} succeeded, yet {_stored_text(facts)}: another database at that time?",
            run_id=run.run_id,
        )
    if status is Status.PARTIAL:
        return Why(Cause.UNKNOWN, f"{_stored_text(facts)}, and no run of the slot is known")
    return _why_no_run(facts.slot, tick, knowledge, began)


def _why_for_certain(facts: SlotFacts, status: Status) -> Why | None:
    """What the stored tables say whatever became of a run."""
    if facts.unanswered:
        return Why(Cause.NO_ANSWERS, f"{facts.n_wanted} wallets asked about, none answered")
    if facts.quarantined and status is Status.PARTIAL:
        return Why(Cause.QUARANTINED, one_line("; ".join(facts.quarantined)))
    return None


def _why_stored(facts: SlotFacts) -> Why | None:
    """What the stored tables say by themselves."""
    if facts.withdrawn:
        return Why(Cause.WITHDRAWN, f"taken back: {', '.join(facts.withdrawn)}")
    if facts.observed:
        return Why(Cause.NOT_DERIVED)
    if SCORES in facts.stages:
        return Why(Cause.RAW_NOT_STORED, _stored_text(facts))
    return None


def _stored_text(facts: SlotFacts) -> str:
    return f"stored: {', '.join(facts.stages)} only" if facts.stages else "nothing is stored"


def _why_run(run: RunEvidence) -> Why:
    detail = one_line(run.error)
    if run.outcome == "unfinished":
        return Why(Cause.RUN_UNFINISHED, detail, run_id=run.run_id)
    if run.failure == "timed_out":
        return Why(Cause.RUN_TIMED_OUT, detail, run.step, run.run_id)
    if run.outcome == "canceled":
        return Why(Cause.RUN_CANCELED, detail, run.step, run.run_id)
    if run.failure == "step":
        return Why(_step_cause(run), detail, run.step, run.run_id)
    cause = Cause.RUN_NOT_STARTED if run.failure == "not_started" else Cause.RUN_KILLED
    return Why(cause, detail, run.step, run.run_id)


def _step_cause(run: RunEvidence) -> Cause:
    for text, cause in _FAILURE_TEXTS:
        if text in (run.error or ""):
            return cause
    names = set(run.error_classes)
    if names & set(_names(ExchangeError)) or names & set(_names(RateLimitStateError)):
        return Cause.EXCHANGE_FAILED
    return Cause.WAREHOUSE_FAILED if names & set(_names(WarehouseError)) else Cause.STEP_FAILED


def _names(error: type[Exception]) -> Iterator[str]:
    """Names of an error and of everything derived from it."""
    yield error.__name__
    for derived in error.__subclasses__():
        yield from _names(derived)


def _why_no_run(
    slot: datetime, tick: TickEvidence | None, knowledge: Knowledge, began: datetime | None
) -> Why:
    if tick is not None:
        return _why_tick(tick)
    if began is None or slot < began:
        first = "it has none yet" if began is None else f"that was at {slot_text(began)}"
        return Why(Cause.BEFORE_OBSERVATION, first)
    if _may_be_purged(slot, knowledge):
        return Why(Cause.UNKNOWN, "no run is known, and Dagster may have purged its tick")
    if not knowledge.schedule_on:
        return Why(Cause.SCHEDULE_OFF, "it is off")
    if knowledge.on_since is not None and slot < knowledge.on_since:
        return Why(Cause.SCHEDULE_OFF, f"on since {slot_text(knowledge.on_since)}")
    return Why(Cause.SCHEDULER_DOWN)


def _why_tick(tick: TickEvidence) -> Why:
    detail = one_line(tick.detail)
    if tick.outcome == "skipped":
        return Why(skip_cause(tick.detail), detail)
    if tick.outcome == "failed":
        return Why(Cause.SCHEDULE_ERROR, detail)
    if tick.outcome == "begun":
        return Why(Cause.SCHEDULER_DOWN, "evaluating the schedule began and never ended")
    return Why(Cause.UNKNOWN, f"{detail or 'a run'} was requested, and Dagster no longer has it")


def _may_be_purged(slot: datetime, knowledge: Knowledge) -> bool:
    """Whether there may have been a tick of which Dagster has no trace.

    Skipped ticks go first. One is skipped because an earlier tick was in the way or because the scheduler had just come
    back, so without any trace beside the slot none was skipped.
    """
    if knowledge.ticks_kept_since is not None and slot < knowledge.ticks_kept_since:
        return True
    if knowledge.skips_kept_since is None or slot >= knowledge.skips_kept_since:
        return False
    near = [slot + offset * SLOT for offset in range(-(_SKIP_REACH // SLOT), 2)]
    return any(other in knowledge.runs or other in knowledge.ticks for other in near)


def one_line(text: str | None) -> str | None:
    """A text on one line, without characters that steer a terminal, cut; None stays None."""
    if text is None:
        return None
    plain = "".join(character if character.isprintable() else " " for character in text)
    plain = re.sub(r"\s+", " ", plain).strip()
    return plain if len(plain) <= _MAX_DETAIL else plain[: _MAX_DETAIL - 1] + "…"
