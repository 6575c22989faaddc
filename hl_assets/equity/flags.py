"""Bit flags that travel with points, steps and curves, and their published names.

Only flags of the equity layer belong here; those that describe a metric live in `hl_assets.metrics.flags`.
"""

from enum import IntFlag


class StepFlag(IntFlag):
    """What happened in the step that ends at a point (`hl_assets.equity.returns`)."""

    START = 1  # the index starts here at 1.0: a first funded point, or the first one after a wipe-out
    FLOW = 2  # a deposit or withdrawal above the noise threshold
    NO_BASE = 4  # less capital at work than the funding floor: return 0 by definition
    FLOW_DOMINATED = 8  # the flow was at least half of the capital at work
    CLIPPED = 16  # return above the ceiling, cut to it
    NEGATIVE_EQUITY = 32  # account value below zero
    UNKNOWN_RETURN = 64  # negative equity that the PnL does not explain: return null
    EPOCH_END = 128  # account value reached zero (or below): the funded period ends here
    WIPED_OUT = 256  # ... because trading lost all of it: the index is 0 from here until refunding


class StitchFlag(IntFlag):
    """What stitching met on the way to one scope's points (`hl_assets.equity.stitch`)."""

    SYNTHETIC_DROPPED = 1  # the exchange's made-up 0/0 first point was left out
    UNPAIRED = 2  # a timestamp had only an account value or only a PnL and was left out
    DUPLICATE = 4  # identical repeated points were left out
    CONTRADICTION = 8  # one timestamp, two different values: the first was kept
    UNSTITCHED_WINDOW = (
        16  # a window shares no timestamp with the anchored curve: kept as a segment of its own
    )
    INCONSISTENT_OFFSET = 32  # shared timestamps disagree on the PnL offset: kept as a segment of its own
    NO_ANCHOR = 64  # no usable allTime window: no point has a PnL counted from the account's beginning
    PERP_BASELINE_FAULT = 128  # a perp window booked the whole opening balance as PnL and was rejected
    FELL_BACK_TO_ALL = 256  # the points are those of scope `all`, read in place of a rejected perp curve


class PointFlag(IntFlag):
    """What is known about one stitched point."""

    UNSTITCHED = 1  # in a segment whose PnL is not counted from the account's beginning
    CONTRADICTED = 2  # the exchange gave a second, different value for this timestamp


def flag_names(value: IntFlag) -> tuple[str, ...]:
    """Published names of the bits set, in lower case and ascending bit order.

    Args:
        value: any combination of one of this module's flags (or of another `IntFlag`).

    Returns:
        For `StepFlag.FLOW | StepFlag.CLIPPED`: `("flow", "clipped")`.
    """
    return tuple((flag.name or "").lower() for flag in type(value) if flag & value)
