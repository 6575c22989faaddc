"""The app: endpoints, middleware and errors put together.

Belongs here: assembling. Does not belong here: anything an endpoint does, listening (`serving`).
"""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from hl_assets import __version__
from hl_assets.api.limits import TokenBuckets, parse_networks
from hl_assets.api.middleware import Gate
from hl_assets.api.nulls import MEANINGS
from hl_assets.api.parameters import no_repetition
from hl_assets.api.problems import Problem, documented, install
from hl_assets.api.routes.health import health_router
from hl_assets.api.routes.leaderboard import leaderboard_router
from hl_assets.api.routes.runs import runs_router
from hl_assets.api.routes.wallet_pages import wallet_router
from hl_assets.api.routes.wallets import wallets_router
from hl_assets.api.service import Service
from hl_assets.api.ticks import TickLauncher
from hl_assets.scoring.entities import parse_entity_filter
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse

_DESCRIPTION = """Traders of Hyperliquid, scored point in time on deposit-proof equity curves.

Every answer is read from **one snapshot**: one 10-minute slot in one published version of every table. `as_of` asks for the
newest slot at or before an instant. A parameter that is unknown, repeated or malformed is refused with 422.

A figure that cannot be known is **null**, never 0, and `null_reasons` says why. Units are in each field's `x-unit`:
fractions are 0.12 for 12 %.

Answers carry an `ETag`; ask again with `If-None-Match`. Errors are problem details (RFC 9457).
"""
_TAGS = [
    {"name": "wallets", "description": "The best wallets in one list, and the request for a tick"},
    {"name": "leaderboard", "description": "The ranking of a slot"},
    {"name": "wallet", "description": "One wallet: everything known, its curve, scores and grades"},
    {"name": "runs", "description": "How slots were made, and which there are"},
    {"name": "health", "description": "For monitoring"},
]
_EVERYWHERE = (422, 429, 500, 503)
_HEADERS = {
    "ETag": {"description": "Names the content; send it back in If-None-Match", "schema": {"type": "string"}},
    "X-Request-ID": {
        "description": "The request's id, also in the server's log",
        "schema": {"type": "string"},
    },
}


def create_app(settings: Settings, store: Warehouse, *, launcher: TickLauncher | None = None) -> FastAPI:
    """The API as an ASGI app.

    Args:
        settings: The platform's settings.
        store: The warehouse to serve; the caller closes it.
        launcher: Who starts ticks for `save_to_db=true`; None = nobody.
    """
    service = Service(settings, store, launcher, parse_entity_filter(settings.entity_filter))
    app = _Api(
        title="hl_assets",
        version=__version__,
        description=f"{_DESCRIPTION}\n{_reasons()}",
        openapi_tags=_TAGS,
        dependencies=[Depends(no_repetition)],
        responses=documented(*_EVERYWHERE),
        redirect_slashes=False,
        redoc_url=None,
    )
    install(app)
    for router in (wallets_router, leaderboard_router, wallet_router, runs_router, health_router):
        app.include_router(router(service))
    origins = [origin.strip() for origin in settings.api_cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET"],
            allow_headers=["If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "X-Request-ID", "Retry-After"],
        )
    app.add_middleware(
        Gate,
        buckets=TokenBuckets(settings.api_rate_per_minute, settings.api_rate_burst),
        proxies=parse_networks(settings.api_trusted_proxies),
        telemetry=service.telemetry,
    )
    app.state.service = service
    return app


def _reasons() -> str:
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items())
    return f"### Null reasons\n\n| reason | meaning |\n|---|---|\n{rows}\n"


class _Api(FastAPI):
    """FastAPI with a completed OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with our problem instead of its validation error, and 304 and headers of answers."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            answer = operation["responses"]["200"]
            answer["headers"] = {"X-Request-ID": _HEADERS["X-Request-ID"]}
            if path.startswith(("/v1", "/wallets")):
                answer["headers"] = dict(_HEADERS)
                operation["responses"]["304"] = {"description": "What `If-None-Match` names is still right"}
    return made
