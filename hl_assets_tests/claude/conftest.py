"""The stand-in Messages API for the tests of what asks it."""

from hl_assets_tests.messages_api.fixtures import messages_api

__all__ = ["messages_api"]
