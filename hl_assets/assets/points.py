"""From a portfolio answer to the points that are not stored yet.

Belongs here: shaping stitched points as rows, and telling new from known from contradicting ones. Does not belong here:
stitching (`equity`), fetching, publishing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from hl_assets.equity.amounts import differ_usd
from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.flags import flag_names
from hl_assets.equity.ragged import BoolArray
from hl_assets.equity.stitch import StitchedPoints, stitch_portfolio
from hl_assets.exchange.responses import PortfolioOutcome
from hl_assets.schemas.portfolio import PORTFOLIO_POINTS
from hl_assets.warehouse.connection import Warehouse

_SEGMENT = ["wallet", "scope", "segment"]
_IDENTITY = [*_SEGMENT, "ts"]

_KNOWN_SQL = """
SELECT wallet, scope, segment, ts, account_value AS known_account_value, pnl AS known_pnl
FROM portfolio_points
WHERE wallet IN {wallets:Array(String)} AND as_of < {slot:DateTime('UTC')} AND ts >= {since:DateTime64(3, 'UTC')}
"""


@dataclass(frozen=True)
class WalletPoints:
    """The points of one answer.

    Attributes:
        wallet: Address.
        frame: wallet, scope, segment, ts, account_value, pnl, observed_at.
        flags: What stitching met, prefixed with the scope where it is not `all`.
        error_kind: Why the points cannot be used, or None.
        error: The same for people.
    """

    wallet: str
    frame: pd.DataFrame
    flags: tuple[str, ...] = ()
    error_kind: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class PointCounts:
    """How many of a wallet's points are new, and how many of those contradict stored ones."""

    new: int
    contradictions: int


@dataclass(frozen=True)
class NewPoints:
    """The points to store.

    Attributes:
        frame: Rows of `portfolio_points`.
        by_wallet: Counts per wallet that has new points.
    """

    frame: pd.DataFrame
    by_wallet: Mapping[str, PointCounts]

    def counts(self, wallet: str) -> PointCounts:
        """Counts of one wallet; none if it has no new point."""
        return self.by_wallet.get(wallet, PointCounts(0, 0))


def read_points(outcome: PortfolioOutcome) -> WalletPoints:
    """The stitched points of an outcome; none for a failed or empty one.

    An answer whose series cannot be paired is not an answer: it becomes the wallet's failure, not the tick's.
    """
    if outcome.portfolio is None:
        return WalletPoints(outcome.wallet, _no_points())
    try:
        stitched = stitch_portfolio(outcome.portfolio)
    except EquityInputError as error:
        return WalletPoints(outcome.wallet, _no_points(), error_kind="unusable_series", error=str(error))
    scopes = [stitched.all, stitched.perp]
    frame = pd.concat([_rows(points, outcome.observed_at) for points in scopes], ignore_index=True)
    flags = [
        name if points.scope == "all" else f"{points.scope}_{name}"
        for points in scopes
        for name in flag_names(points.flags)
    ]
    return WalletPoints(outcome.wallet, frame, tuple(flags))


def new_points(store: Warehouse, slot: datetime, answers: Sequence[WalletPoints]) -> NewPoints:
    """The points that no earlier slot stored, and those that contradict what one did.

    A contradiction is stored beside the first value, marked; so it is stored once, not at every slot that repeats it.
    """
    frames = [answer.frame for answer in answers if not answer.frame.empty]
    if not frames:
        return NewPoints(PORTFOLIO_POINTS.empty(), {})
    candidates = pd.concat(frames, ignore_index=True)
    known = store.read_frame_of(
        _KNOWN_SQL,
        "wallets",
        sorted(set(candidates["wallet"])),
        {"slot": slot, "since": candidates["ts"].min().to_pydatetime()},
    )
    fresh = mark_new(continue_segments(candidates, known, slot), known).assign(as_of=slot)
    grouped = fresh.groupby("wallet")["contradicts"].agg(["size", "sum"])
    counts = {
        str(wallet): PointCounts(int(size), int(contradictions))
        for wallet, size, contradictions in grouped.itertuples(name=None)
    }
    return NewPoints(PORTFOLIO_POINTS.conform(fresh), counts)


def continue_segments(candidates: pd.DataFrame, known: pd.DataFrame, slot: datetime) -> pd.DataFrame:
    """Candidates whose segments that are not anchored continue stored ones, if they share an instant with one.

    The PnL of such a segment counts from a start that moves with every answer. At a shared instant the offset to the
    stored one is known: the answer's segment takes its name and its baseline. Otherwise it is a new one, named after its
    longest window and the slot. So a stored segment has one baseline, whichever answers its points came with.

    Args:
        candidates: wallet, scope, segment, ts, account_value, pnl, ...
        known: the same identity with known_account_value, known_pnl.
        slot: The slot of the answers.
    """
    loose = candidates[candidates["segment"] != ""]
    if loose.empty:
        return candidates
    stored = known[known["segment"] != ""].rename(columns={"segment": "stored_segment"})
    shared = loose.merge(stored.astype({"ts": loose["ts"].dtype}), on=["wallet", "scope", "ts"])
    shared = shared[~_differ(shared, "account_value")]
    newest = shared.loc[shared.groupby(_SEGMENT)["ts"].idxmax()]
    newest = newest.assign(offset=newest["known_pnl"] - newest["pnl"])[
        [*_SEGMENT, "stored_segment", "offset"]
    ]
    # Shared instants that disagree on the offset are no connection.
    rebased = shared.merge(newest, on=[*_SEGMENT, "stored_segment"])
    disagree = rebased.assign(pnl=rebased["pnl"] + rebased["offset"]).loc[lambda pairs: _differ(pairs, "pnl")]
    newest = newest.merge(disagree[_SEGMENT].drop_duplicates(), on=_SEGMENT, how="left", indicator=True)
    agreed = newest[newest["_merge"] == "left_only"].drop(columns="_merge")
    # Two segments of one answer disagree with each other, or they would be one: a stored one goes on with the first.
    agreed = agreed.drop_duplicates(["wallet", "scope", "stored_segment"])
    found = loose[_SEGMENT].merge(agreed, on=_SEGMENT, how="left").set_axis(loose.index)
    new_name = loose["segment"] + f" {slot:%Y-%m-%dT%H:%MZ}"
    result = candidates.copy()
    result.loc[loose.index, "segment"] = found["stored_segment"].fillna(new_name)
    result.loc[loose.index, "pnl"] += found["offset"].astype("float64").fillna(0.0)
    return result


def mark_new(candidates: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Candidates without a stored equal, with `contradicts` true where a stored point has another value.

    Args:
        candidates: wallet, scope, segment, ts, account_value, pnl, ...; segments as `continue_segments` leaves them.
        known: the same identity with known_account_value, known_pnl; several rows for a contradicted point.
    """
    known = known.astype({"ts": candidates["ts"].dtype})
    pairs = candidates.reset_index(names="candidate").merge(known, on=_IDENTITY, how="inner")
    differs = _differ(pairs, "account_value") | _differ(pairs, "pnl")
    stored = candidates.index.isin(pairs.loc[~differs, "candidate"])
    contradicts = candidates.index.isin(pairs["candidate"])
    return candidates.assign(contradicts=contradicts)[~stored].reset_index(drop=True)


def _differ(pairs: pd.DataFrame, column: str) -> BoolArray:
    return differ_usd(pairs[column].to_numpy(float), pairs[f"known_{column}"].to_numpy(float))


def _rows(points: StitchedPoints, observed_at: datetime) -> pd.DataFrame:
    names = np.array(points.segments, dtype=object)
    return pd.DataFrame(
        {
            "wallet": points.wallet,
            "scope": points.scope,
            "segment": names[points.segment],
            "ts": pd.to_datetime(points.ts_ms, unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            "account_value": points.account_value,
            "pnl": points.pnl,
            "observed_at": pd.Timestamp(observed_at),
        }
    )


def _no_points() -> pd.DataFrame:
    return PORTFOLIO_POINTS.empty().drop(columns=["as_of", "contradicts"])
