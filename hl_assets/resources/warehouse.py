"""The warehouse as assets see it: opened for one step, tables in place, provenance at hand.

Belongs here: opening it from settings, and refusing to mix origins. Does not belong here: SQL and publishing
(`hl_assets.warehouse`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from hl_assets import __version__
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseError
from hl_assets.warehouse.manifest import Manifest, Publication
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance

if TYPE_CHECKING:  # commands that only read do without Dagster
    from dagster import DagsterRun

_PARTITION_TAG = "dagster/partition"

_tables_in_order_for: dict[WarehouseConfig, str] = {}
"""Warehouse -> the last run of this process that found its tables in order: the run's later steps need not look again."""

_OTHER_ORIGINS_SQL = """
SELECT DISTINCT origin FROM publications
WHERE NOT withdrawn AND origin NOT IN ({origin:String}, 'reconstructed') LIMIT 1
"""


class MixedOriginsError(WarehouseError):
    """The database holds rows of another source; writing into it would mix invented and real history."""


@dataclass(frozen=True)
class WarehouseSession:
    """The warehouse during one step of a run.

    Attributes:
        store: The connection.
        manifest: What is published.
        publisher: The publish verbs.
        run_id: The run that the step belongs to.
    """

    store: Warehouse
    manifest: Manifest
    publisher: Publisher
    run_id: str

    def provenance(self, origin: str, inputs: Mapping[str, int] | None = None) -> Provenance:
        """Provenance of what this step publishes."""
        return Provenance(run_id=self.run_id, code_version=__version__, origin=origin, inputs=inputs or {})

    def of_slot(self, slot: datetime) -> "WarehouseSession":
        """The same session, whose statements say that they are for this slot."""
        store = self.store.with_comment(slot=slot_text(slot))
        return WarehouseSession(store, Manifest(store), Publisher(store), self.run_id)

    def published_before(self, table: TableContract, slot: datetime) -> Publication | None:
        """The newest published slice of a table before a slot."""
        return self.manifest.latest_slot(table, at_or_before=slot - timedelta(seconds=1))

    def rows_before(self, table: TableContract, slot: datetime) -> int | None:
        """Rows of that slice; None if there is none."""
        previous = self.published_before(table, slot)
        return None if previous is None else previous.n_rows

    def rows_of_day(self, table: TableContract, day: date) -> int:
        """Rows published for a UTC day."""
        return sum(publication.n_rows for publication in self.manifest.committed_on(table, day).values())


def warehouse_config(settings: Settings) -> WarehouseConfig:
    """The warehouse that the settings name."""
    return WarehouseConfig(
        url=settings.clickhouse_address,
        database=settings.database,
        cluster=settings.clickhouse_cluster,
        home=settings.home.resolve() / "clickhouse",
        idle_stop_seconds=settings.embedded_idle_seconds,
    )


@dataclass(frozen=True)
class WarehouseResource:
    """Opens the warehouse for a step.

    Attributes:
        config: Where it is.
        origin: The origin of the rows that belong into it.
    """

    config: WarehouseConfig
    origin: str

    @classmethod
    def from_settings(cls, settings: Settings) -> "WarehouseResource":
        """The warehouse that the settings name."""
        return cls(warehouse_config(settings), settings.origin)

    @contextmanager
    def open_run(self, run: "DagsterRun", asset: str) -> Iterator[WarehouseSession]:
        """Open it for one step of a run; statements also say the run's job, partition and slot, as far as it has them.

        Raises as `open` does.
        """
        from hl_assets.partitions import SLOT_TAG  # noqa: PLC0415 - loads Dagster, which is there if there is a run

        told = {
            "job": run.job_name,
            "partition": run.tags.get(_PARTITION_TAG),
            "slot": run.tags.get(SLOT_TAG),
        }
        comment = {name: value for name, value in told.items() if value}
        looked = _tables_in_order_for.get(self.config) == run.run_id
        with self._open(run.run_id, asset, comment, look=not looked) as session:
            _tables_in_order_for[self.config] = run.run_id
            yield session

    @contextmanager
    def open(self, run_id: str, asset: str, **comment: str) -> Iterator[WarehouseSession]:
        """Open it for one step; every statement says in its `log_comment` which run and asset it is for.

        Args:
            run_id: Dagster's id of the run, or what a command calls itself.
            asset: Asset, check or operation.
            comment: What else statements say.

        Raises:
            MixedOriginsError: The database holds rows of another source.
            WarehouseError: It cannot be reached, or its tables differ from the contracts.
        """
        with self._open(run_id, asset, comment, look=True) as session:
            yield session

    @contextmanager
    def _open(
        self, run_id: str, asset: str, comment: Mapping[str, str], *, look: bool
    ) -> Iterator[WarehouseSession]:
        with Warehouse(self.config, comment={"run_id": run_id, "asset": asset, **comment}) as store:
            if look:
                store.ensure_tables(TABLES)
            refuse_other_origins(store, self.origin)
            yield WarehouseSession(store, Manifest(store), Publisher(store), run_id)


def refuse_other_origins(store: Warehouse, origin: str) -> None:
    """Refuse a database that holds rows of another source.

    Raises:
        MixedOriginsError: It does.
    """
    others = store.read_rows(_OTHER_ORIGINS_SQL, {"origin": origin})
    if others:
        raise MixedOriginsError(
            f"database {store.database} holds {others[0][0]} rows, and this run would add {origin} ones. "
            "Give each source a database of its own: unset CLICKHOUSE_DATABASE and leave the database out of "
            "CLICKHOUSE_URL, or set another one"
        )
