"""Which old slices may go: those that expired and that nothing published refers to.

Belongs here: pure functions over what is published. Does not belong here: reading it and removing (`maintenance.upkeep`),
the rules (`maintenance.rules`).

A slice refers to another when its `inputs` name the other's version; when it is the snapshot whose `board_as_of` is the
other's slot; or when it was made from the board of its own slot, which it reads without naming a version. An expired
slice stays as long as a slice that stays refers to it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.warehouse.manifest import Publication
from hl_assets.warehouse.slices import SliceKey

READ_THE_BOARD = ("portfolio_fetches", "tracked_wallets", "wallet_metrics")
"""Tables whose slots were made from the board that the same slot saw, which their `inputs` do not name."""

References = Mapping[SliceKey, Collection[SliceKey]]
"""Slice -> the slices that refer to it."""


@dataclass(frozen=True)
class Expiry:
    """What becomes of the expired slices.

    Attributes:
        removable: Those that may go.
        held: (table, referring table) -> how many expired slices of the one stay because slices of the other do.
    """

    removable: frozenset[SliceKey]
    held: Mapping[tuple[str, str], int]


def references(
    expired: Mapping[SliceKey, int],
    published: Collection[Publication],
    boards: Mapping[datetime, datetime],
) -> dict[SliceKey, set[SliceKey]]:
    """Who refers to the expired slices.

    Args:
        expired: Expired slice -> its version.
        published: Published slices that may refer to one of them, all tables of each slot together.
        boards: Slot of a snapshot -> slot under which its board's rows are stored.
    """
    of_version: dict[tuple[str, int], set[SliceKey]] = defaultdict(set)
    for key, version in expired.items():
        of_version[key[0], version].add(key)
    version_of = {(one.table_name, one.as_of): one.version for one in published}
    found: dict[SliceKey, set[SliceKey]] = defaultdict(set)
    for publication in published:
        source = (publication.table_name, publication.as_of)
        for name, version in publication.inputs.items():
            same_slot = (name, publication.as_of)
            # One version may be that of many slots (an import); then the one of the same slot is meant.
            if version_of.get(same_slot) == version:
                _add(found, expired, same_slot, source)
            else:
                for key in of_version.get((name, version), ()):
                    found[key].add(source)
        if publication.table_name in READ_THE_BOARD:
            _add(found, expired, (LEADERBOARD_SNAPSHOTS.name, publication.as_of), source)
        if publication.table_name == LEADERBOARD_SNAPSHOTS.name and publication.as_of in boards:
            _add(found, expired, (LEADERBOARD_ROWS.name, boards[publication.as_of]), source)
    return dict(found)


def _add(
    found: dict[SliceKey, set[SliceKey]], expired: Mapping[SliceKey, int], key: SliceKey, source: SliceKey
) -> None:
    if key in expired and key != source:
        found[key].add(source)


def removable(expired: Collection[SliceKey], referrers: References) -> Expiry:
    """The largest set of expired slices that nothing outside the set refers to, and what holds the rest.

    Args:
        expired: The expired slices.
        referrers: Who refers to them; slices that did not expire among them.
    """
    going = set(expired)
    refers_to: dict[SliceKey, set[SliceKey]] = defaultdict(set)
    for key, sources in referrers.items():
        for source in sources:
            refers_to[source].add(key)
    staying = sorted(source for source in refers_to if source not in going)
    held: Counter[tuple[str, str]] = Counter()
    while staying:
        source = staying.pop()
        for key in sorted(refers_to[source] & going):
            going.remove(key)
            held[key[0], source[0]] += 1
            staying.append(key)
    return Expiry(frozenset(going), dict(held))
