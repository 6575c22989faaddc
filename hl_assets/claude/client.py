"""The client of Anthropic's API, and keeping its key out of everything that is written down.

Belongs here: making the client and scrubbing texts. Calls belong in `asking`, `batches` and `models`.
"""

import re

from anthropic import AsyncAnthropic

DEFAULT_BASE_URL = "https://api.anthropic.com"
_KEY = re.compile(r"[\x21-\x7e]+")
_ANY_KEY = re.compile(r"sk-ant-[\w-]+")
_REMOVED = "[secret removed]"
_MAX_ERROR = 500


class ApiKeyError(ValueError):
    """The key cannot be one; the message does not contain it."""


def make_client(
    api_key: str, base_url: str | None = None, *, timeout: float = 30.0, max_retries: int = 2
) -> AsyncAnthropic:
    """A client that takes nothing from the environment; close it with `await client.close()`.

    Args:
        api_key: never written anywhere.
        base_url: default the vendor's.
        timeout: seconds of one attempt; the SDK's own default is ten minutes.
        max_retries: of the SDK, for 408, 409, 429, 5xx and lost connections.

    Raises:
        ApiKeyError: the key is empty or has characters no HTTP header may have.
    """
    if not _KEY.fullmatch(api_key):
        raise ApiKeyError(
            "ANTHROPIC_API_KEY is empty or contains blanks, line breaks or non-ASCII characters: paste it again"
        )
    return AsyncAnthropic(
        api_key=api_key, base_url=base_url or DEFAULT_BASE_URL, timeout=timeout, max_retries=max_retries
    )


def scrubbed(text: str, client: AsyncAnthropic) -> str:
    """An error text fit for logs and tables: one line, at most 500 characters, no key in it."""
    if client.api_key:
        text = text.replace(client.api_key, _REMOVED)
    one_line = " ".join(_ANY_KEY.sub(_REMOVED, text).split())
    return one_line if len(one_line) <= _MAX_ERROR else f"{one_line[: _MAX_ERROR - 1]}…"
