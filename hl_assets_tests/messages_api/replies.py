"""The JSON object of a message: content, stop reason and usage, with the fault it meets.

Belongs here: composing one answer, for a single message or a batch item. No HTTP.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hl_assets_tests.messages_api.answers import Body, answer_for, content_key, digest, schema_of
from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.damage import REFUSAL, cut, spoil
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.faults import ANSWER_KINDS, Fault
from hl_assets_tests.messages_api.tokens import (
    CHARACTERS_PER_TOKEN,
    InputTokens,
    PromptCache,
    tokens_of,
)

_THOUGHT = "The row is read figure by figure before it is judged."


@dataclass(frozen=True, slots=True)
class _Draft:
    """An answer before usage is counted; `used_up` when it ends at the budget."""

    text: str | None
    stop_reason: str = "end_turn"
    used_up: bool = False


class Replies:
    """Makes the messages of one stand-in.

    Args:
        config: Settings.
    """

    def __init__(self, config: MessagesApiConfig) -> None:
        self._config = config
        self._cache = PromptCache(config.cache_minimum_tokens, config.cache_seconds, config.clock)

    def message(self, body: Body, ask: int, fault: Fault | None, tier: str = "standard") -> dict[str, Any]:
        """The message that answers a request which was checked.

        Args:
            body: Request.
            ask: Which request about this content it is.
            fault: The fault it meets; one that is not a fault of the answer changes nothing here.
            tier: `service_tier` of the usage.

        Raises:
            StandInError: The fault has no place in the answer.
        """
        key = content_key(body)
        rng = random.Random(f"{self._config.seed}|{key}|{ask}")
        thought = _THOUGHT if self._thinks(body) else None
        draft = self._draft(body, fault, rng, tokens_of(thought or ""))
        content: list[dict[str, Any]] = []
        if thought:
            content.append({"type": "thinking", "thinking": thought, "signature": digest(key)})
        if draft.text is not None:
            content.append({"type": "text", "text": draft.text, "citations": None})
        thinking = tokens_of(thought or "")
        output = body["max_tokens"] if draft.used_up else thinking + tokens_of(draft.text or "")
        return {
            "id": f"msg_{digest([self._config.seed, key, ask, tier])[:24]}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": draft.stop_reason,
            "stop_sequence": None,
            "stop_details": _refused() if draft.stop_reason == "refusal" else None,
            "usage": _usage(self._cache.use(body), output, thinking, tier),
        }

    def _thinks(self, body: Body) -> bool:
        asked = (body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}
        return self._config.thinking == "always" or (self._config.thinking == "asked" and asked)

    def _draft(self, body: Body, fault: Fault | None, rng: random.Random, thinking: int) -> _Draft:
        kind = fault.kind if fault and fault.kind in ANSWER_KINDS else None
        if fault and kind == "refusal":
            variant = fault.variant or rng.choice(("text", "empty"))
            return _Draft(REFUSAL if variant == "text" else None, "refusal")
        if kind == "empty_content":
            return _Draft(None)
        text = self._text(body, kind, rng)
        room = int(max(body["max_tokens"] - thinking, 0) * CHARACTERS_PER_TOKEN)
        if kind == "truncation" or len(text) > room:
            return _Draft(cut(text, room) or None, "max_tokens", used_up=True)
        return _Draft(text, fault.stop_reason if fault and kind == "odd_stop_reason" else "end_turn")

    def _text(self, body: Body, kind: str | None, rng: random.Random) -> str:
        if kind == "unsteady":
            schema = schema_of(body)
            if schema is None:
                raise StandInError("fault unsteady needs a request with an output schema")
            return json.dumps(answer_for(schema, rng), ensure_ascii=False)
        answer = self._config.answerer(body)
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        if kind in {None, "truncation", "odd_stop_reason"}:
            return text
        return spoil(str(kind), body, text, rng)


def _refused() -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": None}


def _usage(used: InputTokens, output: int, thinking: int, tier: str) -> Mapping[str, Any]:
    written = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    written[f"ephemeral_{'1h' if used.written_for_an_hour else '5m'}_input_tokens"] = used.written
    return {
        "input_tokens": used.fresh,
        "output_tokens": output,
        "cache_creation_input_tokens": used.written,
        "cache_read_input_tokens": used.read,
        "cache_creation": written,
        "output_tokens_details": {"thinking_tokens": thinking},
        "server_tool_use": None,
        "service_tier": tier,
    }
