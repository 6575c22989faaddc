"""What a slot's scores are made of: the stored rows of the slot, and the earlier scores its trend needs.

Belongs here: reading them, for the default configuration and for any other, and the choices scores depend on. Does not
belong here: what is made of them (`assets.score_rows`), which slots are scored (`assets.wallet_scores`, `assets.rescoring`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.resources.scoring import entity_limits, scoring_config
from hl_assets.schemas.contract import RECONSTRUCTED, TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.schemas.vaults import VAULTS
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.entities import EntityLimits
from hl_assets.scoring.trend import RANK_REFERENCE_DAYS, THIN_SECONDS
from hl_assets.settings import Settings
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest

GRADE_SCORES = [f"{name}_score" for name in SCORED_METRICS]
_GRADE_COLUMNS = ["wallet", "status", "grade_source", "grader_version", *GRADE_SCORES]
_FETCH_COLUMNS = ["wallet", "status", "all_time_volume"]

# At most one row per wallet and 6 hours, so what is read does not grow with the number of slots. The same thinning as
# `scoring.trend`, whose own then leaves every score in place.
_EARLIER_SCORES_SQL = """
SELECT wallet, toInt64(toUnixTimestamp(max(as_of))) AS ts_s, argMax(weighted_score, as_of) AS score
FROM {table}
WHERE as_of >= {{start:DateTime('UTC')}} AND as_of < {{slot:DateTime('UTC')}}
    AND config_hash = {{config_hash:String}} AND origin = {{origin:String}} AND weighted_score IS NOT NULL
    AND wallet IN (SELECT wallet FROM wallet_metrics WHERE as_of = {{slot:DateTime('UTC')}})
GROUP BY wallet, intDiv(toUnixTimestamp({{slot:DateTime('UTC')}}) - toUnixTimestamp(as_of), {{thin:UInt32}})
"""
_REFERENCE_SLOT_SQL = """
SELECT as_of FROM {table}
WHERE as_of >= {{start:DateTime('UTC')}} AND as_of <= {{latest:DateTime('UTC')}}
    AND config_hash = {{config_hash:String}} AND origin = {{origin:String}}
ORDER BY as_of DESC LIMIT 1
"""


@dataclass(frozen=True)
class ScoringRules:
    """Every choice that scores of a slot depend on.

    Attributes:
        config: Weights, null metrics, eligibility.
        trend_days: Window of trend and rank change.
        limits: From where on a figure sets an entity flag.
        returns: Thresholds that the metrics were computed with.
    """

    config: ScoringConfig
    trend_days: float
    limits: EntityLimits
    returns: ReturnRules

    @classmethod
    def from_settings(cls, settings: Settings, config: ScoringConfig | None = None) -> "ScoringRules":
        """The settings' rules, or the same with another scoring configuration."""
        return cls(
            config=config or scoring_config(settings),
            trend_days=settings.trend_days,
            limits=entity_limits(settings),
            returns=ReturnRules(funding_floor=settings.funding_floor_usd),
        )


@dataclass(frozen=True)
class SlotInputs:
    """What is stored of a slot.

    Attributes:
        slot: The slot.
        origin: Where its facts come from.
        seen_until: Newest slot whose answers count: the slot itself, or a later one if it is reconstructed.
        metrics: Rows of `wallet_metrics`.
        grades: Their rows of `ai_grades`, in the same order; NaN where there is none.
        fetches: wallet, status and all_time_volume of the wallets that were wanted.
        vaults: Addresses on the list of vaults.
        vaults_as_of: That list's slot, the newest at or before `seen_until`; None if none is stored.
    """

    slot: datetime
    origin: str
    seen_until: datetime
    metrics: pd.DataFrame
    grades: pd.DataFrame
    fetches: pd.DataFrame
    vaults: frozenset[str]
    vaults_as_of: datetime | None


@dataclass(frozen=True)
class History:
    """What earlier slots said under the same configuration, from slots before this one only.

    Attributes:
        scores: wallet, ts_s, score; thinned.
        reference: Slot that ranks are compared with, None if there is none.
        ranks: calculated_rank in it, by wallet.
    """

    scores: pd.DataFrame
    reference: datetime | None
    ranks: "pd.Series[Any]"


def read_inputs(store: Warehouse, slot: datetime, origin: str) -> SlotInputs:
    """Everything that a slot's scores are made of, dated at or before it.

    Args:
        store: The warehouse.
        slot: The slot.
        origin: Where its facts come from; a reconstructed slot has no fetches of its own, its cohort stands for them.
    """
    fetches, seen_until = _wanted(store, slot, origin)
    metrics = store.read_table(WALLET_METRICS, as_of=slot)
    grades = store.read_table(AI_GRADES, as_of=slot, columns=_GRADE_COLUMNS)
    listed = Manifest(store).latest_slot(VAULTS, at_or_before=seen_until)
    vaults = (
        frozenset[str]()
        if listed is None
        else frozenset(store.read_table(VAULTS, as_of=listed.as_of, columns=["wallet"])["wallet"])
    )
    return SlotInputs(
        slot=slot,
        origin=origin,
        seen_until=seen_until,
        metrics=metrics,
        grades=grades.set_index("wallet").reindex(list(metrics["wallet"])),
        fetches=fetches,
        vaults=vaults,
        vaults_as_of=None if listed is None else listed.as_of,
    )


def _wanted(store: Warehouse, slot: datetime, origin: str) -> tuple[pd.DataFrame, datetime]:
    """wallet, status, all_time_volume of the wallets that a slot wanted, and the newest slot whose answers count."""
    if origin != RECONSTRUCTED:
        return store.read_table(PORTFOLIO_FETCHES, as_of=slot, columns=_FETCH_COLUMNS), slot
    cohort = store.read_table(RECONSTRUCTED_COHORTS, as_of=slot, columns=["wallet", "known_through"])
    # What they had traded by then was not observed.
    wanted = cohort[["wallet"]].assign(status="ok", all_time_volume=np.nan)
    return wanted, cohort["known_through"].max().to_pydatetime()


def read_history(store: Warehouse, table: TableContract, rules: ScoringRules, inputs: SlotInputs) -> History:
    """Earlier scores and ranks for trend and rank change; what was observed and what was reconstructed do not mix.

    Args:
        store: The warehouse.
        table: Where scores of this configuration are stored: `wallet_scores` or `rescored_scores`.
        rules: Configuration and window.
        inputs: The slot that is scored; only earlier ones of the same origin are read.
    """
    slot = inputs.slot
    start = slot - timedelta(days=rules.trend_days)
    about = {
        "start": start,
        "slot": slot,
        "config_hash": rules.config.config_hash(),
        "origin": inputs.origin,
    }
    name = ddl.identifier(table.name)
    scores = store.read_frame(_EARLIER_SCORES_SQL.format(table=name), {**about, "thin": THIN_SECONDS})
    latest = slot - timedelta(days=RANK_REFERENCE_DAYS)
    found = store.read_rows(_REFERENCE_SLOT_SQL.format(table=name), {**about, "latest": latest})
    reference = found[0][0] if found else None
    ranks = pd.DataFrame({"wallet": [], "calculated_rank": []})
    if reference is not None:
        ranks = store.read_table(
            table,
            as_of=reference,
            where={"config_hash": about["config_hash"]},
            columns=["wallet", "calculated_rank"],
        )
    return History(scores, reference, ranks.set_index("wallet")["calculated_rank"])
