"""Which wallets a slot asks for: the top of its board, or a plan over the whole of it.

Belongs here: reading what is stored about every wallet, and handing it to the planner. Does not belong here: the rules of
picking (`exchange.selection`, `exchange.planner`), fetching (`assets.portfolio_histories`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from hl_assets.assets.watching import Followed, read_followed
from hl_assets.exchange.planner import (
    MOVE_FLOOR_USD,
    MOVE_SHARE,
    REASONS,
    FloatArray,
    PlanRules,
    WalletStates,
    plan_fetches,
)
from hl_assets.exchange.selection import TopN
from hl_assets.slots import SLOT
from hl_assets.warehouse.connection import Warehouse

_LOOK_BACK = timedelta(days=30)
"""Answers older than this are forgotten: the wallet counts as never answered."""
_RANK_SPAN = timedelta(days=1)
"""A wallet's score ranks over this long tell how certain its rank is."""

_FOLLOW_HOURS = 1.0
"""A tracked wallet that still does something is fetched when its data are this old."""

_ANSWERS = """
SELECT wallet, maxOrNullIf(observed_at, status != 'failed') AS answered_at,
    if(argMax(status, as_of) = 'failed', max(observed_at), NULL) AS failed_at
FROM portfolio_fetches
WHERE as_of >= {look_back:DateTime('UTC')} AND as_of < {slot:DateTime('UTC')}
GROUP BY wallet
"""

# Of each wallet: the boards since the oldest answer that matters, the one that its newest answer saw (or the first there is),
# and the first later one that differs from it. A board is dated by the slot that first saw it.
_BOARDS_SQL = f"""
SELECT wallet,
    arraySort(groupArray((as_of, account_value, all_time_pnl))) AS boards,
    greatest(arrayLastIndex(b -> b.1 <= any(answered_at), boards), 1) AS seen,
    arrayFirst(
        b -> b.1 > boards[seen].1 AND greatest(abs(b.2 - boards[seen].2), abs(b.3 - boards[seen].3))
            > greatest({{share:Float64}} * abs(boards[seen].2), {{floor:Float64}}),
        boards
    ).1 AS moved_at,
    boards[1].1 AS shown_at
FROM leaderboard_rows LEFT JOIN ({_ANSWERS}) AS answers USING (wallet)
WHERE as_of >= {{since:DateTime('UTC')}} AND as_of <= {{slot:DateTime('UTC')}}
GROUP BY wallet
"""  # noqa: S608 - constants of this module
_MOVES_SQL = f"SELECT wallet, moved_at, shown_at FROM ({_BOARDS_SQL})"  # noqa: S608

# How far a wallet's rank moves within a day is how uncertain it is; by one rank alone that is unknown.
_RANKS_SQL = """
SELECT wallet, toFloat64(argMax(calculated_rank, as_of)) AS score_rank,
    stddevSamp(calculated_rank) AS score_rank_error
FROM wallet_scores
WHERE as_of >= {since:DateTime('UTC')} AND as_of < {slot:DateTime('UTC')} AND calculated_rank IS NOT NULL
    AND origin != 'reconstructed'
GROUP BY wallet
"""


@dataclass(frozen=True)
class Selection:
    """The wallets a slot asks for, the most urgent first, and why each.

    Attributes:
        reasons: Wallet -> `portfolio_fetches.selected_by`, in the order to ask.
        facts: What is worth showing of the choice.
    """

    reasons: Mapping[str, str]
    facts: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Wallet -> place in the order, from 1."""
        return {wallet: rank for rank, wallet in enumerate(self.reasons, start=1)}


def select_top(rule: TopN, board: pd.DataFrame) -> Selection:
    """The top of the board by one measure, best first."""
    return Selection(dict.fromkeys(rule.select(board), rule.name))


def select_stored(fetches: pd.DataFrame) -> Selection:
    """The choice that a slot made before: running it again asks for the same wallets."""
    ordered = fetches.sort_values("selection_rank")
    return Selection(dict(zip(ordered["wallet"], ordered["selected_by"], strict=True)))


def select_planned(
    store: Warehouse,
    slot: datetime,
    now: datetime,
    board: pd.DataFrame,
    *,
    rule: TopN,
    rules: PlanRules,
    weight_left: int,
) -> Selection:
    """The plan over the whole board with what is left of the budget.

    Args:
        store: The warehouse.
        slot: The slot; only what earlier slots stored counts as known, and the board that the slot saw.
        now: The present moment.
        board: Rows of the board, with `wallet` and the rule's column.
        rule: What picks the top.
        rules: What the plan promises.
        weight_left: Request weight that may be spent in this slot.
    """
    traders = replace(rule, count=len(board)).select(board)
    states = read_states(store, slot, now, traders, rules=rules, followed=read_followed(store, slot, now))
    plan = plan_fetches(states, weight_left, rules)
    names = {"top": rule.name}
    counts = {f"planned_{reason}": plan.reasons.count(reason) for reason in REASONS}
    backlog = {"wallets_known": len(states), "wallets_due": plan.n_due, "wallets_moved": plan.n_moved}
    return Selection(
        {
            wallet: names.get(reason, reason)
            for wallet, reason in zip(plan.wallets, plan.reasons, strict=True)
        },
        {**counts, **backlog, "weight_left": weight_left, "weight_planned": plan.weight},
    )


def read_states(
    store: Warehouse,
    slot: datetime,
    now: datetime,
    ranked: Sequence[str],
    *,
    rules: PlanRules,
    followed: Followed,
) -> WalletStates:
    """What is stored about the wallets of a board and those followed, as of a slot.

    Watched wallets are to be fetched in every slot. Tracked ones that still do something are once an hour, as often as
    the board would show them; those at rest are wallets like others.

    Nothing stores cohorts yet, so no wallet is a member of one.

    Args:
        store: The warehouse.
        slot: The slot; its own fetches do not count.
        now: The moment that ages are counted to.
        ranked: Traders of the board, best first.
        rules: Say how old an answer may be before moves since then no longer matter.
        followed: Whom the slot follows.
    """
    bound = {"slot": slot, "look_back": slot - _LOOK_BACK}
    answers = store.read_frame(_ANSWERS, bound)
    moves = store.read_frame(
        _MOVES_SQL,
        {
            **bound,
            # Beyond that age a wallet is due anyway; the hour before holds the board that its answer saw.
            "since": slot - timedelta(hours=rules.max_age_hours + 1) - SLOT,
            "share": MOVE_SHARE,
            "floor": MOVE_FLOOR_USD,
        },
    )
    scores = store.read_frame(_RANKS_SQL, {"slot": slot, "since": slot - _RANK_SPAN})
    rank = pd.Series(np.arange(1.0, len(ranked) + 1), index=list(ranked), name="rank")
    wallets = pd.Index(sorted({*ranked, *followed.wallets}), name="wallet")
    known = pd.DataFrame(index=wallets).join(
        [rank, *(frame.set_index("wallet") for frame in (answers, moves, scores))]
    )
    answered = known["answered_at"].notna()
    shown = pd.to_datetime(known["shown_at"], utc=True)
    age = _hours(known["answered_at"].where(answered, shown), now)
    moved = pd.to_datetime(known["moved_at"], utc=True)
    moved = moved.where(moved > pd.Timestamp(0, tz="UTC"))  # ClickHouse's zero: no board differs
    return WalletStates(
        wallets=wallets.to_numpy(dtype=np.str_),
        rank=known["rank"].to_numpy(np.float64),
        age_hours=np.nan_to_num(age),  # followed before any board of ours showed it
        answered=answered.to_numpy(np.bool_),
        moved_hours=np.minimum(_hours(moved, now), age),
        failed_hours=_hours(known["failed_at"], now),
        tracked=wallets.isin(followed.watched) | (wallets.isin(followed.lively) & ~(age < _FOLLOW_HOURS)),
        score_rank=known["score_rank"].to_numpy(np.float64),
        score_rank_error=known["score_rank_error"].to_numpy(np.float64),
        cohort=np.zeros(len(wallets), dtype=np.bool_),
    )


def _hours(instants: "pd.Series[pd.Timestamp]", now: datetime) -> FloatArray:
    """Hours from each instant to now, not below 0; NaN where there is none."""
    elapsed = pd.Timestamp(now) - pd.to_datetime(instants, utc=True)
    return np.asarray((elapsed.dt.total_seconds() / 3600).clip(lower=0), dtype=np.float64)
