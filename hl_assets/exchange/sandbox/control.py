"""Control of the local exchange, for tests and operators, on loopback only: clock, faults, counters, truth.

| path | methods | |
|---|---|---|
| `/sandbox/clock` | GET, PUT | `{"mode", "now", "now_ms", "speed", "span"}`; PUT `{"mode": "real"}`, `{"mode": "frozen", "at": T}`, `{"mode": "running", "at": T, "speed": x}` or `{"advance_seconds": s}` |
| `/sandbox/faults` | GET, POST, PUT, DELETE | the rules with how often each fired; POST adds one rule, PUT replaces all, DELETE clears |
| `/sandbox/stats` | GET, DELETE | requests, statuses, weight; DELETE resets |
| `/sandbox/truth?wallet=` | GET | skill, traits and the true index at the published instants, or at `&times=ms,ms,...` |
| `/sandbox/wallets` | GET | skill and archetype of every simulated wallet |

The exchange's own routes are in `server.py`.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping

import numpy as np
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hl_assets.exchange.sandbox.arrays import IntArray
from hl_assets.exchange.sandbox.clock import ClockSetting, iso, parse_instant
from hl_assets.exchange.sandbox.errors import NoTruthError, SandboxConfigError, SandboxError
from hl_assets.exchange.sandbox.faults import FaultRule
from hl_assets.exchange.sandbox.venue import Venue

PREFIX = "/sandbox"

Handler = Callable[[Venue, Request], Awaitable[object]]


def control_routes(venue: Venue) -> list[Route]:
    """Routes under `/sandbox`."""
    table: dict[str, dict[str, Handler]] = {
        "/clock": {"GET": _get_clock, "PUT": _put_clock},
        "/faults": {"GET": _get_faults, "POST": _post_fault, "PUT": _put_faults, "DELETE": _delete_faults},
        "/stats": {"GET": _get_stats, "DELETE": _delete_stats},
        "/truth": {"GET": _get_truth},
        "/wallets": {"GET": _get_wallets},
    }
    return [
        Route(PREFIX + path, _endpoint(venue, handlers), methods=list(handlers))
        for path, handlers in table.items()
    ]


def _endpoint(venue: Venue, handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not _is_loopback(request):
            return _json({"error": "the control endpoint answers on loopback only"}, 403)
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return _json(await handlers[method](venue, request))
        except NoTruthError as error:
            return _json({"error": str(error)}, 404)
        except SandboxError as error:
            return _json({"error": str(error)}, 400)

    return answer


def _is_loopback(request: Request) -> bool:
    if request.client is None:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def _get_clock(venue: Venue, request: Request) -> object:  # noqa: ARG001
    now, (first, end) = venue.clock.now_ms(), venue.source.span_ms()
    setting = venue.clock.setting
    speed = 0.0 if setting.mode == "frozen" else setting.speed
    return {
        "mode": setting.mode,
        "now": iso(now),
        "now_ms": now,
        "speed": speed,
        "span": [iso(first), iso(end)],
    }


async def _put_clock(venue: Venue, request: Request) -> object:
    wanted = await _object(request)
    if "advance_seconds" in wanted:
        venue.advance_clock(_number(wanted, "advance_seconds", 0.0))
    else:
        venue.set_clock(_clock_setting(wanted))
    return await _get_clock(venue, request)


async def _get_faults(venue: Venue, request: Request) -> object:  # noqa: ARG001
    return {"faults": venue.faults.report()}


async def _post_fault(venue: Venue, request: Request) -> object:
    venue.faults.add(FaultRule.from_mapping(await _object(request)))
    return await _get_faults(venue, request)


async def _put_faults(venue: Venue, request: Request) -> object:
    rules = (await _object(request)).get("faults")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise SandboxConfigError('expected {"faults": [rule, ...]}')
    venue.faults.replace([FaultRule.from_mapping(rule) for rule in rules])
    return await _get_faults(venue, request)


async def _delete_faults(venue: Venue, request: Request) -> object:
    venue.faults.clear()
    return await _get_faults(venue, request)


async def _get_stats(venue: Venue, request: Request) -> object:  # noqa: ARG001
    return venue.report()


async def _delete_stats(venue: Venue, request: Request) -> object:
    venue.reset_counters()
    return await _get_stats(venue, request)


async def _get_truth(venue: Venue, request: Request) -> object:
    wallet = request.query_params.get("wallet", "").lower()
    times = _times(request.query_params.get("times"))
    truth = await run_in_threadpool(venue.source.truth_at, wallet, venue.now_ms(), times)
    return {
        "wallet": truth.wallet,
        "archetype": truth.archetype,
        "skill": truth.skill,
        "drift": truth.drift,
        "volatility": truth.volatility,
        "born_ms": truth.born_ms,
        "traits": truth.traits,
        "points": [
            {"ms": instant, "index": index, "epoch": epoch, "funded": funded}
            for instant, index, epoch, funded in zip(
                truth.instants.tolist(),
                truth.index.tolist(),
                truth.epoch.tolist(),
                truth.funded.tolist(),
                strict=True,
            )
        ],
    }


async def _get_wallets(venue: Venue, request: Request) -> object:  # noqa: ARG001
    return {"wallets": await run_in_threadpool(venue.source.truth_summaries)}


def _times(text: str | None) -> IntArray | None:
    if text is None:
        return None
    try:
        return np.array([int(part) for part in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise SandboxConfigError(f"times = {text!r} is not a list of milliseconds since 1970") from error


def _clock_setting(wanted: Mapping[str, object]) -> ClockSetting:
    mode, at = wanted.get("mode"), wanted.get("at")
    if mode not in ("real", "frozen", "running"):
        raise SandboxConfigError(f"clock mode {mode!r} is none of real, frozen, running")
    if at is not None and not isinstance(at, str):
        raise SandboxConfigError(f"clock instant {at!r} is not an ISO 8601 text")
    instant = None if mode == "real" or at is None else parse_instant(at)
    return ClockSetting(mode, instant, _number(wanted, "speed", 1.0))


def _number(wanted: Mapping[str, object], name: str, default: float) -> float:
    value = wanted.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SandboxConfigError(f"{name} = {value!r} is not a number")
    return float(value)


async def _object(request: Request) -> dict[str, object]:
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise SandboxConfigError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SandboxConfigError(f"expected a JSON object, got {type(document).__name__}")
    return document


def _json(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
