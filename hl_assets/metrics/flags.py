"""Bit flags of a wallet's metrics: what a reader should know beside the figures.

Flags of single steps live in `hl_assets.equity.flags`.
"""

from enum import IntFlag


class MetricFlag(IntFlag):
    """Facts about a wallet's curve that change how its metrics read."""

    UNTESTED = 1  # the index never fell
    ANNUALISED_SHORT = 2  # cagr_short annualises less than 90 days
    SHORT_HISTORY = 4  # less than 30 days of data
    FLOW_DOMINATED = 8  # at least one step in which the flow was at least half of the capital
    CLIPPED = 16  # at least one step's return was cut to the ceiling
    NO_BASE = 32  # at least one step had less capital than the funding floor
    NEGATIVE_EQUITY = 64  # account value below zero at some point
    UNKNOWN_RETURN = 128  # at least one return is unknown
    WIPED_OUT = 256  # trading lost everything at least once
    REFUNDED = 512  # emptied or wiped out, and funded again
    UNFUNDED_NOW = 1024  # the newest account value is below the funding floor
    CONTRADICTED = 2048  # the exchange gave two values for one instant; the first is used
