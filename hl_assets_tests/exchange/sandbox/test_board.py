import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.board import in_board_order, is_member, return_on_investment

MICRO = 1_000_000


def test_membership_is_value_or_volume_and_the_limits_belong_to_it():
    value = np.array([100_000 * MICRO, 100_000 * MICRO - 1, 0, 0])
    volume = np.array([0, 0, 10_000_000 * 100, 10_000_000 * 100 - 1])
    assert is_member(value, volume).tolist() == [True, False, True, False]


def test_return_on_investment_is_the_exchanges_definition():
    pnl = np.array([50, -30, 26_412, 10]) * MICRO
    start = np.array([400, 0, 0, 1_000]) * MICRO
    paid = np.array([100, 60, 1, 0]) * MICRO
    assert return_on_investment(pnl, start, paid).tolist() == [0.1, -0.3, 264.12, 0.01]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000)), unique_by=lambda row: row[1], max_size=30)
)
def test_order_is_month_volume_descending_then_address(rows: list[tuple[int, int]]):
    volume, rank = (
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
    )
    ordered = [rows[row] for row in in_board_order(volume, rank)]
    assert ordered == sorted(rows, key=lambda row: (-row[0], row[1]))
