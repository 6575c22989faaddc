"""The recorded panel of real vaults: 62 daily samples over 94 days."""

import csv
import gzip
from datetime import UTC, datetime

import numpy as np
import pytest

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.flags import StepFlag
from hl_assets.equity.returns import flow_adjusted_returns
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics


@pytest.fixture(scope="module")
def vaults(recorded_data):
    path = next((recorded_data / "vault_panel").glob("*.csv.gz"))
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    return RaggedCurves.from_columns(
        [row["address"] for row in rows],
        [int(datetime.fromisoformat(row["date"]).replace(tzinfo=UTC).timestamp() * 1000) for row in rows],
        [float(row["account_value"]) for row in rows],
        [float(row["pnl"]) for row in rows],
    )


def test_no_return_is_below_minus_one_and_flows_are_as_frequent_as_recorded(vaults):
    steps = flow_adjusted_returns(vaults)
    measured = ~np.isnan(steps.r)
    r = steps.r[measured]
    # A flow above 1 % of equity, as the recording's notes count them: 12 % there, on the longer daily recording.
    previous = np.append(np.nan, steps.curves.account_value[:-1])
    flow_share = (np.abs(steps.flow) > 0.01 * previous)[measured].mean()
    zero_share = (steps.pnl_change[measured] == 0).mean()
    print(
        f"{measured.sum()} steps of {vaults.n_wallets} vaults: returns {r.min():.4f} to {r.max():.4f}, "
        f"{flow_share:.1%} with a flow above 1 %, {zero_share:.1%} without PnL, "
        f"{steps.flagged(StepFlag.FLOW_DOMINATED).mean():.2%} flow-dominated"
    )
    assert measured.sum() == 11_679
    assert r.min() >= -1.0
    assert not steps.flagged(StepFlag.CLIPPED | StepFlag.UNKNOWN_RETURN).any()
    assert flow_share == pytest.approx(0.12, abs=0.02)
    assert zero_share == pytest.approx(0.18, abs=0.03)


def test_every_vault_gets_its_figures_or_a_reason(vaults):
    table = compute_wallet_metrics(vaults)
    reasons = table.null_reasons()
    for row in range(len(table)):
        for name, values in table.values.items():
            assert np.isnan(values[row]) == (name in reasons[row])
    eligibility = assess_eligibility(table)
    print(f"{int(eligibility.eligible.sum())} of {len(table)} vaults eligible")
    assert 150 < eligibility.eligible.sum() < len(table)
    with_cagr = ~np.isnan(table.values["cagr"])
    assert 0 < with_cagr.sum() < len(table)
    assert (table.values["performance_span_days"][with_cagr] >= 90).all()


def test_flows_make_the_raw_figures_wrong(vaults):
    table = compute_wallet_metrics(vaults)
    difference = np.abs(table.values["roi_account_value"] - table.values["roi"])
    assert np.nanmedian(difference) > 0.01
