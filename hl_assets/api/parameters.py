"""Query and path parameters: strict, so that nothing a client says is ignored or guessed.

Belongs here: what each endpoint takes, with limits, description and examples. Does not belong here: what is done with it.

A parameter that is unknown, repeated or not exactly in its form is refused. Text that gets here is matched against a list or
a pattern before anything else sees it.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.requests import Request

from hl_assets.api.problems import invalid
from hl_assets.exchange.addresses import ADDRESS_PATTERN
from hl_assets.grading.interface import TradingStyle
from hl_assets.scoring.entities import EntityFlag
from hl_assets.slots import SlotError, parse_instant, slot_of

MAX_TOP_N = 200
MAX_LIMIT = 200
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
"""ClickHouse's DateTime ends in February 2106; a later instant has the same newest slot at or before it."""

_INTEGER = re.compile(r"-?[0-9]{1,12}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9:.]{5,15}([Zz]|[+-][0-9]{2}:[0-9]{2})?)?")


def _strictly(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"must be {what}")
        return value

    return BeforeValidator(check)


def _instant(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _INSTANT.fullmatch(value):
        raise ValueError(
            "must be an ISO date or instant, e.g. 2026-05-31 or 2026-05-31T12:10:00Z ('+' is %2B in a URL)"
        )
    try:
        instant = parse_instant(value.upper())
    except (SlotError, OverflowError):
        raise ValueError("is no date or instant of the calendar") from None
    return min(max(instant, EARLIEST), LATEST)


# Limits stand before the check of the form, else they would not be in the OpenAPI.
_WHOLE = _strictly(_INTEGER, "a whole number")
_REAL = _strictly(_NUMBER, "a number")
TopN = Annotated[int, Field(ge=1, le=MAX_TOP_N), _WHOLE]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT), _WHOLE]
Trust = Annotated[float, Field(ge=0, le=100), _REAL]
Days = Annotated[float, Field(ge=0, le=100_000), _REAL]
Switch = Annotated[bool, _strictly(re.compile("true|false"), "true or false")]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

AsOf = Annotated[
    Instant | None,
    Field(
        description="Answer from the newest slot at or before this instant (UTC unless it says otherwise; a date is its "
        "first instant) instead of the newest one.",
        examples=["2026-05-31T12:10:00Z"],
    ),
]
From = Annotated[
    Instant | None,
    Field(alias="from", description="First instant, included.", examples=["2026-05-01T00:00:00Z"]),
]
To = Annotated[
    Instant | None,
    Field(alias="to", description="Last instant, included.", examples=["2026-05-31T12:10:00Z"]),
]


class Entity(StrEnum):
    """Whom a list shows."""

    TRADERS = "traders"
    ALL = "all"
    VAULT = EntityFlag.VAULT.value
    SYSTEM_ADDRESS = EntityFlag.SYSTEM_ADDRESS.value
    ZERO_VOLUME = EntityFlag.ZERO_VOLUME.value
    FLOW_DOMINATED = EntityFlag.FLOW_DOMINATED.value
    ONE_BIG_WIN = EntityFlag.ONE_BIG_WIN.value


class Sort(StrEnum):
    """What a list is sorted by; the best comes first, unknown ones last."""

    CALCULATED_RANK = "calculated_rank"
    WEIGHTED_SCORE = "weighted_score"
    ADJUSTED_SCORE = "adjusted_score"
    QUANT_SCORE = "quant_score"
    RULE_SCORE = "rule_score"
    AGENT_SCORE = "agent_score"
    TRUST = "trust"
    RANK_CHANGE = "rank_change"
    ROI = "roi"
    CAGR = "cagr"
    MAX_DRAWDOWN = "max_drawdown"
    CALMAR_RATIO = "calmar_ratio"
    RECOVERY_FACTOR = "recovery_factor"
    SHARPE = "sharpe"
    TOTAL_PNL = "total_pnl"
    ACCOUNT_VALUE = "account_value"


class Step(StrEnum):
    """Distance of an equity curve's points."""

    RAW = "raw"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class Parameters(BaseModel):
    """What every endpoint has in common: parameters it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    def key(self) -> tuple[tuple[str, str], ...]:
        """The parameters as a cache key: equal for requests that mean the same."""
        return tuple((name, str(value)) for name, value in self if value is not None)


class NoParameters(Parameters):
    """None."""


class WalletsParameters(Parameters):
    """Parameters of `/wallets`."""

    top_n: TopN = Field(100, description="How many wallets, best first.", examples=[100])
    save_to_db: Switch = Field(
        False,
        description="Request a tick of the current slot; needs the write key in `X-API-Key`. The answer names the run and "
        "shows what is stored now, not what the tick will store.",
    )
    skip_analysis: Switch = Field(False, description="Leave the model's text and scores out.")


class AsOfParameters(Parameters):
    """Parameters of a page about one slot."""

    as_of: AsOf = None


class SummaryParameters(AsOfParameters):
    """Parameters of `/v1/leaderboard/summary`."""

    entity: Entity = Field(Entity.TRADERS, description="Whom to count; see /v1/leaderboard.")


class LeaderboardParameters(AsOfParameters):
    """Parameters of `/v1/leaderboard`."""

    limit: Limit = Field(50, description="Wallets per page.", examples=[50])
    cursor: str | None = Field(
        None,
        description="`page.next_cursor` of the page before. Every other parameter must be as it was there. A cursor is of "
        "one snapshot: once another is served, it is refused with 409; give `as_of` (`snapshot.as_of` of the first "
        "page) to go through a slot that is no longer the newest.",
        pattern="^[A-Za-z0-9_-]{8,128}$",
    )
    sort: Sort = Field(
        Sort.CALCULATED_RANK, description="What to sort by: best first, unknown ones last, ties by address."
    )
    min_trust: Trust | None = Field(
        None, description="Only wallets with at least this trust (0 to 100).", examples=[60]
    )
    min_sample_days: Days | None = Field(
        None, description="Only wallets with at least so many days of performance.", examples=[90]
    )
    style: TradingStyle | None = Field(None, description="Only wallets graded with this style.")
    entity: Entity = Field(
        Entity.TRADERS,
        description="`traders`: without wallets flagged by any of the flags that `filters.hidden_flags` names; `all`: "
        "everybody; a flag: only wallets with it.",
    )
    include_trend: Switch = Field(False, description="Whether rows have `trend`.")


class EquityParameters(AsOfParameters):
    """Parameters of `/v1/wallets/{address}/equity`."""

    start: From = None
    end: To = None
    step: Step = Field(
        Step.DAY,
        description="The newest point of each UTC hour, day or week (from Monday), or every point (`raw`). Flows and "
        "returns are those since the point before.",
    )


class RangeParameters(Parameters):
    """Parameters of a page about several slots."""

    start: From = None
    end: To = None


Address = Annotated[
    str,
    Path(
        description="The wallet's address: 0x and 40 hexadecimal digits, in any case.",
        pattern=ADDRESS_PATTERN.replace(r"\Z", "$"),
        examples=["0x31ca8395cf837de08b24da3f660e77761dfb974b"],
    ),
]


def _slot(value: Any) -> Any:
    instant = _instant(value)
    if isinstance(instant, datetime) and instant != slot_of(instant):
        raise ValueError("is not a slot: slots are whole 10 minutes, e.g. 2026-05-31T12:10:00Z")
    return instant


_MONTH_AND_DAY = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
SlotPath = Annotated[
    datetime,
    BeforeValidator(_slot),
    WithJsonSchema(
        {"type": "string", "pattern": f"^20[0-9]{{2}}-{_MONTH_AND_DAY}T([01][0-9]|2[0-3]):[0-5]0:00Z$"}
    ),
    Path(description="The slot: a whole 10-minute instant, UTC.", examples=["2026-05-31T12:10:00Z"]),
]


async def no_repetition(request: Request) -> None:
    """Refuse a parameter that is given twice: only one of its values could count."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise invalid(_known_name(name), "is given more than once")
        seen.add(name)


def _known_name(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "parameter"
