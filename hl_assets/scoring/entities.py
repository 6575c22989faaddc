"""Entity flags: what an account may be other than a trader.

Belongs here: the flags, the limits that set them, and setting them. Does not belong here: where the facts come from (the
list of vaults, system addresses, volumes), hiding anybody.

A flag never changes a score or a rank. It says what a reader should know before taking the account for a person who
trades: pooled money, an address of the chain itself, an account that never traded, one whose curve is mostly deposits and
withdrawals, one whose gain is a single day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hl_assets.equity.ragged import BoolArray, FloatArray


class EntityFlag(StrEnum):
    """What an account may be other than a trader, in publishing order."""

    VAULT = "vault"
    SYSTEM_ADDRESS = "system_address"
    ZERO_VOLUME = "zero_volume"
    FLOW_DOMINATED = "flow_dominated"
    ONE_BIG_WIN = "one_big_win"


class EntityFilterError(ValueError):
    """A filter that names something that is no entity flag; the message lists those there are."""


@dataclass(frozen=True, slots=True)
class EntityLimits:
    """From where on a figure sets its flag.

    Attributes:
        flow_dominated: share of steps whose deposit or withdrawal is at least half of the capital at work.
        one_big_win: share of the total daily log return that the best day earned. On short or hardly profitable records
            chance alone reaches half of it often: a question to ask, not a verdict.
    """

    flow_dominated: float = 0.2
    one_big_win: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.flow_dominated <= 1 or not self.one_big_win > 0:
            raise ValueError(f"need 0 < flow_dominated <= 1 and one_big_win > 0, got {self}")

    def named(self) -> dict[str, float]:
        """Limit by flag."""
        return {
            EntityFlag.FLOW_DOMINATED.value: self.flow_dominated,
            EntityFlag.ONE_BIG_WIN.value: self.one_big_win,
        }


def entity_flags(
    *,
    is_vault: BoolArray,
    is_system_address: BoolArray,
    all_time_volume: FloatArray,
    share_flow_dominated: FloatArray,
    best_day_share: FloatArray,
    limits: EntityLimits | None = None,
) -> list[tuple[str, ...]]:
    """The flags of each wallet, in publishing order.

    An unknown figure (NaN) sets no flag: the flags say what is known, not what is not.

    Args:
        is_vault: bool[n], on the exchange's list of vaults.
        is_system_address: bool[n], an address of the chain itself.
        all_time_volume: float64[n], USD.
        share_flow_dominated: float64[n] in [0, 1], as in the catalogue.
        best_day_share: float64[n], as in the catalogue.
        limits: default `EntityLimits()`.

    Raises:
        ValueError: the lengths differ.
    """
    limits = limits or EntityLimits()
    set_by: Mapping[EntityFlag, BoolArray] = {
        EntityFlag.VAULT: is_vault,
        EntityFlag.SYSTEM_ADDRESS: is_system_address,
        EntityFlag.ZERO_VOLUME: all_time_volume == 0.0,
        EntityFlag.FLOW_DOMINATED: share_flow_dominated >= limits.flow_dominated,
        EntityFlag.ONE_BIG_WIN: best_day_share >= limits.one_big_win,
    }
    lengths = {len(where) for where in set_by.values()}
    if len(lengths) > 1:
        raise ValueError(f"the facts are about different numbers of wallets: {sorted(lengths)}")
    raised = np.column_stack([set_by[flag] for flag in EntityFlag])
    codes = raised @ (1 << np.arange(len(EntityFlag)))
    shared = {
        code: tuple(flag.value for bit, flag in enumerate(EntityFlag) if code >> bit & 1)
        for code in np.unique(codes).tolist()
    }
    return [shared[code] for code in codes.tolist()]


def parse_entity_filter(text: str) -> tuple[EntityFlag, ...]:
    """The flags that a comma-separated text names, in publishing order; `none`, alone, or an empty text names none.

    Raises:
        EntityFilterError: a name is no flag.
    """
    if text.strip() == "none":
        return ()
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(EntityFlag)]
    if unknown:
        raise EntityFilterError(
            f"no entity flag is called {', '.join(map(repr, unknown))}; there are {', '.join(EntityFlag)}, or none"
        )
    return tuple(flag for flag in EntityFlag if flag in names)
