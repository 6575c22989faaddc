"""Response models made from table contracts, so that the API's fields mean what the tables' columns mean.

Belongs here: a contract's columns as pydantic fields: type, limits, description, unit. Does not belong here: which columns
an answer has (`models`).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, create_model
from pydantic.config import JsonDict

from hl_assets.schemas.contract import ColumnSpec, TableContract


def utc_text(instant: datetime) -> str:
    """An instant as RFC 3339 text in UTC, e.g. `2026-05-31T12:10:00Z`; milliseconds only where there are any."""
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{instant.microsecond // 1000:03d}Z" if instant.microsecond else f"{text}Z"


UtcInstant = Annotated[
    datetime,
    PlainSerializer(utc_text, return_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})]),
]

_SCALARS: Mapping[str, Any] = {
    "String": str,
    "Float64": float,
    "Bool": bool,
    "UInt8": int,
    "UInt32": int,
    "UInt64": int,
    "Int32": int,
    "Int64": int,
}
_INTEGERS = frozenset({"UInt8", "UInt32", "UInt64", "Int32", "Int64"})
_WRAPPED = re.compile(r"^(LowCardinality|Nullable)\((.*)\)$")
_EXAMPLES: Mapping[str, Any] = {
    "USD": 125000.5,
    "fraction": 0.12,
    "fraction/year": 0.34,
    "ratio": 1.4,
    "points": 80.0,
    "points/7 days": 1.5,
    "percent": 72.5,
    "days": 182.5,
    "hours": 3.2,
    "rank": 3,
    "count": 42,
}


def contract_fields(
    contract: TableContract, columns: Iterable[str] | None = None, *, without: Iterable[str] = ()
) -> dict[str, Any]:
    """Columns of a contract as pydantic fields.

    Args:
        contract: The table.
        columns: Columns wanted; None = all, in the contract's order.
        without: Columns not wanted.

    Raises:
        KeyError: A column the contract does not have.
    """
    specs = {spec.name: spec for spec in contract.columns}
    names = list(specs) if columns is None else list(columns)
    left_out = set(without)
    if unknown := {*names, *left_out} - set(specs):
        raise KeyError(f"{contract.name} has no columns {sorted(unknown)}")
    return {name: contract_field(contract, specs[name]) for name in names if name not in left_out}


def contract_field(contract: TableContract, spec: ColumnSpec) -> Any:
    """One column as a pydantic field: (type, FieldInfo)."""
    limits, values = _checks(contract, spec)
    bare = _bare(spec.clickhouse_type)
    kind = Literal[tuple(values)] if values and bare == "String" else _python_type(bare)
    if bare in _INTEGERS or bare == "Float64":
        kind = Annotated[kind, Field(**limits)] if limits else kind
    unit: JsonDict = {"x-unit": spec.unit} if spec.unit else {}
    description = f"{spec.description} [{spec.unit}]" if spec.unit else spec.description
    info = Field(
        description=description,
        examples=_examples(spec, bare, limits, values),
        json_schema_extra=unit or None,
    )
    return (kind | None if spec.nullable else kind, info)


def model_of(name: str, doc: str, fields: Mapping[str, Any]) -> type[BaseModel]:
    """A response model: exactly these fields."""
    made: type[BaseModel] = create_model(
        name, __config__=ConfigDict(extra="forbid"), __doc__=doc, **dict(fields)
    )
    return made


def _bare(clickhouse_type: str) -> str:
    while match := _WRAPPED.match(clickhouse_type):
        clickhouse_type = match.group(2)
    return clickhouse_type


def _python_type(bare: str) -> Any:
    if bare.startswith("DateTime"):
        return UtcInstant
    if bare.startswith("Array("):
        return list[_python_type(_bare(bare[len("Array(") : -1]))]  # type: ignore[misc]
    if bare.startswith("Map("):
        key, value = (part.strip() for part in bare[len("Map(") : -1].split(",", 1))
        return dict[_python_type(_bare(key)), _python_type(_bare(value))]  # type: ignore[misc]
    return _SCALARS[bare]


def _checks(contract: TableContract, spec: ColumnSpec) -> tuple[dict[str, Any], list[Any]]:
    """Limits (ge, le, ...) and allowed values that the contract's checks set."""
    limits: dict[str, Any] = {}
    values: list[Any] = []
    for check in contract.schema.columns[spec.name].checks:
        statistics = check.statistics or {}
        match check.name:
            case "greater_than_or_equal_to":
                limits["ge"] = statistics["min_value"]
            case "greater_than":
                limits["gt"] = statistics["min_value"]
            case "less_than_or_equal_to":
                limits["le"] = statistics["max_value"]
            case "isin":
                values = sorted(statistics["allowed_values"])
    return limits, values


def _examples(spec: ColumnSpec, bare: str, limits: Mapping[str, Any], values: list[Any]) -> list[Any] | None:
    if values:
        return [values[-1]]
    if spec.name == "wallet":
        return ["0x31ca8395cf837de08b24da3f660e77761dfb974b"]
    if bare.startswith("DateTime"):
        return ["2026-05-31T12:10:00Z"]
    if spec.unit not in _EXAMPLES:
        return None
    example = _EXAMPLES[spec.unit]
    if limits.get("le") == 0:
        return [-example]
    in_range = limits.get("ge", example) <= example <= limits.get("le", example)
    return [example] if in_range else [limits.get("ge", limits.get("le"))]
