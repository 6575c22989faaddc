"""Metrics and comparison as rows of `wallet_metrics`, and back."""

from datetime import UTC, datetime

import numpy as np
import pytest

from hl_assets.assets.metric_rows import metric_rows, metric_table
from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.catalog import COMPARISON_METRICS, METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets_tests.metrics.daily_board import board, ragged_wallets

SLOT = datetime(2026, 5, 31, 12, 0, tzinfo=UTC)
TABLE = compute_wallet_metrics(board(*ragged_wallets(3, 80)))
COMPARISON = compare_wallets(TABLE, assess_eligibility(TABLE))
ROWS = metric_rows(TABLE, COMPARISON, slot=SLOT, scope="all", origin="simulated")


def test_rows_keep_the_contract():
    assert len(WALLET_METRICS.schema.validate(ROWS, lazy=True)) == 80
    assert set(ROWS["trust_label"]) > {"insufficient"}


def test_every_figure_of_both_catalogues_has_a_column_and_every_null_a_reason():
    for metric in (*METRICS, *COMPARISON_METRICS):
        name = metric.name.removesuffix("_ms")
        missing = ROWS[name].isna().tolist()
        assert missing == [metric.name in reasons for reasons in ROWS["null_reasons"]], name


def test_the_comparison_is_stored_as_computed():
    for metric in COMPARISON_METRICS:
        stored = ROWS[metric.name].to_numpy(np.float64)
        assert np.array_equal(stored, COMPARISON.columns[metric.name].values, equal_nan=True)
    assert ROWS["trust_label"].tolist() == COMPARISON.labels.tolist()


def test_figures_of_a_wallet_by_itself_come_back_unchanged():
    back = metric_table(ROWS, ReturnRules())
    for name, values in TABLE.values.items():
        assert np.array_equal(back.values[name], values, equal_nan=True), name
        assert back.reasons[name].tolist() == TABLE.reasons[name].tolist()
    assert back.flags.tolist() == TABLE.flags.tolist()
    assert back.wallets == TABLE.wallets
    assert back.formula_version == TABLE.formula_version


def test_an_empty_slot_has_no_rows():
    table = compute_wallet_metrics(board())
    comparison = compare_wallets(table, assess_eligibility(table))
    assert len(metric_rows(table, comparison, slot=SLOT, scope="all", origin="simulated")) == 0


def test_mixed_formula_versions_are_refused():
    mixed = ROWS.assign(formula_version=["1"] * 40 + ["2"] * 40)
    with pytest.raises(ValueError, match="derive the slot again"):
        metric_table(mixed, ReturnRules())
