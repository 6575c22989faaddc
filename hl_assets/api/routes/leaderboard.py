"""`GET /v1/leaderboard` and its summary: the ranking of a slot, page by page and in numbers.

Belongs here: these endpoints. Does not belong here: computing scores or trends (they are stored).
"""

from collections import Counter
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api import models
from hl_assets.api.cursors import make_cursor, offset_of, query_hash
from hl_assets.api.nulls import NOT_GRADED, grade_reasons, metric_reasons, score_reasons
from hl_assets.api.parameters import Entity, LeaderboardParameters, SummaryParameters
from hl_assets.api.problems import documented
from hl_assets.api.queries import LIST_COLUMNS, Row, Selection, read_overview, read_ranked
from hl_assets.api.service import Service, View
from hl_assets.api.text import safe_name
from hl_assets.scoring.entities import EntityFlag

SUMMARISED = {
    "s": ("weighted_score", "quant_score", "rule_score", "adjusted_score", "trust", "sample_days"),
    "m": ("roi", "max_drawdown", "cagr", "calmar_ratio", "sharpe", "total_pnl", "account_value"),
}
"""Figures whose distribution the summary gives, by their table."""
_QUANTILES = {"p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9}
_OVERVIEW = {
    "s": ("is_eligible", "ineligible_reason", "trust_label", "entity_flags", *SUMMARISED["s"]),
    "m": SUMMARISED["m"],
    "g": ("trading_style",),
}
_FIELDS = tuple(name for name in models.LeaderboardRow.model_fields if name not in {"null_reasons", "trend"})


def leaderboard_router(service: Service) -> APIRouter:
    """The endpoints' router."""
    router = APIRouter(prefix="/v1/leaderboard", tags=["leaderboard"])

    @router.get(
        "",
        response_model=models.LeaderboardAnswer,
        responses=documented(404, 409),
        summary="The ranking of a slot, page by page",
    )
    async def leaderboard(
        request: Request, parameters: Annotated[LeaderboardParameters, Query()]
    ) -> Response:
        """Ranked wallets of the newest slot at or before `as_of`, filtered and sorted.

        All pages reached through `page.next_cursor` are of one snapshot. `filters` says what was applied, the defaults
        included; ranks are those among all ranked wallets of the slot, whatever the filters.
        """
        return await service.answer(
            request,
            "leaderboard",
            lambda view: leaderboard_document(view, parameters),
            as_of=parameters.as_of,
            key=parameters.key(),
        )

    @router.get(
        "/summary",
        response_model=models.SummaryAnswer,
        responses=documented(404),
        summary="The ranking of a slot in numbers",
    )
    async def summary(request: Request, parameters: Annotated[SummaryParameters, Query()]) -> Response:
        """How many wallets are ranked and why others are not; labels, styles, flags; quantiles of the main figures."""
        return await service.answer(
            request,
            "summary",
            lambda view: summary_document(view, parameters),
            as_of=parameters.as_of,
            key=parameters.key(),
        )

    return router


def hidden_flags(entity: Entity, default: tuple[EntityFlag, ...]) -> list[str]:
    """Flags whose wallets a list leaves out."""
    return [flag.value for flag in default] if entity is Entity.TRADERS else []


def wanted_flag(entity: Entity) -> str | None:
    """The flag that a list's wallets have to have."""
    return None if entity in {Entity.TRADERS, Entity.ALL} else entity.value


def leaderboard_document(view: View, parameters: LeaderboardParameters) -> models.LeaderboardAnswer:
    """A page of a snapshot.

    Raises:
        ProblemError: The cursor cannot be used.
    """
    query = query_hash((name, value) for name, value in parameters.key() if name != "cursor")
    offset = offset_of(parameters.cursor, view.snapshot.id, query)
    hidden = hidden_flags(parameters.entity, view.hidden_flags)
    selection = Selection(
        hidden_flags=hidden,
        wanted_flag=wanted_flag(parameters.entity),
        min_trust=parameters.min_trust,
        min_sample_days=parameters.min_sample_days,
        style=parameters.style,
        sort=parameters.sort,
        limit=parameters.limit,
        offset=offset,
    )
    rows, total = read_ranked(view.store, view.snapshot, selection, LIST_COLUMNS)
    reached = offset + len(rows)
    return models.LeaderboardAnswer(
        data=[leaderboard_row(row, trend=parameters.include_trend) for row in rows],
        page=models.Page(
            next_cursor=make_cursor(view.snapshot.id, query, reached) if reached < total else None,
            total_eligible=total,
            total_excluded=view.snapshot.scores.n_rows - total,
        ),
        filters=models.Filters(
            entity=parameters.entity.value,
            hidden_flags=hidden,
            sort=parameters.sort.value,
            min_trust=parameters.min_trust,
            min_sample_days=parameters.min_sample_days,
            style=parameters.style,
            as_of=parameters.as_of,
        ),
        snapshot=view.document(),
    )


def leaderboard_row(row: Row, *, trend: bool) -> Any:
    """A row of the list."""
    reasons = {
        **metric_reasons({name: row[name] for name in LIST_COLUMNS["m"]}),
        **score_reasons({name: row[name] for name in LIST_COLUMNS["s"]}, row["null_reasons"]),
        **grade_reasons({name: row[name] for name in LIST_COLUMNS["g"]}),
    }
    document = {name: row[name] for name in _FIELDS}
    document["display_name"] = safe_name(row["display_name"])
    shown = dict(document)
    if trend:
        document["trend"] = {name: row[name] for name in models.TREND_COLUMNS}
        shown |= document["trend"]
    document["null_reasons"] = {
        name: reasons[name] for name, value in shown.items() if value is None and name in reasons
    }
    return models.LeaderboardRow.model_validate(document)


def summary_document(view: View, parameters: SummaryParameters) -> models.SummaryAnswer:
    """The summary of a snapshot."""
    hidden = hidden_flags(parameters.entity, view.hidden_flags)
    wanted = wanted_flag(parameters.entity)
    rows = read_overview(view.store, view.snapshot, _OVERVIEW)
    ranked = [row for row in rows if row["is_eligible"]]
    shown = [
        row
        for row in ranked
        if not set(hidden) & set(row["entity_flags"]) and (wanted is None or wanted in row["entity_flags"])
    ]
    return models.SummaryAnswer(
        data=models.Summary(
            wallets=len(rows),
            ranked=len(shown),
            filtered_out=len(ranked) - len(shown),
            unranked_by_reason=_counted(row["ineligible_reason"] for row in rows if not row["is_eligible"]),
            by_trust_label=_counted(row["trust_label"] for row in shown),
            by_style=_counted(row["trading_style"] or NOT_GRADED for row in shown),
            by_entity_flag=_counted(flag for row in ranked for flag in row["entity_flags"]),
            quantiles={
                name: quantiles([row[name] for row in shown if row[name] is not None])
                for names in SUMMARISED.values()
                for name in names
            },
        ),
        filters=models.Hidden(entity=parameters.entity.value, hidden_flags=hidden),
        snapshot=view.document(),
    )


def _counted(names: Any) -> dict[str, int]:
    """How often each name occurs, most frequent first, then by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], str(item[0]))))


def quantiles(values: list[float]) -> models.Quantiles:
    """The distribution of figures."""
    if not values:
        return models.Quantiles(n=0, p10=None, p25=None, p50=None, p75=None, p90=None)
    found = np.quantile(np.asarray(values, dtype=np.float64), list(_QUANTILES.values())).tolist()
    return models.Quantiles(n=len(values), **dict(zip(_QUANTILES, found, strict=True)))
