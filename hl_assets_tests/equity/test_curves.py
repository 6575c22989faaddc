import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.errors import EquityInputError

A, B, C = ("0x" + letter * 40 for letter in "abc")


def test_rows_in_any_order_become_sorted_curves():
    curves = RaggedCurves.from_columns(
        [B, A, B, A], [20, 10, 10, 5], [4.0, 2.0, 3.0, 1.0], [0.4, 0.2, 0.3, 0.1]
    )
    assert curves.wallets == (B, A)
    assert curves.ts_ms.tolist() == [10, 20, 5, 10]
    assert curves.account_value.tolist() == [3.0, 4.0, 1.0, 2.0]
    assert curves.pnl.tolist() == [0.3, 0.4, 0.1, 0.2]
    assert curves.offsets.tolist() == [0, 2, 4]


def test_wallets_asked_for_keep_their_order_and_may_be_empty():
    curves = RaggedCurves.from_columns([B, B], [1, 2], [1.0, 2.0], [0.0, 1.0], wallets=[A, B, C])
    assert curves.wallets == (A, B, C)
    assert curves.lengths.tolist() == [0, 2, 0]


def test_of_repeated_timestamps_the_first_given_is_kept_and_contradictions_are_counted():
    curves = RaggedCurves.from_columns(
        [A, A, A, A, B], [1, 2, 2, 2, 1], [1.0, 2.0, 2.0, 9.0, 7.0], [0.0, 1.0, 1.0, 1.0, 0.0]
    )
    assert curves.account_value.tolist() == [1.0, 2.0, 7.0]
    assert curves.contradictions.tolist() == [1, 0]


def test_rounding_noise_is_no_contradiction():
    curves = RaggedCurves.from_columns([A, A], [1, 1], [1.6e8, 1.6e8], [650509.5774250001, 650509.5774249999])
    assert curves.contradictions.tolist() == [0]


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B, C]), st.integers(0, 6), st.floats(0, 9), st.floats(0, 9)),
        max_size=30,
    ).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows)))
)
def test_order_never_matters_where_timestamps_are_unique(case):
    rows, shuffled = case
    unique = {(wallet, ts): (wallet, ts, value, pnl) for wallet, ts, value, pnl in rows}
    keys = [(wallet, ts) for wallet, ts, _, _ in shuffled]
    reordered = [unique[key] for key in dict.fromkeys(keys)]

    def build(points):
        columns = list(zip(*points, strict=True)) or [[], [], [], []]
        return RaggedCurves.from_columns(*columns, wallets=[A, B, C])

    left, right = build(list(unique.values())), build(reordered)
    for name in ("ts_ms", "account_value", "pnl", "offsets"):
        assert np.array_equal(getattr(left, name), getattr(right, name))


def test_until_reads_nothing_later():
    curves = RaggedCurves.from_columns([A, A, B], [10, 20, 30], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    cut = curves.until(20)
    assert cut.wallets == curves.wallets
    assert cut.ts_ms.tolist() == [10, 20]
    assert cut.lengths.tolist() == [2, 0]
    assert curves.until(30) is curves


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_chunks_cover_every_wallet_once(limit):
    curves = RaggedCurves.from_columns(
        [A, B, B, B, C], [1, 1, 2, 3, 1], [1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5, wallets=[A, B, "0x0", C]
    )
    wallets, values = [], []
    for place, chunk in curves.chunks(limit):
        assert curves.wallets[place] == chunk.wallets
        assert chunk.offsets[0] == 0
        assert chunk.n_wallets == 1 or chunk.n_points <= limit
        wallets.extend(chunk.wallets)
        values.extend(chunk.account_value.tolist())
    assert tuple(wallets) == curves.wallets
    assert values == curves.account_value.tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([A], [1, 2], [1.0], [0.0]), "equal lengths"),
        (([A], [1], [np.nan], [0.0]), "account_value of wallet 0xa"),
        (([A], [1], [1.0], [np.inf]), "pnl of wallet 0xa"),
    ],
)
def test_bad_columns_are_named(columns, message):
    with pytest.raises(EquityInputError, match=message):
        RaggedCurves.from_columns(*columns)


def test_a_point_of_an_unwanted_wallet_is_refused():
    with pytest.raises(EquityInputError, match=B):
        RaggedCurves.from_columns([B], [1], [1.0], [0.0], wallets=[A])
    with pytest.raises(EquityInputError, match="repeats"):
        RaggedCurves.from_columns([A], [1], [1.0], [0.0], wallets=[A, A])
    with pytest.raises(EquityInputError, match="groups"):
        RaggedCurves.from_groups([A], [])


def test_no_rows_at_all():
    curves = RaggedCurves.from_columns([], [], [], [])
    assert curves.n_wallets == curves.n_points == 0
    assert list(curves.chunks(10)) == []
    assert RaggedCurves.from_groups([A], [([], [], [])]).lengths.tolist() == [0]
