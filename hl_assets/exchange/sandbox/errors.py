"""Errors of the local exchange: what an operator or a test did wrong. Not here: answers that imitate the exchange."""


class SandboxError(Exception):
    """Base of every error the local exchange raises."""


class SandboxConfigError(SandboxError, ValueError):
    """A setting, clock or fault description that cannot be used; the message names it and what is allowed."""


class RecordingError(SandboxError, ValueError):
    """A recorded panel that cannot be served; the message names file, line, column and value."""


class InstantOutOfRangeError(SandboxError, ValueError):
    """The virtual now lies outside what the source can answer; the message names both."""


class NoTruthError(SandboxError, LookupError):
    """The true index was asked for a wallet of which none is known."""


class NotRecordedError(SandboxError, LookupError):
    """A capture was asked for something it does not hold; the message says what and when."""
