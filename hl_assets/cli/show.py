"""`hl-assets top`, `wallet` and `query`: what is stored, for people.

Belongs here: reading for and rendering of these commands. Does not belong here: the ranking's columns (`cli.ranking`),
computing anything.
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.ranking import find_configuration, ranking_table, read_ranking
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.scoring.entities import parse_entity_filter
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import WarehouseQueryError
from hl_assets.warehouse.manifest import Manifest

console = make_console()


def show_top(
    values: dict[str, object], rows: int, as_of: str | None, *, hide: str = "none", config: str | None = None
) -> None:
    """Print the stored ranking of the newest slot at or before an instant.

    Args:
        values: Settings that were given, by field name.
        rows: Wallets to print.
        as_of: The instant; None: the newest slot.
        hide: Entity flags whose wallets are left out, separated by commas; `default`: those of ENTITY_FILTER.
        config: Hash or name of another configuration's scores.

    Raises:
        CommandError: Nothing is stored, or nothing of this configuration.
        EntityFilterError: `hide` names something that is no flag.
    """
    settings = Settings.load(**values)
    hidden = parse_entity_filter(settings.entity_filter if hide == "default" else hide)
    with stored(settings) as store:
        slot = newest_slot(store, settings, as_of)
        chosen = None if config is None else find_configuration(store, config, slot)
        ranking = read_ranking(
            store,
            slot if chosen is None else chosen.newest_slot,
            rows,
            config_hash=None if chosen is None else chosen.config_hash,
            hidden=hidden,
        )
    console.print(ranking_table(ranking, settings.source, console.width))


def show_query(values: dict[str, object], sql: str, output: str) -> None:
    """Run one query and print its rows."""
    settings = Settings.load(**values)
    with stored(settings) as store:
        frame = store.read_frame(sql)
    if output == "csv":
        _write_csv(frame)
    elif output == "json":
        sys.stdout.write(
            json.dumps([_plain(row) for row in frame.to_dict("records")], ensure_ascii=False) + "\n"
        )
    else:
        console.print(_plain_table(frame))


@contextmanager
def stored(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse of the settings, for reading."""
    with Warehouse(warehouse_config(settings), comment={"command": "hl-assets"}) as store:
        yield store


def newest_slot(store: Warehouse, settings: Settings, as_of: str | None) -> datetime:
    """The newest scored slot at or before an instant.

    Raises:
        CommandError: Nothing is stored yet, or nothing that early.
    """
    at = None if as_of is None else parse_instant(as_of)
    try:
        newest = Manifest(store).latest_slot(WALLET_SCORES, at)
    except WarehouseQueryError as error:
        if error.name in {"UNKNOWN_DATABASE", "UNKNOWN_TABLE"}:
            newest = None
        else:
            raise
    if newest is None:
        when = "" if at is None else f" at or before {slot_text(at)}"
        raise CommandError(
            f"no slot is scored{when} in database {store.database} (source {settings.source}): "
            f"run `hl-assets run --source {settings.source}` first, or choose another --source"
        )
    return newest.as_of


def _write_csv(frame: pd.DataFrame) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(frame.columns)
    writer.writerows([_text(value) for value in row] for row in frame.itertuples(index=False, name=None))


def _plain_table(frame: pd.DataFrame) -> Table:
    table = Table(header_style="bold")
    for name in frame.columns:
        table.add_column(Text(str(name)), overflow="fold")
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(Text(_visible(_text(value))) for value in row))
    return table


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """A row as JSON values: null where unknown, instants as ISO text."""
    return {str(name): _json_value(value) for name, value in row.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if value is None or value is pd.NaT or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.item() if hasattr(value, "item") else value


def _text(value: Any) -> str:
    plain = _json_value(value)
    if plain is None:
        return ""
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict | list) else str(plain)


def _visible(text: str) -> str:
    """Without characters that would steer a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
