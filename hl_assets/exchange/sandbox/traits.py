"""Who the simulated wallets are: birth, capital, skill, habits and end of each, drawn once from the seed.

A wallet's traits depend on the seed and its identity number alone, so a wallet is the same in a population of 100 and of
50,000. Identities below `wallets` are born before the epoch, with births growing 6 % a month as the real board did in
2026; later ones join at a steady 2 % of the population a month. What the traits do over time is in `ledger.py` (money)
and `volume.py` (trading); the distributions aim at the facts recorded about the real board of 2026-07-12.

Skill is the annual Sharpe ratio of the log index (drift over total volatility): 95 % of the wallets draw it from a normal
distribution of mean -0.15 and standard deviation 0.5, 5 % from one of mean 2.0 and standard deviation 0.7. The Sharpe
ratio of simple returns, which most estimators aim at, is larger by half the volatility.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hl_assets.exchange.sandbox.arrays import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    BoolArray,
    FloatArray,
    HashArray,
    IntArray,
    whole,
)
from hl_assets.exchange.sandbox.randomness import Stream, normals, stream_keys, uniforms, wallet_keys

NEVER = 1 << 60
"""An instant no clock reaches: "does not happen"."""

HISTORY_DAYS = 1095.75
FUTURE_DAYS = 730.5
_LATER_IDENTITY = 1 << 40
_GROWTH_DAYS = 30.4375 / 0.06
_LATER_BIRTHS_A_MONTH = 0.02
_MAX_CAPITAL = 1.4e10
_MAX_DRIFT = 1.2
_SKILLED_SHARE = 0.05


class Archetype(IntEnum):
    """What kind of account a wallet is."""

    HOLDER = 0  # wealthy and quiet: on the board for its value
    WHALE = 1  # wealthy and trading
    TRADER = 2  # on the board for its all-time volume, whatever is left in it
    VAULT = 3  # a user vault
    SYSTEM = 4  # an address of the exchange itself
    PROTOCOL_VAULT = 5  # the exchange's own market-making vault and its children


@dataclass(frozen=True, slots=True)
class Habits:
    """What tells one archetype from another; gaps in days, capital in US dollars."""

    share: float
    flow_gap: float
    flow_spread: float
    volatility: float
    life_days: float
    wipe_rate: float  # a year
    turnover: float  # of capital, per trading spell
    cadence: tuple[float, float, float]  # shares trading daily, weekly, monthly; the rest never trade


HABITS: dict[Archetype, Habits] = {
    Archetype.HOLDER: Habits(0.14, 60, 0.20, 0.45, 3000, 0.005, 0.3, (0.0, 0.0, 0.45)),
    Archetype.WHALE: Habits(0.12, 20, 0.25, 0.55, 2500, 0.02, 3.0, (0.25, 0.40, 0.30)),
    Archetype.TRADER: Habits(0.72, 20, 0.35, 0.65, 650, 0.13, 6.0, (0.20, 0.36, 0.44)),
    Archetype.VAULT: Habits(0.02, 12, 0.25, 0.60, 900, 0.06, 4.0, (0.30, 0.40, 0.20)),
}
_SPELL_GAP_DAYS = (0.3, 6.0, 18.0)
_SPELL_LENGTH_DAYS = (5.0, 0.2, 0.3)


class Draw(IntEnum):
    """Position of each trait in a wallet's trait stream."""

    ARCHETYPE = 0
    BIRTH = 1
    CAPITAL = 2
    VOLATILITY = 3
    SKILL = 4
    SKILLED = 5
    CADENCE = 6
    LIFE = 7
    EXIT = 8
    RESIDUAL = 9
    WIPE_1 = 10
    REFUND_1 = 11
    WIPE_2 = 12
    REFUND_2 = 13
    REFUND_SIZE_1 = 14
    REFUND_SIZE_2 = 15
    INITIAL_VOLUME = 16
    INITIAL_LENGTH = 17
    SPOT = 18
    SPOT_SHARE = 19
    GIFTED = 20
    GIFT_PAID = 21
    BASELINE_FAULT = 22
    FIRST_SAMPLE = 23
    PHASE = 24
    FLAT = 25


@dataclass(slots=True)
class Traits:
    """One value per wallet, shape (wallets,). Instants in ms, money in US dollars, times in days, rates a year."""

    keys: HashArray
    archetype: IntArray
    born_ms: IntArray
    exit_ms: IntArray
    stop_ms: IntArray  # the index stands still from here: nothing but cash is left
    residual: FloatArray  # left in the account at its exit
    capital: FloatArray
    paid_in: FloatArray  # of the first capital; the rest is booked as PnL (airdrops)
    volatility: FloatArray
    skill: FloatArray
    flow_gap: FloatArray
    flow_spread: FloatArray
    spell_gap: FloatArray
    spell_length: FloatArray
    spell_volume: FloatArray
    initial_volume: FloatArray
    initial_days: FloatArray
    wipe_ms: IntArray  # (wallets, 2)
    refund_ms: IntArray  # (wallets, 2)
    refund_size: FloatArray  # (wallets, 2)
    spot_share: FloatArray
    baseline_fault: BoolArray
    sample_delay_ms: IntArray
    phase_ms: IntArray
    busy: BoolArray

    @property
    def drift(self) -> FloatArray:
        """Growth of the log index a year."""
        return self.skill * self.volatility


def draw_traits(seed: int, wallets: int, epoch_ms: int) -> Traits:
    """Traits of every wallet: `wallets` born before the epoch and those that join in the two years after it."""
    identities = _identities(wallets)
    keys = wallet_keys(seed, identities)
    dice = _Dice(keys)
    archetype = _archetypes(dice)
    born = _births(dice, identities, epoch_ms)
    capital = _capital(dice, archetype)
    skill = _skill(dice)
    volatility = _volatility(dice, archetype, capital, skill)
    wipe, refund = _wipes(dice, archetype, born)
    exit_ms, residual = _exits(dice, archetype, born)
    wipe, refund = _before_exit(wipe, refund, exit_ms)
    gap, length, volume = _spells(dice, archetype, capital)
    gifted = (dice.uniform(Draw.GIFTED) < 0.05) & (archetype != Archetype.TRADER)
    return Traits(
        keys=keys,
        archetype=archetype,
        born_ms=born,
        exit_ms=exit_ms,
        stop_ms=np.where(dice.uniform(Draw.FLAT) < 0.8, exit_ms, NEVER),
        residual=residual,
        capital=capital,
        paid_in=np.where(gifted, 80.0 * dice.uniform(Draw.GIFT_PAID), capital),
        volatility=volatility,
        skill=skill,
        flow_gap=np.where(gifted, np.inf, _habit(archetype, "flow_gap")),
        flow_spread=_habit(archetype, "flow_spread"),
        spell_gap=gap,
        spell_length=length,
        spell_volume=volume,
        initial_volume=np.where(
            archetype == Archetype.TRADER, 1.0001e7 * dice.uniform(Draw.INITIAL_VOLUME) ** -0.7, 0.0
        ),
        initial_days=1.0 - 8.0 * np.log(dice.uniform(Draw.INITIAL_LENGTH)),
        wipe_ms=wipe,
        refund_ms=refund,
        refund_size=_refund_sizes(dice, capital),
        spot_share=_spot_shares(dice, archetype),
        baseline_fault=dice.uniform(Draw.BASELINE_FAULT) < 0.2,
        sample_delay_ms=whole(25 * HOUR_MS * dice.uniform(Draw.FIRST_SAMPLE) ** 3),
        phase_ms=MINUTE_MS * whole(np.floor(20 * dice.uniform(Draw.PHASE))),
        busy=np.zeros(keys.shape, dtype=np.bool_),
    )


class _Dice:
    """The trait stream of all wallets."""

    def __init__(self, keys: HashArray) -> None:
        self._stream = stream_keys(keys, Stream.TRAITS)

    def uniform(self, draw: Draw) -> FloatArray:
        return uniforms(self._stream, int(draw))

    def normal(self, draw: Draw) -> FloatArray:
        return normals(self._stream, int(draw))


def _identities(wallets: int) -> HashArray:
    later = int(np.ceil(wallets * _LATER_BIRTHS_A_MONTH * FUTURE_DAYS / 30.4375))
    now = np.arange(wallets, dtype=np.uint64)
    return np.concatenate([now, np.arange(later, dtype=np.uint64) + np.uint64(_LATER_IDENTITY)])


def _habit(archetype: IntArray, name: str) -> FloatArray:
    table = [float(getattr(HABITS[kind], name)) if kind in HABITS else np.nan for kind in Archetype]
    return np.array(table)[archetype]


def _archetypes(dice: _Dice) -> IntArray:
    edges = np.cumsum([HABITS[kind].share for kind in HABITS])[:-1]
    return np.asarray(np.searchsorted(edges, dice.uniform(Draw.ARCHETYPE)), dtype=np.int64)


def _births(dice: _Dice, identities: HashArray, epoch_ms: int) -> IntArray:
    """Ages at the epoch fall off exponentially (growth), later births come evenly."""
    chance = dice.uniform(Draw.BIRTH)
    reach = 1.0 - np.exp(-HISTORY_DAYS / _GROWTH_DAYS)
    ages = -_GROWTH_DAYS * np.log(1.0 - chance * reach)
    days = np.where(identities >= _LATER_IDENTITY, chance * FUTURE_DAYS, -ages)
    return epoch_ms + whole(days * DAY_MS)


def _capital(dice: _Dice, archetype: IntArray) -> FloatArray:
    """Wealthy accounts: Pareto with exponent 0.9 from 130,000 USD; traders and vaults: log-normal."""
    wealthy = 1.3e5 * dice.uniform(Draw.CAPITAL) ** (-1 / 0.9)
    modest = 10.0 ** (3.35 + 1.1 * dice.normal(Draw.CAPITAL))
    vaults = 10.0 ** (4.4 + 0.9 * dice.normal(Draw.CAPITAL))
    rich = (archetype == Archetype.HOLDER) | (archetype == Archetype.WHALE)
    capital = np.where(rich, wealthy, np.where(archetype == Archetype.VAULT, vaults, modest))
    return np.minimum(capital, _MAX_CAPITAL)


def _skill(dice: _Dice) -> FloatArray:
    skilled = dice.uniform(Draw.SKILLED) < _SKILLED_SHARE
    normal = dice.normal(Draw.SKILL)
    return np.where(skilled, 2.0 + 0.7 * normal, -0.15 + 0.5 * normal)


def _volatility(dice: _Dice, archetype: IntArray, capital: FloatArray, skill: FloatArray) -> FloatArray:
    """Log-normal around the archetype's, smaller for fortunes, and such that the drift stays below 120 % a year."""
    scale = _habit(archetype, "volatility") * np.exp(0.5 * dice.normal(Draw.VOLATILITY))
    scaled = np.clip(scale, 0.05, 2.5) * np.maximum(capital / 1e6, 1.0) ** -0.35
    return np.minimum(scaled, _MAX_DRIFT / np.maximum(np.abs(skill), 1e-9))


def _wipes(dice: _Dice, archetype: IntArray, born: IntArray) -> tuple[IntArray, IntArray]:
    """Up to two wipe-outs at the archetype's hazard; 60 % are funded again after some three weeks."""
    mean_days = 365.25 / _habit(archetype, "wipe_rate")
    wipes, refunds, since = [], [], born
    for wipe_draw, refund_draw in ((Draw.WIPE_1, Draw.REFUND_1), (Draw.WIPE_2, Draw.REFUND_2)):
        wipe = since + _days(3.0 - mean_days * np.log(dice.uniform(wipe_draw)))
        chance = dice.uniform(refund_draw)
        refund = np.where(chance < 0.6, wipe + _days(0.1 - 20 * np.log(chance / 0.6 + 1e-12)), NEVER)
        wipes.append(np.where(since >= NEVER, NEVER, wipe))
        refunds.append(np.where(since >= NEVER, NEVER, refund))
        since = refunds[-1]
    return np.stack(wipes, axis=1), np.stack(refunds, axis=1)


def _exits(dice: _Dice, archetype: IntArray, born: IntArray) -> tuple[IntArray, FloatArray]:
    """When an account is given up, and what is left in it: nothing, dust or a small rest."""
    life = 10.0 - _habit(archetype, "life_days") * np.log(dice.uniform(Draw.LIFE))
    kind, size = dice.uniform(Draw.EXIT), dice.uniform(Draw.RESIDUAL)
    dust, rest = 10.0 ** (-3.0 + 3.2 * size), 10.0 ** (0.3 + 3.0 * size)
    residual = np.where(kind < 0.32, 0.0, np.where(kind < 0.9, dust, rest))
    return born + _days(life), residual


def _before_exit(wipe: IntArray, refund: IntArray, exit_ms: IntArray) -> tuple[IntArray, IntArray]:
    """Nobody is wiped out or funds again after leaving."""
    wipe = np.where(wipe < exit_ms[:, None], wipe, NEVER)
    refund = np.where((refund < exit_ms[:, None]) & (wipe < NEVER), refund, NEVER)
    return wipe, refund


def _spells(
    dice: _Dice, archetype: IntArray, capital: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gap and length in days of trading spells and their typical volume; an infinite gap never trades."""
    shares = np.array([HABITS[kind].cadence if kind in HABITS else (0.0, 0.0, 0.0) for kind in Archetype])
    cadence = (dice.uniform(Draw.CADENCE)[:, None] >= np.cumsum(shares, axis=1)[archetype]).sum(axis=1)
    gaps, lengths = np.array([*_SPELL_GAP_DAYS, np.inf]), np.array([*_SPELL_LENGTH_DAYS, 0.1])
    return gaps[cadence], lengths[cadence], np.maximum(capital * _habit(archetype, "turnover"), 1000.0)


def _refund_sizes(dice: _Dice, capital: FloatArray) -> FloatArray:
    shares = np.stack([dice.uniform(Draw.REFUND_SIZE_1), dice.uniform(Draw.REFUND_SIZE_2)], axis=1)
    return np.maximum(capital[:, None] * (0.1 + shares), 20.0)


def _spot_shares(dice: _Dice, archetype: IntArray) -> FloatArray:
    """Part of the account outside the perpetuals: 60 % of holders and 15 % of the others have one."""
    has = dice.uniform(Draw.SPOT) < np.where(archetype == Archetype.HOLDER, 0.6, 0.15)
    share = np.minimum(dice.uniform(Draw.SPOT_SHARE) * 1.1, 1.0)
    return np.where(has & (archetype != Archetype.VAULT), share, 0.0)


def _days(days: FloatArray) -> IntArray:
    return whole(np.minimum(days, 1e6) * DAY_MS)
