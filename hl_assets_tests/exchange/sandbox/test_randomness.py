import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.exchange.sandbox.randomness import (
    Stream,
    laplaces,
    normals,
    stream_keys,
    uniforms,
    wallet_keys,
    words,
)

SPLITMIX64_SEED_1234567 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def key(value: int) -> np.ndarray:
    return np.array([value], dtype=np.uint64)


def test_words_are_the_published_splitmix64_sequence():
    assert words(key(1234567), np.arange(5)).tolist() == SPLITMIX64_SEED_1234567


@settings(deadline=None)
@given(seed=st.integers(0, 2**64 - 1), position=st.integers(0, 2**62))
def test_any_position_is_reached_without_the_others(seed: int, position: int):
    many = words(key(seed), np.arange(position, position + 3, dtype=np.uint64))
    assert words(key(seed), position + 2)[0] == many[2]


def test_uniforms_are_uniform_and_inside_the_open_interval():
    drawn = uniforms(key(5), np.arange(100_000))
    assert 0 < drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert np.all(np.abs(counts - 5_000) < 5 * np.sqrt(5_000))


def test_normals_have_normal_moments():
    drawn = normals(key(5), np.arange(200_000))
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((drawn**3).mean()) < 0.03
    assert abs((drawn**4).mean() - 3) < 0.1


def test_laplaces_have_unit_variance_and_fat_tails():
    drawn = laplaces(key(9), np.arange(200_000))
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.var() - 1) < 0.03
    assert 5 < (drawn**4).mean() < 7


def test_streams_and_wallets_are_uncorrelated():
    keys = wallet_keys(7, np.arange(20_000, dtype=np.uint64))
    path = normals(stream_keys(keys, Stream.PATH), 0)
    flows = normals(stream_keys(keys, Stream.FLOW_SIZES), 0)
    assert abs(np.corrcoef(path, flows)[0, 1]) < 0.03
    assert abs(np.corrcoef(path[:-1], path[1:])[0, 1]) < 0.03
    assert len(set(keys.tolist())) == keys.size
