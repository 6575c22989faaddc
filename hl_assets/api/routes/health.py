"""`GET /healthz`, `/readyz` and `/metrics`: for whoever watches the platform.

Belongs here: these endpoints. Does not belong here: the figures (`telemetry`, `hl_assets.observability`).
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from hl_assets import __version__
from hl_assets.api import models
from hl_assets.api.parameters import NoParameters
from hl_assets.api.problems import ProblemError
from hl_assets.api.responses import JSON
from hl_assets.api.service import Service
from hl_assets.api.snapshots import Snapshot
from hl_assets.api.telemetry import CONTENT_TYPE
from hl_assets.observability.refreshing import PATIENCE_SECONDS
from hl_assets.warehouse.errors import WarehouseError

_NOT_KEPT = {"Cache-Control": "no-store"}


def health_router(service: Service) -> APIRouter:
    """The endpoints' router."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_model=models.Health, summary="Is the process alive?")
    async def healthz(parameters: Annotated[NoParameters, Query()]) -> Response:  # noqa: ARG001 - refuses unknown ones
        """Always 200 while the process answers; asks nothing of the warehouse."""
        document = models.Health(status="ok", version=__version__)
        return Response(document.model_dump_json(), headers=_NOT_KEPT, media_type=JSON)

    @router.get("/readyz", response_model=models.Readiness, summary="Are there recent data to serve?")
    async def readyz(parameters: Annotated[NoParameters, Query()]) -> Response:  # noqa: ARG001 - refuses unknown ones
        """200 if the warehouse answers and its newest scored slot is at most FRESHNESS_FAIL_MINUTES old, else 503."""
        snapshot = await service.snapshot(None)
        age = service.age_seconds(snapshot)
        if age > service.settings.freshness_fail_minutes * 60:
            raise service.stale(snapshot)
        document = models.Readiness(status="ready", newest_slot=snapshot.as_of, age_seconds=age)
        return Response(document.model_dump_json(), headers=_NOT_KEPT, media_type=JSON)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics"}
        },
        summary="Metrics for Prometheus",
    )
    async def metrics(parameters: Annotated[NoParameters, Query()]) -> Response:  # noqa: ARG001 - refuses unknown ones
        """The API's requests, latencies and cache, and the platform's ticks, fetches, budgets, coverage and freshness.

        In Prometheus's text format. What is not known has no sample; a warehouse that does not answer is told by
        `hl_assets_api_warehouse_up`, within seconds.
        """
        await asyncio.gather(_observe(service), service.platform.refresh())
        return Response(service.telemetry.text(), headers={**_NOT_KEPT, "Content-Type": CONTENT_TYPE})

    return router


async def _observe(service: Service) -> None:
    """Look whether the warehouse answers soon; what is wrong with it is a figure here, not an error."""
    telemetry = service.telemetry
    looking = asyncio.ensure_future(service.snapshot(None))
    looking.add_done_callback(_look_at)
    try:
        snapshot = await asyncio.wait_for(asyncio.shield(looking), PATIENCE_SECONDS)
    except (WarehouseError, TimeoutError):
        telemetry.warehouse_up.set(0)
        telemetry.newest_slot.set(float("nan"))
    except ProblemError:
        telemetry.warehouse_up.set(1)
        telemetry.newest_slot.set(float("nan"))
    else:
        telemetry.warehouse_up.set(1)
        telemetry.newest_slot.set(snapshot.as_of.timestamp())


def _look_at(done: "asyncio.Future[Snapshot]") -> None:
    """Take note of an error that came after nobody waited any more."""
    if not done.cancelled():
        done.exception()
