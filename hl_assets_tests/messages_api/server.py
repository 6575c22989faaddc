"""HTTP routes of the stand-in: paths, headers and envelopes of the Messages API.

Belongs here: what every request goes through - record, key, version, check, fault, answer. Messages are composed in
`replies.py`, batches kept in `batches.py`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hl_assets_tests.messages_api.answers import Body, content_key, digest
from hl_assets_tests.messages_api.batches import Batches, Result, check_batch
from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.errors import ApiError, StandInError, invalid
from hl_assets_tests.messages_api.faults import BATCH_KINDS, STATUS_KINDS, Endpoint, Fault, FaultPlan
from hl_assets_tests.messages_api.record import Answered, Asked, Record
from hl_assets_tests.messages_api.replies import Replies
from hl_assets_tests.messages_api.tokens import input_tokens
from hl_assets_tests.messages_api.validation import check_count, check_message, read_json
from hl_assets_tests.messages_api.wire import BrokenOff, Silence, wait_or_leave

PREFIX = "/_stand_in"
_MESSAGES = "/v1/messages"
_BATCHES = f"{_MESSAGES}/batches"
_VERSIONS = ("2026-10-21", "2023-06-01", "2023-01-01")  # the first is what the SDK 2.11 sends

Work = Callable[[Request, Body, Asked, Fault | None], Response | dict[str, Any]]
Check = Callable[[Body], None]


class StandIn:
    """State and routes of one stand-in.

    Args:
        config: Settings.
    """

    def __init__(self, config: MessagesApiConfig) -> None:
        self.config = config
        self.record = Record()
        self.plan = FaultPlan(config.faults, config.seed)
        self._models = {card.id: card for card in config.models}
        self._start_over()

    def _start_over(self) -> None:
        self.replies = Replies(self.config)
        self.batches = Batches(self.config, self._item)

    def app(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            self._route(_MESSAGES, "POST", "messages", self._message, self._check_message),
            self._route(f"{_MESSAGES}/count_tokens", "POST", "count_tokens", self._count, self._check_count),
            self._route("/v1/models", "GET", "models", self._model_list),
            self._route("/v1/models/{model}", "GET", "models", self._model),
            *self._batch_routes(),
            Route(f"{PREFIX}/requests", self._admin_requests),
            Route(f"{PREFIX}/faults", self._admin_faults, methods=["GET", "POST"]),
            Route(f"{PREFIX}/reset", self._admin_reset, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        return _Recording(app, self.record)

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the switches."""
        self.plan = FaultPlan(faults, self.config.seed)

    def reset(self) -> None:
        """Forget requests, counts, cached prompts and batches; the switches stay."""
        self.record.clear()
        self._start_over()

    # One request

    def _route(self, path: str, method: str, on: Endpoint, work: Work, check: Check | None = None) -> Route:
        async def endpoint(request: Request) -> Response:
            asked: Asked = request.state.asked
            asked.request_id = f"req_{digest([self.config.seed, asked.number])[:24]}"
            try:
                return await self._serve(request, asked, on, work, check)
            except ApiError as error:
                return _failed(asked, error)
            except Exception as error:  # noqa: BLE001 - kept for the test, which fails on it
                self.record.failures.append(error)
                return _failed(asked, ApiError("api_error", f"the stand-in itself failed: {error!r}"))

        return Route(path, endpoint, methods=[method])

    async def _serve(
        self, request: Request, asked: Asked, on: Endpoint, work: Work, check: Check | None
    ) -> Response:
        asked.body = await request.body()
        self._check_headers(request, asked)
        body = read_json(asked.body) if check else {}
        if check:
            check(body)
        asked.content = content_key(body) if on in {"messages", "count_tokens"} else digest([on, asked.path])
        asked.ask = self.record.count(f"{on}:{asked.content}" if on != "messages" else asked.content)
        fault = self.plan.due(on, asked.content, asked.ask, body)
        asked.fault = fault.kind if fault else None
        return await self._met(request, asked, body, fault, work)

    async def _met(
        self, request: Request, asked: Asked, body: Body, fault: Fault | None, work: Work
    ) -> Response:
        wait = self.config.latency_seconds if asked.path == _MESSAGES else 0.0
        wait += fault.seconds if fault and fault.kind == "slow" else 0.0
        if (fault and fault.kind == "timeout") or not await wait_or_leave(request, wait):
            return Silence()
        if fault and fault.kind in STATUS_KINDS:
            raise status_error(fault)
        made = work(request, body, asked, fault)
        response = made if isinstance(made, Response) else _sent(asked, made)
        if fault and fault.kind == "reset":
            return BrokenOff(bytes(response.body), response.status_code, dict(response.headers))
        return response

    def _check_headers(self, request: Request, asked: Asked) -> None:
        key = _key_of(request)
        asked.key_accepted = bool(key) and self.config.api_key in {None, key}
        if not asked.key_accepted:
            message = (
                "invalid API key" if key else "an API key is required, as Authorization or x-api-key header"
            )
            raise ApiError("authentication_error", message)
        version = request.headers.get("anthropic-version")
        if version is None:
            raise invalid("anthropic-version: header is required")
        if version not in _VERSIONS:
            raise invalid(f"anthropic-version: {version!r} is not a valid version")
        if request.method == "POST" and asked.body:
            kind = request.headers.get("content-type", "")
            if not kind.startswith("application/json"):
                raise invalid(f"content-type: {kind!r} is not application/json")

    # Messages

    def _check_message(self, body: Body) -> None:
        check_message(body, self._models)

    def _check_count(self, body: Body) -> None:
        check_count(body, self._models)

    def _message(self, _request: Request, body: Body, asked: Asked, fault: Fault | None) -> dict[str, Any]:
        content, ask = asked.content or "", asked.ask or 0
        message = self.replies.message(body, ask, fault)
        asked.stop_reason = message["stop_reason"]
        self.record.answered(Answered(content, ask, asked.fault, message))
        return message

    def _count(self, _request: Request, body: Body, _asked: Asked, _fault: Fault | None) -> dict[str, Any]:
        return {"input_tokens": input_tokens(body)}

    # Models

    def _model(self, request: Request, _body: Body, _asked: Asked, _fault: Fault | None) -> dict[str, Any]:
        name = request.path_params["model"]
        if name not in self._models:
            raise ApiError("not_found_error", f"model: {name}")
        return self._models[name].info()

    def _model_list(
        self, request: Request, _body: Body, _asked: Asked, _fault: Fault | None
    ) -> dict[str, Any]:
        wanted = request.query_params.getlist("lifecycle[]") or ["active", "deprecated"]
        return page([card.info() for card in self.config.models if card.lifecycle in wanted], request)

    # Batches

    def _batch_routes(self) -> list[Route]:
        one = f"{_BATCHES}/{{batch}}"
        return [
            self._route(_BATCHES, "POST", "batch_create", self._batch_create, check_batch),
            self._route(_BATCHES, "GET", "batch_list", self._batch_list),
            self._route(one, "GET", "batch_retrieve", self._batch_retrieve),
            self._route(one, "DELETE", "batch_delete", self._batch_delete),
            self._route(f"{one}/results", "GET", "batch_results", self._batch_results),
            self._route(f"{one}/cancel", "POST", "batch_cancel", self._batch_cancel),
        ]

    def _batch_create(
        self, request: Request, body: Body, _asked: Asked, _fault: Fault | None
    ) -> dict[str, Any]:
        return self.batches.create(body).describe(_base_url(request))

    def _batch_list(
        self, request: Request, _body: Body, _asked: Asked, _fault: Fault | None
    ) -> dict[str, Any]:
        return page([batch.describe(_base_url(request)) for batch in self.batches.newest_first()], request)

    def _batch_retrieve(
        self, request: Request, _body: Body, _asked: Asked, _f: Fault | None
    ) -> dict[str, Any]:
        return self.batches.retrieve(request.path_params["batch"]).describe(_base_url(request))

    def _batch_cancel(
        self, request: Request, _body: Body, _asked: Asked, _fault: Fault | None
    ) -> dict[str, Any]:
        return self.batches.cancel(request.path_params["batch"]).describe(_base_url(request))

    def _batch_delete(
        self, request: Request, _body: Body, _asked: Asked, _fault: Fault | None
    ) -> dict[str, Any]:
        return self.batches.delete(request.path_params["batch"])

    def _batch_results(self, request: Request, _body: Body, asked: Asked, _fault: Fault | None) -> Response:
        lines = self.batches.results(request.path_params["batch"])
        asked.status, asked.answer = 200, lines.decode()
        return Response(lines, 200, {"request-id": asked.request_id or ""}, "application/binary")

    def _item(self, custom_id: str, params: Any) -> Result:
        """The result of one item: invalid parameters show here, not when the batch is created."""
        try:
            self._check_message(params if isinstance(params, dict) else {})
            content = content_key(params)
            ask = self.record.count(content)
            fault = self.plan.due("batch_item", content, ask, params)
            if fault and fault.kind in BATCH_KINDS:
                return {"type": fault.kind}
            if fault and fault.kind in STATUS_KINDS:
                raise status_error(fault)
            message = self.replies.message(params, ask, fault, "batch")
        except ApiError as error:
            return {"type": "errored", "error": error.envelope(None)}
        kind = fault.kind if fault else None
        self.record.answered(Answered(content, ask, kind, message, custom_id))
        return {"type": "succeeded", "message": message}

    # Control

    async def _admin_requests(self, _request: Request) -> Response:
        found = [
            {**asdict(asked), "body": asked.body.decode("utf-8", "backslashreplace")}
            for asked in self.record.requests()
        ]
        return JSONResponse({"requests": found, "max_in_flight": self.record.max_in_flight})

    async def _admin_faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.set_faults([Fault.from_mapping(values) for values in await request.json()])
            except (StandInError, ValueError, TypeError) as error:
                return JSONResponse({"error": f"faults must be a list of objects: {error}"}, 400)
        return JSONResponse([fault.describe() for fault in self.plan.faults])

    async def _admin_reset(self, _request: Request) -> Response:
        self.reset()
        return Response(status_code=204)


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _key_of(request: Request) -> str:
    """The key: as a bearer token, which is how the SDK 2.11 sends it, or as `x-api-key`; empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()


def status_error(fault: Fault) -> ApiError:
    """The error a switch of that kind stands for."""
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    return ApiError(fault.kind, _SAID.get(fault.kind, "as the fault switch says"), headers)


_SAID = {
    "rate_limit_error": "This request would exceed your organization's rate limit.",
    "overloaded_error": "Overloaded",
    "api_error": "Internal server error",
    "authentication_error": "invalid API key",
    "billing_error": "Your credit balance is too low to access the Anthropic API.",
    "permission_error": "Your API key does not have permission to use the specified resource.",
    "timeout_error": "Request timed out.",
}


def page(items: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    """One page of a list: `limit` items after `after_id` or before `before_id`.

    Raises:
        ApiError: 400: the limit or a cursor cannot be used.
    """
    query = request.query_params
    raw = query.get("limit", "20")
    if not raw.isdigit() or not 1 <= int(raw) <= 1_000:
        raise invalid("limit: Input should be between 1 and 1000")
    limit, ids = int(raw), [item["id"] for item in items]
    for name in ("after_id", "before_id"):
        if name in query and query[name] not in ids:
            raise invalid(f"{name}: no such object: {query[name]}")
    if "before_id" in query:
        before = items[: ids.index(query["before_id"])]
        shown, more = before[-limit:], len(before) > limit
    else:
        rest = items[ids.index(query["after_id"]) + 1 :] if "after_id" in query else items
        shown, more = rest[:limit], len(rest) > limit
    return {
        "data": shown,
        "has_more": more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


class _Recording:
    """Opens and closes the record of every request around the application."""

    def __init__(self, app: ASGIApp, record: Record) -> None:
        self._app, self._record = app, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        counts = scope["path"] == _MESSAGES
        query = scope["query_string"].decode("latin-1")
        asked = self._record.open(scope["method"], scope["path"], query, headers, counts)
        scope.setdefault("state", {})["asked"] = asked
        try:
            await self._app(scope, receive, send)
        finally:
            self._record.close(asked, counts)


def _sent(asked: Asked, answer: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    asked.status, asked.answer = status, answer
    content = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Response(
        content, status, {**(headers or {}), "request-id": asked.request_id or ""}, "application/json"
    )


def _failed(asked: Asked, error: ApiError) -> Response:
    return _sent(asked, error.envelope(asked.request_id), error.status, error.headers)


async def _no_route(request: Request, _error: Exception) -> Response:
    error = ApiError("not_found_error", f"{request.method} {request.url.path}: not found")
    asked: Asked | None = getattr(request.state, "asked", None)
    if asked is None:
        return JSONResponse(error.envelope(None), error.status)
    return _failed(asked, error)
