"""The leaderboard's rules: who is on it, in which order, and the exchange's own return on investment.

Where the accounts come from is not known here.
"""

import numpy as np

from hl_assets.exchange.sandbox.arrays import CENTS, MICRO, BoolArray, FloatArray, IntArray

MIN_ACCOUNT_VALUE = 100_000 * MICRO
MIN_ALL_TIME_VOLUME = 10_000_000 * CENTS
_MIN_ROI_BASE = 100 * MICRO


def is_member(account_value: IntArray, all_time_volume: IntArray) -> BoolArray:
    """Membership: account value of at least 100,000 USD or all-time volume of at least 10 million USD."""
    return np.asarray(
        (account_value >= MIN_ACCOUNT_VALUE) | (all_time_volume >= MIN_ALL_TIME_VOLUME), dtype=np.bool_
    )


def return_on_investment(pnl: IntArray, start_value: IntArray, max_net_deposits: IntArray) -> FloatArray:
    """ROI as the exchange defines it: PnL / max(100 USD, starting account value + maximum net deposits)."""
    return np.asarray(pnl / np.maximum(_MIN_ROI_BASE, start_value + max_net_deposits), dtype=np.float64)


def in_board_order(month_volume: IntArray, address_rank: IntArray) -> IntArray:
    """Row order: month volume descending, then address, so the zero-volume tail is ordered by address."""
    return np.asarray(np.lexsort((address_rank, -month_volume)), dtype=np.int64)
