"""The metric table of the domain as rows of `wallet_metrics`, and back.

Belongs here: the correspondence between the two, loss-free in both directions for every figure of a wallet by itself (the
comparison with other wallets is stored beside them and not read back). Does not belong here: computing metrics.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hl_assets.equity.flags import flag_names
from hl_assets.equity.ragged import FloatArray
from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.catalog import COMPARISON_METRICS, METRICS, MetricDefinition
from hl_assets.metrics.flags import MetricFlag
from hl_assets.metrics.nulls import NullReason, labels_by_row
from hl_assets.metrics.trust import Comparison
from hl_assets.metrics.wallet_metrics import MetricTable
from hl_assets.schemas.metrics import WALLET_METRICS

_INSTANT_COLUMNS = {
    "first_ts_ms": "first_ts",
    "last_ts_ms": "last_ts",
    "performance_start_ms": "performance_start",
}
EXCHANGE_WINDOWS = ("day", "week", "month", "all_time")
_REASONS = {reason.label: int(reason) for reason in NullReason}
_FLAGS = {flag_names(flag)[0]: int(flag) for flag in MetricFlag}


def metric_rows(
    table: MetricTable,
    comparison: Comparison,
    *,
    slot: datetime,
    scope: str,
    origin: str,
    exchange_roi: pd.DataFrame | None = None,
    data_age_hours: FloatArray | None = None,
) -> pd.DataFrame:
    """Rows of `wallet_metrics` for the metrics of a slot and the comparison of its wallets.

    Args:
        table: Metrics.
        comparison: What only the slot's wallets together tell.
        slot: The slot.
        scope: all or perp.
        origin: Where the facts come from.
        exchange_roi: wallet, day_roi, week_roi, month_roi, all_time_roi as on the board; wallets that are not on it,
            or all without it, have nulls.
        data_age_hours: Age of each wallet's newest answer; without it, null.
    """
    reasons = {**table.reasons, **{name: column.reasons for name, column in comparison.columns.items()}}
    columns: dict[str, Any] = {
        "as_of": pd.Series([slot] * len(table), dtype="datetime64[s, UTC]"),
        "wallet": list(table.wallets),
        "scope": scope,
        "null_reasons": pd.Series(labels_by_row(reasons), dtype=object),
        "flags": pd.Series([list(names) for names in table.flag_names()], dtype=object),
        "trust_label": comparison.labels,
        "data_age_hours": np.nan if data_age_hours is None else data_age_hours,
        "formula_version": table.formula_version,
        "origin": origin,
    }
    for metric in METRICS:
        columns[column_of(metric)] = _stored(metric, table.values[metric.name])
    for metric in COMPARISON_METRICS:
        columns[column_of(metric)] = _stored(metric, comparison.columns[metric.name].values)
    columns |= _exchange_columns(table.wallets, exchange_roi, columns["null_reasons"])
    return WALLET_METRICS.conform(pd.DataFrame(columns, index=range(len(table))))


def _exchange_columns(
    wallets: tuple[str, ...], exchange_roi: pd.DataFrame | None, null_reasons: "pd.Series[Any]"
) -> dict[str, Any]:
    """The exchange's ROI per window and the null reasons with those of wallets that are not on the board."""
    names = {f"{window}_roi": f"exchange_roi_{window}" for window in EXCHANGE_WINDOWS}
    board = pd.DataFrame(columns=["wallet", *names]) if exchange_roi is None else exchange_roi
    found = (
        board.set_index("wallet").reindex(list(wallets))[list(names)].astype("float64").rename(columns=names)
    )
    absent = dict.fromkeys(names.values(), "not_on_board")
    reasons = [
        {**why, **absent} if missing else why
        for why, missing in zip(null_reasons, found.isna().any(axis=1), strict=True)
    ]
    columns = {name: found[name].to_numpy() for name in found.columns}
    return {**columns, "null_reasons": pd.Series(reasons, dtype=object)}


def metric_table(rows: pd.DataFrame, rules: ReturnRules) -> MetricTable:
    """The metric table that `metric_rows` stored, without the comparison.

    Args:
        rows: Rows of `wallet_metrics` of one slot, in any order; at most one formula version.
        rules: Thresholds the metrics were computed with.

    Raises:
        ValueError: The rows mix formula versions: their figures are not comparable.
    """
    versions = sorted(set(rows["formula_version"]))
    if len(versions) > 1:
        raise ValueError(
            f"wallet_metrics of one slot mixes formula versions {versions}: derive the slot again"
        )
    null_reasons = list(rows["null_reasons"])
    return MetricTable(
        wallets=tuple(rows["wallet"]),
        values={metric.name: _loaded(metric, rows[column_of(metric)]) for metric in METRICS},
        reasons={
            metric.name: np.array(
                [_REASONS[why.get(metric.name, "present")] for why in null_reasons], dtype=np.uint8
            )
            for metric in METRICS
        },
        flags=np.array([sum(_FLAGS[name] for name in names) for names in rows["flags"]], dtype=np.uint32),
        formula_version=versions[0] if versions else "",
        rules=rules,
    )


def column_of(metric: MetricDefinition) -> str:
    """Column of `wallet_metrics` that holds a figure of the catalogue."""
    return _INSTANT_COLUMNS.get(metric.name, metric.name)


def _stored(metric: MetricDefinition, values: FloatArray) -> "pd.Series[Any]":
    series: pd.Series[Any] = pd.Series(values)
    if metric.kind == "count":
        return series.astype("int64")
    if metric.kind == "bool":
        return series.astype("Float64").astype("boolean")
    if metric.kind == "instant_ms":
        return pd.Series(pd.to_datetime(series.astype("Int64"), unit="ms", utc=True)).astype(
            "datetime64[ms, UTC]"
        )
    return series


def _loaded(metric: MetricDefinition, column: "pd.Series[Any]") -> FloatArray:
    if metric.kind == "instant_ms":
        milliseconds = column.astype("datetime64[ms, UTC]").astype("int64").astype("float64")
        return np.asarray(milliseconds.where(column.notna()), dtype=np.float64)
    return np.asarray(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
