"""Counter-based random numbers: the n-th number of any stream without the numbers before it.

A stream is a splitmix64 sequence (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): its n-th
output is the finaliser applied to `key + n * gamma`, so any element is reached in one step and vectorises over keys and
positions alike. Nothing here keeps state; the same arguments always give the same numbers.
"""

from enum import IntEnum

import numpy as np

from hl_assets.exchange.sandbox.arrays import FloatArray, HashArray, IntArray

Positions = IntArray | HashArray | int

_GAMMA = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1
_SHIFTS_AND_FACTORS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


class Stream(IntEnum):
    """What a wallet's random numbers are used for; one independent sequence each."""

    TRAITS = 1
    PATH = 2
    FLOW_TIMES = 3
    FLOW_SIZES = 4
    JUMP_TIMES = 5
    JUMP_SIZES = 6
    SPELL_GAPS = 7
    SPELL_LENGTHS = 8
    SPELL_VOLUMES = 9
    ADDRESS = 10
    NAME = 11
    SAMPLE_JITTER = 12
    SAMPLE_PATTERN = 13
    LEADER = 14


def finalise(words: HashArray) -> HashArray:
    """The splitmix64 finaliser, element by element."""
    mixed = words.copy()
    for shift, factor in _SHIFTS_AND_FACTORS:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def wallet_keys(seed: int, identities: HashArray) -> HashArray:
    """One 64-bit key per wallet, a function of the seed and the wallet's identity number alone."""
    root = finalise(np.array([seed & _WORD], dtype=np.uint64))
    return finalise(root + identities * np.uint64(_GAMMA))


def stream_keys(keys: HashArray, stream: Stream) -> HashArray:
    """Keys of one stream of each wallet."""
    salt = finalise(np.array([int(stream) * 0xD1342543DE82EF95 & _WORD], dtype=np.uint64))
    return finalise(keys ^ salt)


def words(keys: HashArray, positions: Positions) -> HashArray:
    """64 random bits at each position of each key's sequence (broadcasting)."""
    counters = np.atleast_1d(np.asarray(positions, dtype=np.uint64)) + np.uint64(1)
    return finalise(keys + counters * np.uint64(_GAMMA))


def uniforms(keys: HashArray, positions: Positions) -> FloatArray:
    """Uniform numbers in the open interval (0, 1)."""
    return ((words(keys, positions) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(keys: HashArray, positions: Positions) -> FloatArray:
    """Standard normal numbers: Box and Muller 1958 on the two halves of one word."""
    bits = words(keys, positions)
    radius = np.sqrt(-2.0 * np.log(((bits >> np.uint64(32)).astype(np.float64) + 0.5) * 2.0**-32))
    angle = (bits & np.uint64(0xFFFFFFFF)).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    return np.asarray(radius * np.cos(angle), dtype=np.float64)


def laplaces(keys: HashArray, positions: Positions) -> FloatArray:
    """Laplace numbers of mean 0 and variance 1 (kurtosis 6): the fat tail of jumps."""
    centred = uniforms(keys, positions) - 0.5
    return np.asarray(-np.sign(centred) * np.log1p(-2.0 * np.abs(centred)) / np.sqrt(2.0), dtype=np.float64)
