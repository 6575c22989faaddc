"""What a materialisation says about itself: one vocabulary of metadata for every asset.

Belongs here: metadata and definition metadata from contracts and frames. Does not belong here: check results.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from hl_assets.schemas.contract import TableContract
from hl_assets.slots import slot_text

PREVIEW_ROWS = 10
_HIDDEN = frozenset({"display_name"})
"""Columns that never enter the UI: text that users of the exchange control."""


def column_schema(contract: TableContract) -> dg.TableSchema:
    """Dagster's column schema of a contract."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.clickhouse_type,
                description=f"{column.description} [{column.unit}]" if column.unit else column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=contract.key == (column.name,)
                ),
            )
            for column in contract.columns
        ]
    )


def definition_metadata(contract: TableContract) -> dict[str, Any]:
    """Metadata of an asset's definition: table, columns, grain and what not to sum."""
    metadata: dict[str, Any] = {
        "dagster/table_name": contract.name,
        "dagster/column_schema": column_schema(contract),
        "grain": contract.grain,
        "key": ", ".join(contract.key),
    }
    if contract.caution:
        metadata["do_not_sum"] = contract.caution
    return metadata


def slot_metadata(
    contract: TableContract,
    *,
    slot: datetime,
    frame: pd.DataFrame,
    preview_of: pd.DataFrame | None = None,
    rows_of_day: int,
    seconds: float,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Metadata of one materialisation, described by its newest slot.

    Args:
        contract: Table materialised.
        slot: Newest slot worked on.
        frame: Rows of that slot.
        preview_of: The same rows in an order worth previewing; None: as they are.
        rows_of_day: Rows published for the whole partition.
        seconds: Duration of the step.
        extra: Facts of this asset.
    """
    return {
        "as_of": dg.MetadataValue.timestamp(slot),
        "slot": slot_text(slot),
        "rows": len(frame),
        "dagster/partition_row_count": rows_of_day,
        "dagster/table_name": contract.name,
        "seconds": round(seconds, 3),
        "preview": dg.MetadataValue.md(preview(frame if preview_of is None else preview_of)),
        **(extra or {}),
    }


def preview(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> str:
    """The first rows as a Markdown table; untrusted text is left out."""
    names = [str(name) for name in (columns or frame.columns) if name not in _HIDDEN]
    head = frame[names].head(PREVIEW_ROWS)
    rows = [
        "| " + " | ".join(_cell(value) for value in row) + " |"
        for row in head.itertuples(index=False, name=None)
    ]
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *rows])


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:80]
