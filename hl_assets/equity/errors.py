"""Errors of the equity layer. Nothing but exception types belongs here."""


class EquityInputError(ValueError):
    """Account values, PnL or timestamps that cannot describe one wallet's history; the message says what to fix."""
