"""The circuit breaker: when to stop asking a service that does not answer.

Belongs here: that decision and its sentence. What is done instead belongs in `grader`.
"""

from hl_assets.claude.calls import GradeCall
from hl_assets.claude.failures import HALTING

_REMEDIES = {
    "authentication": "ANTHROPIC_API_KEY was refused (401): set a valid key",
    "billing": "the Anthropic account cannot pay (402): add credit, or use another key",
    "permission": "ANTHROPIC_API_KEY may not use {model} (403): set another GRADER_MODEL, or a key that may",
    "not_found": "{model} was not found (404): check GRADER_MODEL and ANTHROPIC_BASE_URL",
}


class Breaker:
    """Opens at the first error that every call would meet, and after many failures in a row; it does not close again.

    Args:
        break_after: how many calls in a row, in the order they end, may get no answer.
    """

    def __init__(self, break_after: int) -> None:
        if break_after < 1:
            raise ValueError(f"break_after must be at least 1, got {break_after}")
        self._break_after = break_after
        self._in_a_row = 0
        self.trouble: str | None = None

    def saw(self, call: GradeCall) -> None:
        """Take note of a call that ended."""
        if call.outcome not in ("unavailable", "rejected"):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self.trouble is not None:
            return
        if is_halting(call):
            self.trouble = remedy(call.error_kind or "", call.model)
        elif self._in_a_row >= self._break_after:
            self.trouble = (
                f"{self._in_a_row} calls to {call.model} in a row got no answer, the last one: {call.error}"
            )


def is_halting(call: GradeCall) -> bool:
    """Whether every further call would fail like this one."""
    return call.outcome == "rejected" and call.error_kind in HALTING


def remedy(kind: str, model: str) -> str:
    """What to do about an error that every call would meet.

    Raises:
        KeyError: the kind is none of `failures.HALTING`.
    """
    return _REMEDIES[kind].format(model=model)
