"""Instants and small helpers the sandbox's tests share."""

from collections.abc import Mapping

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, HOUR_MS, IntArray
from hl_assets.exchange.sandbox.clock import parse_instant
from hl_assets.exchange.sandbox.source import WindowSeries

EPOCH_MS = parse_instant("2026-06-01T00:00:00Z")
SERVED_AT = "2026-06-01T00:17:11.123Z"
NOW_MS = parse_instant(SERVED_AT)
DAY, HOUR = DAY_MS, HOUR_MS


def at(wallet: int, instants: IntArray | list[int]) -> tuple[IntArray, IntArray]:
    """Arguments of the ledgers for one wallet."""
    moments = np.asarray(instants, dtype=np.int64)
    return np.full(moments.shape, wallet, dtype=np.int64), moments


def points(portfolio: Mapping[str, WindowSeries], window: str) -> dict[int, tuple[int, int]]:
    """Account value and PnL by instant."""
    series = portfolio[window]
    return dict(
        zip(
            series.instants.tolist(),
            zip(series.account_value.tolist(), series.pnl.tolist(), strict=True),
            strict=True,
        )
    )
