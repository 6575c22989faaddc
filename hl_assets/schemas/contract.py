"""What a table contract is: a pandera model per table plus the facts ClickHouse and readers need.

Belongs here: the contract type, the column factories, and what is derived from a contract (column list, conforming a
frame, an empty frame). Does not belong here: the contracts themselves (one module per table beside this one), SQL
(`hl_assets.warehouse.ddl`), Dagster (`hl_assets.checks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import pandas as pd
import pandera.pandas as pa

# The pandas types contracts use. Slots are whole seconds; instants the exchange reports are milliseconds.
Slot = Annotated[pd.DatetimeTZDtype, "s", "UTC"]
Instant = Annotated[pd.DatetimeTZDtype, "ms", "UTC"]

RECONSTRUCTED = "reconstructed"
ORIGINS = ("live", "recorded", "simulated", RECONSTRUCTED)
"""Where a row's facts come from: the exchange, a recording, the simulated population, or stored portfolio histories."""


class ContractError(ValueError):
    """A frame does not have the columns or types of its contract; the message names table and columns."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column as every generated artefact (DDL, docs, Dagster schema, API) sees it."""

    name: str
    clickhouse_type: str
    pandas_dtype: str
    unit: str
    description: str
    nullable: bool
    codec: str | None = None


def column(
    description: str,
    *,
    clickhouse: str,
    unit: str = "",
    nullable: bool = False,
    codec: str | None = None,
    **checks: Any,
) -> Any:
    """Declare a contract column.

    Args:
        description: What the value is, for documentation and Dagster's column schema.
        clickhouse: ClickHouse type, exactly as in DDL. Nullable float columns are `Nullable(Float64)`.
        unit: Unit of the value ("USD", "fraction", "days", ...), empty for identifiers.
        nullable: Whether the value may be unknown.
        codec: Compression, as ClickHouse prints it inside `CODEC(...)`; None: its type's (`hl_assets.warehouse.codecs`).
        **checks: pandera field checks (`ge`, `le`, `isin`, `str_matches`, ...).
    """
    metadata = {"clickhouse": clickhouse, "unit": unit, "codec": codec}
    return pa.Field(description=description, nullable=nullable, metadata=metadata, **checks)


def slot_column(description: str = "10-minute slot the row describes") -> Any:
    """Column `as_of`: a whole slot, UTC."""
    return column(description, clickhouse="DateTime('UTC')", unit="UTC")


def instant_column(description: str, *, nullable: bool = False) -> Any:
    """An instant with millisecond resolution, UTC."""
    kind = "DateTime64(3, 'UTC')"
    return column(
        description, clickhouse=f"Nullable({kind})" if nullable else kind, unit="UTC", nullable=nullable
    )


def wallet_column() -> Any:
    """Column `wallet`: the lower-case account address."""
    return column(
        "Account address, lower case",
        clickhouse="String",
        str_matches=r"^0x[0-9a-f]{40}$",
    )


def float_column(description: str, *, unit: str, nullable: bool = False, **checks: Any) -> Any:
    """A float64 quantity; null (NaN) only where the contract says that it may be unknown."""
    clickhouse = "Nullable(Float64)" if nullable else "Float64"
    return column(description, clickhouse=clickhouse, unit=unit, nullable=nullable, **checks)


def count_column(description: str, *, unit: str = "count") -> Any:
    """A non-negative integer, int64 in pandas."""
    return column(description, clickhouse="UInt32", unit=unit, ge=0)


def nullable_count_column(description: str, *, unit: str = "count", ge: int = 0) -> Any:
    """A non-negative integer that may be unknown, Int64 in pandas."""
    return column(description, clickhouse="Nullable(UInt32)", unit=unit, nullable=True, ge=ge)


def origin_column() -> Any:
    """Column `origin`: where the facts of the row come from."""
    return column(
        "Where the facts come from: " + ", ".join(ORIGINS),
        clickhouse="LowCardinality(String)",
        isin=list(ORIGINS),
    )


@dataclass(frozen=True)
class TableContract:
    """One table: its rows, key, storage layout and what readers must know.

    Attributes:
        name: Public name: the view that people query.
        model: pandera model of one published frame.
        grain: What one row is, in words.
        key: Columns that identify a row; unique within the published rows.
        order_by: ClickHouse sorting key.
        partition_by: ClickHouse partition expression over `as_of`.
        caution: What must not be summed or compared, empty if nothing.
        empty_is: Whether an empty slice is an error (the source always has rows) or can be true.
        storage: `slices`: published slot by slot, a slot replaced as a whole (`hl_assets.warehouse.publish`). `ledger`:
            appended row by row, seen at once and never replaced (`hl_assets.warehouse.ledger`); its sorting key ends
            with its key.
    """

    name: str
    model: type[pa.DataFrameModel]
    grain: str
    key: tuple[str, ...]
    order_by: tuple[str, ...]
    partition_by: str = "toYYYYMM(as_of)"
    caution: str = ""
    empty_is: Literal["error", "allowed"] = "allowed"
    storage: Literal["slices", "ledger"] = "slices"

    @cached_property
    def schema(self) -> pa.DataFrameSchema:
        """The pandera schema, built once."""
        return self.model.to_schema()

    @cached_property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """All columns, in the order of the model."""
        return tuple(_column_spec(name, column) for name, column in self.schema.columns.items())

    @property
    def column_names(self) -> list[str]:
        """Names of all columns, in order."""
        return [column.name for column in self.columns]

    @property
    def description(self) -> str:
        """First paragraph of the model's docstring."""
        return " ".join((self.model.__doc__ or "").split("\n\n")[0].split())

    def empty(self) -> pd.DataFrame:
        """A frame of no rows with the contract's columns and types."""
        return pd.DataFrame({c.name: pd.Series([], dtype=c.pandas_dtype) for c in self.columns})

    def conform(self, columns: pd.DataFrame | Mapping[str, Any]) -> pd.DataFrame:
        """Return a frame with exactly the contract's columns, order and types.

        Only representation changes (resolution of an instant, int32 to int64, None to NaN); values are judged by the
        pandera checks, not here.

        Raises:
            ContractError: A column is missing, unknown or cannot be represented in its type.
        """
        frame = pd.DataFrame(dict(columns))
        missing = [name for name in self.column_names if name not in frame.columns]
        unknown = [str(name) for name in frame.columns if name not in self.column_names]
        if missing or unknown:
            raise ContractError(f"{self.name}: missing columns {missing}, unknown columns {unknown}")
        return pd.DataFrame({c.name: self._cast(frame[c.name], c) for c in self.columns}, copy=False)

    def _cast(self, values: "pd.Series[Any]", spec: ColumnSpec) -> "pd.Series[Any]":
        try:
            return values.reset_index(drop=True).astype(spec.pandas_dtype)  # type: ignore[call-overload, no-any-return]
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"{self.name}.{spec.name}: not representable as {spec.pandas_dtype}: {error}"
            ) from error


def _column_spec(name: str, column: pa.Column) -> ColumnSpec:
    metadata = column.metadata or {}
    return ColumnSpec(
        name=name,
        clickhouse_type=metadata["clickhouse"],
        pandas_dtype="object" if str(column.dtype) in {"str", "object"} else str(column.dtype),
        unit=metadata["unit"],
        description=column.description or "",
        nullable=column.nullable,
        codec=metadata["codec"],
    )
