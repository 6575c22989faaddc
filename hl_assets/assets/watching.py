"""Wallets that somebody watches: the ledger of requests, and who is to be fetched whatever the board says.

Belongs here: writing and reading `watch_requests`, and the followed wallets of the newest `tracked_wallets`. Does not belong
here: deriving `tracked_wallets` (the asset), planning fetches (`assets.fetch_plan`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd

from hl_assets.schemas.tracking import WATCH_REQUESTS
from hl_assets.slots import slot_of
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries

_WATCHED_SQL = """
SELECT wallet, argMax(action, requested_at) AS newest, max(requested_at) AS newest_at
FROM watch_requests
WHERE requested_at <= {at:DateTime64(3, 'UTC')}
GROUP BY wallet
HAVING newest = 'watch'
ORDER BY wallet
"""
_NEWEST_SQL = "SELECT max(requested_at) FROM watch_requests WHERE wallet = {wallet:String} HAVING count() > 0"
_FOLLOWED_SQL = """
SELECT wallet, status
FROM tracked_wallets
WHERE as_of = (SELECT max(as_of) FROM tracked_wallets WHERE as_of < {slot:DateTime('UTC')})
ORDER BY wallet
"""


@dataclass(frozen=True)
class Followed:
    """Wallets that a slot follows beside its top.

    Attributes:
        watched: Watched by hand: fetched in every slot.
        lively: Tracked, active or off the board.
        resting: Tracked, dormant or wiped out.
    """

    watched: tuple[str, ...] = ()
    lively: tuple[str, ...] = ()
    resting: tuple[str, ...] = ()

    @property
    def wallets(self) -> set[str]:
        """All of them."""
        return {*self.watched, *self.lively, *self.resting}


def read_watched(store: Warehouse, at: datetime) -> pd.DataFrame:
    """The wallets watched at an instant: wallet, newest_at (the request)."""
    return store.read_frame(_WATCHED_SQL, {"at": at})[["wallet", "newest_at"]]


def read_followed(store: Warehouse, slot: datetime, now: datetime) -> Followed:
    """Whom a slot follows: who is watched now, and who was tracked in the newest slot before."""
    tracked = store.read_frame(_FOLLOWED_SQL, {"slot": slot})
    rests = tracked["status"].isin(["dormant", "wiped_out"])
    return Followed(
        watched=tuple(read_watched(store, now)["wallet"]),
        lively=tuple(tracked.loc[~rests, "wallet"]),
        resting=tuple(tracked.loc[rests, "wallet"]),
    )


def request_watch(
    store: Warehouse, wallet: str, action: Literal["watch", "unwatch"], *, now: datetime, origin: str
) -> None:
    """Store a request; it is later than every earlier one of the wallet, also with a clock that stands still.

    Args:
        store: The warehouse; the ledger must exist.
        wallet: Lower-case address.
        action: What is asked for.
        now: The present moment.
        origin: Of the database's rows.
    """
    newest = store.read_rows(_NEWEST_SQL, {"wallet": wallet})
    at = max(now, newest[0][0] + timedelta(milliseconds=1)) if newest else now
    entry = {
        "as_of": pd.Series([slot_of(at)], dtype="datetime64[s, UTC]"),
        "wallet": [wallet],
        "requested_at": [at],
        "action": [action],
        "origin": [origin],
    }
    append_entries(store, WATCH_REQUESTS, WATCH_REQUESTS.conform(entry))
