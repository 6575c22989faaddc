"""`GET /healthz`, `/readyz` and `/metrics`: for whoever watches the API.

Belongs here: these endpoints. Does not belong here: the figures (`telemetry`).
"""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from hl_assets import __version__
from hl_assets.api import models
from hl_assets.api.parameters import NoParameters
from hl_assets.api.problems import ProblemError
from hl_assets.api.responses import JSON
from hl_assets.api.service import Service
from hl_assets.api.telemetry import CONTENT_TYPE
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
        """Requests, latencies, cache, rate limit, and the newest slot, in Prometheus's text format."""
        await _observe(service)
        return Response(service.telemetry.text(), headers={**_NOT_KEPT, "Content-Type": CONTENT_TYPE})

    return router


async def _observe(service: Service) -> None:
    """Look whether the warehouse answers; what is wrong with it is a figure here, not an error."""
    telemetry = service.telemetry
    try:
        snapshot = await service.snapshot(None)
    except WarehouseError:
        telemetry.warehouse_up.set(0)
        telemetry.newest_slot.set(float("nan"))
    except ProblemError:
        telemetry.warehouse_up.set(1)
        telemetry.newest_slot.set(float("nan"))
    else:
        telemetry.warehouse_up.set(1)
        telemetry.newest_slot.set(snapshot.as_of.timestamp())
