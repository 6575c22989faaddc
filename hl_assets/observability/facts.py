"""What is known of the platform at one moment, as plain data.

Belongs here: the facts behind the metrics. Does not belong here: reading them (`reading`), their names for Prometheus
(`catalogue`).

None means unknown: nothing is stored that says it. A number is a number that somebody stored, 0 included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise


@dataclass(frozen=True)
class TableFacts:
    """The newest published slot of a table.

    Attributes:
        slot: The slot.
        rows: Its rows.
        published_at: When it was published, by the warehouse's clock.
    """

    slot: datetime
    rows: int
    published_at: datetime


@dataclass(frozen=True)
class TickFacts:
    """How far the newest tick came, and when: the run that published the newest board.

    Attributes:
        slot: The slot it observed.
        published_at: Asset -> when the run last published its table. An asset that published nothing is not there.
    """

    slot: datetime
    published_at: Mapping[str, datetime]

    @property
    def seconds_after_slot(self) -> dict[str, float]:
        """Asset -> seconds from the slot's beginning until its table was published."""
        return {asset: (at - self.slot).total_seconds() for asset, at in self.published_at.items()}

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Asset -> seconds between the publication before it and its own.

        The steps of a tick run one after the other in one process, so that is what the step took. When the first one began is
        not stored, so it is not here.
        """
        in_order = sorted(self.published_at.items(), key=lambda entry: entry[1])
        return {asset: (at - before).total_seconds() for (_, before), (asset, at) in pairwise(in_order)}


@dataclass(frozen=True)
class FetchFacts:
    """What came of a slot's fetches.

    Attributes:
        wallets: Outcome (`reading.FETCH_OUTCOMES`) -> wallets.
        failures: Kind of failure -> wallets.
        requests: Requests made, repetitions included.
        repeated: Of these, repetitions.
        weight: Request weight spent.
        new_points: Points that were not stored before.
    """

    wallets: Mapping[str, int]
    failures: Mapping[str, int]
    requests: int
    repeated: int
    weight: int
    new_points: int


@dataclass(frozen=True)
class GradeFacts:
    """Who graded a slot's wallets.

    Attributes:
        by_source: (source, status) -> wallets.
        fallbacks: Why the rules graded in the model's place -> wallets.
    """

    by_source: Mapping[tuple[str, str], int]
    fallbacks: Mapping[str, int]


@dataclass(frozen=True)
class MoneyFacts:
    """The ledger of calls to the model.

    Attributes:
        calls: (mode, outcome) -> calls ever made.
        usd: (mode, outcome) -> USD, as far as prices are known.
        unpriced: Calls whose price is unknown.
        usd_today: USD of the calls made today (UTC), as the day's budget counts them.
    """

    calls: Mapping[tuple[str, str], int]
    usd: Mapping[tuple[str, str], float]
    unpriced: int
    usd_today: float


@dataclass(frozen=True)
class ScoreFacts:
    """How many wallets of a slot came how far.

    Attributes:
        wanted: Wallets that were to be fetched.
        scored: Wallets with metrics and scores.
        ranked: Of these, eligible ones.
    """

    wanted: int
    scored: int
    ranked: int


@dataclass(frozen=True)
class CoverageFacts:
    """What became of the slots of the last hour and the last day.

    Attributes:
        statuses: (window, status) -> slots.
        outcomes: (window, cause) -> slots; the cause is `none` where the slot was observed and scored in its time.
    """

    statuses: Mapping[tuple[str, str], int]
    outcomes: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class PlatformFacts:
    """Everything that was read at one moment.

    Attributes:
        tables: Table -> its newest published slot; tables without one are not there.
        tick: The newest tick; None if no board was ever observed.
        fetches: Of the newest slot of portfolio_fetches; None if there is none.
        grades: Of the newest slot of ai_grades; None if there is none.
        scores: Of the newest slot of wallet_scores; None if there is none.
        money: The ledger of calls.
        coverage: None if no slot of the last day has been examined.
        quarantine: (table, state) -> slots that are set aside.
        alerts: (kind, severity) -> open alerts; None if nobody was ever told anything.
    """

    money: MoneyFacts
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    tick: TickFacts | None = None
    fetches: FetchFacts | None = None
    grades: GradeFacts | None = None
    scores: ScoreFacts | None = None
    coverage: CoverageFacts | None = None
    quarantine: Mapping[tuple[str, str], int] = field(default_factory=dict)
    alerts: Mapping[tuple[str, str], int] | None = None
