"""`GET /v1/wallets/{address}` and its curve, scores and grades.

Belongs here: these endpoints. Does not belong here: thinning a curve (`curves`).
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api import models
from hl_assets.api.curves import thinned
from hl_assets.api.nulls import (
    NO_BOARD,
    NOT_ON_THE_BOARD,
    NOT_STORED,
    blanket,
    grade_reasons,
    metric_reasons,
    score_reasons,
)
from hl_assets.api.parameters import (
    EARLIEST,
    Address,
    AsOfParameters,
    EquityParameters,
    NoParameters,
    RangeParameters,
    Step,
)
from hl_assets.api.problems import UNKNOWN_WALLET, ProblemError, documented, invalid
from hl_assets.api.queries import (
    Row,
    is_known,
    read_calls,
    read_curve,
    read_grade_history,
    read_score_history,
    read_wallet,
)
from hl_assets.api.service import Service, View
from hl_assets.api.text import safe_name, safe_prose
from hl_assets.exchange.addresses import normalize_address
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.slots import slot_text
from hl_assets.warehouse.manifest import Manifest, Publication

MAX_POINTS = 20_000
DEFAULT_DAYS = 7
MAX_DAYS = 31
GRADE_DAYS = 30
MAX_GRADES = 100
_PROSE_LISTS = ("hidden_risks", "unique_characteristics", "edge_rules", "ungrounded", "status_reasons")


def wallet_router(service: Service) -> APIRouter:
    """The endpoints' router."""
    router = APIRouter(prefix="/v1/wallets/{address}", tags=["wallet"])

    @router.get(
        "",
        response_model=models.WalletAnswer,
        responses=documented(404),
        summary="Everything known about a wallet",
    )
    async def wallet(
        request: Request, address: Address, parameters: Annotated[AsOfParameters, Query()]
    ) -> Response:
        """Leaderboard, fetch, metrics, scores and grade of a wallet in one slot, and where each comes from."""
        name = normalize_address(address)
        return await service.answer(
            request,
            "wallet",
            lambda view: wallet_document(view, name),
            as_of=parameters.as_of,
            key=(name,),
        )

    @router.get(
        "/equity",
        response_model=models.EquityAnswer,
        responses=documented(404),
        summary="A wallet's flow-adjusted curve",
    )
    async def equity(
        request: Request, address: Address, parameters: Annotated[EquityParameters, Query()]
    ) -> Response:
        """Account value, cumulative PnL, flows, returns, index and drawdown, thinned to `step`.

        Deposits and withdrawals are in `account_value` and `flow`, never in `step_return`, `return_index` and `drawdown`.
        A wallet without a curve has an empty list.
        """
        name = normalize_address(address)
        return await service.answer(
            request,
            "equity",
            lambda view: equity_document(view, name, parameters),
            as_of=parameters.as_of,
            key=(name, *parameters.key()),
        )

    @router.get(
        "/scores",
        response_model=models.ScoresAnswer,
        responses=documented(404),
        summary="A wallet's scores, slot by slot",
    )
    async def scores(
        request: Request, address: Address, parameters: Annotated[RangeParameters, Query()]
    ) -> Response:
        """Scores and ranks of every stored slot in the range, by default the 7 days up to the newest slot, at most 31."""
        name = normalize_address(address)
        return await service.answer(
            request,
            "scores",
            lambda view: scores_document(view, name, parameters),
            key=(name, service.snapshots.heads_known(), *parameters.key()),
        )

    @router.get(
        "/grades",
        response_model=models.GradesAnswer,
        responses=documented(404),
        summary="A wallet's grades and where they come from",
    )
    async def grades(
        request: Request, address: Address, parameters: Annotated[NoParameters, Query()]
    ) -> Response:
        """Grades of the 30 days up to the newest slot, newest first, with the call to the model behind each."""
        name = normalize_address(address)
        return await service.answer(
            request,
            "grades",
            lambda view: grades_document(view, name),
            key=(name, service.snapshots.heads_known(), *parameters.key()),
        )

    return router


def unknown_wallet(view: View) -> ProblemError:
    """The problem of a wallet that the snapshot does not have."""
    return ProblemError(
        UNKNOWN_WALLET,
        f"the wallet was neither fetched, nor on the leaderboard, nor measured at {slot_text(view.snapshot.as_of)}; /v1/leaderboard lists "
        "wallets, `as_of` chooses another slot",
    )


def wallet_document(view: View, wallet: str) -> models.WalletAnswer:
    """A wallet's page.

    Raises:
        ProblemError: 404 for an unknown wallet.
    """
    rows = read_wallet(view.store, view.snapshot, wallet)
    if rows.account is None and rows.fetch is None and rows.metrics is None:
        raise unknown_wallet(view)
    missing: dict[str, str] = {}
    if rows.account is None:
        missing["account"] = NOT_ON_THE_BOARD if LEADERBOARD_ROWS.name in view.snapshot.pins else NO_BOARD
    status = "not_fetched" if rows.fetch is None else f"portfolio_{rows.fetch['status']}"
    fetched = status == "portfolio_ok"
    for name, part in (("metrics", rows.metrics), ("scores", rows.scores), ("grade", rows.grade)):
        if part is None:
            missing[name] = NOT_STORED if fetched else status
    if rows.fetch is None:
        missing["fetch"] = status
    call_id = None if rows.grade is None else rows.grade["call_id"]
    calls = read_calls(view.store, wallet, [call_id] if call_id else [])
    metrics = (rows.metrics or {}).get("null_reasons", {})
    return models.WalletAnswer.model_validate(
        {
            "wallet": wallet,
            "account": None if rows.account is None else _account(rows.account),
            "fetch": None if rows.fetch is None else _fetch(rows.fetch),
            "metrics": None
            if rows.metrics is None
            else {**rows.metrics, "null_reasons": metric_reasons(rows.metrics)},
            "scores": None
            if rows.scores is None
            else {**rows.scores, "null_reasons": score_reasons(rows.scores, metrics)},
            "grade": None if rows.grade is None else grade_part(rows.grade, calls),
            "null_reasons": missing,
            "provenance": {name: _provenance(pin) for name, pin in sorted(view.snapshot.pins.items())},
            "snapshot": view.document(),
        }
    )


def _account(row: Row) -> Row:
    return {**row, "display_name": safe_name(row["display_name"])}


def _fetch(row: Row) -> Row:
    error = row["error"]
    safe = {**row, "error": None if error is None else safe_prose(error)}
    return {**safe, "null_reasons": blanket(row, f"portfolio_{row['status']}")}


def grade_part(row: Row, calls: dict[str, Row]) -> Row:
    """A grade with its call; the model's words without characters that steer a reader's screen."""
    assessment = row["overall_assessment"]
    return {
        **row,
        **{name: [safe_prose(text) for text in row[name]] for name in _PROSE_LISTS},
        "reasoning": {name: safe_prose(text) for name, text in row["reasoning"].items()},
        "overall_assessment": None if assessment is None else safe_prose(assessment),
        "call": calls.get(row["call_id"] or ""),
        "null_reasons": grade_reasons(row),
    }


def _provenance(pin: Publication) -> dict[str, Any]:
    return {
        "as_of": pin.as_of,
        "version": str(pin.version),
        "published_at": pin.published_at,
        "run_id": pin.run_id,
        "code_version": pin.code_version,
        "origin": pin.origin,
        "inputs": {name: str(version) for name, version in pin.inputs.items()},
    }


def equity_document(view: View, wallet: str, parameters: EquityParameters) -> models.EquityAnswer:
    """A wallet's curve.

    Raises:
        ProblemError: 404 for an unknown wallet or where no curves are stored, 422 for a range in the wrong order or of too
            many points.
    """
    start = parameters.start or EARLIEST
    end = parameters.end or view.snapshot.as_of
    _check_order(start, end)
    curve = Manifest(view.store).latest_slot(EQUITY_CURVES, view.snapshot.as_of)
    if curve is None or not is_known(view.store, view.snapshot, wallet):
        raise unknown_wallet(view)
    points = read_curve(view.store, curve, wallet, start=start, end=end, most=MAX_POINTS + 1)
    if len(points) > MAX_POINTS:
        raise invalid("from", f"the range has more than {MAX_POINTS:,} points; choose a shorter one")
    kept = points if parameters.step is Step.RAW else thinned(points, parameters.step.value)
    return models.EquityAnswer.model_validate(
        {
            "wallet": wallet,
            "scope": "all",
            "step": parameters.step.value,
            "curve_as_of": curve.as_of,
            "data": [_point(point) for point in kept],
            "snapshot": view.document(),
        }
    )


def _point(row: Row) -> Row:
    known = ("start", "no_base", "wiped_out")
    reason = next((flag for flag in known if flag in row["flags"]), "unknown_return")
    return {**row, "null_reasons": blanket(row, "first_point" if reason == "start" else reason)}


def scores_document(view: View, wallet: str, parameters: RangeParameters) -> models.ScoresAnswer:
    """A wallet's scores in a range.

    Raises:
        ProblemError: 404 for an unknown wallet, 422 for a range that is too long or in the wrong order.
    """
    end = parameters.end or view.snapshot.as_of
    start = parameters.start or end - timedelta(days=DEFAULT_DAYS)
    _check_order(start, end)
    if end - start > timedelta(days=MAX_DAYS):
        raise invalid("from", f"the range is longer than {MAX_DAYS} days; choose a shorter one")
    rows = read_score_history(view.store, wallet, start, min(end, view.snapshot.as_of))
    if not rows and not is_known(view.store, view.snapshot, wallet):
        raise unknown_wallet(view)
    return models.ScoresAnswer.model_validate(
        {
            "wallet": wallet,
            "from": start,
            "to": end,
            "data": [{**row, "null_reasons": score_reasons(row, {})} for row in rows],
            "snapshot": view.document(),
        }
    )


def grades_document(view: View, wallet: str) -> models.GradesAnswer:
    """A wallet's grades.

    Raises:
        ProblemError: 404 for an unknown wallet.
    """
    end = view.snapshot.as_of
    rows = read_grade_history(view.store, wallet, end - timedelta(days=GRADE_DAYS), end, MAX_GRADES)
    if not rows and not is_known(view.store, view.snapshot, wallet):
        raise unknown_wallet(view)
    calls = read_calls(view.store, wallet, [row["call_id"] for row in rows if row["call_id"]])
    data = [grade_part(row, calls) for row in rows]
    return models.GradesAnswer.model_validate({"wallet": wallet, "data": data, "snapshot": view.document()})


def _check_order(start: datetime, end: datetime) -> None:
    if start > end:
        raise invalid("from", "lies after `to`")
