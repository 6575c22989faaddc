import numpy as np
import pytest

from hl_assets.exchange.sandbox.ledger import Ledger
from hl_assets.exchange.sandbox.path import Horizon
from hl_assets.exchange.sandbox.traits import FUTURE_DAYS, HISTORY_DAYS, NEVER, Traits, draw_traits
from hl_assets_tests.exchange.sandbox.instants import DAY, EPOCH_MS, HOUR, at

END_MS = EPOCH_MS + int(FUTURE_DAYS * DAY)


@pytest.fixture(scope="module")
def traits() -> Traits:
    return draw_traits(seed=11, wallets=2_000, epoch_ms=EPOCH_MS)


@pytest.fixture(scope="module")
def ledger(traits: Traits) -> Ledger:
    return Ledger(traits, Horizon(EPOCH_MS - round((HISTORY_DAYS + 30) * DAY)))


def wallets_where(condition: np.ndarray) -> list[int]:
    found = np.flatnonzero(condition)[:20].tolist()
    assert found, "the population has no such wallet"
    return found


def test_before_birth_there_is_nothing_and_at_birth_the_first_deposit(ledger: Ledger, traits: Traits):
    for wallet in range(20):
        born = int(traits.born_ms[wallet])
        state = ledger.at(*at(wallet, [born - 1, born]))
        assert state.account_value[0] == state.net_deposits[0] == state.epoch[0] == 0
        assert state.account_value[1] == pytest.approx(traits.capital[wallet] * 1e6, rel=1e-9, abs=1)
        assert state.net_deposits[1] == pytest.approx(traits.paid_in[wallet] * 1e6, rel=1e-9, abs=1)
        assert state.index[1] == pytest.approx(1.0)
        assert state.epoch[1] == 1


def test_between_flows_value_moves_with_the_index_alone(ledger: Ledger, traits: Traits):
    wallet = wallets_where(
        (traits.flow_gap == 20) & (traits.exit_ms > EPOCH_MS) & (traits.wipe_ms[:, 0] > EPOCH_MS)
    )[0]
    born = int(traits.born_ms[wallet])
    state = ledger.at(*at(wallet, np.arange(born, EPOCH_MS, HOUR)))
    calm = np.diff(state.net_deposits) == 0
    assert calm.any()
    assert not calm.all()
    value, index = np.diff(np.log(state.account_value)), np.diff(np.log(state.index))
    assert np.allclose(value[calm], index[calm], atol=1e-5)
    assert not np.allclose(value[~calm], index[~calm], atol=1e-3)


def test_a_flow_changes_value_and_net_deposits_but_not_pnl(ledger: Ledger, traits: Traits):
    wallet = wallets_where(
        (traits.flow_gap == 20) & (traits.exit_ms > END_MS) & (traits.wipe_ms[:, 0] > END_MS)
    )[0]
    born = int(traits.born_ms[wallet])
    low, high = born, born + 200 * DAY
    base = ledger.at(*at(wallet, [low])).net_deposits[0]
    while high - low > 1:  # bisect to the millisecond of the first flow
        middle = (low + high) // 2
        low, high = (
            (middle, high) if ledger.at(*at(wallet, [middle])).net_deposits[0] == base else (low, middle)
        )
    before, after = (ledger.at(*at(wallet, [instant])) for instant in (high - 1, high))
    flow = after.net_deposits[0] - before.net_deposits[0]
    assert abs(flow) > 0
    assert after.account_value[0] - before.account_value[0] == pytest.approx(flow, rel=1e-4)
    assert after.pnl[0] == pytest.approx(before.pnl[0], abs=1e-4 * abs(flow))


def test_a_wipe_out_leaves_exactly_nothing_and_books_the_loss(ledger: Ledger, traits: Traits):
    for wallet in wallets_where(traits.wipe_ms[:, 0] < END_MS):
        wipe = int(traits.wipe_ms[wallet, 0])
        before, after = (ledger.at(*at(wallet, [instant])) for instant in (wipe - 1, wipe))
        assert before.account_value[0] > 0
        assert after.account_value[0] == 0
        assert after.index[0] == 0
        assert after.net_deposits[0] == before.net_deposits[0]
        assert after.pnl[0] == before.pnl[0] - before.account_value[0]


def test_funding_again_starts_a_new_epoch_at_one(ledger: Ledger, traits: Traits):
    for wallet in wallets_where(traits.refund_ms[:, 0] < END_MS):
        refund = int(traits.refund_ms[wallet, 0])
        before, after = (ledger.at(*at(wallet, [instant])) for instant in (refund - 1, refund))
        assert before.account_value[0] == before.index[0] == 0
        assert after.index[0] == pytest.approx(1.0)
        assert after.epoch[0] == before.epoch[0] + 1
        assert after.account_value[0] == after.net_deposits[0] - before.net_deposits[0]
        assert after.pnl[0] == before.pnl[0]


def test_leaving_withdraws_without_a_loss_and_nothing_moves_afterwards(ledger: Ledger, traits: Traits):
    gone = (traits.exit_ms < EPOCH_MS) & (traits.stop_ms < NEVER) & (traits.refund_ms[:, 0] == NEVER)
    for wallet in wallets_where(gone & (traits.wipe_ms[:, 0] == NEVER)):
        leave = int(traits.exit_ms[wallet])
        state = ledger.at(*at(wallet, [leave - 1, leave, leave + 30 * DAY, END_MS]))
        assert state.account_value[1] < state.account_value[0]
        assert state.pnl[1] == pytest.approx(state.pnl[0], abs=1e-4 * state.account_value[0] + 2)
        assert len(set(state.account_value[1:].tolist())) == 1
        assert len(set(state.pnl[1:].tolist())) == 1


def test_leaving_with_nothing_left_is_exactly_zero(ledger: Ledger, traits: Traits):
    for wallet in wallets_where((traits.residual == 0) & (traits.exit_ms < EPOCH_MS)):
        assert ledger.at(*at(wallet, [EPOCH_MS])).account_value[0] == 0


def test_largest_net_deposits_equals_the_maximum_over_fine_steps(ledger: Ledger, traits: Traits):
    wallets = np.argsort(traits.flow_gap + (traits.born_ms > EPOCH_MS - 300 * DAY) * 1e6)[:40]
    span = 120 * DAY
    ends = EPOCH_MS - 100 * DAY + np.arange(wallets.size) * DAY
    largest = ledger.largest_net_deposits(wallets, ends - span, ends)
    assert np.count_nonzero(largest) > 10
    for wallet, end, found in zip(wallets.tolist(), ends.tolist(), largest.tolist(), strict=True):
        net = ledger.at(*at(wallet, np.arange(end - span, end + 1, 5 * 60_000))).net_deposits
        # Flows less than five minutes apart hide a peak from the steps, never the other way round.
        assert found >= (net - net[0]).max()
        assert found == pytest.approx((net - net[0]).max(), rel=0.05, abs=1)


def test_largest_net_deposits_does_not_depend_on_the_order_of_wallets(ledger: Ledger):
    wallets = np.arange(500, dtype=np.int64)
    start, end = np.full_like(wallets, EPOCH_MS - 30 * DAY), np.full_like(wallets, EPOCH_MS)
    forward = ledger.largest_net_deposits(wallets, start, end)
    backward = ledger.largest_net_deposits(wallets[::-1].copy(), start, end)
    assert forward.tolist() == backward[::-1].tolist()


def test_the_realised_skill_is_the_drawn_one(ledger: Ledger, traits: Traits):
    """Drift over volatility of daily log returns across many wallets recovers the mean skill and the variances."""
    alive = (traits.exit_ms > END_MS) & (traits.wipe_ms[:, 0] > END_MS) & (traits.born_ms < EPOCH_MS)
    wallets = np.flatnonzero(alive)
    days = np.arange(EPOCH_MS, EPOCH_MS + 720 * DAY, DAY)
    growth, spread = [], []
    for wallet in wallets:
        steps = np.diff(np.log(ledger.at(*at(int(wallet), days)).index))
        growth.append(steps.mean() * 365.25)
        spread.append(steps.std() * np.sqrt(365.25))
    assert wallets.size > 200
    assert np.median(np.array(spread) / traits.volatility[wallets]) == pytest.approx(1.0, abs=0.03)
    error = (np.array(growth) - traits.drift[wallets]) / traits.volatility[wallets]
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(wallets.size)
    assert error.std() == pytest.approx(np.sqrt(365.25 / 720), rel=0.15)
