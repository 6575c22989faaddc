"""Fixtures for tests that need the stand-in: import `messages_api` into a conftest."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.serving import MessagesApi

StartMessagesApi = Callable[..., MessagesApi]


@pytest.fixture
def messages_api() -> Iterator[StartMessagesApi]:
    """Starts stand-ins with the settings given, e.g. `messages_api(faults=(...))`; the test's end stops them."""
    with ExitStack() as running:
        yield lambda **settings: running.enter_context(MessagesApi(MessagesApiConfig(**settings)))
