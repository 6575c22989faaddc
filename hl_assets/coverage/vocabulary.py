"""The closed vocabularies of slot coverage: statuses, causes, and what each cause means and asks for.

Belongs here: names, meanings and advice; `docs/coverage.md` is tested to hold them. Does not belong here: deciding which
one a slot gets (`classify`).
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """What became of a slot."""

    LIVE = "live"
    UNCHANGED = "unchanged"
    RECONSTRUCTED = "reconstructed"
    PARTIAL = "partial"
    MISSING = "missing"


COVERED = frozenset({Status.LIVE, Status.UNCHANGED, Status.RECONSTRUCTED})

STATUS_MEANINGS: dict[Status, str] = {
    Status.LIVE: "board and portfolios were observed and scored; the board's body is new (a panel file has no boards)",
    Status.UNCHANGED: "the same, but the board's body is the one that an earlier slot saw",
    Status.RECONSTRUCTED: "not observed; scored later from stored portfolio points",
    Status.PARTIAL: "observed in part, or observed and not scored",
    Status.MISSING: "nothing is stored",
}


class Cause(StrEnum):
    """Why a slot was not observed and scored in its time."""

    RUN_UNFINISHED = "run_unfinished"
    RUN_TOO_LATE = "run_too_late"
    RUN_NOT_STARTED = "run_not_started"
    RUN_KILLED = "run_killed"
    RUN_TIMED_OUT = "run_timed_out"
    RUN_CANCELED = "run_canceled"
    EXCHANGE_FAILED = "exchange_failed"
    WAREHOUSE_FAILED = "warehouse_failed"
    CONTRACT_BROKEN = "contract_broken"
    STEP_FAILED = "step_failed"
    PREVIOUS_UNFINISHED = "previous_unfinished"
    EVALUATED_LATE = "evaluated_late"
    TICK_SKIPPED = "tick_skipped"
    SCHEDULE_ERROR = "schedule_error"
    SCHEDULE_OFF = "schedule_off"
    SCHEDULER_DOWN = "scheduler_down"
    BEFORE_OBSERVATION = "before_observation"
    NO_ANSWERS = "no_answers"
    QUARANTINED = "quarantined"
    NOT_DERIVED = "not_derived"
    RAW_NOT_STORED = "raw_not_stored"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CauseText:
    """A cause in words.

    Attributes:
        meaning: What happened.
        advice: What to do, so that it does not happen again or the slot gets scores after all.
    """

    meaning: str
    advice: str


CAUSES: dict[Cause, CauseText] = {
    Cause.RUN_UNFINISHED: CauseText(
        "a run for the slot is still queued or running", "wait for it; the slot is examined again"
    ),
    Cause.RUN_TOO_LATE: CauseText(
        "the run came to the exchange when the slot was over, and the present is not taken for the past",
        "see what kept the run waiting: Dagster's queue and pools, a slow start of processes, a busy machine",
    ),
    Cause.RUN_NOT_STARTED: CauseText(
        "Dagster accepted the run, but its process or job did not start",
        "read the run's log in Dagster; check that the code location loads",
    ),
    Cause.RUN_KILLED: CauseText(
        "the run's process died, or was silent for longer than a tick may take",
        "look for kills, restarts and lack of memory at that time; the next tick heals what is derived",
    ),
    Cause.RUN_TIMED_OUT: CauseText(
        "the run took longer than a tick may take and was stopped",
        "lower TOP_N_WALLETS or the deadlines, or find the slow step in the run's timeline",
    ),
    Cause.RUN_CANCELED: CauseText("somebody canceled the run", "nothing, if it was meant"),
    Cause.EXCHANGE_FAILED: CauseText(
        "the exchange did not answer, refused, or answered in another shape, also after retries",
        "check the exchange's status and the way to it; a changed shape needs a new version of this code",
    ),
    Cause.WAREHOUSE_FAILED: CauseText(
        "ClickHouse did not answer or refused, also after retries",
        "check that it runs and has space on its disk",
    ),
    Cause.CONTRACT_BROKEN: CauseText(
        "rows broke their contract, and nothing was written",
        "read the failed check of that step: it holds counts and samples",
    ),
    Cause.STEP_FAILED: CauseText(
        "a step failed in another way", "read cause_detail and the run's log; please report it"
    ),
    Cause.PREVIOUS_UNFINISHED: CauseText(
        "the schedule skipped the slot, because an earlier tick was unfinished",
        "make ticks shorter than a slot: fewer wallets, shorter deadlines, a faster machine",
    ),
    Cause.EVALUATED_LATE: CauseText(
        "the schedule was evaluated when the slot was nearly over, and skipped it",
        "normal after a restart; else the daemon is overloaded",
    ),
    Cause.TICK_SKIPPED: CauseText("the schedule skipped the slot for another reason", "read cause_detail"),
    Cause.SCHEDULE_ERROR: CauseText(
        "evaluating the schedule failed", "read cause_detail; check that the code location loads"
    ),
    Cause.SCHEDULE_OFF: CauseText(
        "no tick: the schedule `every_slot` was not switched on in this Dagster instance",
        "switch it on in Dagster's UI, or set HL_ASSETS_SCHEDULES_ON=true (`hl-assets dev` does)",
    ),
    Cause.SCHEDULER_DOWN: CauseText(
        "no tick although the schedule was on: Dagster's daemon or the whole machine was down",
        "keep the daemon running under a supervisor that restarts it",
    ),
    Cause.BEFORE_OBSERVATION: CauseText(
        "the slot lies before this platform's first own tick; only imports or reconstruction cover such slots",
        "nothing: it is no failure and not counted in shares",
    ),
    Cause.NO_ANSWERS: CauseText(
        "the board is stored, but not one wanted wallet's portfolio was answered",
        "read `error` in portfolio_fetches of the slot",
    ),
    Cause.QUARANTINED: CauseText(
        "deriving it failed, and later runs leave it out",
        "`hl-assets quarantine` says why; mend it and `hl-assets backfill` its day, or waive it",
    ),
    Cause.NOT_DERIVED: CauseText(
        "what was observed or imported is stored and has no scores yet, and no failed run is known",
        "derive it: `hl-assets backfill`",
    ),
    Cause.RAW_NOT_STORED: CauseText(
        "scores are stored without what they were derived from: an import of some tables only",
        "import the raw tables of the export too",
    ),
    Cause.WITHDRAWN: CauseText(
        "it was published and taken back, because what it was derived from is gone",
        "see the publications of the slot; observe or derive it again",
    ),
    Cause.UNKNOWN: CauseText(
        "Dagster no longer knows, or a run succeeded and nothing is here", "read cause_detail"
    ),
}

GAP_ADVICE = "slots without a snapshot can only be reconstructed: `hl-assets backfill --from {first} --to {last} --every 10m`"
"""What fills a gap that no run can observe any more."""
