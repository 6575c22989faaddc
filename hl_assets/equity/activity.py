"""When a wallet last did anything, and whether trading has lost everything.

Belongs here: facts about the end of a curve. Does not belong here: what is concluded from them (the status of a tracked
wallet), figures of performance (`hl_assets.metrics`).
"""

from dataclasses import dataclass

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import BoolArray, FloatArray, segment_of
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """The end of many curves, one entry per wallet.

    Attributes:
        last_ms: float64, UTC milliseconds of the newest point; NaN for an empty curve.
        moved_ms: float64, of the newest point that differs from the point before; NaN if none does.
        account_value: float64, USD at the newest point; NaN for an empty curve.
        wiped_out: bool, trading lost everything and nobody has funded the account since.
    """

    last_ms: FloatArray
    moved_ms: FloatArray
    account_value: FloatArray
    wiped_out: BoolArray


def wallet_activity(
    curves: RaggedCurves, rules: ReturnRules, *, move_share: float, move_floor_usd: float
) -> Activity:
    """The end of each curve.

    Args:
        curves: Curves of many wallets.
        rules: What a wipe-out is.
        move_share: A point differs when account value or PnL changed by more than this share of the account value before
            ...
        move_floor_usd: ... and by more than this.
    """
    wallet = segment_of(np.arange(curves.n_points), curves.offsets)
    before = np.maximum(np.arange(curves.n_points) - 1, 0)
    change = np.maximum(
        np.abs(curves.account_value - curves.account_value[before]), np.abs(curves.pnl - curves.pnl[before])
    )
    moved = change > np.maximum(move_share * np.abs(curves.account_value[before]), move_floor_usd)
    moved &= wallet == wallet[before]
    moved_ms = np.full(len(curves.wallets), np.nan)
    moved_ms[wallet[moved]] = curves.ts_ms[moved]  # rising within a wallet: the newest is written last
    steps = flow_adjusted_returns(curves, rules)
    return Activity(
        last_ms=_last(curves, curves.ts_ms.astype(np.float64)),
        moved_ms=moved_ms,
        account_value=_last(curves, curves.account_value),
        wiped_out=_last(steps.curves, steps.index) == 0.0,
    )


def _last(curves: RaggedCurves, values: FloatArray) -> FloatArray:
    """Each wallet's newest value, NaN for an empty curve."""
    found = np.full(len(curves.wallets), np.nan)
    filled = np.diff(curves.offsets) > 0
    found[filled] = values[curves.offsets[1:][filled] - 1]
    return found
