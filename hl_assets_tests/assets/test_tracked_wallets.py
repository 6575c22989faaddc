import numpy as np

from hl_assets.assets.tracked_wallets import DORMANT_DAYS, tracked_status
from hl_assets.equity.activity import Activity

DAY = 86_400_000.0
NAN = np.nan


def test_status_and_reason_of_every_case() -> None:
    cases = [
        # last, moved, value, wiped, on board -> status, reason
        (100.0, 99.0, 5e3, False, True, "active", "on_board"),
        (100.0, 99.0, 5e3, False, False, "off_board", "left_board"),
        (100.0, 100.0 - DORMANT_DAYS, 5e3, False, True, "dormant", "no_move"),
        (100.0, NAN, 5e3, False, False, "dormant", "no_move"),
        (100.0, 99.9, 3.0, False, True, "dormant", "emptied"),
        (100.0, 99.9, 0.0, True, True, "wiped_out", "lost_everything"),
        (NAN, NAN, NAN, False, True, "active", "no_points"),
        (NAN, NAN, NAN, False, False, "off_board", "no_points"),
    ]
    last, moved, value, wiped, on_board, statuses, reasons = map(list, zip(*cases, strict=True))
    activity = Activity(np.array(last) * DAY, np.array(moved) * DAY, np.array(value), np.array(wiped))
    assert tracked_status(activity, np.array(on_board), funding_floor=10.0) == (statuses, reasons)
