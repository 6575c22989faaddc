"""Steps from the tables of one version to those of the next: ordered, recorded, forward only.

Belongs here: the list of migrations, the steps they consist of, and which of them a database still needs. Does not belong here:
carrying them out (`upgrade`), creating tables and replacing views, which follows the contracts by itself (`schema_changes`).

Adding one: append a `Migration` with the next number to `MIGRATIONS`, in the commit that changes the contract. It names tables and types
as they are at that moment, not by contract, because contracts go on changing. Each step may be repeated and does nothing
where its result is already there: a migration that was interrupted is carried out again from its beginning. One that has been
released is never edited (its digest is recorded, and compared): append another one instead.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from hl_assets.warehouse.ddl import Layout, identifier
from hl_assets.warehouse.errors import MigrationHistoryError
from hl_assets.warehouse.schema_changes import StoredTable

Stored = Mapping[str, StoredTable]


class Step(Protocol):
    """One step of a migration."""

    def statements(self, stored: Stored, layout: Layout) -> list[str]:
        """SQL that carries it out; nothing where it is done or has nothing to work on."""
        ...

    def applied_to(self, stored: Stored) -> dict[str, StoredTable]:
        """What is stored after it, to plan what comes next."""
        ...


@dataclass(frozen=True)
class AddColumn:
    """A column more; rows that are stored have the default of its type, NULL if it may be unknown.

    Attributes:
        table: Table that stores the rows, `x__versions` or `x__entries`; on a cluster its `__local` tables change with it.
        column: The column.
        kind: Its ClickHouse type.
    """

    table: str
    column: str
    kind: str

    def statements(self, stored: Stored, layout: Layout) -> list[str]:
        """One ALTER for each table that lacks the column."""
        return [
            f"ALTER TABLE {identifier(name)}{layout.on_cluster} "
            f"ADD COLUMN IF NOT EXISTS {identifier(self.column)} {self.kind}"
            for name in self._lacking(stored)
        ]

    def applied_to(self, stored: Stored) -> dict[str, StoredTable]:
        """The tables with the column."""
        with_it = {
            name: replace(stored[name], columns={**stored[name].columns, self.column: (self.kind, "")})
            for name in self._lacking(stored)
        }
        return {**stored, **with_it}

    def _lacking(self, stored: Stored) -> list[str]:
        # The rows' own table first: the Distributed one sends what it has to tables that must know it.
        names = (f"{self.table}__local", self.table)
        return [name for name in names if name in stored and self.column not in stored[name].columns]


@dataclass(frozen=True)
class Migration:
    """One recorded step from a version to the next.

    Attributes:
        number: Its place, from 1 without gaps.
        title: What it does, for people.
        steps: What it consists of.
    """

    number: int
    title: str
    steps: tuple[Step, ...]

    @property
    def digest(self) -> str:
        """Tells whether it was edited after it was recorded: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.number} {self.steps!r}".encode()).hexdigest()[:16]

    def statements(self, stored: Stored, layout: Layout) -> list[str]:
        """SQL that carries it out, in order."""
        found: list[str] = []
        for step in self.steps:
            found += step.statements(stored, layout)
            stored = step.applied_to(stored)
        return found

    def applied_to(self, stored: Stored) -> Stored:
        """What is stored after it."""
        for step in self.steps:
            stored = step.applied_to(stored)
        return stored


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "wallet_metrics says how old a wallet's newest answer was; unknown for slots before",
        (AddColumn("wallet_metrics__versions", "data_age_hours", "Nullable(Float64)"),),
    ),
)


def pending(recorded: Mapping[int, str], migrations: Iterable[Migration] = MIGRATIONS) -> list[Migration]:
    """The migrations that a database still needs, in order.

    Args:
        recorded: Number -> digest of those it records.
        migrations: All there are.

    Raises:
        MigrationHistoryError: It records one that this version does not know, or knows otherwise.
    """
    known = {migration.number: migration for migration in migrations}
    if newer := sorted(set(recorded) - set(known)):
        raise MigrationHistoryError(
            f"the database was migrated by a newer version of hl_assets: it records migration {newer[-1]}, and this version "
            f"knows {max(known, default=0)} of them. Install that version; there is no way back but to import an export into an "
            "empty database"
        )
    for number, digest in sorted(recorded.items()):
        if known[number].digest != digest:
            raise MigrationHistoryError(
                f"migration {number} ({known[number].title}) is recorded with digest {digest}, and in this version it has "
                f"{known[number].digest}: it was edited after it had been carried out. Restore it and append another one"
            )
    return [migration for number, migration in sorted(known.items()) if number not in recorded]
