"""The warehouse that an import goes into.

Belongs here: opening it for an import or for a dry run, and refusing rows of another origin. Does not belong here: publishing.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from hl_assets.interchange.errors import ForeignOriginError
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession, refuse_other_origins
from hl_assets.schemas.contract import RECONSTRUCTED, TableContract
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseQueryError
from hl_assets.warehouse.manifest import Manifest, Publication
from hl_assets.warehouse.publish import Publisher

_NOTHING_YET = {"UNKNOWN_DATABASE", "UNKNOWN_TABLE"}
_SOURCES = {"simulated": "sandbox", "recorded": "recorded", "live": "live"}


@dataclass(frozen=True)
class Target:
    """A warehouse during one import.

    Attributes:
        session: The warehouse.
        exists: Whether it has its tables; without them nothing is published in it.
        origin: Where the facts of its rows come from, unless they are reconstructed from such rows.
    """

    session: WarehouseSession
    exists: bool
    origin: str

    def committed(
        self, contracts: Sequence[TableContract], start: datetime, end: datetime
    ) -> dict[str, dict[datetime, Publication]]:
        """Published slices by table and slot; see `Manifest.committed_together`."""
        if not self.exists:
            return {contract.name: {} for contract in contracts}
        return self.session.manifest.committed_together(contracts, start, end)


@contextmanager
def opened_target(resource: WarehouseResource, run_id: str, *, dry_run: bool) -> Iterator[Target]:
    """Open a warehouse; a dry run creates nothing.

    Raises:
        MixedOriginsError: It holds rows of another source.
        WarehouseError: It cannot be reached, or its tables differ from the contracts.
    """
    if not dry_run:
        with resource.open(run_id, "import") as session:
            yield Target(session, exists=True, origin=resource.origin)
        return
    with Warehouse(resource.config, comment={"run_id": run_id, "asset": "import"}) as store:
        session = WarehouseSession(store, Manifest(store), Publisher(store), run_id)
        try:
            refuse_other_origins(store, resource.origin)
        except WarehouseQueryError as error:
            if error.name not in _NOTHING_YET:
                raise
            yield Target(session, exists=False, origin=resource.origin)
        else:
            yield Target(session, exists=True, origin=resource.origin)


def refuse_foreign(origins: Iterable[str], resource: WarehouseResource) -> None:
    """Refuse rows that do not belong to the source whose database was chosen.

    Raises:
        ForeignOriginError: They do not; says which source to choose.
    """
    foreign = sorted(set(origins) - {resource.origin, RECONSTRUCTED})
    if foreign:
        raise ForeignOriginError(
            f"the rows are {' and '.join(foreign)}, but this import would go into the database of {resource.origin} rows "
            f"({resource.config.database}). Each source has a database of its own, so that invented, recorded and live history "
            f"never mix: add --source {_SOURCES.get(foreign[0], 'live')}"
        )
