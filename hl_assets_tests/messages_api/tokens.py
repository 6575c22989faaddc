"""Token counts and the prompt cache.

Belongs here: what a request costs in tokens. Counts are estimates from lengths, the same for every model; no price.
Source of the cache's rules: https://docs.claude.com/en/docs/build-with-claude/prompt-caching.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hl_assets_tests.messages_api.answers import Body, digest

CHARACTERS_PER_TOKEN = 3.5
_HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class InputTokens:
    """Input of one request: `fresh` at full price, `written` to the cache, `read` from it."""

    fresh: int
    written: int
    read: int
    written_for_an_hour: bool = False


def tokens_of(text: str) -> int:
    """Estimate: one token per 3.5 characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def input_tokens(body: Body) -> int:
    """All input tokens of a request: schema, tools, system and messages."""
    return tokens_of("".join(text for text, _ in _segments(body)))


class PromptCache:
    """Prefixes that were sent before.

    Args:
        minimum_tokens: Shorter prefixes are never cached, and nothing says so.
        seconds: How long a prefix lives after its last use; one marked `1h` lives an hour.
        clock: Monotonic seconds.
    """

    def __init__(self, minimum_tokens: int, seconds: float, clock: Callable[[], float]) -> None:
        self._minimum, self._seconds, self._clock = minimum_tokens, seconds, clock
        self._until: dict[str, float] = {}

    def use(self, body: Body) -> InputTokens:
        """Read the longest cached prefix of the request and remember its marked prefixes."""
        now, total = self._clock(), input_tokens(body)
        marked = [point for point in _breakpoints(body) if point[1] >= self._minimum]
        read = max((tokens for key, tokens, _ in marked if self._until.get(key, 0) > now), default=0)
        for key, _, hour in marked:
            self._until[key] = now + (_HOUR if hour else self._seconds)
        last = max((tokens for _, tokens, _ in marked), default=0)
        hour = any(hour for _, tokens, hour in marked if tokens == last)
        return InputTokens(total - max(last, read), max(last - read, 0), read, hour)


def _segments(body: Body) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Texts of the prompt in order, each with its cache mark."""
    output = (body.get("output_config") or {}).get("format")
    if output:
        yield json.dumps(output, ensure_ascii=False), None
    for tool in body.get("tools") or ():
        yield json.dumps(tool, ensure_ascii=False), tool.get("cache_control")
    yield from _blocks(body.get("system"), "system")
    for message in body["messages"]:
        yield from _blocks(message["content"], message["role"])


def _blocks(content: Any, role: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    if not content:
        return
    blocks: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content
    )
    for block in blocks:
        bare = {key: value for key, value in block.items() if key != "cache_control"}
        yield json.dumps([role, bare], ensure_ascii=False), block.get("cache_control")


def _breakpoints(body: Body) -> list[tuple[str, int, bool]]:
    """Key, tokens and hour mark of every marked prefix. A top-level mark stands for one on the last block."""
    segments = list(_segments(body))
    if body.get("cache_control") and segments:
        segments[-1] = (segments[-1][0], body["cache_control"])
    found, prefix = [], ""
    for text, mark in segments:
        prefix += text
        if mark:
            found.append((digest([body["model"], prefix]), tokens_of(prefix), mark.get("ttl") == "1h"))
    return found
