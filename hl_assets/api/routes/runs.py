"""`GET /v1/runs/{slot}/funnel` and `GET /v1/coverage`: how slots were made, and which there are.

Belongs here: these endpoints. Does not belong here: judging (checks do).
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from hl_assets.api import models
from hl_assets.api.nulls import NOT_STORED, blanket
from hl_assets.api.parameters import NoParameters, RangeParameters, SlotPath
from hl_assets.api.problems import documented, invalid
from hl_assets.api.queries import read_run
from hl_assets.api.service import Service, View, unknown_slot
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.slots import SLOT, slot_of
from hl_assets.warehouse.manifest import Manifest

COVERED = (LEADERBOARD_SNAPSHOTS, PORTFOLIO_FETCHES, WALLET_METRICS, AI_GRADES, WALLET_SCORES)
"""Tables that have every slot of a day, in the order data flows."""
MAX_DAYS = 366
MAX_GAPS = 500


def runs_router(service: Service) -> APIRouter:
    """The endpoints' router."""
    router = APIRouter(prefix="/v1", tags=["runs"])

    @router.get(
        "/runs/{slot}/funnel",
        response_model=models.FunnelAnswer,
        responses=documented(404),
        summary="Who passed which gate in a slot",
    )
    async def funnel(
        request: Request, slot: SlotPath, parameters: Annotated[NoParameters, Query()]
    ) -> Response:
        """The eligibility funnel of a slot, the scoring configuration and what went in."""
        return await service.answer(
            request, "funnel", funnel_document, as_of=slot, key=parameters.key(), exact_slot=True
        )

    @router.get("/coverage", response_model=models.CoverageAnswer, summary="Which slots are stored")
    async def coverage(request: Request, parameters: Annotated[RangeParameters, Query()]) -> Response:
        """Slots present, missing and reconstructed, by table; by default the last 24 hours, at most 366 days.

        Only slots that could be there count: from the first one ever observed to the present one, or to the one before while
        the present one is being made.
        """
        key = (service.snapshots.heads_known(), slot_of(service.now()), *parameters.key())
        return await service.answer(
            request, "coverage", lambda view: coverage_document(view, parameters), key=key
        )

    return router


def funnel_document(view: View) -> models.FunnelAnswer:
    """The funnel of a snapshot's slot.

    Raises:
        ProblemError: 404 where the slot has no record of its scoring.
    """
    row = read_run(view.store, view.snapshot)
    if row is None:
        raise unknown_slot(view.snapshot.as_of)
    passed = row["funnel_passed"]
    run = {name: row[name] for name in models.Run.model_fields if name != "null_reasons"}
    return models.FunnelAnswer.model_validate(
        {
            "slot": view.snapshot.as_of,
            "funnel": [
                {"gate": gate, "entered": entered, "passed": passed[gate]}
                for gate, entered in row["funnel_entered"].items()
            ],
            "run": {**run, "null_reasons": blanket(run, NOT_STORED)},
            "snapshot": view.document(),
        }
    )


def coverage_document(view: View, parameters: RangeParameters) -> models.CoverageAnswer:
    """Which slots of a range are stored.

    Raises:
        ProblemError: 422 for a range that is too long or in the wrong order.
    """
    present = slot_of(view.now)
    newest = present if view.snapshot.as_of == present else present - SLOT
    end = min(slot_of(parameters.end) if parameters.end else newest, newest)
    start = parameters.start or end - timedelta(days=1) + SLOT
    if parameters.start and parameters.end and parameters.start > parameters.end:
        raise invalid("from", "lies after `to`")
    if end - start > timedelta(days=MAX_DAYS):
        raise invalid("from", f"the range is longer than {MAX_DAYS} days; choose a shorter one")
    manifest = Manifest(view.store)
    start = max(_at_or_after(start), _first_slot(view))
    committed = {table.name: manifest.committed(table, start, end + SLOT) for table in COVERED}
    expected = list(_slots(start, end))
    tables = {}
    for name, found in committed.items():
        gaps = list(_gaps(expected, found))
        tables[name] = models.TableCoverage(
            present=len(found),
            missing=len(expected) - len(found),
            reconstructed=sum(publication.origin == "reconstructed" for publication in found.values()),
            gaps=gaps[:MAX_GAPS],
        )
    return models.CoverageAnswer.model_validate(
        {"from": start, "to": max(end, start), "expected": len(expected), "tables": tables}
    )


def _first_slot(view: View) -> datetime:
    sql = "SELECT min(as_of) FROM publications WHERE table_name = {table:String} AND NOT withdrawn"
    [(first,)] = view.store.read_rows(sql, {"table": LEADERBOARD_SNAPSHOTS.name})
    [(scored,)] = view.store.read_rows(sql, {"table": WALLET_SCORES.name})
    known: list[datetime] = [slot for slot in (first, scored) if slot.timestamp() > 0]  # 1970: none
    return min(known)


def _at_or_after(instant: datetime) -> datetime:
    slot = slot_of(instant)
    return slot if slot == instant else slot + SLOT


def _slots(start: datetime, end: datetime) -> Iterable[datetime]:
    while start <= end:
        yield start
        start += SLOT


def _gaps(expected: Iterable[datetime], present: Collection[datetime]) -> Iterable[models.Gap]:
    """Runs of missing slots, oldest first."""
    run: list[datetime] = []
    for slot in expected:
        if slot not in present:
            run.append(slot)
        elif run:
            yield models.Gap(first=run[0], last=run[-1], slots=len(run))
            run = []
    if run:
        yield models.Gap(first=run[0], last=run[-1], slots=len(run))
