"""Dollars: PnL, deposits and withdrawals, and the account value with its raw, flow-polluted twins.

Belongs here: figures in USD and those computed from account value directly. They cover the whole curve, wipe-outs and
refundings included, so that

    account_value at the end - at the start = total_pnl + net_flow

up to the flows below the noise threshold, which count as none.
"""

import numpy as np

from hl_assets.equity.amounts import tolerance_of
from hl_assets.equity.flags import StepFlag
from hl_assets.equity.ragged import FloatArray, SegmentScan, segment_count, segment_reduce
from hl_assets.equity.returns import Steps
from hl_assets.metrics.nulls import Column, NullReason
from hl_assets.metrics.shape import CurveShape


def flows(steps: Steps, shape: CurveShape) -> dict[str, Column]:
    """`net_flow`, `gross_flow`, `n_flows`."""
    offsets = steps.curves.offsets
    flow = steps.flow.copy()
    flow[shape.first] = 0.0  # no step ends at a wallet's first point
    net = segment_reduce(np.add, flow, offsets, empty=np.nan)
    gross = segment_reduce(np.add, np.abs(flow), offsets, empty=np.nan)
    return {
        "net_flow": Column.of(net, *shape.fewer_than(2)),
        "gross_flow": Column.of(gross, *shape.fewer_than(2)),
        "n_flows": Column.of(segment_count(steps.flagged(StepFlag.FLOW), offsets).astype(np.float64)),
    }


def profits(steps: Steps, shape: CurveShape, scan: SegmentScan) -> dict[str, Column]:
    """`total_pnl` and `recovery_usd`, net PnL over the largest fall of cumulative PnL.

    Args:
        steps: the returns.
        shape: their shape.
        scan: running maxima inside wallets (not lives).
    """
    pnl, offsets = steps.curves.pnl, steps.curves.offsets
    total = shape.spread(pnl[shape.last] - pnl[shape.first])
    fall = segment_reduce(np.maximum, scan.accumulate(np.maximum, pnl) - pnl, offsets, empty=np.nan)
    magnitude = segment_reduce(np.maximum, np.abs(pnl), offsets, empty=np.nan)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        recovery = total / fall
    few = shape.fewer_than(2)
    return {
        "total_pnl": Column.of(total, *few),
        "recovery_usd": Column.of(recovery, *few, (fall <= tolerance_of(magnitude), NullReason.NO_PNL_FALL)),
    }


def raw_twins(steps: Steps, shape: CurveShape, scan: SegmentScan) -> dict[str, Column]:
    """`account_value`, `roi_account_value`, `max_drawdown_account_value`: what a tracker that ignores flows would say.

    Args:
        steps: the returns.
        shape: their shape.
        scan: running maxima inside wallets (not lives).
    """
    values = steps.curves.account_value
    start, end = shape.spread(values[shape.first]), shape.spread(values[shape.last])
    # The running maximum is at least the first funded value, so at least the funding floor: never a division by zero.
    fall: FloatArray = values / scan.accumulate(np.maximum, values) - 1.0
    deepest = segment_reduce(np.minimum, fall, steps.curves.offsets, empty=np.nan)
    few = shape.fewer_than(2)
    return {
        "account_value": Column.of(end, *shape.absent()),
        "roi_account_value": Column.of((end - start) / start, *few),
        "max_drawdown_account_value": Column.of(deepest, *few),
    }
