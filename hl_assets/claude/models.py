"""The model's standing at the service, looked up once per start.

Belongs here: that lookup and what to do about its answer. It is advice: grading does not depend on it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anthropic import AsyncAnthropic

from hl_assets.claude.breaker import remedy
from hl_assets.claude.failures import CALL_ERRORS, HALTING, failure_of
from hl_assets.claude.profile import GraderProfile


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What the service says about a model.

    Attributes:
        model: as asked.
        known: whether the service has it; None when it could not be asked.
        lifecycle: `active`, `deprecated` or `retired`; None when unknown.
        retires_at: when it is to be retired, if that is scheduled.
        note: what to do or to know; None when all is well.
    """

    model: str
    known: bool | None
    lifecycle: str | None = None
    retires_at: datetime | None = None
    note: str | None = None


async def check_model(client: AsyncAnthropic, profile: GraderProfile) -> ModelStatus:
    """Look the profile's model up; trouble with the service is reported, not raised."""
    try:
        info: Any = await client.models.retrieve(profile.model)
    except CALL_ERRORS as error:
        failure = failure_of(error, client)
        if failure.kind in HALTING:
            known = False if failure.kind == "not_found" else None
            return ModelStatus(profile.model, known, note=remedy(failure.kind, profile.model))
        return ModelStatus(
            profile.model, None, note=f"{profile.model} could not be looked up: {failure.text}"
        )
    lifecycle, retires_at = getattr(info, "lifecycle", None), getattr(info, "retires_at", None)
    retires = retires_at if isinstance(retires_at, datetime) else None
    return ModelStatus(profile.model, True, lifecycle, retires, _note(profile, info, lifecycle, retires))


def _note(profile: GraderProfile, info: Any, lifecycle: str | None, retires: datetime | None) -> str | None:
    notes = []
    if lifecycle == "retired":
        notes.append(f"{profile.model} is retired and answers no more: choose another model")
    elif lifecycle == "deprecated":
        when = "" if retires is None else f" on {retires:%Y-%m-%d}"
        notes.append(f"{profile.model} is deprecated and will be retired{when}: choose its successor")
    capabilities = getattr(info, "capabilities", None)
    if _denied(capabilities, "structured_outputs"):
        notes.append(f"{profile.model} cannot answer in a JSON schema: choose another model")
    if _denied(capabilities, "effort") or _denied(getattr(capabilities, "effort", None), profile.effort):
        notes.append(f"{profile.model} does not know effort {profile.effort}: choose another model or effort")
    most = getattr(info, "max_tokens", None)
    if isinstance(most, int) and most < profile.max_tokens_of(2):
        notes.append(f"{profile.model} writes at most {most} tokens, fewer than a repetition may ask for")
    return "; ".join(notes) or None


def _denied(capabilities: Any, name: str) -> bool:
    """Whether a capability is expressly not supported; what is not mentioned is not denied."""
    return getattr(getattr(capabilities, name, None), "supported", None) is False
