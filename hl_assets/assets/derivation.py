"""What a derivation is: how the rows of a slot come from tables upstream.

Belongs here: the values that derived assets hand to `assets.reconcile`. Does not belong here: which slots are
derived, publishing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from hl_assets.checks.results import Coverage, Finding
from hl_assets.schemas.contract import RECONSTRUCTED, TableContract
from hl_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class SlotTask:
    """A slot to derive, and what from.

    Attributes:
        slot: The slot.
        origin: Where its facts come from; every row of the slot carries it.
        inputs: Upstream table -> published version.
    """

    slot: datetime
    origin: str
    inputs: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_reconstructed(self) -> bool:
        """Whether nothing was observed in the slot, so that it is made from histories fetched later."""
        return self.origin == RECONSTRUCTED


@dataclass(frozen=True)
class Derived:
    """What deriving one slot gave.

    Attributes:
        frame: Rows of the target table.
        others: Rows of the derivation's other tables, in their order; published together with `frame`.
        coverage: How many of the wallets made it.
        findings: What the target's own checks found.
        metadata: Facts worth showing beside the materialisation.
        draw: Makes PNG pictures by name; called for the newest slot of a run only.
    """

    frame: pd.DataFrame
    coverage: Coverage
    others: Sequence[pd.DataFrame] = ()
    findings: Sequence[Finding] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[], Mapping[str, bytes]] = dict


@dataclass(frozen=True)
class Lineage:
    """Which tables a derived table comes from, slot by slot.

    Attributes:
        target: The derived table, which checks and metadata are about.
        upstream: The tables it is derived from; a slot is derivable when all of them have it.
        reconstructed_from: The tables instead of `upstream` for a slot that was not observed; none: such a slot is not
            derived. A slot that has both is derived from what was observed.
        others: Further tables of the same slots, published, judged and withdrawn together with the target.
        newest_only: Whether a day keeps its newest slot only; earlier ones are withdrawn once it is published.
        reads_own_past: Whether a slot reads the target's earlier slots; the day is derived oldest first then.
    """

    target: TableContract
    upstream: tuple[TableContract, ...]
    reconstructed_from: tuple[TableContract, ...] = ()
    others: tuple[TableContract, ...] = ()
    newest_only: bool = False
    reads_own_past: bool = False

    @property
    def tables(self) -> tuple[TableContract, ...]:
        """Every table that is published, the target first."""
        return (self.target, *self.others)

    @property
    def sources(self) -> tuple[TableContract, ...]:
        """Every table that is read slot by slot."""
        return tuple(dict.fromkeys((*self.upstream, *self.reconstructed_from)))


@dataclass(frozen=True)
class Derivation:
    """How the rows of a derived table are made.

    Attributes:
        lineage: Its tables.
        derive: Rows of one slot, read from the warehouse.
        prepare: Called once with the stale slots, oldest first, before they are derived.
    """

    lineage: Lineage
    derive: Callable[[Warehouse, SlotTask], Derived]
    prepare: Callable[[Warehouse, Sequence[SlotTask]], None] | None = None
