"""Settings of the stand-in. No behaviour."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hl_assets_tests.messages_api.answers import Answerer, generic_answer
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.models import CATALOGUE, ModelCard


@dataclass(frozen=True, slots=True)
class MessagesApiConfig:
    """How the stand-in behaves.

    Args:
        seed: Of the draws of faults, the ids and the order of batch results.
        faults: Switches, in order of precedence.
        api_key: The one key accepted; None accepts any that is not empty.
        latency_seconds: Before every answer to a message.
        thinking: Whether a thinking block precedes the text: `never`, `always`, or when `asked` for in the request.
        answerer: Makes an answer from a request body: an object, sent as JSON, or the text itself.
        cache_minimum_tokens: Prompt prefixes shorter than this are not cached.
        cache_seconds: How long a prefix stays cached after its last use.
        batch_polls: A batch ends with this retrieval at the earliest; 0: it has ended when it is created.
        batch_seconds: It ends this many seconds after its creation at the earliest.
        batch_kept_on_cancel: Share of a cancelled batch's requests that are answered nevertheless.
        models: The catalogue.
        clock: Monotonic seconds, for the cache and batches.
    """

    seed: int = 0
    faults: tuple[Fault, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    latency_seconds: float = 0.0
    thinking: Literal["never", "asked", "always"] = "asked"
    answerer: Answerer = generic_answer
    cache_minimum_tokens: int = 4_096
    cache_seconds: float = 300.0
    batch_polls: int = 1
    batch_seconds: float = 0.0
    batch_kept_on_cancel: float = 0.0
    models: tuple[ModelCard, ...] = CATALOGUE
    clock: Callable[[], float] = time.monotonic
