"""Small curves and portfolio responses for tests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import FloatArray, IntArray

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
WALLET = "0x" + "a" * 40


@dataclass(frozen=True)
class Window:
    """What stitching needs of a portfolio window."""

    name: str
    ts_ms: IntArray
    account_value: FloatArray
    pnl_ts_ms: IntArray
    pnl: FloatArray


@dataclass(frozen=True)
class Portfolio:
    """What stitching needs of a portfolio response."""

    wallet: str
    windows: Mapping[str, Window]


def window(
    name: str,
    ts: Sequence[int],
    values: Sequence[float],
    pnl: Sequence[float],
    pnl_ts: Sequence[int] | None = None,
) -> Window:
    times = np.array(ts, dtype=np.int64)
    return Window(
        name,
        times,
        np.array(values, dtype=np.float64),
        times if pnl_ts is None else np.array(pnl_ts, dtype=np.int64),
        np.array(pnl, dtype=np.float64),
    )


def portfolio(*windows: Window) -> Portfolio:
    return Portfolio(WALLET, {each.name: each for each in windows})


def recorded_portfolio(folder: Path) -> Portfolio:
    """The recorded response of an HLP strategy vault, as the exchange sent it."""
    recording = json.loads((folder / "api_samples" / "portfolio.json").read_text())
    windows = {}
    for name, body in recording["response"]:
        values, pnl = body["accountValueHistory"], body["pnlHistory"]
        windows[name] = window(
            name,
            [point[0] for point in values],
            [float(point[1]) for point in values],
            [float(point[1]) for point in pnl],
            [point[0] for point in pnl],
        )
    return Portfolio(recording["request"]["user"], windows)


def curves(*wallets: tuple[Sequence[float], Sequence[float]], step_ms: int = DAY_MS) -> RaggedCurves:
    """Curves from (account values, cumulative PnL) per wallet, one point a day unless told."""
    return RaggedCurves.from_groups(
        [f"0x{number:040x}" for number in range(len(wallets))],
        [(START_MS + step_ms * np.arange(len(values)), values, pnl) for values, pnl in wallets],
    )


def without_flows(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Account values that only PnL moved."""
    return list(values), [value - values[0] for value in values]
