"""The answers' documents: which fields they have. Fields that are columns come from the table contracts.

Belongs here: the documents. Does not belong here: filling them (`routes`), what a column means (`hl_assets.schemas`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hl_assets.api.contract_models import UtcInstant, contract_fields, model_of
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES

_KEYS = ("as_of", "wallet")
_ADDRESS = "0x31ca8395cf837de08b24da3f660e77761dfb974b"

SCORE_COLUMNS = tuple(
    name for name in WALLET_SCORES.column_names if name not in {*_KEYS, "null_reasons", "origin"}
)
TREND_COLUMNS = ("trend_slope", "trend_direction", "trend_points", "trend_span_days")
METRIC_COLUMNS = (
    *SCORED_METRICS,
    "cagr_short",
    "sharpe",
    "sortino",
    "volatility",
    "psr",
    "dsr",
    "eb_sharpe",
    "best_day_share",
    "total_pnl",
    "net_flow",
    "account_value",
    "data_points",
    "data_span_days",
)
"""Columns of `wallet_metrics` that lists show; a wallet's page shows all."""
STYLE_COLUMNS = ("trading_style", "sustainability", "confidence")
LIST_SCORES = tuple(
    name for name in SCORE_COLUMNS if name not in {*TREND_COLUMNS, "config_hash", "config_version"}
)
WALLETS_SCORES = (
    "weighted_score",
    "calculated_rank",
    "quant_score",
    "quant_rank",
    "rule_score",
    "rule_rank",
    "adjusted_score",
    "adjusted_rank",
    "trust",
    "trust_label",
    "sample_days",
    "effective_days",
    "rank_change",
    "entity_flags",
    "score_source",
)
AGENT_SCORES = ("agent_score", "agent_rank")
ANALYSIS_GRADES = (*STYLE_COLUMNS, "hidden_risks", "unique_characteristics")
BOARD_COLUMNS = tuple(name for name in LEADERBOARD_ROWS.column_names if name not in _KEYS)
FETCH_COLUMNS = tuple(name for name in PORTFOLIO_FETCHES.column_names if name not in {*_KEYS, "origin"})
METRIC_PAGE_COLUMNS = tuple(
    name for name in WALLET_METRICS.column_names if name not in {*_KEYS, "null_reasons", "origin"}
)
GRADE_COLUMNS = tuple(name for name in AI_GRADES.column_names if name not in {*_KEYS, "origin"})
CALL_COLUMNS = tuple(
    name
    for name in GRADE_CALLS.column_names
    if name not in {*_KEYS, "canonical_input", "raw_answer", "error", "origin"}
)
"""Where a grade comes from. What the model was told and what it said are not served."""
EQUITY_COLUMNS = tuple(name for name in EQUITY_CURVES.column_names if name not in {*_KEYS, "scope", "origin"})


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Snapshot(_Document):
    """What an answer was read from: one slot, in one published version of every table."""

    as_of: UtcInstant = Field(description="The slot", examples=["2026-05-31T12:10:00Z"])
    id: str = Field(
        description="Names the slot and the versions of its tables; equal ids are equal data",
        examples=["5f1c2a9e0b7d4c38"],
    )
    published_at: UtcInstant = Field(
        description="When its scores were published", examples=["2026-05-31T12:11:02.310Z"]
    )
    origin: str = Field(description="Where the facts come from", examples=["live"])
    stale: bool = Field(
        description="Whether the slot is older than FRESHNESS_FAIL_MINUTES, seen from the instant asked about"
    )
    consistent: bool = Field(
        description="Whether every table is in the version that the scores were derived from; false while or after an "
        "upstream table was published again and the scores were not"
    )


def _null_reasons() -> Any:
    return Field(
        description="Null figure -> why it is null; the reasons are listed in the API's description",
        examples=[{"cagr": "span_under_90_days"}],
    )


def _display_name() -> Any:
    return Field(
        description="Name the account's owner chose: untrusted text, control and direction characters removed; null if none",
        examples=["night owl"],
    )


def _address(description: str = "Account address, lower case") -> Any:
    return Field(description=description, pattern="^0x[0-9a-f]{40}$", examples=[_ADDRESS])


def _nullable(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that may be missing because the row they come from may be."""
    return {name: (kind | None, info) for name, (kind, info) in fields.items()}


# The plain list

_WALLETS_METRICS = (
    "total_pnl", "account_value", "roi", "max_drawdown", "cagr", "calmar_ratio", "avg_drawdown", "recovery_factor",
)  # fmt: skip


def _omitted(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that an answer may leave out altogether."""
    return {name: (Annotated[kind, info], None) for name, (kind, info) in fields.items()}


WalletRow: type[BaseModel] = model_of(
    "WalletRow",
    "A ranked wallet. Fields of the analysis are left out with skip_analysis=true.",
    {
        "wallet_id": (str, _address()),
        "display_name": (str | None, _display_name()),
        **_nullable(contract_fields(WALLET_METRICS, _WALLETS_METRICS)),
        **contract_fields(WALLET_SCORES, WALLETS_SCORES),
        "null_reasons": (dict[str, str], _null_reasons()),
        **_omitted(
            {
                "agent_analysis_text": (
                    str | None,
                    Field(
                        description="The grader's assessment in words; `grade_source` says whose",
                        examples=["Steady gains on moderate drawdowns."],
                    ),
                ),
                "grade_source": (
                    str | None,
                    Field(description="llm, cache, rules or failed", examples=["rules"]),
                ),
                **contract_fields(WALLET_SCORES, AGENT_SCORES),
                **_nullable(contract_fields(AI_GRADES, ANALYSIS_GRADES)),
            }
        ),
    },
)


class TickRun(_Document):
    """A tick that was requested."""

    run_id: str = Field(
        description="Dagster's id of the run", examples=["0a1b2c3d-0000-4000-8000-000000000000"]
    )
    slot: UtcInstant = Field(description="Slot it materialises")


class Hidden(_Document):
    """Whom the list leaves out."""

    entity: str = Field(description="Filter in force", examples=["traders"])
    hidden_flags: list[str] = Field(
        description="Wallets with one of these entity flags are left out",
        examples=[["vault", "system_address", "zero_volume"]],
    )


class WalletsMetadata(_Document):
    """About the rows."""

    count: int = Field(description="Rows", ge=0, examples=[100])
    timestamp: UtcInstant = Field(description="The slot the rows describe; `snapshot.as_of`")
    filters: Hidden
    snapshot: Snapshot
    run: TickRun | None = Field(description="Tick that save_to_db=true requested, else null")


class WalletsAnswer(_Document):
    """The best wallets of the newest slot."""

    data: list[WalletRow]  # type: ignore[valid-type]
    metadata: WalletsMetadata


# The leaderboard

Trend: type[BaseModel] = model_of(
    "Trend", "Where the wallet's score has been going.", contract_fields(WALLET_SCORES, TREND_COLUMNS)
)

LeaderboardRow: type[BaseModel] = model_of(
    "LeaderboardRow",
    "A ranked wallet.",
    {
        "wallet": (str, _address()),
        "display_name": (str | None, _display_name()),
        **contract_fields(WALLET_SCORES, LIST_SCORES),
        **_nullable(contract_fields(WALLET_METRICS, METRIC_COLUMNS)),
        **_nullable(contract_fields(AI_GRADES, STYLE_COLUMNS)),
        "null_reasons": (dict[str, str], _null_reasons()),
        "trend": (Trend, Field(default=None, description="With include_trend=true")),
    },
)


class Page(_Document):
    """Where a page is."""

    next_cursor: str | None = Field(
        description="Cursor of the next page; null on the last", examples=["djF8NWYxYzJhOWUwYjdkNGMzOHw1MA"]
    )
    total_eligible: int = Field(
        description="Ranked wallets that pass the filters, on all pages", ge=0, examples=[87]
    )
    total_excluded: int = Field(
        description="Wallets of the slot that are not among them: not ranked, or filtered out",
        ge=0,
        examples=[13],
    )


class Filters(Hidden):
    """Filters in force, the defaults included."""

    sort: str = Field(examples=["calculated_rank"], description="What the list is sorted by, best first")
    min_trust: float | None = Field(description="Least trust, null: any", examples=[60.0])
    min_sample_days: float | None = Field(description="Least days of performance, null: any", examples=[90.0])
    style: str | None = Field(description="Style, null: any", examples=["Systematic Quant"])
    as_of: UtcInstant | None = Field(description="Instant asked about, null: now")


class LeaderboardAnswer(_Document):
    """A page of the ranking of one slot."""

    data: list[LeaderboardRow]  # type: ignore[valid-type]
    page: Page
    filters: Filters
    snapshot: Snapshot


class Quantiles(_Document):
    """Distribution of a figure among the wallets counted, by linear interpolation between them."""

    n: int = Field(description="Wallets that have the figure", ge=0, examples=[87])
    p10: float | None = Field(description="10 % are at or below it")
    p25: float | None = Field(description="A quarter is at or below it")
    p50: float | None = Field(description="Median")
    p75: float | None = Field(description="Three quarters are at or below it")
    p90: float | None = Field(description="90 % are at or below it")


class Summary(_Document):
    """The ranking of a slot in numbers."""

    wallets: int = Field(description="Wallets of the slot with metrics", ge=0, examples=[100])
    ranked: int = Field(description="Ranked wallets that pass the entity filter", ge=0, examples=[87])
    filtered_out: int = Field(description="Ranked wallets that do not", ge=0, examples=[3])
    unranked_by_reason: dict[str, int] = Field(
        description="Gate -> wallets it kept from being ranked", examples=[{"span_too_short": 10}]
    )
    by_trust_label: dict[str, int] = Field(
        description="Ranked wallets by trust label", examples=[{"low": 40}]
    )
    by_style: dict[str, int] = Field(
        description="Ranked wallets by graded style; `not_graded` for those without",
        examples=[{"Unclassified": 30}],
    )
    by_entity_flag: dict[str, int] = Field(
        description="Ranked wallets by entity flag, those filtered out included; a wallet may have several",
        examples=[{"vault": 2}],
    )
    quantiles: dict[str, Quantiles] = Field(
        description="Figure -> its distribution; a null quantile: no wallet has it"
    )


class SummaryAnswer(_Document):
    """The ranking of one slot in numbers."""

    data: Summary
    filters: Hidden
    snapshot: Snapshot


# A wallet

Account: type[BaseModel] = model_of(
    "Account",
    "The wallet on the exchange's own leaderboard, with the exchange's own figures.",
    contract_fields(LEADERBOARD_ROWS, BOARD_COLUMNS),
)
Fetch: type[BaseModel] = model_of(
    "Fetch",
    "What came of asking for the wallet's portfolio.",
    {
        **contract_fields(PORTFOLIO_FETCHES, FETCH_COLUMNS),
        "null_reasons": (dict[str, str], _null_reasons()),
    },
)
Metrics: type[BaseModel] = model_of(
    "Metrics",
    "The wallet's figures.",
    {
        **contract_fields(WALLET_METRICS, METRIC_PAGE_COLUMNS),
        "null_reasons": (dict[str, str], _null_reasons()),
    },
)
Scores: type[BaseModel] = model_of(
    "Scores",
    "The wallet's scores and ranks.",
    {**contract_fields(WALLET_SCORES, SCORE_COLUMNS), "null_reasons": (dict[str, str], _null_reasons())},
)
Call: type[BaseModel] = model_of(
    "Call",
    "The call to a model that a grade comes from. A null is unknown or does not apply.",
    contract_fields(GRADE_CALLS, CALL_COLUMNS),
)
_GRADE_FIELDS = {
    **contract_fields(AI_GRADES, GRADE_COLUMNS),
    "call": (Call | None, Field(description="Call it comes from; null without one")),
    "null_reasons": (dict[str, str], _null_reasons()),
}
GradePart: type[BaseModel] = model_of("Grade", "The wallet's grade.", _GRADE_FIELDS)


class TableVersion(_Document):
    """A table's version in the snapshot."""

    as_of: UtcInstant = Field(description="Slot of the rows")
    version: str = Field(description="Version of the rows", examples=["1780229462310000123"])
    published_at: UtcInstant = Field(description="When they were published")
    run_id: str = Field(description="Run that published them", examples=["0a1b2c3d"])
    code_version: str = Field(description="Version of the code that did", examples=["0.1.0"])
    origin: str = Field(description="Where the facts come from", examples=["live"])
    inputs: dict[str, str] = Field(
        description="Upstream table -> version it was derived from", examples=[{"wallet_metrics": "17802294"}]
    )


class WalletAnswer(_Document):
    """Everything known about a wallet in one slot; a null part is missing for the reason in `null_reasons`."""

    wallet: str = _address()
    account: Account | None = Field(description="The exchange's own leaderboard")  # type: ignore[valid-type]
    fetch: Fetch | None = Field(description="What came of asking for its portfolio")  # type: ignore[valid-type]
    metrics: Metrics | None = Field(description="Its figures")  # type: ignore[valid-type]
    scores: Scores | None = Field(description="Its scores and ranks")  # type: ignore[valid-type]
    grade: GradePart | None = Field(description="Its grade")  # type: ignore[valid-type]
    null_reasons: dict[str, str] = Field(
        description="Missing part -> why", examples=[{"account": "not_on_the_board"}]
    )
    provenance: dict[str, TableVersion] = Field(description="Table -> version the parts come from")
    snapshot: Snapshot


# A wallet's curve, scores and grades

EquityPoint: type[BaseModel] = model_of(
    "EquityPoint",
    "A point of the curve, with the step that ends at it.",
    {
        **contract_fields(EQUITY_CURVES, EQUITY_COLUMNS),
        "null_reasons": (dict[str, str], _null_reasons()),
    },
)


class EquityAnswer(_Document):
    """A wallet's flow-adjusted curve, of the whole account."""

    wallet: str = _address()
    scope: Literal["all"] = Field(description="Part of the account: all of it (spot, perps and vaults)")
    step: str = Field(description="Distance of the points", examples=["day"])
    curve_as_of: UtcInstant = Field(
        description="Slot the stored curve is as of; a past day keeps its last one, so it may be older than the snapshot"
    )
    data: list[EquityPoint]  # type: ignore[valid-type]
    snapshot: Snapshot


ScorePoint: type[BaseModel] = model_of(
    "ScorePoint",
    "A wallet's scores and ranks in one slot.",
    {
        **contract_fields(WALLET_SCORES, ("as_of", *SCORE_COLUMNS)),
        "null_reasons": (dict[str, str], _null_reasons()),
    },
)


class ScoresAnswer(_Document):
    """A wallet's scores slot by slot, oldest first."""

    wallet: str = _address()
    start: UtcInstant = Field(
        serialization_alias="from", validation_alias="from", description="First instant asked for"
    )
    end: UtcInstant = Field(
        serialization_alias="to", validation_alias="to", description="Last instant asked for"
    )
    data: list[ScorePoint]  # type: ignore[valid-type]
    snapshot: Snapshot


PastGrade: type[BaseModel] = model_of(
    "PastGrade",
    "A grade and the slots it stood in.",
    {
        "first_as_of": (UtcInstant, Field(description="First slot with it, of those looked at")),
        "last_as_of": (UtcInstant, Field(description="Last slot with it")),
        "slots": (int, Field(description="Slots with it", ge=1, examples=[12])),
        **_GRADE_FIELDS,
    },
)


class GradesAnswer(_Document):
    """A wallet's grades of the last 30 days, newest first; a grade that stood in several slots is one entry."""

    wallet: str = _address()
    data: list[PastGrade]  # type: ignore[valid-type]
    snapshot: Snapshot


# Runs and coverage


class Gate(_Document):
    """A gate wallets have to pass to be ranked."""

    gate: str = Field(description="Its name", examples=["too_few_points"])
    entered: int = Field(description="Wallets that came to it", ge=0, examples=[100])
    passed: int = Field(description="Of these, those that passed", ge=0, examples=[97])


Run: type[BaseModel] = model_of(
    "ScoreRun",
    "How the slot was scored.",
    {
        **contract_fields(SCORE_RUNS, without=("as_of", "funnel_entered", "funnel_passed", "origin")),
        "null_reasons": (dict[str, str], _null_reasons()),
    },
)


class FunnelAnswer(_Document):
    """Who passed which gate in a slot, and how it was scored."""

    slot: UtcInstant = Field(description="The slot")
    funnel: list[Gate] = Field(description="The gates, in order")
    run: Run  # type: ignore[valid-type]
    snapshot: Snapshot


class Gap(_Document):
    """Missing slots in a row."""

    first: UtcInstant = Field(description="First missing slot")
    last: UtcInstant = Field(description="Last missing slot")
    slots: int = Field(description="How many", ge=1, examples=[3])


class TableCoverage(_Document):
    """Slots of one table."""

    present: int = Field(description="Slots that are stored", ge=0, examples=[143])
    missing: int = Field(description="Slots that are not", ge=0, examples=[1])
    reconstructed: int = Field(
        description="Of those stored, slots made from portfolio histories afterwards", ge=0, examples=[0]
    )
    gaps: list[Gap] = Field(description="The missing ones, oldest first, at most 500 gaps")


class CoverageAnswer(_Document):
    """Which slots are stored."""

    start: UtcInstant = Field(
        serialization_alias="from", validation_alias="from", description="First slot that could be there"
    )
    end: UtcInstant = Field(
        serialization_alias="to", validation_alias="to", description="Last slot that could be there"
    )
    expected: int = Field(description="Slots from the one to the other", ge=0, examples=[144])
    tables: dict[str, TableCoverage] = Field(description="Table -> its slots")


# Health


class Health(_Document):
    """The process is alive."""

    status: Literal["ok"] = Field(description="ok")
    version: str = Field(description="Version of the platform", examples=["0.1.0"])


class Readiness(_Document):
    """The API has recent data to serve."""

    status: Literal["ready"] = Field(description="ready")
    newest_slot: UtcInstant = Field(description="Newest scored slot")
    age_seconds: float = Field(description="Seconds since it", examples=[312.5])
