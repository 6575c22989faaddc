import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest

from hl_assets.interchange import export as export_module
from hl_assets.interchange.errors import ExportError, UnreadableFileError, UnsupportedTypeError
from hl_assets.interchange.export import FOREVER, ExportRequest, export_tables
from hl_assets.interchange.manifest_file import ExportManifest, file_sha256, read_manifest
from hl_assets.interchange.parquet import arrow_schema, arrow_type, differences, frame_of, slots_of
from hl_assets.metrics.catalog import FORMULA_VERSION
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import Slot, TableContract, column, slot_column
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.slots import SLOT as SLOT_LENGTH
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Provenance, Publisher, Slice
from hl_assets_tests.interchange.commands import run_command
from hl_assets_tests.pipeline.conftest import SLOT, Platform

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EVERYTHING = ExportRequest(TABLES, *FOREVER)


def exported(platform: Platform, folder: Path, request: ExportRequest = EVERYTHING) -> ExportManifest:
    with Warehouse(platform.warehouse) as store:
        return export_tables(store, request, folder, exported_at=NOW)


def points(slot: datetime, wallet: str, value: float) -> pd.DataFrame:
    return PORTFOLIO_POINTS.conform(
        {
            "as_of": pd.Series([slot], dtype="datetime64[s, UTC]"),
            "wallet": [wallet],
            "scope": ["all"],
            "segment": [""],
            "ts": pd.Series([slot], dtype="datetime64[ms, UTC]"),
            "account_value": [value],
            "pnl": [0.0],
            "contradicts": [False],
            "observed_at": pd.Series([slot], dtype="datetime64[ms, UTC]"),
        }
    )


def test_every_row_is_in_a_file_that_explains_itself(ticked: Platform, tmp_path: Path) -> None:
    manifest = exported(ticked, tmp_path / "out")
    tables = ticked.read()
    assert {name for name, frame in tables.items() if len(frame)} <= {file.table for file in manifest.files}
    for file in manifest.files:
        path = tmp_path / "out" / file.path
        contract = next(table for table in TABLES if table.name == file.table)
        assert file.path == f"table={file.table}/day=2026-05-31/part.parquet"
        assert file.sha256 == file_sha256(path)
        assert file.n_bytes == path.stat().st_size
        stored = pq.ParquetFile(path)
        frame = contract.conform(frame_of(contract, stored.read()))
        by_key = list(contract.key)
        pd.testing.assert_frame_equal(
            frame.sort_values(by_key, ignore_index=True),
            tables[file.table].sort_values(by_key, ignore_index=True),
        )
        for spec in contract.columns:
            said = stored.schema_arrow.field(spec.name).metadata
            assert said[b"description"].decode() == spec.description
            assert said[b"unit"].decode() == spec.unit
            assert said[b"clickhouse_type"].decode() == spec.clickhouse_type
        facts = json.loads(stored.metadata.metadata[b"hl_assets.contract"])
        assert facts["key"] == list(contract.key)
        assert [(slot.slot, slot.rows) for slot in slots_of(stored.metadata.metadata)] == [(SLOT, file.rows)]
    metrics = pq.ParquetFile(tmp_path / "out" / "table=wallet_metrics/day=2026-05-31/part.parquet").metadata
    assert json.loads(metrics.metadata[b"hl_assets.versions"]) == {"formula_version": [FORMULA_VERSION]}


def test_the_manifest_names_slots_versions_origins_and_counts(ticked: Platform, tmp_path: Path) -> None:
    manifest = exported(ticked, tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert (manifest.first_slot, manifest.last_slot, manifest.origins) == (SLOT, SLOT, ["simulated"])
    assert manifest.rows == sum(len(frame) for frame in ticked.read().values())
    with Warehouse(ticked.warehouse) as store:
        version = Manifest(store).committed(WALLET_METRICS)[SLOT].version
    file = next(file for file in manifest.files if file.table == WALLET_METRICS.name)
    assert file.slots[slot_text(SLOT)].version == str(version)
    assert manifest.tables == [table.name for table in TABLES]


def test_a_board_stored_under_an_earlier_slot_goes_with_the_snapshots_that_saw_it(
    ticked: Platform, tmp_path: Path
) -> None:
    ticked.at(SLOT + SLOT_LENGTH)
    assert ticked.tick().success
    manifest = exported(
        ticked, tmp_path / "out", ExportRequest(TABLES, SLOT + SLOT_LENGTH, SLOT + 2 * SLOT_LENGTH)
    )
    slots = {file.table: list(file.slots) for file in manifest.files}
    assert slots["leaderboard_snapshots"] == [slot_text(SLOT + SLOT_LENGTH)]
    assert slots["leaderboard_rows"] == [slot_text(SLOT)]


def test_the_same_data_give_the_same_bytes(ticked: Platform, tmp_path: Path) -> None:
    first, second = exported(ticked, tmp_path / "a"), exported(ticked, tmp_path / "b")
    assert first.export_id == second.export_id


def test_only_chosen_tables_and_slots_are_exported(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.ensure_tables(TABLES)
    slots = [SLOT + SLOT_LENGTH * step for step in (0, 1, 2, 100)]
    made = [
        Slice(PORTFOLIO_POINTS, slot, points(slot, f"0x{step:040x}", 1.0)) for step, slot in enumerate(slots)
    ]
    Publisher(warehouse).publish(made, Provenance("run", "1", "simulated"))
    request = ExportRequest([PORTFOLIO_POINTS, PORTFOLIO_FETCHES], slots[1], slots[3] + SLOT_LENGTH)
    manifest = export_tables(warehouse, request, tmp_path, exported_at=NOW)
    assert [(file.day.isoformat(), list(file.slots)) for file in manifest.files] == [
        ("2026-05-31", [slot_text(slots[1]), slot_text(slots[2])]),
        ("2026-06-01", [slot_text(slots[3])]),
    ]
    assert not (tmp_path / "table=portfolio_fetches").exists()


def test_rows_are_read_in_bounded_pieces(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.ensure_tables(TABLES)
    slots = [SLOT + SLOT_LENGTH * step for step in range(5)]
    made = [Slice(PORTFOLIO_POINTS, slot, points(slot, "0x" + "aa" * 20, 1.0)) for slot in slots]
    made.append(Slice(PORTFOLIO_POINTS, SLOT - SLOT_LENGTH, PORTFOLIO_POINTS.empty()))
    Publisher(warehouse).publish(made, Provenance("run", "1", "simulated"))
    monkeypatch.setattr(export_module, "ROWS_PER_READ", 2)
    manifest = export_tables(warehouse, EVERYTHING, tmp_path, exported_at=NOW)
    [file] = manifest.files
    stored = pq.ParquetFile(tmp_path / file.path)
    assert [stored.metadata.row_group(i).num_rows for i in range(stored.num_row_groups)] == [2, 2, 1]
    assert file.slots[slot_text(SLOT - SLOT_LENGTH)].rows == 0, "an empty slice is a published slice"


class RepublishingWarehouse(Warehouse):
    """Publishes a slot again, and sweeps the old version, right after the manifest was read for the first time."""

    times = 1

    def read_bytes(self, *args: object, **kwargs: object) -> bytes:
        if self.times:
            self.times -= 1
            publisher = Publisher(self, retain_seconds=0)
            for value in (2.0, 3.0):
                frame = points(SLOT, "0x" + "aa" * 20, value)
                again = [
                    Slice(PORTFOLIO_POINTS, SLOT, pd.concat([frame, points(SLOT, "0x" + "bb" * 20, value)]))
                ]
                publisher.publish(again, Provenance("again", "1", "simulated"))
            publisher.sweep(PORTFOLIO_POINTS)
        return super().read_bytes(*args, **kwargs)


def republishing(warehouse: Warehouse, times: int) -> RepublishingWarehouse:
    warehouse.ensure_tables(TABLES)
    one = Slice(PORTFOLIO_POINTS, SLOT, points(SLOT, "0x" + "aa" * 20, 1.0))
    Publisher(warehouse).publish([one], Provenance("run", "1", "simulated"))
    busy = RepublishingWarehouse(warehouse._config)
    busy.times = times
    return busy


def test_a_slot_published_again_meanwhile_is_exported_whole(warehouse: Warehouse, tmp_path: Path) -> None:
    with republishing(warehouse, times=1) as busy:
        manifest = export_tables(busy, EVERYTHING, tmp_path, exported_at=NOW)
    [file] = manifest.files
    frame = pq.ParquetFile(tmp_path / file.path).read().to_pandas()
    assert frame["account_value"].tolist() == [3.0, 3.0]
    assert file.slots[slot_text(SLOT)].rows == 2


def test_an_export_that_cannot_keep_up_says_so(warehouse: Warehouse, tmp_path: Path) -> None:
    with (
        republishing(warehouse, times=99) as busy,
        pytest.raises(ExportError, match="published again 4 times"),
    ):
        export_tables(busy, EVERYTHING, tmp_path, exported_at=NOW)
    assert list(tmp_path.rglob("*.draft")) == []
    with pytest.raises(UnreadableFileError, match="interrupted"):
        read_manifest(tmp_path)


def test_a_folder_in_use_is_refused_unless_it_may_be_replaced(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.ensure_tables(TABLES)
    publisher = Publisher(warehouse)
    for day in range(2):
        slot = SLOT + timedelta(days=day)
        publisher.publish(
            [Slice(PORTFOLIO_POINTS, slot, points(slot, "0x" + "aa" * 20, 1.0))],
            Provenance("run", "1", "simulated"),
        )
    export_tables(warehouse, EVERYTHING, tmp_path, exported_at=NOW)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="--overwrite"):
        export_tables(warehouse, EVERYTHING, tmp_path, exported_at=NOW)
    shorter = ExportRequest(TABLES, SLOT, SLOT + SLOT_LENGTH)
    export_tables(warehouse, shorter, tmp_path, exported_at=NOW, overwrite=True)
    assert [path.parent.name for path in tmp_path.rglob("part.parquet")] == ["day=2026-05-31"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_every_contract_has_a_parquet_type_and_an_unknown_one_is_named() -> None:
    for contract in TABLES:
        assert arrow_schema(contract, "1").names == contract.column_names
    with pytest.raises(UnsupportedTypeError, match="Decimal"):
        arrow_type("Decimal(18, 2)")


@pytest.mark.parametrize("clickhouse_type", ["Decimal(18, 2)", "Array(Nullable(IPv6))", "Map(String, UUID)"])
def test_a_column_without_a_parquet_type_is_named_with_its_table(clickhouse_type: str) -> None:
    class Odd(pa.DataFrameModel):
        """A price."""

        as_of: Slot = slot_column()
        price: str = column("A price", clickhouse=clickhouse_type)

    contract = TableContract(name="odd", model=Odd, grain="slot", key=("as_of",), order_by=("as_of",))
    with pytest.raises(UnsupportedTypeError, match=r"odd\.price: .* has no type in Parquet files"):
        arrow_schema(contract, "1")
    with pytest.raises(UnsupportedTypeError, match=r"odd\.price"):
        differences(contract, arrow_schema(WALLET_METRICS, "1"))


def test_the_command_exports_and_says_what(ticked: Platform, tmp_path: Path) -> None:
    environment = {
        "HL_ASSETS_HOME": str(tmp_path / "home"),
        "CLICKHOUSE_URL": "http://127.0.0.1:1",
    }
    wrong = run_command(tmp_path, environment, "export", "nonsense", "--out", "out")
    assert wrong.returncode == 2
    assert "unknown tables nonsense; there are leaderboard_snapshots" in wrong.stderr
    with Warehouse(ticked.warehouse) as store:
        environment |= {"CLICKHOUSE_URL": str(store.endpoint), "CLICKHOUSE_DATABASE": store.database}
    done = run_command(
        tmp_path,
        environment,
        "export",
        "wallet_scores",
        "--out",
        "out",
        "--from",
        "2026-05-31",
        "--to",
        "2026-05-31",
    )
    assert done.returncode == 0, done.stderr
    assert "slots 2026-05-31T12:10:00Z to 2026-05-31T12:10:00Z" in done.stdout
    assert "Next: hl-assets import out" in done.stdout
    assert (
        len(pq.read_table(tmp_path / "out" / "table=wallet_scores" / "day=2026-05-31" / "part.parquet")) == 12
    )
