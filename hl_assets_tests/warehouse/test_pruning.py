"""The public view reads little: a slot or a wallet is found by the primary key, through both views."""

import clickhouse_connect
import pytest

from hl_assets.schemas.contract import TableContract
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, T0, address, slot

SLOTS, WALLETS = 400, 500
GRANULE = 8192


def _fill(store: Warehouse, contract: TableContract) -> None:
    """Published slots by the hundred, in few parts, as a month of merges leaves them."""
    numbers = f"numbers({SLOTS * WALLETS})"
    start = f"toDateTime({int(T0.timestamp())}, 'UTC')"
    store.command(
        f"INSERT INTO {contract.name}__versions SELECT {start} + 60 * intDiv(number, {WALLETS}), "
        f"concat('0x', lower(leftPad(hex(number % {WALLETS}), 40, '0'))), number, 7 FROM {numbers}"
    )
    store.command(
        "INSERT INTO publications (table_name, as_of, version, n_rows) "
        f"SELECT '{contract.name}', {start} + 60 * number, 7, {WALLETS} FROM numbers({SLOTS})"
    )
    store.command(f"OPTIMIZE TABLE {contract.name}__versions FINAL")


@pytest.mark.parametrize(
    ("contract", "condition", "rows", "granules"),
    [
        (MARKS, "as_of = {t:DateTime('UTC')}", WALLETS, 2),
        (MARKS, "as_of >= {t:DateTime('UTC')} AND as_of < {t:DateTime('UTC')} + 600", 10 * WALLETS, 3),
        (MARKS, "as_of = {t:DateTime('UTC')} AND wallet = {w:String}", 1, 2),
        (MARKS_BY_WALLET, "wallet = {w:String}", SLOTS, 2),
        (MARKS_BY_WALLET, "wallet = {w:String} AND as_of <= {t:DateTime('UTC')}", 21, 2),
    ],
)
def test_reads_only_the_granules_it_needs(
    warehouse: Warehouse, contract: TableContract, condition: str, rows: int, granules: int
) -> None:
    warehouse.ensure_tables([contract])
    _fill(warehouse, contract)
    endpoint = warehouse.endpoint
    client = clickhouse_connect.get_client(
        host=endpoint.host, port=endpoint.port, database=warehouse.database
    )
    parameters = {"t": slot(2).strftime("%Y-%m-%d %H:%M:%S"), "w": address(3)}
    result = client.query(f"SELECT count(mark) FROM {contract.name} WHERE {condition}", parameters)
    assert result.result_rows == [(rows,)]
    assert int(result.summary["read_rows"]) <= SLOTS + granules * GRANULE < SLOTS * WALLETS / 5
