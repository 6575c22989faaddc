"""The metric table survives the way through `wallet_metrics` and back."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from hl_assets.assets.metric_rows import column_of, metric_rows, metric_table
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.catalog import METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.trust import Comparison, compare_wallets
from hl_assets.metrics.wallet_metrics import MetricTable, compute_wallet_metrics
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.validation import validate_contract
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
DAY_MS = 86_400_000


def mixed_table() -> MetricTable:
    """Wallets with every kind of null: a long record, a short one, none, one point, a wipe-out."""
    rng = np.random.default_rng(3)
    groups = []
    for days in (400, 20, 0, 1):
        index = 1000 * np.cumprod(1 + rng.normal(0.001, 0.02, days))
        groups.append((np.arange(days) * DAY_MS + 1_700_000_000_000, index, index - 1000))
    groups.append(
        (
            np.arange(4) * DAY_MS + 1_700_000_000_000,
            np.array([100.0, 50, 0, 80]),
            np.array([0.0, -50, -100, -100]),
        )
    )
    wallets = [f"0x{number:040x}" for number in range(len(groups))]
    return compute_wallet_metrics(RaggedCurves.from_groups(wallets, groups))


def compared(table: MetricTable) -> Comparison:
    return compare_wallets(table, assess_eligibility(table))


def assert_equal(table: MetricTable, other: MetricTable) -> None:
    assert table.wallets == other.wallets
    for metric in METRICS:
        np.testing.assert_array_equal(table.values[metric.name], other.values[metric.name], metric.name)
        np.testing.assert_array_equal(table.reasons[metric.name], other.reasons[metric.name], metric.name)
    np.testing.assert_array_equal(table.flags, other.flags)
    assert table.formula_version == other.formula_version


def test_every_figure_has_a_column_and_the_rows_keep_the_contract() -> None:
    rows = metric_rows(mixed_table(), compared(mixed_table()), slot=SLOT, scope="all", origin="simulated")
    assert {column_of(metric) for metric in METRICS} <= set(rows.columns)
    assert validate_contract(WALLET_METRICS, rows).passed


def test_rows_and_back_is_loss_free() -> None:
    table = mixed_table()
    rows = metric_rows(table, compared(table), slot=SLOT, scope="all", origin="simulated")
    assert_equal(table, metric_table(rows, ReturnRules()))


def test_through_the_warehouse_and_back_is_loss_free(warehouse: Warehouse) -> None:
    table = mixed_table()
    rows = metric_rows(table, compared(table), slot=SLOT, scope="all", origin="simulated")
    warehouse.ensure_tables([WALLET_METRICS])
    Publisher(warehouse).replace_slice(WALLET_METRICS, SLOT, rows, Provenance("test", "test", "simulated"))
    stored = warehouse.read_table(WALLET_METRICS, as_of=SLOT)
    pd.testing.assert_frame_equal(stored, rows)
    assert_equal(table, metric_table(stored, ReturnRules()))


def test_an_empty_slot_is_an_empty_table() -> None:
    empty = metric_table(WALLET_METRICS.empty(), ReturnRules())
    assert len(empty) == 0
    assert metric_rows(empty, compared(empty), slot=SLOT, scope="all", origin="simulated").empty


def test_the_exchanges_own_roi_stands_beside_ours() -> None:
    table = mixed_table()
    first = table.wallets[0]
    board = pd.DataFrame(
        {"wallet": [first], "day_roi": [0.1], "week_roi": [0.2], "month_roi": [0.3], "all_time_roi": [4.0]}
    )
    rows = metric_rows(table, compared(table), slot=SLOT, scope="all", origin="live", exchange_roi=board)
    named = rows.set_index("wallet")
    assert named.loc[first, "exchange_roi_all_time"] == 4.0
    assert "exchange_roi_day" not in named.loc[first, "null_reasons"]
    assert named["exchange_roi_day"].isna().sum() == len(table) - 1
    assert named.iloc[1]["null_reasons"]["exchange_roi_day"] == "not_on_board"
