"""What is asked, apart from the wallet: model, effort, prompt and schema, and the request they make.

Belongs here: whatever decides an answer, and its hash. Sending it belongs in `asking` and `batches`.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from hl_assets.claude.prices import estimate_tokens
from hl_assets.claude.prompt import Prompt
from hl_assets.claude.schema import answer_schema
from hl_assets.grading.canonical import bucketed_input, canonical_input, canonical_json
from hl_assets.grading.interface import GradeInput

Effort = Literal["low", "medium", "high"]
EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")

REPEAT_FACTOR = 2
"""How many times the tokens the repetition after a truncated answer gets."""
_MAX_TOKENS = (200, 10_000)
"""Below, no answer fits; above, twice of it makes the SDK ask for streaming."""
_OVERHEAD_TOKENS = 400
"""What the service adds to a request for the schema's sake, generously."""


@dataclass(frozen=True)
class GraderProfile:
    """Everything that decides an answer besides the input.

    Attributes:
        model: the service's name of the model.
        effort: how hard it shall think.
        prompt: what it is told.
        max_tokens: the most tokens an answer may have; twice as many when a truncated one is repeated.
        schema: JSON schema of the answer.
    """

    model: str
    effort: Effort
    prompt: Prompt
    max_tokens: int = 2_000
    schema: dict[str, Any] = field(default_factory=answer_schema, repr=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("the model needs a name, e.g. claude-haiku-5-5")
        if self.effort not in EFFORTS:
            raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {self.effort!r}")
        lowest, highest = _MAX_TOKENS
        if not lowest <= self.max_tokens <= highest:
            raise ValueError(f"max_tokens must lie between {lowest} and {highest}, got {self.max_tokens}")

    @cached_property
    def schema_hash(self) -> str:
        """SHA-256 of the schema's canonical JSON."""
        return hashlib.sha256(canonical_json(self.schema).encode("ascii")).hexdigest()

    @property
    def version(self) -> str:
        """Model, effort, prompt version and eight digits of prompt and schema: changes whenever answers may."""
        asked = hashlib.sha256(f"{self.prompt.sha256}{self.schema_hash}".encode("ascii")).hexdigest()
        return f"{self.model}/{self.effort}/{self.prompt.version}-{asked[:8]}"

    def grade_key(self, item: GradeInput) -> str:
        """SHA-256 of what decides the answer: inputs of one bucket share it, whatever their row."""
        decisive = {
            "input": bucketed_input(item),
            "prompt": self.prompt.sha256,
            "schema": self.schema_hash,
            "model": self.model,
            "effort": self.effort,
        }
        return hashlib.sha256(canonical_json(decisive).encode("ascii")).hexdigest()

    def max_tokens_of(self, attempt: int) -> int:
        """The most tokens of an answer: of attempt 1, or of the repetition after a truncation, attempt 2."""
        return self.max_tokens if attempt == 1 else self.max_tokens * REPEAT_FACTOR

    def request(self, item: GradeInput, max_tokens: int | None = None) -> dict[str, Any]:
        """The arguments of `messages.create`, and so the request's body."""
        return self.request_of(canonical_input(item), max_tokens)

    def request_of(self, canonical: str, max_tokens: int | None = None) -> dict[str, Any]:
        """The same for an input already in its canonical text."""
        return {
            "model": self.model,
            "max_tokens": self.max_tokens if max_tokens is None else max_tokens,
            "system": [{"type": "text", "text": self.prompt.text, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": canonical}],
            "output_config": {
                "format": {"type": "json_schema", "schema": self.schema},
                "effort": self.effort,
            },
        }

    def request_bytes(self, item: GradeInput) -> bytes:
        """The request as canonical JSON: equal bytes are equal requests."""
        return canonical_json(self.request(item)).encode("ascii")

    def input_tokens_estimate(self, canonical: str) -> int:
        """The most tokens the request reads: prompt, schema and this input (see `prices.estimate_tokens`)."""
        return self._fixed_tokens + estimate_tokens(canonical)

    @cached_property
    def _fixed_tokens(self) -> int:
        schema = canonical_json(self.schema)
        return estimate_tokens(self.prompt.text) + estimate_tokens(schema) + _OVERHEAD_TOKENS
