import numpy as np
import pytest

from hl_assets.exchange.sandbox.traits import HABITS, NEVER, Archetype, draw_traits
from hl_assets_tests.exchange.sandbox.instants import DAY, EPOCH_MS


def test_a_wallet_is_the_same_in_any_population():
    small, large = (draw_traits(7, wallets, EPOCH_MS) for wallets in (100, 3_000))
    for name in (
        "keys",
        "archetype",
        "born_ms",
        "exit_ms",
        "capital",
        "volatility",
        "skill",
        "wipe_ms",
        "spot_share",
    ):
        assert np.array_equal(getattr(small, name)[:100], getattr(large, name)[:100]), name


def test_another_seed_gives_other_wallets():
    first, second = (draw_traits(seed, 100, EPOCH_MS) for seed in (1, 2))
    assert not np.any(first.keys == second.keys)
    assert not np.any(first.skill == second.skill)


def test_shares_of_archetypes_are_as_stated():
    assert sum(habits.share for habits in HABITS.values()) == pytest.approx(1)
    drawn = draw_traits(7, 20_000, EPOCH_MS).archetype
    for archetype, habits in HABITS.items():
        assert np.mean(drawn == archetype) == pytest.approx(habits.share, abs=0.01)
    assert not np.isin(drawn, [Archetype.SYSTEM, Archetype.PROTOCOL_VAULT]).any()


def test_skill_is_near_zero_with_a_small_skilled_tail():
    skill = draw_traits(7, 20_000, EPOCH_MS).skill
    assert np.median(skill) == pytest.approx(-0.11, abs=0.03)
    assert np.mean(skill > 1.5) == pytest.approx(0.038, abs=0.006)
    assert np.mean(skill < -1.5) < 0.01


def test_births_before_the_epoch_grow_and_later_ones_come_evenly():
    traits = draw_traits(7, 20_000, EPOCH_MS)
    ages = (EPOCH_MS - traits.born_ms[:20_000]) / DAY
    assert ages.min() > 0
    assert ages.max() < 1096
    assert np.count_nonzero(ages < 100) > 2.5 * np.count_nonzero((ages > 500) & (ages < 600)) / 1.1
    later = (traits.born_ms[20_000:] - EPOCH_MS) / DAY
    assert later.size == pytest.approx(0.48 * 20_000, rel=0.01)
    assert np.histogram(later, bins=4, range=(0, 730.5))[0].std() < 150


def test_wipe_outs_and_fundings_come_in_order_and_before_leaving():
    traits = draw_traits(7, 5_000, EPOCH_MS)
    wipe, refund = traits.wipe_ms, traits.refund_ms
    assert np.all((refund > wipe) | (refund == NEVER))
    assert np.all((wipe[:, 1] > refund[:, 0]) | (wipe[:, 1] == NEVER))
    assert np.all((wipe < traits.exit_ms[:, None]) | (wipe == NEVER))
    assert np.all((refund < traits.exit_ms[:, None]) | (refund == NEVER))
    assert np.all(wipe[refund < NEVER] < NEVER)
    assert 0.4 < np.mean(refund[wipe[:, 0] < EPOCH_MS, 0] < NEVER) < 0.7
