"""Appending to ledgers: facts that happened once, stored when they happen and never replaced.

Belongs here: the append verb. Does not belong here: slices, which are published and replaced as a whole (`publish`).

A ledger's entry is seen as soon as it is inserted. An insert whose connection was lost is repeated: the entry's key is in
the sorting key, so ClickHouse keeps one of two equal entries.
"""

import logging

import pandas as pd
import tenacity

from hl_assets.schemas.contract import ContractError, TableContract
from hl_assets.schemas.validation import validate_contract
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseUnavailableError

logger = logging.getLogger(__name__)

_ATTEMPTS = 4


def append_entries(warehouse: Warehouse, contract: TableContract, entries: pd.DataFrame) -> None:
    """Append entries to a ledger; when this returns, the server has them.

    Args:
        warehouse: The connection; the ledger must exist (`Warehouse.ensure_tables`).
        contract: The ledger.
        entries: Rows with the contract's columns and types (`TableContract.conform`).

    Raises:
        ContractError: Not a ledger, or entries break its contract; nothing was stored.
        WarehouseUnavailableError: No answer, also after retries; the entries may or may not be stored.
        WarehouseQueryError: ClickHouse refused them.
    """
    if contract.storage != "ledger":
        raise ContractError(f"{contract.name} is stored in slices: publish it instead of appending to it")
    report = validate_contract(contract, entries)
    if not report.passed:
        raise ContractError(f"{report.summary}; for example {report.samples[0]}")
    repeated = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=0.1, max=5) + tenacity.wait_random(0, 0.1),
        retry=tenacity.retry_if_exception_type(WarehouseUnavailableError),
        before_sleep=tenacity.before_sleep_log(logger, logging.WARNING),
        reraise=True,
    )
    types = {spec.name: spec.clickhouse_type for spec in contract.columns}
    repeated(warehouse.insert_once, ddl.stored_table(contract), entries, types)
