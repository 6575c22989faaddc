"""The grader as assets see it: who grades, why, and what it needs to ask a model.

Belongs here: choosing the grader from settings. Does not belong here: grading (`hl_assets.grading`), asking
(`hl_assets.claude`), storing (`hl_assets.assets`).

Importing the SDK takes about a second, and every process of Dagster imports this module: what needs the SDK is imported
when a model is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from hl_assets.claude.prices import Price, price_of
from hl_assets.grading.rules import RULES_VERSION
from hl_assets.settings import Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from hl_assets.claude.grader import AskLimits
    from hl_assets.claude.models import ModelStatus
    from hl_assets.claude.profile import GraderProfile


@dataclass(frozen=True)
class ModelAccess:
    """What it takes to ask a model.

    Attributes:
        profile: Model, effort, prompt and schema.
        price: Of the model.
        limits: Concurrency, patience and deadline.
        budget_run_usd: Most that one run may spend.
        budget_day_usd: Most that a UTC day may cost.
        regrade_after: Age at which a stored answer does not count any more.
        timeout_seconds: Of one request.
        batch_poll_seconds: Between two looks at a batch.
        base_url: Where to ask; None: Anthropic.
    """

    profile: "GraderProfile"
    price: Price
    limits: "AskLimits"
    budget_run_usd: float
    budget_day_usd: float
    regrade_after: timedelta
    timeout_seconds: float
    batch_poll_seconds: float
    base_url: str | None
    _key: SecretStr = field(repr=False)

    def client(self) -> "AsyncAnthropic":
        """A client of the Messages API; close it.

        Raises:
            ApiKeyError: The key cannot be one.
        """
        from hl_assets.claude.client import make_client  # noqa: PLC0415

        return make_client(
            self._key.get_secret_value(), self.base_url, timeout=self.timeout_seconds, max_retries=2
        )

    async def standing(self, client: "AsyncAnthropic") -> "ModelStatus":
        """What the service says about the model; it is asked once per process."""
        from hl_assets.claude.models import check_model  # noqa: PLC0415

        key = (self.base_url, self.profile.version)
        if key not in _STANDINGS:
            _STANDINGS[key] = await check_model(client, self.profile)
        return _STANDINGS[key]


_STANDINGS: dict[tuple[str | None, str], "ModelStatus"] = {}


@dataclass(frozen=True)
class GraderResource:
    """Who grades.

    Attributes:
        model: How to ask the model; None: the rules grade.
        why: Who grades and why, for people; said once per run.
        now: The present moment.
    """

    model: ModelAccess | None
    why: str
    now: Callable[[], datetime]

    @classmethod
    def from_settings(cls, settings: Settings) -> "GraderResource":
        """The grader that the settings name.

        Raises:
            UnknownPriceError: No price is known for the model, so no budget could be kept.
        """
        key = settings.anthropic_api_key
        if settings.grader == "rules":
            return cls(None, "Grades by rule: GRADER=rules.", settings.now)
        if key is None:
            return cls(
                None,
                "Grades by rule: no ANTHROPIC_API_KEY is set. With one, Claude grades style, sustainability and risks.",
                settings.now,
            )
        if settings.grader == "auto" and settings.source == "sandbox":
            return cls(
                None,
                "Grades by rule: the sandbox's traders are invented, and grading them would cost money. GRADER=claude "
                "has Claude do it.",
                settings.now,
            )
        access = _model_access(settings, key)
        return cls(access, f"Grades by {access.profile.version}.", settings.now)

    @property
    def version(self) -> str:
        """Version of the grader."""
        return RULES_VERSION if self.model is None else self.model.profile.version


def configured_profile(settings: Settings) -> "GraderProfile":
    """What a model would be asked, whether or not there is a key."""
    from hl_assets.claude.profile import GraderProfile  # noqa: PLC0415
    from hl_assets.claude.prompt import load_prompt  # noqa: PLC0415

    return GraderProfile(
        model=settings.grader_model,
        effort=settings.grader_effort,
        prompt=load_prompt(),
        max_tokens=settings.grader_max_tokens,
    )


def configured_price(settings: Settings) -> Price:
    """What the model costs.

    Raises:
        UnknownPriceError: It is not in the price table, and GRADER_PRICE is not set.
    """
    if settings.grader_price is None:
        return price_of(settings.grader_model)
    return Price(*(float(part) for part in settings.grader_price.split(",")))


def _model_access(settings: Settings, key: SecretStr) -> ModelAccess:
    from hl_assets.claude.grader import AskLimits  # noqa: PLC0415

    return ModelAccess(
        profile=configured_profile(settings),
        price=configured_price(settings),
        limits=AskLimits(
            concurrency=settings.grader_concurrency, deadline_seconds=settings.grader_deadline_seconds
        ),
        budget_run_usd=settings.grader_budget_run_usd,
        budget_day_usd=settings.grader_budget_day_usd,
        regrade_after=timedelta(days=settings.regrade_after_days),
        timeout_seconds=settings.grader_timeout_seconds,
        batch_poll_seconds=settings.grader_batch_poll_seconds,
        base_url=settings.anthropic_base_url,
        _key=key,
    )
