"""`GET /wallets`: the best wallets of the newest slot in one plain list, and the request for a tick.

Belongs here: this endpoint. Does not belong here: the paged list (`leaderboard`), starting ticks (`ticks`).
"""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api import models
from hl_assets.api.nulls import grade_reasons, metric_reasons, score_reasons
from hl_assets.api.parameters import WalletsParameters
from hl_assets.api.problems import (
    NO_KEY,
    TICK_FAILED,
    TICK_RUNNING,
    ProblemError,
    documented,
    problem_of,
)
from hl_assets.api.queries import ANALYSIS_COLUMNS, Row, Selection, read_ranked
from hl_assets.api.responses import JSON
from hl_assets.api.service import Service, View
from hl_assets.api.text import safe_name, safe_prose
from hl_assets.api.ticks import TickNotStartedError, TickRunningError, TickStarted
from hl_assets.slots import parse_slot
from hl_assets.warehouse.errors import WarehouseError

_ANALYSIS = frozenset({"agent_analysis_text", "grade_source", *models.AGENT_SCORES, *models.ANALYSIS_GRADES})
_FIELDS = tuple(models.WalletRow.model_fields)
ApiKey = Annotated[
    str | None, Header(alias="X-API-Key", description="The write key; only save_to_db=true needs it.")
]


def wallets_router(service: Service) -> APIRouter:
    """The endpoint's router."""
    router = APIRouter(tags=["wallets"])

    @router.get(
        "/wallets",
        response_model=models.WalletsAnswer,
        responses=documented(401, 409),
        summary="The best wallets of the newest slot",
    )
    async def wallets(
        request: Request, parameters: Annotated[WalletsParameters, Query()], x_api_key: ApiKey = None
    ) -> Response:
        """The `top_n` best wallets by `weighted_score` with metrics, scores and the grader's words.

        With `save_to_db=true` and the write key, a tick of the current slot is requested first, in a process of its own; the
        answer names its run and shows what is stored at this moment. One tick runs at a time.
        """
        if not parameters.save_to_db:
            return await service.answer(
                request,
                "wallets",
                lambda view: wallets_document(view, parameters, None),
                key=parameters.key(),
            )
        check_key(service, x_api_key)
        started = await _start_tick(service)
        try:
            body = await service.body(
                "wallets_with_run",
                lambda view: wallets_document(view, parameters, started),
                key=(started.run_id, *parameters.key()),
            )
        except (ProblemError, WarehouseError) as error:  # the tick runs all the same: say which it is
            problem = problem_of(error) if isinstance(error, WarehouseError) else error
            problem.extension = {**problem.extension, "run_id": started.run_id}
            raise problem from error
        return Response(body.raw, headers={"Cache-Control": "no-store"}, media_type=JSON)

    return router


def check_key(service: Service, given: str | None) -> None:
    """Let only the holder of the write key through; the comparison takes equally long whatever is given.

    Raises:
        ProblemError: 401.
    """
    wanted = service.settings.api_write_key
    key = wanted.get_secret_value().encode() if wanted is not None else b""
    matches = hmac.compare_digest((given or "").encode("utf-8", "surrogateescape"), key)
    if wanted is None or not matches:
        detail = (
            "save_to_db=true needs the write key in the header X-API-Key"
            if wanted is not None
            else "no write key is configured (API_WRITE_KEY), so nobody may request a tick"
        )
        raise ProblemError(NO_KEY, detail, headers={"WWW-Authenticate": 'ApiKey realm="hl_assets"'})


async def _start_tick(service: Service) -> TickStarted:
    launcher = service.launcher
    if launcher is None:
        raise ProblemError(TICK_FAILED, "this server starts no ticks", retry_after=60)
    try:
        return await service.in_thread(launcher.start, ticks=True)
    except TickRunningError as running:
        raise ProblemError(
            TICK_RUNNING,
            "a tick is not finished; its slot will be served when it is",
            extension={} if running.run_id is None else {"run_id": running.run_id},
        ) from None
    except TickNotStartedError as error:
        raise ProblemError(TICK_FAILED, str(error), retry_after=60) from None


def wallets_document(
    view: View, parameters: WalletsParameters, started: TickStarted | None
) -> models.WalletsAnswer:
    """The document of a snapshot."""
    hidden = [flag.value for flag in view.hidden_flags]
    selection = Selection(limit=parameters.top_n, hidden_flags=hidden)
    rows, _ = read_ranked(view.store, view.snapshot, selection, ANALYSIS_COLUMNS)
    data = [wallet_row(row, analysis=not parameters.skip_analysis) for row in rows]
    return models.WalletsAnswer(
        data=data,
        metadata=models.WalletsMetadata(
            count=len(data),
            timestamp=view.snapshot.as_of,
            filters=models.Hidden(entity="traders", hidden_flags=hidden),
            snapshot=view.document(),
            run=None
            if started is None
            else models.TickRun(run_id=started.run_id, slot=parse_slot(started.slot)),
        ),
    )


def wallet_row(row: Row, *, analysis: bool) -> Any:
    """A row of the list."""
    metrics = metric_reasons({name: row[name] for name in ANALYSIS_COLUMNS["m"]})
    reasons = score_reasons({name: row[name] for name in ANALYSIS_COLUMNS["s"]}, row["null_reasons"])
    grade = grade_reasons({name: row[name] for name in ANALYSIS_COLUMNS["g"]})
    if "overall_assessment" in grade:
        grade["agent_analysis_text"] = grade["overall_assessment"]
    text = row["overall_assessment"]
    values = {
        **row,
        "wallet_id": row["wallet"],
        "display_name": safe_name(row["display_name"]),
        "agent_analysis_text": None if text is None else safe_prose(text),
        "hidden_risks": [safe_prose(item) for item in row["hidden_risks"]],
        "unique_characteristics": [safe_prose(item) for item in row["unique_characteristics"]],
    }
    fields = [name for name in _FIELDS if analysis or name not in _ANALYSIS]
    reasons = {**metrics, **reasons, **grade}
    kept = {name: values[name] for name in fields if name != "null_reasons"}
    kept["null_reasons"] = {
        name: reasons[name] for name, value in kept.items() if value is None and name in reasons
    }
    return models.WalletRow.model_validate(kept)
