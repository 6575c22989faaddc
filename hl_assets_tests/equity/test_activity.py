import numpy as np
import pytest

from hl_assets.equity.activity import Activity, wallet_activity
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules

HOUR = 3_600_000


def activity_of(*series: list[tuple[float, float]]) -> Activity:
    """Account value and PnL, a point an hour, of one wallet each."""
    names = [f"0x{i:040x}" for i in range(len(series))]
    rows = [
        (name, hour * HOUR, value, pnl)
        for name, points in zip(names, series, strict=True)
        for hour, (value, pnl) in enumerate(points)
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    curves = RaggedCurves.from_columns(
        np.array(columns[0], dtype=object), *map(np.array, columns[1:]), wallets=names
    )
    return wallet_activity(curves, ReturnRules(), move_share=1e-3, move_floor_usd=1.0)


def test_the_newest_move_is_found_per_wallet() -> None:
    traded, deposited, interest, single, empty = range(5)
    found = activity_of(
        [(1000, 0), (1100, 100), (1100, 100)],
        [(1000, 0), (1000, 0), (2000, 0)],
        [(10_000, 0), (10_005, 5), (10_010, 10)],
        [(1000, 0)],
        [],
    )
    assert found.moved_ms[[traded, deposited]].tolist() == [HOUR, 2 * HOUR]
    assert np.isnan(found.moved_ms[[interest, single, empty]]).all()
    assert found.last_ms[:4].tolist() == [2 * HOUR, 2 * HOUR, 2 * HOUR, 0]
    assert found.account_value[:4].tolist() == [1100, 2000, 10_010, 1000]
    assert np.isnan(found.last_ms[empty])
    assert np.isnan(found.account_value[empty])
    assert not found.wiped_out.any()


@pytest.mark.parametrize(
    ("points", "wiped_out"),
    [
        ([(1000, 0), (0, -1000), (0, -1000)], True),
        ([(1000, 0), (0, -1000), (500, -1000)], False),
        ([(1000, 0), (0, 0)], False),
    ],
    ids=["lost", "lost and funded again", "withdrawn"],
)
def test_only_a_loss_of_everything_that_nobody_made_good_is_a_wipe_out(
    points: list[tuple[float, float]], wiped_out: bool
) -> None:
    assert activity_of(points).wiped_out.tolist() == [wiped_out]
