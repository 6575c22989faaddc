import numpy as np

from hl_assets.exchange.sandbox.source import BOARD_WINDOWS, PORTFOLIO_WINDOWS
from hl_assets.exchange.sandbox.windows import (
    Samples,
    as_perp,
    scope_windows,
    with_baseline_fault,
    zero_portfolio,
)

HOUR = 3_600_000
SAMPLES = Samples(
    instants=np.array([10, 20, 30, 40], dtype=np.int64) * HOUR,
    account_value=np.array([100, 110, 310, 300], dtype=np.int64),
    pnl=np.array([5, 15, 15, 5], dtype=np.int64),
)
SHOWN = {
    "day": SAMPLES.instants[2:],
    "week": SAMPLES.instants[1:],
    "month": SAMPLES.instants,
    "allTime": SAMPLES.instants,
}
VOLUMES = dict.fromkeys(BOARD_WINDOWS, 7)


def test_bounded_windows_start_at_zero_and_all_time_at_the_synthetic_point():
    windows = scope_windows(SAMPLES, SHOWN, VOLUMES)
    assert windows["week"].pnl.tolist() == [0, 0, -10]
    assert windows["week"].account_value.tolist() == [110, 310, 300]
    assert windows["allTime"].instants.tolist() == [9 * HOUR, *SAMPLES.instants.tolist()]
    assert windows["allTime"].account_value.tolist() == [0, 100, 110, 310, 300]
    assert windows["allTime"].pnl.tolist() == [0, 5, 15, 15, 5]


def test_a_part_of_the_account_scales_value_and_pnl():
    half = SAMPLES.scaled(0.5)
    assert half.account_value.tolist() == [50, 55, 155, 150]
    assert half.instants is SAMPLES.instants


def test_baseline_fault_books_the_balance_as_pnl():
    window = scope_windows(SAMPLES, SHOWN, VOLUMES)["allTime"]
    faulty = with_baseline_fault(window, 15 * HOUR)
    assert faulty.instants.tolist() == [15 * HOUR, 20 * HOUR, 30 * HOUR, 40 * HOUR]
    assert faulty.account_value.tolist() == [0, 110, 310, 300]
    assert faulty.pnl.tolist() == [0, 110, 110, 100]


def test_baseline_fault_leaves_alone_what_it_cannot_touch():
    window = scope_windows(SAMPLES, SHOWN, VOLUMES)["allTime"]
    assert with_baseline_fault(window, 5 * HOUR) is window
    assert with_baseline_fault(window, 39 * HOUR) is window


def test_an_unused_address_has_zero_points_in_every_window():
    windows = zero_portfolio(10**12)
    assert tuple(windows) == PORTFOLIO_WINDOWS
    for window in windows.values():
        assert window.instants[-1] == 10**12
        assert window.instants.size > 1
        assert not window.account_value.any()
        assert not window.pnl.any()


def test_perp_names():
    assert list(as_perp(scope_windows(SAMPLES, SHOWN, VOLUMES))) == [
        "perpDay",
        "perpWeek",
        "perpMonth",
        "perpAllTime",
    ]
