"""A table's contract as Parquet: types, and what a file says about itself.

Belongs here: Arrow types of a contract, the metadata of a file, and frames from Arrow tables. Does not belong here: which
rows go into which file (`export`), judging rows (`rejects`).

A file is readable without this project: instants are UTC timestamps in milliseconds, lists and maps are Parquet's own, and every
column carries its description, unit and ClickHouse type. The file's metadata adds the contract (`hl_assets.contract`), the
publications its rows belong to (`hl_assets.slots`), where their facts come from (`hl_assets.origins`), the versions of definitions found in it (`hl_assets.versions`), and the version of
the code (`hl_assets.code_version`).
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa

from hl_assets.interchange.errors import UnreadableFileError, UnsupportedTypeError
from hl_assets.schemas.contract import ColumnSpec, TableContract

FORMAT_VERSION = "1"
_PREFIX = "hl_assets."
_INSTANT = pa.timestamp("ms", tz="UTC")
_SIMPLE = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    **{
        f"{sign}Int{bits}": getattr(pa, f"{sign.lower()}int{bits}")()
        for sign in ("U", "")
        for bits in (8, 16, 32, 64)
    },
}
_WRAPPED = re.compile(r"(?P<outer>Nullable|LowCardinality|Array)\((?P<inner>.*)\)")
_MAP = re.compile(r"Map\((?P<key>\w+), (?P<value>[\w()]+)\)")
_PANDAS_INTEGERS = {
    pa_type: dtype()
    for pa_type, dtype in (
        (pa.uint8(), pd.UInt8Dtype), (pa.uint16(), pd.UInt16Dtype), (pa.uint32(), pd.UInt32Dtype),
        (pa.uint64(), pd.UInt64Dtype), (pa.int8(), pd.Int8Dtype), (pa.int16(), pd.Int16Dtype),
        (pa.int32(), pd.Int32Dtype), (pa.int64(), pd.Int64Dtype), (pa.bool_(), pd.BooleanDtype),
    )
}  # fmt: skip


Metadata = Mapping[bytes, bytes] | None
"""Key-value metadata of a Parquet file (`ParquetFile.metadata.metadata`)."""


class SlotRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published slice as a file describes it.

    Attributes:
        slot: The slot.
        version: Version it had in the warehouse it was exported from.
        rows: Its rows.
        origin: Where its facts come from.
        inputs: Upstream table -> version it was derived from.
        code_version: Version of the code that published it.
        run_id: Run that published it.
        published_at: When it was published.
    """

    slot: datetime
    version: int
    rows: int
    origin: str
    inputs: dict[str, int]
    code_version: str
    run_id: str
    published_at: datetime


def arrow_type(clickhouse_type: str) -> pa.DataType:
    """The Arrow type that holds a ClickHouse type; whether it may be null is said elsewhere.

    Raises:
        UnsupportedTypeError: There is none.
    """
    if clickhouse_type in _SIMPLE:
        return _SIMPLE[clickhouse_type]
    if clickhouse_type.startswith("DateTime"):
        return _INSTANT
    if found := _WRAPPED.fullmatch(clickhouse_type):
        inner = arrow_type(found["inner"])
        return pa.list_(pa.field("element", inner, nullable=False)) if found["outer"] == "Array" else inner
    if found := _MAP.fullmatch(clickhouse_type):
        return pa.map_(
            arrow_type(found["key"]), pa.field("value", arrow_type(found["value"]), nullable=False)
        )
    raise UnsupportedTypeError(
        f"ClickHouse's {clickhouse_type} has no type in Parquet files; give the column another one or teach "
        "hl_assets.interchange.parquet.arrow_type this one"
    )


def _column_type(contract: TableContract, spec: ColumnSpec) -> pa.DataType:
    """The Arrow type of a contract's column; its error names the column."""
    try:
        return arrow_type(spec.clickhouse_type)
    except UnsupportedTypeError as error:
        raise UnsupportedTypeError(f"{contract.name}.{spec.name}: {error}") from None


def arrow_schema(contract: TableContract, code_version: str) -> pa.Schema:
    """The schema of a contract's files, with its descriptions and what else is known before any row is.

    Raises:
        UnsupportedTypeError: Files have no type for a column.
    """
    fields = [
        pa.field(
            spec.name,
            _column_type(contract, spec),
            nullable=spec.nullable,
            metadata={
                "description": spec.description, "unit": spec.unit, "clickhouse_type": spec.clickhouse_type
            },
        )
        for spec in contract.columns
    ]  # fmt: skip
    said = {
        "format_version": FORMAT_VERSION,
        "code_version": code_version,
        "contract": json.dumps(contract_facts(contract)),
    }
    return pa.schema(fields, metadata={_PREFIX + name: text for name, text in said.items()})


def contract_facts(contract: TableContract) -> dict[str, Any]:
    """A contract as JSON values."""
    return {
        "table": contract.name,
        "description": contract.description,
        "grain": contract.grain,
        "key": list(contract.key),
        "order_by": list(contract.order_by),
        "caution": contract.caution,
        "storage": contract.storage,
        "columns": [
            {
                "name": spec.name,
                "clickhouse_type": spec.clickhouse_type,
                "unit": spec.unit,
                "description": spec.description,
                "nullable": spec.nullable,
            }
            for spec in contract.columns
        ],
    }


def closing_metadata(
    slots: list[SlotRecord], origins: set[str], versions: Mapping[str, set[str]]
) -> dict[str, str]:
    """What is known about a file once its rows are written."""
    return {
        _PREFIX + "slots": msgspec.json.encode(slots).decode(),
        _PREFIX + "origins": json.dumps(sorted(origins)),
        _PREFIX + "versions": json.dumps({name: sorted(found) for name, found in versions.items()}),
    }


def version_columns(contract: TableContract) -> list[str]:
    """Columns that say by which definitions, configuration, prompt or grader a row was made."""
    return [name for name in contract.column_names if name.endswith(("_version", "config_hash"))]


def table_of(metadata: Metadata) -> str:
    """Name of the table that a file says it holds.

    Raises:
        UnreadableFileError: The file is none of ours, or of a later format.
    """
    said = _said(metadata)
    if "contract" not in said:
        raise UnreadableFileError(
            "it was not written by `hl-assets export` (no hl_assets.contract in its metadata)"
        )
    if said.get("format_version") != FORMAT_VERSION:
        raise UnreadableFileError(
            f"it has format {said.get('format_version')!r}; this version reads {FORMAT_VERSION!r}"
        )
    try:
        return str(json.loads(said["contract"])["table"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(f"its hl_assets.contract cannot be read: {error!r}") from error


def slots_of(metadata: Metadata) -> list[SlotRecord]:
    """The publications that a file says its rows belong to; none for a ledger.

    Raises:
        UnreadableFileError: It does not say, or not in a way that can be read.
    """
    try:
        return msgspec.json.decode(_said(metadata)["slots"], type=list[SlotRecord])
    except (KeyError, msgspec.MsgspecError) as error:
        raise UnreadableFileError(f"its hl_assets.slots cannot be read: {error}") from error


def origins_of(metadata: Metadata) -> set[str]:
    """Where the facts of a file come from.

    Raises:
        UnreadableFileError: It does not say, or not in a way that can be read.
    """
    try:
        return set(msgspec.json.decode(_said(metadata)["origins"], type=list[str]))
    except (KeyError, msgspec.MsgspecError) as error:
        raise UnreadableFileError(f"its hl_assets.origins cannot be read: {error}") from error


def differences(contract: TableContract, schema: pa.Schema) -> list[str]:
    """How a file's columns differ from a contract; empty if its rows can be read as the contract's.

    Raises:
        UnsupportedTypeError: Files have no type for a column of the contract.
    """
    found = {field.name: field.type for field in schema}
    wanted = {spec.name: _column_type(contract, spec) for spec in contract.columns}
    lines = [f"lacks column {name}" for name in wanted if name not in found]
    lines += [f"has column {name}, which the contract has not" for name in found if name not in wanted]
    lines += [
        f"column {name} is {found[name]}, expected {kind}"
        for name, kind in wanted.items()
        if name in found and not _same(found[name], kind)
    ]
    return lines


def frame_of(contract: TableContract, table: pa.Table) -> pd.DataFrame:
    """Rows as pandas reads them for this contract, before they are judged: unknown integers stay unknown."""
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=_PANDAS_INTEGERS.get, maps_as_pydicts="strict", timestamp_as_object=False
    )
    for spec in contract.columns:
        if spec.clickhouse_type.startswith("Array("):
            lists = [None if value is None else list(value) for value in frame[spec.name]]
            frame[spec.name] = pd.Series(lists, dtype="object")
        if spec.clickhouse_type.startswith("Nullable(Bool"):
            values = frame[spec.name].astype(object)
            frame[spec.name] = values.where(values.notna(), None)
    return frame


def _said(metadata: Metadata) -> dict[str, str]:
    return {
        name.decode().removeprefix(_PREFIX): text.decode()
        for name, text in (metadata or {}).items()
        if name.startswith(_PREFIX.encode())
    }


def _same(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Names inside lists and maps, and whether their elements may be null, do not matter."""
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and _same(found.value_type, wanted.value_type)
    if pa.types.is_map(wanted):
        return (
            pa.types.is_map(found)
            and _same(found.key_type, wanted.key_type)
            and _same(found.item_type, wanted.item_type)
        )
    return bool(found == wanted)
