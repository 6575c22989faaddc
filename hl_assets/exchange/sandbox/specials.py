"""The few wallets every population has: a system address, the protocol's vaults, an impostor, hostile display names.

They take the first identities. Only what makes them special is set here; everything else stays as drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS
from hl_assets.exchange.sandbox.names import HOSTILE_NAMES
from hl_assets.exchange.sandbox.traits import HISTORY_DAYS, NEVER, Archetype, Traits

SYSTEM_ADDRESS = "0x2000000000000000000000000000000000000000"
PROTOCOL_VAULT_ADDRESS = "0xdfc24b077bc1425ad1dea75bcb6f8158e10df303"
PROTOCOL_VAULT_NAME = "Hyperliquidity Provider (HLP)"
_CHILDREN = (
    ("0x010461c14e146ac35fe42271bdc1134ee31c703a", "HLP Strategy A"),
    ("0x2e3d94f0562703b25c83308a05046ddaf9a8dd14", "HLP Liquidator"),
)
_NORMAL = {"type": "normal"}


@dataclass(frozen=True, slots=True)
class Special:
    """A wallet that is not left to chance. None keeps what was drawn."""

    archetype: Archetype
    capital: float
    name: str | None = None
    address: str | None = None
    display_name: str | None = None
    skill: float | None = None
    volatility: float | None = None
    trades: bool = True
    busy: bool = False
    relationship: Mapping[str, object] = field(default_factory=lambda: _NORMAL)


def special_wallets() -> tuple[Special, ...]:
    """The wallets of the first identities, in order."""
    children = [address for address, _ in _CHILDREN]
    parent = {"type": "parent", "data": {"childAddresses": children}}
    return (
        Special(Archetype.SYSTEM, 1.0e10, address=SYSTEM_ADDRESS, skill=0.0, volatility=1e-9, trades=False),
        _protocol_vault(PROTOCOL_VAULT_ADDRESS, PROTOCOL_VAULT_NAME, 1.9e8, parent),
        *(_protocol_vault(address, name, 6.0e7, {"type": "child"}) for address, name in _CHILDREN),
        Special(Archetype.VAULT, 2.5e5, name="Hyperliquidity Provider  (HLP)"),
        *(
            Special(Archetype.WHALE, 4.0e5 + 2.5e5 * i, display_name=text)
            for i, text in enumerate(HOSTILE_NAMES)
        ),
    )


def make_special(traits: Traits, epoch_ms: int) -> tuple[Special, ...]:
    """Overwrite the first wallets' traits in place; returns who they are.

    All are on the board at the epoch: born before it, never given up, never wiped out.
    """
    specials = special_wallets()
    for wallet, special in enumerate(specials):
        _overwrite(traits, wallet, special, epoch_ms)
    return specials


def _protocol_vault(address: str, name: str, capital: float, relationship: Mapping[str, object]) -> Special:
    return Special(
        Archetype.PROTOCOL_VAULT,
        capital,
        name=name,
        address=address,
        skill=2.5,
        volatility=0.06,
        trades=False,
        busy=True,
        relationship=relationship,
    )


def _overwrite(traits: Traits, wallet: int, special: Special, epoch_ms: int) -> None:
    ours = special.archetype in (Archetype.SYSTEM, Archetype.PROTOCOL_VAULT)
    oldest = epoch_ms - int(HISTORY_DAYS * DAY_MS)
    born = int(traits.born_ms[wallet])
    traits.archetype[wallet] = special.archetype
    traits.born_ms[wallet] = oldest + wallet * DAY_MS if ours else min(born, epoch_ms - 45 * DAY_MS)
    traits.exit_ms[wallet] = traits.stop_ms[wallet] = NEVER
    traits.wipe_ms[wallet] = traits.refund_ms[wallet] = NEVER
    traits.capital[wallet] = traits.paid_in[wallet] = special.capital
    traits.flow_gap[wallet] = _flow_gap(special)
    traits.flow_spread[wallet] = 0.004 if special.busy else 0.05
    traits.initial_volume[wallet] = 0.0 if not special.trades else 2.0e7
    traits.spot_share[wallet] = 0.0
    traits.busy[wallet] = special.busy
    if special.skill is not None:
        traits.skill[wallet] = special.skill
    if special.volatility is not None:
        traits.volatility[wallet] = special.volatility
    if not special.trades:
        traits.spell_gap[wallet] = np.inf


def _flow_gap(special: Special) -> float:
    if special.archetype is Archetype.SYSTEM:
        return float(np.inf)
    return 0.4 if special.busy else 20.0
