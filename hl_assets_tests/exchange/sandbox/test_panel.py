from pathlib import Path

import numpy as np
import pytest

from hl_assets.exchange.sandbox.clock import parse_instant
from hl_assets.exchange.sandbox.errors import NoTruthError
from hl_assets.exchange.sandbox.panel import RecordedPanel
from hl_assets.exchange.sandbox.recording import Track, read_recording
from hl_assets.exchange.sandbox.source import BOARD_WINDOWS, PORTFOLIO_WINDOWS
from hl_assets_tests.exchange.sandbox.instants import DAY, points

A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
START = parse_instant("2026-01-01")
M = 1_000_000


def track(days: list[int], value: list[int], pnl: list[int]) -> Track:
    return Track(
        instants=START + np.array(days, dtype=np.int64) * DAY,
        account_value=np.array(value, dtype=np.int64) * M,
        pnl=np.array(pnl, dtype=np.int64) * M,
        volume=np.zeros(len(days), dtype=np.int64),
        names=tuple(f"name {day}" for day in days),
    )


@pytest.fixture
def panel() -> RecordedPanel:
    return RecordedPanel(
        {
            A: track([0, 1, 2, 3, 10], [1_000, 1_100, 2_100, 2_000, 1_900], [0, 100, 100, 0, 100]),
            B: track([0, 1], [50, 60], [5, 15]),
        }
    )


def test_only_what_was_recorded_up_to_now_exists(panel: RecordedPanel):
    assert panel.board_at(START - 1).addresses == []
    assert panel.portfolio_at(A, START - 1) is None
    early = panel.portfolio_at(A, START + DAY + 5)
    assert early["allTime"].instants[-1] == START + DAY
    assert early["allTime"].account_value.tolist() == [0, 1_000 * M, 1_100 * M]
    assert panel.board_at(START + DAY).names == ["name 1", "name 1"]


def test_a_wallet_leaves_the_board_two_days_after_its_last_sample(panel: RecordedPanel):
    assert set(panel.board_at(START + 3 * DAY).addresses) == {A, B}
    assert panel.board_at(START + 3 * DAY + 1).addresses == [A]
    assert panel.board_at(START + 6 * DAY).addresses == []
    assert panel.board_at(START + 10 * DAY).addresses == [A]
    assert panel.portfolio_at(B, START + 300 * DAY)["day"].instants.tolist() == [START + DAY]


def test_windows_begin_with_the_sample_at_or_before_their_start(panel: RecordedPanel):
    portfolio = panel.portfolio_at(A, START + 10 * DAY)
    assert tuple(portfolio) == PORTFOLIO_WINDOWS
    days = {name: ((portfolio[name].instants - START) // DAY).tolist() for name in BOARD_WINDOWS[:3]}
    assert days == {"day": [3, 10], "week": [3, 10], "month": [0, 1, 2, 3, 10]}
    assert portfolio["week"].pnl.tolist() == [0, 100 * M]
    exact = panel.portfolio_at(A, START + 3 * DAY)
    assert ((exact["day"].instants - START) // DAY).tolist() == [2, 3]


def test_all_time_opens_with_the_synthetic_zero_and_keeps_the_recorded_pnl(panel: RecordedPanel):
    every = panel.portfolio_at(B, START + DAY)["allTime"]
    assert every.instants.tolist() == [START - 3_600_000, START, START + DAY]
    assert every.pnl.tolist() == [0, 5 * M, 15 * M]


def test_board_figures_follow_the_exchanges_definitions(panel: RecordedPanel):
    board = panel.board_at(START + 3 * DAY)
    row = list(board.addresses).index(A)
    pnl, roi = board.pnl[row] / M, board.roi[row]
    assert board.account_value[row] == 2_000 * M
    assert pnl.tolist() == [-100, 0, 0, 0]
    assert roi[0] == pytest.approx(-100 / 2_100)
    small = list(board.addresses).index(B)
    assert board.pnl[small].tolist() == [0, 10 * M, 10 * M, 15 * M]
    assert board.roi[small].tolist() == [0, 0.1, 0.1, 0.15]
    assert not board.volume.any()


def test_all_time_is_thinned_weekly_then_fortnightly_and_keeps_what_other_windows_show():
    days = list(range(400))
    full = track(days, [100 + day for day in days], days)
    now = START + 399 * DAY
    shown = RecordedPanel({A: full}).portfolio_at(A, now)
    ages = (now - shown["allTime"].instants[1:]) // DAY
    steps = -np.diff(ages)
    assert set(steps[ages[1:] < 30].tolist()) == {1}
    assert set(steps[(ages[1:] > 40) & (ages[:-1] < 180)].tolist()) == {7}
    assert set(steps[ages[:-1] > 195].tolist()) == {14}
    every = points(shown, "allTime")
    for name in ("day", "week", "month"):
        window = points(shown, name)
        assert window.keys() <= every.keys()
        assert len({every[instant][1] - window[instant][1] for instant in window}) == 1
    assert RecordedPanel({A: full}, thin=False).portfolio_at(A, now)["allTime"].instants.size == 401


def test_thinning_keeps_the_same_old_points_later():
    days = list(range(0, 400, 3))
    panel = RecordedPanel({A: track(days, [100] * len(days), [0] * len(days))})
    early = points(panel.portfolio_at(A, START + 200 * DAY), "allTime")
    late = points(panel.portfolio_at(A, START + 399 * DAY), "allTime")
    old = {instant for instant in late if instant <= START + 160 * DAY}
    assert len(old) > 8
    assert old <= early.keys()


def test_no_truth_and_no_vaults_are_claimed(panel: RecordedPanel):
    assert panel.vaults_at(START) == []
    assert panel.truth_summaries() == []
    with pytest.raises(NoTruthError, match=A):
        panel.truth_at(A, START, None)


@pytest.fixture(scope="module")
def vaults(recorded_data: Path) -> RecordedPanel:
    return RecordedPanel(read_recording(next((recorded_data / "vault_panel").glob("*.csv.gz"))))


class TestRealVaults:
    def test_the_whole_recording_is_served(self, vaults: RecordedPanel):
        assert vaults.newest_ms == parse_instant("2026-05-31")
        board = vaults.board_at(vaults.newest_ms)
        assert 200 <= len(board.addresses) <= 215  # 200 a day, and those last seen a day or two before
        assert np.all(board.roi >= -1)
        assert np.all(board.account_value > 0)

    def test_every_vault_stitches_and_never_loses_more_than_everything(self, vaults: RecordedPanel):
        for wallet in vaults.wallets_at(vaults.newest_ms):
            portfolio = vaults.portfolio_at(wallet, vaults.newest_ms)
            every, month = points(portfolio, "allTime"), points(portfolio, "month")
            assert month.keys() <= every.keys()
            assert len({every[instant][1] - month[instant][1] for instant in month}) == 1
            value, pnl = portfolio["allTime"].account_value[1:], portfolio["allTime"].pnl[1:]
            gain = np.diff(pnl)
            flow = np.diff(value) - gain
            assert np.all(gain >= -(value[:-1] + np.maximum(flow, 0)))

    def test_an_earlier_now_hides_the_future(self, vaults: RecordedPanel):
        then = parse_instant("2026-04-10T15:00:00Z")
        for wallet in vaults.wallets_at(then)[:50]:
            for window in vaults.portfolio_at(wallet, then).values():
                assert window.instants[-1] <= then
