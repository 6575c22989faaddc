"""A few slots of a simulated exchange, materialised by the real assets once, and the API over them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pandas as pd
import pytest
from fastapi import FastAPI

from hl_assets.api.app import create_app
from hl_assets.api.serving import ApiServer
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.partitions import SLOT_TAG
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.api.grades import grade_frames
from hl_assets_tests.pipeline.conftest import SLOT, Platform, failure_of

TEN_MINUTES = timedelta(minutes=10)
SLOTS = (SLOT - 3 * TEN_MINUTES, SLOT - TEN_MINUTES, SLOT)
"""Slots that are stored; the one between the first two is missing."""
NOW = SLOT + timedelta(minutes=4)
PROVENANCE = Provenance("test", "test", "simulated")
HOSTILE = "\x1b[31m\u202eevil\u2066 <script>alert(1)</script>\x00\ud7ff\U000e0041 '; DROP TABLE x"
BEFORE_GRADES = ["leaderboard", "vaults", "portfolio_histories", "equity_curves", "wallet_metrics"]
WRITE_KEY = "a key of sixteen characters or more"


@pytest.fixture(scope="session")
def stored(embedded_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseConfig]:
    """A database with three slots of 40 wallets, the best with a hostile name. Tests only read it.

    The first slot is made by the real assets, the others are its rows again, with a few figures of their own.
    """
    config = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
    sandbox = SandboxConfig(wallets=200, seed=11, clock=ClockSetting.frozen(SLOT), weight_limit=None)
    with (
        pytest.MonkeyPatch.context() as patch,
        SandboxServer(sandbox) as exchange,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        home = tmp_path_factory.mktemp("api")
        patch.chdir(home)  # no .env of the developer's
        platform = Platform(exchange, instance, config, home, overrides={"top_n": 40})
        platform.at(SLOTS[0])
        materialise(platform, SLOTS[0])
        with Warehouse(config) as store:
            for slot in SLOTS[1:]:
                repeat_slot(store, SLOTS[0], slot)
            rename_best(store)
        yield config
        platform.drop()


def materialise(platform: Platform, slot: datetime) -> None:
    """A tick by the real assets, but for grades of every kind."""
    day, tags = str(slot.date()), {SLOT_TAG: slot_text(slot)}
    before = platform.materialize(BEFORE_GRADES, day, tags=tags)
    assert before.success, failure_of(before)
    with Warehouse(platform.warehouse) as store:
        store.ensure_tables(TABLES)
        metrics = Manifest(store).committed(WALLET_METRICS)[slot]
        grades, calls = grade_frames(store.read_table(WALLET_METRICS, as_of=slot), slot)
        inputs = {WALLET_METRICS.name: metrics.version}
        Publisher(store).replace_slice(AI_GRADES, slot, grades, replace(PROVENANCE, inputs=inputs))
        append_entries(store, GRADE_CALLS, calls)
    scored = platform.materialize(["wallet_scores"], day, tags=tags)
    assert scored.success, failure_of(scored)


def repeat_slot(store: Warehouse, source: datetime, slot: datetime) -> None:
    """Publish a slot's rows again as another slot's, table by table in the order data flows."""
    versions: dict[str, int] = {}

    def publish(inputs: tuple[TableContract, ...], *tables: TableContract) -> None:
        slices = [Slice(table, slot, _repeated(store, table, source, slot)) for table in tables]
        derived_from = {table.name: versions[table.name] for table in inputs}
        done = Publisher(store).publish(slices, replace(PROVENANCE, inputs=derived_from))
        assert done.version is not None
        versions.update({table.name: done.version for table in tables})

    publish((), LEADERBOARD_SNAPSHOTS)
    publish((LEADERBOARD_SNAPSHOTS,), PORTFOLIO_FETCHES)
    publish((PORTFOLIO_FETCHES,), WALLET_METRICS)
    publish((WALLET_METRICS,), AI_GRADES)
    publish((WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES), WALLET_SCORES, SCORE_RUNS)


def _repeated(store: Warehouse, table: TableContract, source: datetime, slot: datetime) -> pd.DataFrame:
    rows = store.read_table(table, as_of=source)
    rows["as_of"] = pd.Series([slot] * len(rows), dtype=rows["as_of"].dtype)
    if (
        table is WALLET_SCORES and slot == SLOT
    ):  # half of the wallets have been there long enough for a trend and a trust
        known = rows["calculated_rank"].fillna(0) % 2 == 1
        rows.loc[known, "trend_slope"] = 1.5
        rows.loc[known, "trend_direction"] = "stable"
        rows.loc[known, "rank_change"] = 3
        rows.loc[known, "trust"] = 5.0 * rows["calculated_rank"].astype(float).where(
            rows["calculated_rank"] <= 20, 20
        )
        rows.loc[known, "trust_label"] = "low"
        rows["null_reasons"] = [
            {name: why for name, why in reasons.items() if not keep or name not in _KNOWN_NOW}
            for reasons, keep in zip(rows["null_reasons"], known, strict=True)
        ]
    return rows


_KNOWN_NOW = {"trend_slope", "rank_change", "trust"}


def rename_best(store: Warehouse) -> None:
    """Give the best wallet a hostile name."""
    board = SLOTS[0]
    rows = store.read_table(LEADERBOARD_ROWS, as_of=board)
    rows.loc[rows["wallet"] == best_of(store), "display_name"] = HOSTILE
    Publisher(store).replace_slice(LEADERBOARD_ROWS, board, rows, PROVENANCE)


def best_of(store: Warehouse) -> str:
    [(wallet,)] = store.read_rows(
        "SELECT wallet FROM wallet_scores WHERE as_of = {t:DateTime('UTC')} AND calculated_rank = 1",
        {"t": SLOT},
    )
    return str(wallet)


@pytest.fixture(scope="session")
def store(stored: WarehouseConfig) -> Iterator[Warehouse]:
    with Warehouse(stored) as opened:
        yield opened


@pytest.fixture(scope="session")
def make_app(store: Warehouse) -> Callable[..., FastAPI]:
    """An app over the stored slots; settings by field name."""

    def make(launcher: Any = None, **values: Any) -> FastAPI:
        defaults = {"clock": NOW, "api_rate_per_minute": 0, "api_write_key": WRITE_KEY}
        return create_app(Settings.load(**{**defaults, **values}), store, launcher=launcher)

    return make


@pytest.fixture(scope="session")
def app(make_app: Callable[..., FastAPI]) -> FastAPI:
    return make_app()


@pytest.fixture(scope="session")
def api(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the app over real HTTP."""
    with ApiServer(app) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def best(store: Warehouse) -> str:
    """Address of the best wallet of every slot."""
    return best_of(store)
