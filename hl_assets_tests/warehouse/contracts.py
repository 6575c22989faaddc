"""Small contracts for the tests of the warehouse, and frames that fit them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pandera.pandas as pa

from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    count_column,
    float_column,
    instant_column,
    origin_column,
    slot_column,
    wallet_column,
)
from hl_assets.warehouse.publish import Provenance

T0 = datetime(2026, 11, 1, tzinfo=UTC)
SLOT = timedelta(minutes=10)
PROVENANCE = Provenance(run_id="run-1", code_version="1.0", origin="simulated")


class _Marks(pa.DataFrameModel):
    """One number per wallet and slot.

    More words that belong to the second paragraph.
    """

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    mark: float = float_column("It's the wallet's \\ mark", unit="USD")


class _Everything(pa.DataFrameModel):
    """Every column type that contracts use."""

    as_of: Slot = slot_column()
    wallet: str = wallet_column()
    name: str = column("Name", clickhouse="Nullable(String)", nullable=True)
    style: str = column("Style", clickhouse="LowCardinality(Nullable(String))", nullable=True)
    origin: str = origin_column()
    plain: float = float_column("Plain", unit="USD")
    maybe: float = float_column("Maybe", unit="USD", nullable=True)
    n_points: int = count_column("Points")
    rank: pd.Int64Dtype = column("Rank", clickhouse="Nullable(UInt32)", nullable=True)
    is_known: bool = column("Known", clickhouse="Bool")
    is_uniform: pd.BooleanDtype = column("Uniform", clickhouse="Nullable(Bool)", nullable=True)
    seen_at: Instant = instant_column("Seen")
    seen_before: Instant = instant_column("Seen before", nullable=True)
    reasons: object = column("Reasons", clickhouse="Map(String, String)")
    flags: object = column("Flags", clickhouse="Array(String)")


MARKS = TableContract("marks", _Marks, "wallet x slot", key=("as_of", "wallet"), order_by=("as_of", "wallet"))
MARKS_BY_WALLET = TableContract(
    "marks_by_wallet",
    _Marks,
    "wallet x slot",
    key=("as_of", "wallet"),
    order_by=("wallet", "as_of"),
    partition_by="toYYYYMMDD(as_of)",
)
EVERYTHING = TableContract(
    "everything", _Everything, "wallet x slot", key=("as_of", "wallet"), order_by=("as_of", "wallet")
)


def slot(number: int) -> datetime:
    """The n-th slot of the tests' day."""
    return T0 + number * SLOT


def address(number: int) -> str:
    """The n-th wallet."""
    return f"0x{number:040x}"


def marks(as_of: datetime, values: Sequence[float]) -> pd.DataFrame:
    """One wallet per value."""
    return MARKS.conform(
        {
            "as_of": pd.Series([as_of] * len(values), dtype="datetime64[s, UTC]"),
            "wallet": pd.Series([address(number) for number in range(len(values))], dtype=object),
            "mark": pd.Series(values, dtype="float64"),
        }
    )


def everything() -> pd.DataFrame:
    """Three rows with the awkward values of every type."""
    missing = None
    return EVERYTHING.conform(
        {
            "as_of": pd.Series([T0] * 3, dtype="datetime64[s, UTC]"),
            "wallet": [address(number) for number in range(3)],
            "name": ["Zoë 🦊 \t\n'\"\\ --", missing, ""],
            "style": ["Swing Trader", missing, ""],
            "origin": ["live", "recorded", "live"],
            "plain": [-0.1, float("inf"), 5e-324],
            "maybe": [0.0, np.nan, -1.5e300],
            "n_points": [0, 1, 2**32 - 1],
            "rank": pd.array([1, missing, 2**32 - 1], dtype="Int64"),
            "is_known": [True, False, True],
            "is_uniform": pd.array([True, missing, False], dtype="boolean"),
            "seen_at": pd.Series([T0 + timedelta(milliseconds=number) for number in (1, 999, 0)]),
            "seen_before": pd.Series(
                [T0 + timedelta(milliseconds=7), pd.NaT, T0], dtype="datetime64[ms, UTC]"
            ),
            "reasons": [{"cagr": "short span — 12 d"}, {}, {"a": "", "b": "x'y"}],
            "flags": [["gap", "ünï"], [], [""]],
        }
    )
