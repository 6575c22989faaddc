"""The stand-in for the tests of the stand-in."""

from hl_assets_tests.messages_api.fixtures import messages_api

__all__ = ["messages_api"]
