"""The simulated population against the facts recorded about the real board, with tolerant bands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox import SandboxConfigError
from hl_assets.exchange.sandbox.arrays import CENTS, MICRO
from hl_assets.exchange.sandbox.errors import NoTruthError
from hl_assets.exchange.sandbox.names import HOSTILE_NAMES
from hl_assets.exchange.sandbox.population import BASELINE_FAULT_MS, SimulatedPopulation
from hl_assets.exchange.sandbox.source import BOARD_WINDOWS, PORTFOLIO_WINDOWS, Board, WindowSeries
from hl_assets.exchange.sandbox.specials import (
    PROTOCOL_VAULT_ADDRESS,
    PROTOCOL_VAULT_NAME,
    SYSTEM_ADDRESS,
    special_wallets,
)
from hl_assets_tests.exchange.sandbox.instants import DAY, EPOCH_MS, HOUR, NOW_MS, points


@pytest.fixture(scope="module")
def board(population: SimulatedPopulation) -> Board:
    return population.board_at(EPOCH_MS)


@pytest.fixture(scope="module")
def truths(population: SimulatedPopulation) -> dict[str, dict[str, object]]:
    return {str(row["wallet"]): dict(row) for row in population.truth_summaries()}


def quantiles(values: np.ndarray, *percent: float) -> list[float]:
    return np.percentile(values, percent).tolist()


def same(left: WindowSeries, right: WindowSeries) -> bool:
    columns = ("instants", "account_value", "pnl")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in columns)


@pytest.fixture(scope="module")
def portfolios(population: SimulatedPopulation, board: Board) -> list[tuple[str, dict[str, WindowSeries]]]:
    return [(wallet, dict(population.portfolio_at(wallet, NOW_MS))) for wallet in board.addresses[::25]]


class TestDistributions:
    def test_about_every_wallet_is_on_the_board_at_the_epoch(self, board: Board):
        assert 0.92 * 5_000 < len(board.addresses) < 0.97 * 5_000

    def test_account_values(self, board: Board):
        """Real: P10 0, P25 0.55, P50 995, P75 128,271, P99 7.2 M, max 13.3 B."""
        p10, p25, p50, p75, p99, highest = quantiles(board.account_value / MICRO, 10, 25, 50, 75, 99, 100)
        assert p10 == 0
        assert 0.05 < p25 < 10
        assert 400 < p50 < 4_000
        assert 80_000 < p75 < 200_000
        assert 3e6 < p99 < 2e7
        assert 1e9 < highest < 2e10

    def test_most_rows_are_quiet(self, board: Board):
        """Real: volume 0 for at least 75 % (day), 50 % (week), 25 % (month)."""
        quiet = dict(zip(BOARD_WINDOWS, (board.volume == 0).mean(axis=0), strict=True))
        assert 0.75 < quiet["day"] < 0.90
        assert 0.50 < quiet["week"] < 0.75
        assert 0.25 < quiet["month"] < 0.50

    def test_profits_and_returns(self, board: Board):
        """Real all-time: PnL P50 -251, min -128.9 M, max 445 M; ROI P1 -1, P50 -0.0043, P99 149."""
        lowest, median, highest = quantiles(board.pnl[:, 3] / MICRO, 0, 50, 100)
        assert -5e8 < lowest < -1e7
        assert -1_000 < median < 0
        assert 1e7 < highest < 1e9
        p1, p50, p99 = quantiles(board.roi[:, 3], 1, 50, 99)
        assert -1 <= p1 < -0.8
        assert -0.1 < p50 < 0
        assert p99 > 3
        assert board.roi.min() >= -1
        assert 0.3 < quantiles(board.roi[:, 2], 99)[0] < 2

    def test_everybody_on_the_board_belongs_there(self, board: Board):
        value, volume = board.account_value / MICRO, board.volume[:, 3] / CENTS
        assert np.all((value >= 100_000) | (volume >= 10_000_000))
        assert np.any((value >= 100_000) & (volume < 10_000_000))
        assert np.any((value < 100_000) & (volume >= 10_000_000))

    def test_order_is_month_volume_then_address(self, board: Board):
        volume = board.volume[:, 2]
        assert np.all(np.diff(volume) <= 0)
        tail = [
            address for address, traded in zip(board.addresses, volume.tolist(), strict=True) if traded == 0
        ]
        assert len(tail) > 1_000
        assert tail == sorted(tail)

    def test_names_are_as_rare_as_on_the_real_board(self, board: Board):
        named = sum(name is not None for name in board.names) / len(board.names)
        assert named == pytest.approx(1398 / 40471, abs=0.012)

    def test_vaults_are_few_and_some_are_closed(self, population: SimulatedPopulation, board: Board):
        vaults = population.vaults_at(EPOCH_MS)
        assert 0.01 * 5_000 < len(vaults) < 0.04 * 5_000
        assert any(vault.is_closed for vault in vaults)
        assert {vault.address for vault in vaults} & set(board.addresses)


class TestSpecials:
    def test_system_address_and_protocol_vault_are_on_the_board(self, small_population: SimulatedPopulation):
        board = small_population.board_at(EPOCH_MS)
        assert board.account_value[list(board.addresses).index(SYSTEM_ADDRESS)] == pytest.approx(
            1e16, rel=1e-6
        )
        vaults = {vault.address: vault for vault in small_population.vaults_at(EPOCH_MS)}
        protocol = vaults[PROTOCOL_VAULT_ADDRESS]
        assert protocol.name == PROTOCOL_VAULT_NAME
        assert protocol.relationship["type"] == "parent"
        assert sum(vault.relationship["type"] == "child" for vault in vaults.values()) == 2
        assert any(
            vault.name.split() == protocol.name.split() for vault in vaults.values() if vault is not protocol
        )

    def test_every_hostile_name_is_on_the_board_of_any_population(
        self, small_population: SimulatedPopulation
    ):
        assert set(HOSTILE_NAMES) <= set(small_population.board_at(EPOCH_MS).names)

    def test_a_busy_vault_has_more_points_in_a_day(self, small_population: SimulatedPopulation):
        day = small_population.portfolio_at(PROTOCOL_VAULT_ADDRESS, NOW_MS)["day"]
        assert 40 <= day.instants.size <= 50


class TestTime:
    def test_wallets_join_and_drop_off(self, population: SimulatedPopulation, board: Board):
        earlier = population.board_at(EPOCH_MS - 30 * DAY)
        joined, gone = (
            set(board.addresses) - set(earlier.addresses),
            set(earlier.addresses) - set(board.addresses),
        )
        assert len(joined) > 100
        assert len(gone) > 3
        assert len(population.board_at(EPOCH_MS + 700 * DAY).addresses) > len(board.addresses)
        assert not population.board_at(population.span_ms()[0]).addresses[5:]

    def test_the_same_seed_gives_the_same_answers_and_another_does_not(
        self, small_population: SimulatedPopulation
    ):
        again = SimulatedPopulation(wallets=100, seed=7, epoch_ms=EPOCH_MS)
        other = SimulatedPopulation(wallets=100, seed=8, epoch_ms=EPOCH_MS)
        wallet = small_population.board_at(NOW_MS).addresses[5]
        first, second = small_population.portfolio_at(wallet, NOW_MS), again.portfolio_at(wallet, NOW_MS)
        assert all(same(first[name], second[name]) for name in PORTFOLIO_WINDOWS)
        fixed = {special.address for special in special_wallets()}
        shared = set(other.board_at(NOW_MS).addresses) & set(again.board_at(NOW_MS).addresses)
        assert shared <= fixed

    def test_a_wallet_is_the_same_in_a_larger_population(
        self, small_population: SimulatedPopulation, population: SimulatedPopulation
    ):
        for wallet in small_population.board_at(EPOCH_MS).addresses[:40]:
            small, large = (
                small_population.portfolio_at(wallet, EPOCH_MS),
                population.portfolio_at(wallet, EPOCH_MS),
            )
            if small and large:
                assert all(same(small[name], large[name]) for name in PORTFOLIO_WINDOWS)

    @settings(max_examples=60, deadline=None)
    @given(row=st.integers(0, 90), first=st.integers(-200 * DAY, 0), later=st.integers(1, 200 * DAY))
    def test_a_later_fetch_shows_the_same_old_points(
        self, small_population: SimulatedPopulation, row: int, first: int, later: int
    ):
        addresses = small_population.board_at(EPOCH_MS - 200 * DAY).addresses
        wallet = addresses[row % len(addresses)]
        early = small_population.portfolio_at(wallet, EPOCH_MS + first)
        late = small_population.portfolio_at(wallet, EPOCH_MS + first + later)
        before, after = points(early, "allTime"), points(late, "allTime")
        shared = before.keys() & after.keys()
        assert len(shared) >= 2
        assert all(before[instant] == after[instant] for instant in shared)

    def test_only_the_last_point_is_the_instant_of_the_request(self, small_population: SimulatedPopulation):
        for wallet in small_population.board_at(EPOCH_MS).addresses[:30]:
            for window in small_population.portfolio_at(wallet, NOW_MS).values():
                assert window.instants[-1] == NOW_MS
                assert window.instants[-2] < NOW_MS


class TestPortfolio:
    def test_windows_stitch_exactly_at_every_shared_instant(self, portfolios):
        for _, portfolio in portfolios:
            every = points(portfolio, "allTime")
            for name in ("day", "week", "month"):
                window = points(portfolio, name)
                shared = sorted(window.keys() & every.keys())
                assert shared
                offsets = {every[instant][1] - window[instant][1] for instant in shared}
                assert len(offsets) == 1
                assert all(every[instant][0] == window[instant][0] for instant in shared)
            assert portfolio["day"].pnl[0] == portfolio["week"].pnl[0] == portfolio["month"].pnl[0] == 0

    def test_neighbouring_windows_share_as_many_points_as_recorded(self, portfolios):
        """Recorded: all day points are in week, 20 week points in month, 4 to 30 month points in allTime."""
        for _, portfolio in portfolios:
            day, week, month, every = (set(portfolio[name].instants.tolist()) for name in BOARD_WINDOWS)
            if len(every) < 30 or len(day) > 15:
                continue
            assert day <= week
            assert 18 <= len(week & month) <= 22
            assert 3 <= len(month & every) <= 37

    def test_account_values_are_never_negative_and_all_time_opens_with_the_synthetic_zero(self, portfolios):
        for _, portfolio in portfolios:
            every = portfolio["allTime"]
            assert every.account_value[0] == every.pnl[0] == 0
            assert every.instants[1] - every.instants[0] == 3_600_000
            for window in portfolio.values():
                assert np.all(window.account_value >= 0)
                assert np.all(np.diff(window.instants) > 0)

    def test_flows_are_the_difference_of_value_and_pnl(self, portfolios):
        """Between samples without a flow, value and PnL move alike to the micro-dollar; with one they do not."""
        flows = np.concatenate([np.diff(p["month"].account_value - p["month"].pnl) for _, p in portfolios])
        assert 0.01 < np.mean(np.abs(flows) > MICRO) < 0.2
        assert np.mean(flows == 0) > 0.75

    def test_wipe_outs_are_real_zeros(self, portfolios):
        assert any(np.any(p["allTime"].account_value[1:] == 0) for _, p in portfolios)

    def test_perp_scope_equals_the_whole_for_perp_only_wallets_and_is_smaller_for_spot_holders(
        self, population: SimulatedPopulation, portfolios
    ):
        kinds = set()
        for wallet, portfolio in portfolios:
            traits = population.truth_at(wallet, NOW_MS, None).traits
            share = traits["spot_share"]
            kinds.add(share > 0)
            if share == 0:
                assert all(
                    same(portfolio[n], portfolio[f"perp{n[0].upper()}{n[1:]}"]) for n in BOARD_WINDOWS[:3]
                )
            else:
                whole, perp = portfolio["week"], portfolio["perpWeek"]
                assert np.allclose(perp.account_value, whole.account_value * (1 - share), atol=1)
                assert np.allclose(perp.pnl, whole.pnl * (1 - share), atol=2)
        assert kinds == {True, False}

    def test_some_old_accounts_have_the_perp_baseline_fault(self, population: SimulatedPopulation, truths):
        old = [wallet for wallet, row in truths.items() if row["born_ms"] < BASELINE_FAULT_MS - 30 * DAY][
            :150
        ]
        faulty = 0
        for wallet in old:
            portfolio = population.portfolio_at(wallet, NOW_MS)
            perp, whole = portfolio["perpAllTime"], portfolio["allTime"]
            if perp.instants[0] == BASELINE_FAULT_MS:
                faulty += 1
                assert perp.account_value[1] == perp.pnl[1] > 0
                assert perp.account_value[0] == perp.pnl[0] == 0
                assert perp.pnl[1] != whole.pnl[np.flatnonzero(whole.instants == perp.instants[1])[0]]
        assert 0.05 < faulty / len(old) < 0.3

    def test_the_board_and_the_portfolio_agree(self, population: SimulatedPopulation, board: Board):
        for row in range(0, len(board.addresses), 200):
            every = population.portfolio_at(board.addresses[row], EPOCH_MS)["allTime"]
            assert every.account_value[-1] == board.account_value[row]
            assert every.pnl[-1] == board.pnl[row, 3]
            assert every.volume == board.volume[row, 3]

    def test_an_unknown_or_unborn_wallet_has_none(self, population: SimulatedPopulation, truths):
        assert population.portfolio_at("0x" + "9" * 40, NOW_MS) is None
        wallet, row = next((w, r) for w, r in truths.items() if r["born_ms"] > EPOCH_MS)
        assert population.portfolio_at(wallet, row["born_ms"] - 1) is None
        newborn = population.portfolio_at(wallet, row["born_ms"])
        assert newborn["allTime"].instants.tolist() == [row["born_ms"] - HOUR, row["born_ms"]]


class TestTruth:
    def test_the_published_flow_adjusted_product_is_the_true_index(
        self, population: SimulatedPopulation, board: Board
    ):
        """Over 20-minute steps, the product of 1 + dP / (AV before + max(F, 0)) is the index the ledger holds."""
        tested = 0
        for wallet in board.addresses[::60]:
            grid = np.arange(EPOCH_MS - 60 * DAY, EPOCH_MS, 20 * 60_000, dtype=np.int64)
            truth = population.truth_at(wallet, EPOCH_MS, grid)
            if truth.epoch[0] != truth.epoch[-1] or truth.epoch[0] == 0 or not truth.funded.all():
                continue
            state = population._state_at(population._number[wallet], grid)
            value, pnl = state.account_value.astype(float), state.pnl.astype(float)
            if value.min() < 100 * MICRO:
                continue
            gain = np.diff(pnl)
            base = value[:-1] + np.maximum(np.diff(value) - gain, 0)
            index = np.prod(1 + gain / base)
            assert index == pytest.approx(truth.index[-1] / truth.index[0], rel=0.01)
            tested += 1
        assert tested > 20

    def test_truth_is_given_at_the_published_instants_by_default(
        self, population: SimulatedPopulation, board: Board
    ):
        wallet = board.addresses[3]
        truth = population.truth_at(wallet, NOW_MS, None)
        portfolio = population.portfolio_at(wallet, NOW_MS)
        shown = set().union(*(portfolio[name].instants.tolist() for name in BOARD_WINDOWS))
        assert set(truth.instants.tolist()) == shown - {int(portfolio["allTime"].instants[0])}
        assert truth.skill == pytest.approx(truth.drift / truth.volatility)

    def test_nothing_is_known_of_strangers(self, population: SimulatedPopulation):
        with pytest.raises(NoTruthError, match="0x99"):
            population.truth_at("0x" + "9" * 40, NOW_MS, None)


@pytest.mark.parametrize("wallets", [0, 19, 50_001])
def test_population_size_is_checked(wallets: int):
    with pytest.raises(SandboxConfigError, match=str(wallets)):
        SimulatedPopulation(wallets, 1, EPOCH_MS)
