"""A few slots of a simulated exchange, materialised by the real assets once, and the API over them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from fastapi import FastAPI

from hl_assets.api.app import create_app
from hl_assets.api.serving import ApiServer
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.partitions import SLOT_TAG
from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance
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
    """A database with three slots of 40 wallets, one of them with a hostile name. Tests only read it."""
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
        for slot in SLOTS:
            platform.at(slot)
            materialise(platform, slot)
        with Warehouse(config) as store:
            store.ensure_tables(TABLES)
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


def rename_best(store: Warehouse) -> None:
    """Give the best wallet of the newest slot a hostile name."""
    [(wallet,)] = store.read_rows(
        "SELECT wallet FROM wallet_scores WHERE as_of = {t:DateTime('UTC')} AND calculated_rank = 1",
        {"t": SLOT},
    )
    [(board,)] = store.read_rows(
        "SELECT board_as_of FROM leaderboard_snapshots WHERE as_of = {t:DateTime('UTC')}", {"t": SLOT}
    )
    rows = store.read_table(LEADERBOARD_ROWS, as_of=board)
    rows.loc[rows["wallet"] == wallet, "display_name"] = HOSTILE
    Publisher(store).replace_slice(LEADERBOARD_ROWS, board, rows, PROVENANCE)


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
    """Address of the best wallet of the newest slot."""
    [(wallet,)] = store.read_rows(
        "SELECT wallet FROM wallet_scores WHERE as_of = {t:DateTime('UTC')} AND calculated_rank = 1",
        {"t": SLOT},
    )
    return str(wallet)
