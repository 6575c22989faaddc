"""A stand-in for Anthropic's Messages API: real HTTP for the real SDK, answers made from the request, faults on demand.

`MessagesApi` serves it from a thread; `python -m hl_assets_tests.messages_api --help` from a process. Nothing in
`hl_assets` knows of it.
"""

from hl_assets_tests.messages_api.answers import Body, answer_for, content_key, generic_answer
from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.faults import Fault
from hl_assets_tests.messages_api.record import Answered, Asked
from hl_assets_tests.messages_api.serving import TEST_KEY, MessagesApi

__all__ = [
    "TEST_KEY",
    "Answered",
    "Asked",
    "Body",
    "Fault",
    "MessagesApi",
    "MessagesApiConfig",
    "StandInError",
    "answer_for",
    "content_key",
    "generic_answer",
]
