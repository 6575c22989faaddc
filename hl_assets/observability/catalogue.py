"""Every metric of the platform: its name, labels and meaning, and where its values come from.

Belongs here: names. `docs/observability.md` holds the same table (`metrics_table`) and is tested equal to it. Does not belong
here: reading facts (`reading`), Prometheus's data model (`collector`), metrics of the API's own process
(`hl_assets.api.telemetry`).

Metrics describe the newest slot, so most are gauges; a counter is a total of a ledger, which nothing is ever removed from.
What is unknown has no sample. Labels come from closed vocabularies, so their number is bounded, and nothing that a user of the
exchange controls (a name, an address) is among them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from hl_assets.observability.facts import PlatformFacts

PREFIX = "hl_assets_"

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""


@dataclass(frozen=True)
class Limits:
    """What the settings allow, for a panel or a rule to compare with.

    Attributes:
        weight_per_slot: Request weight allowed in a slot, all egress addresses together.
        usd_per_day: USD that a UTC day may cost.
        freshness_seconds: Severity (warn, fail) -> age of the newest slot from which a check says so.
    """

    weight_per_slot: int
    usd_per_day: float
    freshness_seconds: Mapping[str, float]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name without the prefix; a counter's ends with `_total`.
        meaning: In words.
        samples: Its values, from what is known.
        labels: Names of its labels.
        kind: gauge or counter.
    """

    name: str
    meaning: str
    samples: Callable[[PlatformFacts, Limits], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"

    @property
    def full_name(self) -> str:
        """Its name in a query."""
        return PREFIX + self.name


def _each(values: Mapping[str, float]) -> Iterable[Sample]:
    return (((name,), float(value)) for name, value in values.items())


def _each_pair(values: Mapping[tuple[str, str], float]) -> Iterable[Sample]:
    return ((names, float(value)) for names, value in values.items())


def _one(value: float | None) -> Iterable[Sample]:
    return () if value is None else (((), float(value)),)


METRICS: tuple[Metric, ...] = (
    Metric(
        "table_newest_slot_timestamp_seconds",
        "Newest published slot of a table, Unix time; absent while there is none",
        lambda facts, _: _each({name: table.slot.timestamp() for name, table in facts.tables.items()}),
        ("table",),
    ),
    Metric(
        "table_published_timestamp_seconds",
        "When that slot was published, Unix time by the warehouse's clock",
        lambda facts, _: _each(
            {name: table.published_at.timestamp() for name, table in facts.tables.items()}
        ),
        ("table",),
    ),
    Metric(
        "table_newest_slot_rows",
        "Rows of that slot",
        lambda facts, _: _each({name: table.rows for name, table in facts.tables.items()}),
        ("table",),
    ),
    Metric(
        "freshness_limit_seconds",
        "FRESHNESS_WARN_MINUTES and FRESHNESS_FAIL_MINUTES: age of the newest slot from which a check warns or fails",
        lambda _, limits: _each(limits.freshness_seconds),
        ("severity",),
    ),
    Metric(
        "tick_slot_timestamp_seconds",
        "Slot of the newest tick, the one that the other tick metrics describe, Unix time",
        lambda facts, _: _one(None if facts.tick is None else facts.tick.slot.timestamp()),
    ),
    Metric(
        "tick_published_seconds",
        "Newest tick: seconds from its slot's beginning until an asset's table was published; absent while it is not",
        lambda facts, _: _each({} if facts.tick is None else facts.tick.seconds_after_slot),
        ("asset",),
    ),
    Metric(
        "tick_stage_seconds",
        "Newest tick: seconds from the publication before it to an asset's own; absent for the first, whose beginning is not "
        "stored",
        lambda facts, _: _each({} if facts.tick is None else facts.tick.stage_seconds),
        ("asset",),
    ),
    Metric(
        "tick_outcomes",
        "Slots of the last hour (1h) or day (1d) by why they were not observed and scored in their time; `none`: they were. The "
        "causes are those of docs/coverage.md. Absent until a slot of the last day was examined",
        lambda facts, _: _each_pair({} if facts.coverage is None else facts.coverage.outcomes),
        ("window", "cause"),
    ),
    Metric(
        "coverage_slots",
        "The same slots by what became of them: live, unchanged, reconstructed, partial, missing",
        lambda facts, _: _each_pair({} if facts.coverage is None else facts.coverage.statuses),
        ("window", "status"),
    ),
    Metric(
        "fetch_wallets",
        "Newest slot of portfolio_fetches: wallets by outcome: answered (with new points), unchanged (every point was known), "
        "empty (no such portfolio), refused (429 to the last attempt), failed",
        lambda facts, _: _each({} if facts.fetches is None else facts.fetches.wallets),
        ("outcome",),
    ),
    Metric(
        "fetch_failures",
        "Of these, the refused and failed ones by kind of failure; only kinds that happened",
        lambda facts, _: _each({} if facts.fetches is None else facts.fetches.failures),
        ("kind",),
    ),
    Metric(
        "fetch_requests",
        "Newest slot: requests for portfolios, repetitions included",
        lambda facts, _: _one(None if facts.fetches is None else facts.fetches.requests),
    ),
    Metric(
        "fetch_repeated_requests",
        "Of these, repetitions after a failure that may heal",
        lambda facts, _: _one(None if facts.fetches is None else facts.fetches.repeated),
    ),
    Metric(
        "fetch_new_points",
        "Newest slot: points of histories that were not stored before",
        lambda facts, _: _one(None if facts.fetches is None else facts.fetches.new_points),
    ),
    Metric(
        "fetch_weight_spent",
        "Newest slot: request weight spent on portfolios",
        lambda facts, _: _one(None if facts.fetches is None else facts.fetches.weight),
    ),
    Metric(
        "fetch_weight_allowed",
        "Request weight that a slot may spend by the settings of the process that is scraped: ten times "
        "HYPERLIQUID_WEIGHT_PER_MINUTE for each address of EGRESS_PROXIES",
        lambda _, limits: _one(limits.weight_per_slot),
    ),
    Metric(
        "grade_wallets",
        "Newest slot of ai_grades: wallets by who graded them (llm, cache, rules, failed) and status",
        lambda facts, _: _each_pair({} if facts.grades is None else facts.grades.by_source),
        ("source", "status"),
    ),
    Metric(
        "grade_fallbacks",
        "Newest slot: wallets that the rules graded in the model's place, by reason; only reasons that happened",
        lambda facts, _: _each({} if facts.grades is None else facts.grades.fallbacks),
        ("reason",),
    ),
    Metric(
        "grader_calls_total",
        "Calls to the model ever made, by mode and what came of them",
        lambda facts, _: _each_pair(facts.money.calls),
        ("mode", "outcome"),
        "counter",
    ),
    Metric(
        "grader_usd_total",
        "USD of these calls as far as their prices are known",
        lambda facts, _: _each_pair(facts.money.usd),
        ("mode", "outcome"),
        "counter",
    ),
    Metric(
        "grader_unpriced_calls_total",
        "Calls whose price is not known, so not in grader_usd_total",
        lambda facts, _: _one(facts.money.unpriced),
        kind="counter",
    ),
    Metric(
        "grader_usd_today",
        "USD spent this UTC day as GRADER_BUDGET_DAY_USD counts it: an unknown price counts as the dearest known one",
        lambda facts, _: _one(facts.money.usd_today),
    ),
    Metric(
        "grader_usd_allowed_today",
        "GRADER_BUDGET_DAY_USD",
        lambda _, limits: _one(limits.usd_per_day),
    ),
    Metric(
        "scored_wallets",
        "Newest scored slot: wallets that were wanted, scored (they have metrics), ranked (they are eligible)",
        lambda facts, _: _each(
            {}
            if facts.scores is None
            else {
                "wanted": facts.scores.wanted,
                "scored": facts.scores.scored,
                "ranked": facts.scores.ranked,
            }
        ),
        ("stage",),
    ),
    Metric(
        "quarantined_slots",
        "Slots of a table that are set aside because they could not be derived: quarantined, or waived by somebody",
        lambda facts, _: _each_pair(facts.quarantine),
        ("table", "state"),
    ),
    Metric(
        "open_alerts",
        "Alerts that were told and not resolved, by kind and severity; absent for a kind that was never told, so all of them "
        "without a webhook",
        lambda facts, _: _each_pair({} if facts.alerts is None else facts.alerts),
        ("kind", "severity"),
    ),
)


def metrics_table() -> str:
    """The metrics as a table in Markdown."""
    rows = (
        f"| `{metric.full_name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
        for metric in METRICS
    )
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"
