"""All wallets at once against the scalar reference, and against each wallet alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.equity.curves import RaggedCurves
from hl_assets.metrics.catalog import METRICS
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import DAY_MS, START_MS
from hl_assets_tests.metrics import daily_board
from hl_assets_tests.metrics.scalar_reference import metrics_of

amounts = st.one_of(
    st.sampled_from([0.0, -25.0, 5.0, 10.0, 100.0]),
    st.floats(-50, 200),
    st.floats(0, 1e6),
    st.floats(0, 1e10),
)


@st.composite
def wallets(draw):
    """One wallet: account values and PnL unrelated (flows everywhere), or tied (few flows), with zeros and negatives."""
    n = draw(st.integers(0, 25))
    gaps = draw(st.lists(st.integers(1, 40 * DAY_MS), min_size=n, max_size=n))
    ts = (START_MS + np.cumsum(gaps)).tolist()
    values = draw(st.lists(amounts, min_size=n, max_size=n))
    pnl = values if draw(st.booleans()) else draw(st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n))
    return ts, values, pnl


def board(given_wallets):
    return RaggedCurves.from_groups(
        [f"0x{number:040x}" for number in range(len(given_wallets))], given_wallets
    )


def assert_equals_reference(table, row, wallet):
    expected = metrics_of(*wallet)
    for metric in METRICS:
        got = table.values[metric.name][row]
        if metric.name in expected:
            # A sum of large flows that cancel keeps only the rounding of its terms.
            noise = 1e-9 * max(1.0, expected.get("gross_flow", 0.0)) if metric.unit == "USD" else 1e-9
            assert got == pytest.approx(expected[metric.name], rel=1e-9, abs=noise), metric.name
        else:
            assert np.isnan(got), metric.name
        assert np.isnan(got) == (table.reasons[metric.name][row] != 0), metric.name


@settings(max_examples=150, deadline=None)
@given(st.lists(wallets(), max_size=6))
def test_vectorised_figures_equal_the_scalar_reference(given_wallets):
    table = compute_wallet_metrics(board(given_wallets))
    for row, wallet in enumerate(given_wallets):
        assert_equals_reference(table, row, wallet)


def test_a_realistic_board_equals_the_scalar_reference():
    rng = np.random.default_rng(20)
    given_wallets = []
    for length in rng.integers(0, 260, 120):
        ts = START_MS + np.cumsum(rng.integers(DAY_MS // 12, 14 * DAY_MS, length))
        growth = np.cumprod(np.append(1.0, rng.normal(1.001, 0.06, max(length - 1, 0))))[:length]
        values, pnl, value = [], [], float(rng.lognormal(6, 3))
        earned = 0.0
        for place in range(length):
            change = value * (growth[place] / growth[place - 1] - 1.0) if place else 0.0
            event = rng.random()
            if event < 0.01:
                change = -value  # wiped out
            refunds = value <= 0 and event < 0.5
            value, earned = value + change, earned + change
            if event > 0.95 or refunds:
                value += float(rng.lognormal(6, 2))
            elif event > 0.92:
                value *= float(rng.random())
            elif event > 0.915:
                value = 0.0
            values.append(value)
            pnl.append(earned)
        given_wallets.append((ts, values, pnl))
    table = compute_wallet_metrics(board(given_wallets))
    assert (table.values["n_wipeouts"] > 0).sum() > 20  # the board has what it should test
    assert (table.values["n_epochs"] > 2).sum() > 5
    for row, wallet in enumerate(given_wallets):
        assert_equals_reference(table, row, wallet)


@settings(max_examples=30, deadline=None)
@given(st.lists(wallets(), min_size=1, max_size=6), st.integers(1, 60))
def test_neither_neighbours_nor_chunks_change_a_single_bit(given_wallets, chunk_points):
    together = compute_wallet_metrics(board(given_wallets))
    in_chunks = compute_wallet_metrics(board(given_wallets), chunk_points=chunk_points)
    for row, wallet in enumerate(given_wallets):
        alone = compute_wallet_metrics(board([wallet]))
        for name, values in together.values.items():
            assert (
                values[row].tobytes()
                == in_chunks.values[name][row].tobytes()
                == alone.values[name][0].tobytes()
            )
            assert together.reasons[name][row] == in_chunks.reasons[name][row] == alone.reasons[name][0]
        assert together.flags[row] == in_chunks.flags[row] == alone.flags[0]


@settings(max_examples=50, deadline=None)
@given(st.lists(wallets(), min_size=1, max_size=4))
def test_bounds(given_wallets):
    values = compute_wallet_metrics(board(given_wallets)).values
    with np.errstate(invalid="ignore"):
        for name in ("max_drawdown", "avg_drawdown"):
            assert not (values[name] > 0).any()
            assert not (values[name] < -1).any()
        assert not (values["max_drawdown"] > values["avg_drawdown"] + 1e-12).any()
        for name in ("roi", "cagr", "cagr_short"):
            assert not (values[name] < -1).any()
        for name in ("share_flow_dominated", "share_clipped", "share_no_base"):
            assert not ((values[name] < 0) | (values[name] > 1)).any()
        assert not (values["largest_gap_hours"] < values["avg_interval_hours"] * (1 - 1e-12)).any()
        assert not (values["performance_span_days"] > values["data_span_days"]).any()
        assert not np.isinf(np.stack(list(values.values()))).any()


def test_point_in_time_reads_nothing_later():
    rng = np.random.default_rng(2)
    ts = START_MS + DAY_MS * np.arange(200)
    pnl = np.cumsum(rng.normal(0, 50, 200))
    whole = board([(ts, 5_000 + pnl, pnl)])
    cut = board([(ts[:120], 5_000 + pnl[:120], pnl[:120])])
    as_of = compute_wallet_metrics(whole.until(int(ts[119])))
    expected = compute_wallet_metrics(cut)
    for name, values in expected.values.items():
        assert values.tobytes() == as_of.values[name].tobytes()


def test_an_empty_board():
    table = compute_wallet_metrics(board([]))
    assert len(table) == 0
    assert table.null_reasons() == []
    assert table.flag_names() == []
    assert table.scored().shape == (0, 6)


def test_chunks_must_have_points():
    with pytest.raises(ValueError, match="chunk_points"):
        compute_wallet_metrics(board([]), chunk_points=0)


def test_threads_change_no_bit() -> None:
    curves = daily_board.board(*daily_board.ragged_wallets(9, 60))
    alone = compute_wallet_metrics(curves, threads=1)
    for threads in (2, 5):
        together = compute_wallet_metrics(curves, chunk_points=200, threads=threads)
        for name, values in alone.values.items():
            np.testing.assert_array_equal(together.values[name], values, name)
            np.testing.assert_array_equal(together.reasons[name], alone.reasons[name], name)
        np.testing.assert_array_equal(together.flags, alone.flags)
