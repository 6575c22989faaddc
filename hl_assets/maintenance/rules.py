"""The RETENTION setting: which tables forget their old slices, and after how long.

Belongs here: parsing and judging it. Does not belong here: which slices may go (`maintenance.expiry`), removing them
(`maintenance.upkeep`).
"""

import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract

LEAST_DAYS = 2
"""Today's and yesterday's slots still change."""

NEVER_REMOVED: Mapping[str, str] = {
    "portfolio_points": "the exchange thins its own history, so a point cannot be fetched again, and every later curve needs it",
    "vaults": "the scores of every later slot of a day read its list, which is small",
}
"""Tables that are published in slices and must stay whole, and why."""

_LEDGER = (
    "it is a ledger of what happened once: money spent and the cache of answers, or what people asked for"
)
_ENTRY = re.compile(r"(?P<table>[a-z][a-z0-9_]*)\s*=\s*(?P<days>[^:\s]+)\s*(:\s*(?P<thinned>\S+))?")
_SHAPE = "write TABLE=DAYS, or TABLE=DAYS:daily to keep each day's last slot, e.g. wallet_metrics=30:daily,equity_curves=7"


class RetentionError(ValueError):
    """RETENTION cannot be used; the message names the entry and what to write instead."""


@dataclass(frozen=True)
class RetentionRule:
    """What one table forgets.

    Attributes:
        table: The table.
        days: Whole UTC days that stay complete, today not counted.
        keep_daily: Whether the last slot of each older day stays for ever.
    """

    table: str
    days: int
    keep_daily: bool = False

    def first_kept(self, now: datetime) -> datetime:
        """The instant from which on every slot stays."""
        today = datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)
        return today - timedelta(days=self.days)

    def expired(self, slots: AbstractSet[datetime], now: datetime) -> set[datetime]:
        """The published slots of the table that the rule lets go; never the newest of all.

        Args:
            slots: Its published slots, UTC.
            now: The present moment.
        """
        first_kept = self.first_kept(now)
        old = {slot for slot in slots if slot < first_kept}
        stays = {max(slots)} if slots else set()
        if self.keep_daily:
            last_of_day = {slot.date(): slot for slot in sorted(old)}
            stays |= set(last_of_day.values())
        return old - stays


def parse_retention(text: str, least_days: Mapping[str, float] | None = None) -> dict[str, RetentionRule]:
    """Rules by table.

    Args:
        text: `TABLE=DAYS` or `TABLE=DAYS:daily`, separated by commas; empty: nothing is ever removed.
        least_days: Table -> days that later slots look back on it.

    Raises:
        RetentionError: Not of this shape, an unknown table or one that must stay, a table named twice, or too few days.
    """
    rules: dict[str, RetentionRule] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        rule = _rule(entry)
        if rule.table in rules:
            raise RetentionError(f"{rule.table} is named twice")
        _judge(rule, (least_days or {}).get(rule.table, 0.0))
        rules[rule.table] = rule
    return rules


def _rule(entry: str) -> RetentionRule:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise RetentionError(f"{entry!r} is no rule; {_SHAPE}")
    days, thinned = found["days"], found["thinned"]
    if not days.isdecimal():
        raise RetentionError(f"{entry!r}: {days!r} is not a whole, positive number of days; {_SHAPE}")
    if thinned not in {None, "daily"}:
        raise RetentionError(f"{entry!r}: {thinned!r} is not known; {_SHAPE}")
    return RetentionRule(found["table"], int(days), keep_daily=thinned is not None)


def _judge(rule: RetentionRule, looked_back: float) -> None:
    contract = {table.name: table for table in TABLES}.get(rule.table)
    if contract is None:
        names = ", ".join(table.name for table in TABLES if why_never_removed(table) is None)
        raise RetentionError(f"there is no table {rule.table!r}; those that may forget are {names}")
    reason = why_never_removed(contract)
    if reason is not None:
        raise RetentionError(f"{rule.table} is never removed: {reason}; leave it out")
    least = max(LEAST_DAYS, math.ceil(looked_back) + 1 if looked_back else 0)
    if rule.days < least:
        raise RetentionError(
            f"{rule.table}={rule.days} is too short: new slots still need it for {least} days; give at least {least}"
        )


def why_never_removed(contract: TableContract) -> str | None:
    """Why a table must stay whole, None if it may forget."""
    return _LEDGER if contract.storage == "ledger" else NEVER_REMOVED.get(contract.name)
