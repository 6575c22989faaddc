import numpy as np
import pytest

from hl_assets.exchange.sandbox.path import Horizon
from hl_assets.exchange.sandbox.traits import FUTURE_DAYS, HISTORY_DAYS, Archetype, Traits, draw_traits
from hl_assets.exchange.sandbox.volume import VolumeLedger
from hl_assets_tests.exchange.sandbox.instants import DAY, EPOCH_MS, at


@pytest.fixture(scope="module")
def traits() -> Traits:
    return draw_traits(seed=11, wallets=1_000, epoch_ms=EPOCH_MS)


@pytest.fixture(scope="module")
def volume(traits: Traits) -> VolumeLedger:
    return VolumeLedger(traits, Horizon(EPOCH_MS - round((HISTORY_DAYS + 30) * DAY)))


def test_volume_never_falls_and_begins_at_zero(volume: VolumeLedger, traits: Traits):
    for wallet in range(60):
        born = int(traits.born_ms[wallet])
        end = EPOCH_MS + int(FUTURE_DAYS * DAY)
        series = volume.at(*at(wallet, [born - 1, *range(born, end, 3 * DAY // 2)]))
        assert series[0] == 0
        assert np.all(np.diff(series) >= 0)


def test_traders_reach_ten_million_dollars_within_their_first_spell(volume: VolumeLedger, traits: Traits):
    for wallet in np.flatnonzero(traits.archetype == Archetype.TRADER)[:50].tolist():
        done = int(traits.born_ms[wallet] + traits.initial_days[wallet] * DAY) + 1
        assert volume.at(*at(wallet, [done]))[0] >= 10_000_000 * 100


def test_nothing_is_traded_between_a_wipe_out_and_funding_again(volume: VolumeLedger, traits: Traits):
    ruined = np.flatnonzero((traits.refund_ms[:, 0] < EPOCH_MS) & (traits.spell_gap < np.inf))
    assert ruined.size > 5
    for wallet in ruined[:30].tolist():
        wipe, refund = int(traits.wipe_ms[wallet, 0]), int(traits.refund_ms[wallet, 0])
        settled = (
            wipe + (refund - wipe) // 2
        )  # a spell that began before the wipe-out may still be running out
        if settled > wipe + 20 * DAY:
            series = volume.at(*at(wallet, [settled, refund]))
            assert series[0] == series[1]


def test_nobody_starts_to_trade_after_leaving(volume: VolumeLedger, traits: Traits):
    gone = np.flatnonzero(traits.exit_ms < EPOCH_MS - 90 * DAY)
    assert gone.size > 50
    before = volume.at(gone, traits.exit_ms[gone] + 60 * DAY)
    after = volume.at(gone, np.full(gone.shape, EPOCH_MS + 300 * DAY))
    assert np.mean(before == after) > 0.99
