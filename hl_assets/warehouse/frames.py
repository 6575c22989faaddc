"""pandas frames to ClickHouse columns and back, without losing what a value means.

Belongs here: dtypes, nulls, integer ranges, parameters. Does not belong here: SQL, connections.

The rules: instants are timezone-aware UTC; text is `object` with None; unknown floats are NaN in float64; maps and
lists are `object`. NaN in a column that may not be null is refused: ClickHouse would store it, or an empty string, as
if it were known.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from hl_assets.schemas.contract import ColumnSpec, ContractError, TableContract
from hl_assets.warehouse.errors import InvalidSliceError, WarehouseError

_RESOLUTIONS = ("s", "ms", "us", "ns")
_INTEGER_RANGES = {
    f"{sign}Int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("U", "")
    for bits in (8, 16, 32, 64)
}


def storable(contract: TableContract, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame in the contract's columns, order and types, after checking that every value can be stored as it is.

    Raises:
        InvalidSliceError: Wrong columns or types, nulls where the contract has none, integers out of range.
    """
    try:
        conformed = contract.conform(frame)
    except ContractError as error:
        raise InvalidSliceError(str(error)) from error
    for spec in contract.columns:
        _check_nulls(contract, spec, conformed[spec.name])
        _check_range(contract, spec, conformed[spec.name])
    return conformed


def _check_nulls(contract: TableContract, spec: ColumnSpec, values: "pd.Series[Any]") -> None:
    nulls = int(values.isna().sum())
    if nulls and not spec.clickhouse_type.startswith(("Nullable(", "LowCardinality(Nullable(")):
        raise InvalidSliceError(
            f"{contract.name}.{spec.name}: {nulls} null values, but the column is never null"
        )


def _check_range(contract: TableContract, spec: ColumnSpec, values: "pd.Series[Any]") -> None:
    limits = integer_range(spec)
    if limits is None or values.empty:
        return
    low, high = limits
    smallest, largest = values.min(), values.max()
    if pd.notna(smallest) and (int(smallest) < low or int(largest) > high):
        outside = smallest if int(smallest) < low else largest
        raise InvalidSliceError(
            f"{contract.name}.{spec.name}: {outside} does not fit {_bare_type(spec)} ({low} to {high})"
        )


def integer_range(spec: ColumnSpec) -> tuple[int, int] | None:
    """Smallest and largest value that fits an integer column; None for other columns."""
    return _INTEGER_RANGES.get(_bare_type(spec))


def _bare_type(spec: ColumnSpec) -> str:
    return spec.clickhouse_type.removeprefix("Nullable(").removesuffix(")")


def as_contract(contract: TableContract, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows read from ClickHouse with the contract's dtypes.

    Args:
        contract: The table.
        frame: Rows as `tidy` returns them; may lack its columns if there are no rows.
        columns: Columns wanted, in order.
    """
    specs = {spec.name: spec for spec in contract.columns}
    if frame.empty:
        return pd.DataFrame({name: pd.Series([], dtype=specs[name].pandas_dtype) for name in columns})
    cast: dict[str, Any] = {name: frame[name].astype(specs[name].pandas_dtype) for name in columns}  # type: ignore[call-overload]
    return pd.DataFrame(cast, copy=False)


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows as clickhouse-connect returns them, in this project's dtypes.

    Its string columns become `object` with None, and instants of other zones UTC. What stays without a zone is a date.
    """
    columns: dict[Any, Any] = {}
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.StringDtype):
            objects = values.astype(object)
            values = objects.where(values.notna(), None)
        elif isinstance(values.dtype, pd.DatetimeTZDtype):
            values = values.dt.tz_convert("UTC")
        columns[name] = values
    return pd.DataFrame(columns, index=frame.index, copy=False)


def without_rows(header: str) -> pd.DataFrame:
    """A frame of no rows from a `TabSeparatedWithNamesAndTypes` answer, whose two lines are names and types."""
    lines = header.rstrip("\n").split("\n")
    if len(lines) < 2:
        return pd.DataFrame()
    names, kinds = (line.split("\t") for line in lines[:2])
    return pd.DataFrame(
        {name: pd.Series([], dtype=_dtype_of(kind)) for name, kind in zip(names, kinds, strict=True)}
    )


def _dtype_of(clickhouse_type: str) -> str:
    """The dtype that `tidy` gives a column of a ClickHouse type."""
    kind = clickhouse_type.replace("\\'", "'").removeprefix("Nullable(")
    bare = re.match(r"\w+", kind)
    name = bare.group() if bare else kind
    nullable = clickhouse_type.startswith("Nullable(")
    if name == "DateTime64":
        precision = int(kind.removeprefix("DateTime64(")[0])
        return f"datetime64[{_RESOLUTIONS[(precision + 2) // 3]}, UTC]"
    if name in _INTEGER_RANGES:
        return name if nullable else name.lower()
    simple = {
        "Date": "datetime64[s]",
        "Date32": "datetime64[s]",
        "DateTime": "datetime64[s, UTC]",
        "Float64": "float64",
        "Float32": "float32",
    }
    if name == "Bool" and not nullable:
        return "bool"
    return simple.get(name, "object")


def bindable(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Query parameters in the form ClickHouse's server-side binding takes.

    Aware datetimes become UTC text, so that `{t:DateTime('UTC')}` means the same on every server.

    Raises:
        WarehouseError: A datetime without a time zone.
    """
    return {name: _bindable(name, value) for name, value in (parameters or {}).items()}


def _bindable(name: str, value: Any) -> Any:
    if isinstance(value, datetime):  # pandas' Timestamp too
        if value.tzinfo is None:
            raise WarehouseError(f"query parameter {name!r} is a datetime without a time zone: {value}")
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | set | frozenset):
        return [_bindable(name, item) for item in value]
    if isinstance(value, tuple):
        return tuple(_bindable(name, item) for item in value)
    return value


def utc_text(instant: datetime) -> str:
    """An aware datetime as ClickHouse reads it in a UTC column; fractions only where there are any."""
    text = instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{instant.microsecond:06d}" if instant.microsecond else text
