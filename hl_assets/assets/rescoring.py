"""Scoring stored slots again under another configuration, beside what they were published with.

Belongs here: going through the slots, and merging a configuration's rows into the slots' slices of `rescored_scores`. Does
not belong here: a slot's scores (`assets.score_inputs`, `assets.score_rows`), what the command line prints.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from hl_assets.assets.score_inputs import ScoringRules, read_history, read_inputs
from hl_assets.assets.score_rows import scored_rows
from hl_assets.assets.verdict import judge
from hl_assets.resources.warehouse import WarehouseSession
from hl_assets.schemas.contract import ContractError
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import RESCORED_SCORES, WALLET_SCORES
from hl_assets.warehouse.manifest import Publication

_SOURCES = (WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES)


@dataclass(frozen=True)
class Rescored:
    """What came of one slot.

    Attributes:
        slot: The slot.
        ranked: Wallets ranked.
        moved: Of the wallets ranked both ways, those whose rank differs from the published one.
        correlation: Spearman correlation of the two rankings; None with fewer than two wallets ranked both ways.
    """

    slot: datetime
    ranked: int
    moved: int
    correlation: float | None


def rescorable(
    session: WarehouseSession, start: datetime | None, end: datetime | None
) -> dict[datetime, Publication]:
    """Scored slots at or after `start` and before `end`, oldest first, with the publication of each."""
    return session.manifest.committed(WALLET_SCORES, start, end)


def rescore(
    session: WarehouseSession, rules: ScoringRules, name: str, slots: Mapping[datetime, Publication]
) -> Iterator[Rescored]:
    """Score slots under other rules and publish them in `rescored_scores`, one by one, oldest first.

    Oldest first, because a slot's trend reads the same configuration's earlier slots. A slot's slice holds every
    configuration's rows: those of others are kept, those of this one replaced. Two runs at once would lose one's rows of the
    slots that both write, so callers let one run at a time.

    Raises:
        ContractError: Rows break the contract of `rescored_scores`; the slots before are published.
    """
    for slot in sorted(slots):
        inputs = read_inputs(session.store, slot, slots[slot].origin)
        history = read_history(session.store, RESCORED_SCORES, rules, inputs)
        scored = scored_rows(inputs, history, rules).frame
        frame = RESCORED_SCORES.conform(scored.assign(config_name=name, config=rules.config.canonical_json()))
        verdict = judge([(RESCORED_SCORES, frame)])
        if not verdict.publishable:
            raise ContractError(verdict.summary)
        _publish(session, slot, frame, rules, inputs.origin)
        yield _compared(session, slot, frame)


def _publish(
    session: WarehouseSession, slot: datetime, frame: pd.DataFrame, rules: ScoringRules, origin: str
) -> None:
    """Replace this configuration's rows in the slot's slice."""
    stored = session.store.read_table(RESCORED_SCORES, as_of=slot)
    others = stored[stored["config_hash"] != rules.config.config_hash()]
    merged = frame if others.empty else pd.concat([others, frame], ignore_index=True)
    sources = [session.manifest.latest_slot(table, at_or_before=slot) for table in _SOURCES]
    inputs = {source.table_name: source.version for source in sources if source and source.as_of == slot}
    provenance = session.provenance(origin, inputs)
    session.publisher.replace_slice(RESCORED_SCORES, slot, RESCORED_SCORES.conform(merged), provenance)


def _compared(session: WarehouseSession, slot: datetime, frame: pd.DataFrame) -> Rescored:
    """How the new ranking differs from the published one."""
    columns = ["wallet", "calculated_rank"]
    published = session.store.read_table(WALLET_SCORES, as_of=slot, columns=columns)
    both = frame[columns].merge(published, on="wallet", suffixes=("", "_published")).dropna()
    ranks = both[["calculated_rank", "calculated_rank_published"]].astype("float64").rank().to_numpy()
    return Rescored(
        slot=slot,
        ranked=int(frame["is_eligible"].sum()),
        moved=int((both["calculated_rank"] != both["calculated_rank_published"]).sum()),
        correlation=float(np.corrcoef(ranks.T)[0, 1]) if len(both) > 1 else None,
    )
