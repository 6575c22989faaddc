"""What was not imported, and why: rows judged one by one, counted per rule, kept in a file.

Belongs here: finding the rows that break a contract, and the log of rejects. Does not belong here: what happens to the rest of a
file (`import_export`, `panels`).
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pandas as pd
import pandera.errors

from hl_assets.interchange.errors import InterchangeError
from hl_assets.schemas.contract import ColumnSpec, TableContract
from hl_assets.slots import SLOT
from hl_assets.warehouse.frames import integer_range

MAX_SAMPLES = 5
MAX_VALUE_LENGTH = 200
_NULLABLE = ("Nullable(", "LowCardinality(Nullable(")


@dataclass(frozen=True)
class Reject:
    """Something that was not imported.

    Attributes:
        source: The file.
        place: Where in it, e.g. `row 12`; empty for the whole file.
        column: The column that broke the rule; empty if no single one did.
        rule: The rule.
        value: The value that broke it, as text.
        row: The row's values; empty for the whole file.
    """

    source: str
    place: str
    column: str
    rule: str
    value: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Broken:
    """One rule of one column, and the positions of the rows that broke it with the values they have."""

    column: str
    rule: str
    values: Mapping[int, Any]


class RejectLog:
    """Rejects of one import, written to a file as they are found (JSON lines); without rejects there is no file.

    Args:
        path: The file.

    Attributes:
        counts: (column, rule) -> how many rejects.
        samples: (column, rule) -> the first few.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[tuple[str, str]] = Counter()
        self.samples: dict[tuple[str, str], list[Reject]] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def total(self) -> int:
        """Rejects so far; a row that breaks two rules counts twice."""
        return self.counts.total()

    def add(self, reject: Reject) -> None:
        """Count a reject and write it down."""
        if self._file is None:
            self._file = self._opened()
        key = reject.column, reject.rule
        self.counts[key] += 1
        if len(known := self.samples.setdefault(key, [])) < MAX_SAMPLES:
            known.append(reject)
        line = {
            "source": reject.source,
            "place": reject.place,
            "column": reject.column,
            "rule": reject.rule,
            "value": reject.value,
            "row": {name: json_value(value) for name, value in reject.row.items()},
        }
        self._file.write(json.dumps(line) + "\n")  # ASCII: names in it are chosen by strangers

    def _opened(self) -> IO[str]:
        try:
            return self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise InterchangeError(
                f"cannot write the rejects to {self.path}: {error}; choose another file with --rejects"
            ) from error


def broken_rows(contract: TableContract, frame: pd.DataFrame) -> list[Broken]:
    """Every rule of a contract that rows break, with the rows.

    Args:
        contract: The table.
        frame: Rows in the contract's columns, types as close as the file has them (`parquet.frame_of`).

    Returns:
        Rules about types and nulls, then about values, then about the key; a row that breaks one of these is not judged by
        the next. Rows that share a key all break its rule.
    """
    frame = frame.reset_index(drop=True)
    found = [*_unknowns(contract, frame), *_unrepresentable(contract, frame)]
    for rules in (_by_schema, _repeated):
        broken = {position for one in found for position in one.values}
        whole = frame.drop(index=sorted(broken))
        if not whole.empty:
            found += rules(contract, contract.conform(whole), whole.index.to_numpy())
    return found


def _unknowns(contract: TableContract, frame: pd.DataFrame) -> Iterable[Broken]:
    for spec in contract.columns:
        nulls = np.flatnonzero(frame[spec.name].isna())
        if len(nulls) and not spec.clickhouse_type.startswith(_NULLABLE):
            yield Broken(spec.name, "not_nullable", dict.fromkeys(nulls.tolist()))


def _unrepresentable(contract: TableContract, frame: pd.DataFrame) -> Iterable[Broken]:
    """Values that ClickHouse's type or this project's rules have no room for."""
    for spec in contract.columns:
        values = frame[spec.name]
        if (limits := integer_range(spec)) is not None:
            outside = values.notna() & ~values.between(*limits)
            yield from _broken(spec, f"in_range({limits[0]}, {limits[1]})", values, outside)
        elif spec.clickhouse_type in {"Float64", "Nullable(Float64)"}:
            yield from _broken(spec, "finite", values, pd.Series(np.isinf(values.to_numpy(float))))
        elif spec.name == "as_of":
            off = values.notna() & (values != values.dt.floor(SLOT))
            yield from _broken(spec, "whole 10 minutes", values, off)


def _broken(
    spec: ColumnSpec, rule: str, values: "pd.Series[Any]", mask: "pd.Series[bool]"
) -> Iterable[Broken]:
    positions = np.flatnonzero(mask.to_numpy(bool, na_value=False))
    if len(positions):
        yield Broken(spec.name, rule, {position: values.iloc[position] for position in positions.tolist()})


def _by_schema(contract: TableContract, frame: pd.DataFrame, positions: Any) -> Iterable[Broken]:
    try:
        contract.schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        for key, group in cases.groupby(
            [cases["column"].astype(str), cases["check"].astype(str)], sort=False
        ):
            column, rule = key if isinstance(key, tuple) else (str(key), "")
            if group["index"].isna().any():  # about the whole frame, not about rows of it
                values: dict[int, Any] = dict.fromkeys(positions.tolist())
            else:
                rows = group["index"].astype(int)
                values = {
                    int(positions[row]): case for row, case in zip(rows, group["failure_case"], strict=True)
                }
            yield Broken(str(column), str(rule), values)


def _repeated(contract: TableContract, frame: pd.DataFrame, positions: Any) -> Iterable[Broken]:
    key = list(contract.key)
    twice = np.flatnonzero(frame.duplicated(key, keep=False))
    if len(twice):
        rows = frame.iloc[twice][key].itertuples(index=False, name=None)
        keys = {int(positions[row]): tuple(map(str, found)) for row, found in zip(twice, rows, strict=True)}
        yield Broken("key", f"unique ({', '.join(contract.key)})", keys)


def short(value: object) -> str:
    """A value as ASCII text, cut."""
    text = ascii(value) if not isinstance(value, datetime) else value.isoformat()
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 3] + "..."


def json_value(value: Any) -> Any:
    """A value of a row for the rejects file; text that JSON has no other form for."""
    if isinstance(value, dict):
        return {str(name): json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_value(inner) for inner in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return None if math.isnan(plain) else str(plain)
    return plain
