"""`hl-assets watch` and `unwatch`: wallets to follow, by hand.

Belongs here: what these commands say. Does not belong here: the ledger (`assets.watching`), fetching.
"""

import sys
from datetime import UTC, datetime

from hl_assets.assets.watching import read_watched, request_watch
from hl_assets.cli.errors import CommandError
from hl_assets.exchange.addresses import normalize_address
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas.tracking import WATCH_REQUESTS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse


def watch(values: dict[str, object], address: str | None) -> None:
    """Follow a wallet, or print those watched."""
    settings = Settings.load(**values)
    wallet = None if address is None else normalize_address(address)
    with _opened(settings) as store:
        store.ensure_tables([WATCH_REQUESTS])
        watched = _watched(store)
        if wallet is None:
            sys.stdout.write("".join(f"{found}\n" for found in watched))
        elif wallet in watched:
            _say(f"{wallet} is watched already")
        else:
            request_watch(store, wallet, "watch", now=settings.now(), origin=settings.origin)
            follows = "the next slot fetches it" if settings.fetch_plan == "board" else _ONLY_TOP
            _say(f"{wallet} is watched: {follows}")


def unwatch(values: dict[str, object], address: str) -> None:
    """Follow a wallet no longer.

    Raises:
        CommandError: Nobody watches it.
    """
    settings = Settings.load(**values)
    wallet = normalize_address(address)
    with _opened(settings) as store:
        store.ensure_tables([WATCH_REQUESTS])
        if wallet not in _watched(store):
            raise CommandError(
                f"{wallet} is not watched (source {settings.source}); `hl-assets watch` prints those that are"
            )
        request_watch(store, wallet, "unwatch", now=settings.now(), origin=settings.origin)
        _say(f"{wallet} is no longer watched")


_ONLY_TOP = "it is tracked, but fetched only with FETCH_PLAN=board"
_END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)
"""A clock that stands still may be before requests already stored."""


def _watched(store: Warehouse) -> list[str]:
    return list(read_watched(store, _END_OF_TIME)["wallet"])


def _opened(settings: Settings) -> Warehouse:
    return Warehouse(warehouse_config(settings), comment={"command": "hl-assets"})


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
