"""The whole platform for one test: a local exchange over HTTP, a database of its own, real assets, a Dagster instance.

Two fixtures give it: `platform` starts with an empty database, `ticked` with what the tick of `SLOT` publishes there. That
tick is run once per session (`first_tick`) and its rows are copied, because it takes seconds and most tests begin with it.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pandas as pd
import pytest

from hl_assets.definitions import build_defs
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.jobs import console_log
from hl_assets.partitions import SLOT_TAG, partition_key
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas import TABLES
from hl_assets.schemas.vaults import VAULTS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse import ddl
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest

SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
DAY = "2026-05-31"
RAW = ("leaderboard", "vaults", "portfolio_histories")
DERIVED = ("tracked_wallets", "equity_curves", "wallet_metrics", "ai_grades", "wallet_scores")
CONFIGURED = ("reconstructed_cohorts", *DERIVED)


@cache
def _control() -> httpx.Client:
    """One client for all: making one takes 40 ms."""
    return httpx.Client(trust_env=False)


@pytest.fixture(scope="session")
def exchange_server() -> Iterator[SandboxServer]:
    """A small simulated exchange; `platform` sets its clock and clears its faults."""
    config = SandboxConfig(wallets=200, seed=11, clock=ClockSetting.frozen(SLOT), weight_limit=None)
    with SandboxServer(config) as server:
        yield server


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's real storage code on an in-memory database: a tick writes some 100 events, each a commit on disk."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@dataclass
class Platform:
    """Everything a tick needs.

    Attributes:
        exchange: The local exchange.
        instance: Dagster's instance.
        settings: Settings of the next tick.
        warehouse: Where it publishes.
        overrides: Settings that differ from the defaults, by field name.
    """

    exchange: SandboxServer
    instance: dg.DagsterInstance
    warehouse: WarehouseConfig
    home: Path
    now: datetime = SLOT
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        values: dict[str, Any] = {
            "info_url": self.exchange.info_url,
            "stats_url": self.exchange.stats_url,
            "weight_per_minute": 120_000,
            "home": self.home,
            "top_n": 12,
            "clock": self.now,
            "max_attempts": 3,
            "backoff_seconds": 0.01,
            "info_timeout_seconds": 2.0,
            "leaderboard_timeout_seconds": 2.0,
        }
        return Settings.load(**{**values, **self.overrides})

    def at(self, now: datetime) -> None:
        """Move the present, here and on the exchange."""
        self.now = now
        self.control("PUT", "/clock", {"mode": "frozen", "at": now.isoformat()})

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Use the exchange's control endpoint."""
        answer = _control().request(method, self.exchange.control_url + path, json=body)
        answer.raise_for_status()
        return answer.json()

    def fault(self, **rule: Any) -> None:
        """Switch a fault on."""
        self.control("POST", "/faults", rule)

    def defs(self, resources: dict[str, object] | None = None) -> dg.Definitions:
        settings = self.settings
        exchange = Exchange.from_settings(settings)
        # A 429 makes every worker pause for seconds; here it is the order of things that is tested, not the patience.
        hasty = replace(exchange.config, throttle_base_seconds=0.02, throttle_max_seconds=0.1)
        ours = {
            "exchange": replace(exchange, config=hasty),
            "warehouse": WarehouseResource(self.warehouse, settings.origin),
            **(resources or {}),
        }
        return build_defs(settings, ours)

    def tick(
        self, slot: datetime | None = None, resources: dict[str, object] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run the tick job for a slot, as the schedule does; the present moves to the slot if it is not given."""
        slot = slot or self.now
        return (
            self.defs(resources)
            .resolve_job_def("tick")
            .execute_in_process(
                instance=self.instance,
                partition_key=partition_key(slot),
                tags={SLOT_TAG: slot_text(slot)},
                run_config=console_log("CRITICAL"),
                raise_on_error=False,
            )
        )

    def materialize(
        self,
        assets: Sequence[str],
        day: str,
        *,
        full_refresh: bool = False,
        config: Mapping[str, object] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialise some assets of a day, as a person or a backfill does, with more configuration if given."""
        job = dg.define_asset_job("chosen", selection=dg.AssetSelection.assets(*assets))
        defs = dg.Definitions.merge(self.defs(), dg.Definitions(jobs=[job]))
        given = {"full_refresh": full_refresh, **(config or {})}
        ops = {name: {"config": given} for name in assets if name in CONFIGURED}
        return defs.resolve_job_def("chosen").execute_in_process(
            instance=self.instance,
            partition_key=day,
            tags=tags,
            run_config={"ops": ops, **console_log("CRITICAL")},
            raise_on_error=False,
        )

    def read(self) -> dict[str, pd.DataFrame]:
        """Every published row of every table."""
        with Warehouse(self.warehouse) as store:
            return {table.name: store.read_table(table) for table in TABLES}

    def read_published(self) -> dict[str, pd.DataFrame]:
        """As `read`, also before the first publication."""
        with Warehouse(self.warehouse) as store:
            store.ensure_tables(TABLES)
        return self.read()

    def drop(self) -> None:
        """Drop the database."""
        with Warehouse(self.warehouse) as store:
            store.drop_database()

    def manifest_slots(self) -> dict[str, list[datetime]]:
        """Published slots of every table that is published slot by slot; the list of vaults is the day's."""
        with Warehouse(self.warehouse) as store:
            store.ensure_tables(TABLES)
            return {table.name: list(Manifest(store).committed(table)) for table in TABLES if table != VAULTS}


@contextmanager
def opened_platform(
    exchange: SandboxServer, clickhouse: Path, instance: dg.DagsterInstance, folder: Path
) -> Iterator[Platform]:
    """A platform at `SLOT` on a healthy exchange, its database empty."""
    config = WarehouseConfig(home=clickhouse, database=f"test_{uuid.uuid4().hex[:12]}")
    made = Platform(exchange, instance, config, folder)
    made.control("DELETE", "/faults")
    made.control("DELETE", "/stats")
    made.at(SLOT)
    yield made
    made.control("DELETE", "/faults")
    replace(made, warehouse=config).drop()


@pytest.fixture
def platform(
    exchange_server: SandboxServer,
    embedded_server: Path,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Platform]:
    """A platform on which nothing has run yet."""
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    with opened_platform(exchange_server, embedded_server, instance, tmp_path) as made:
        yield made


@dataclass(frozen=True)
class FirstTick:
    """The tick of `SLOT` on an empty database with the default settings. Read-only: the session shares it.

    Attributes:
        result: What Dagster says of it.
        warehouse: The database it published into.
        tables: Every row it published.
    """

    result: dg.ExecuteInProcessResult
    warehouse: WarehouseConfig
    tables: dict[str, pd.DataFrame]

    def copy_into(self, warehouse: WarehouseConfig) -> None:
        """Publish the same in an empty database: same rows, same versions, same manifest."""
        with Warehouse(warehouse) as store:
            store.ensure_tables(TABLES)
            filled = [table for table in TABLES if len(self.tables[table.name])]
            for name in (ddl.PUBLICATIONS, *map(ddl.stored_table, filled)):
                store.command(f"INSERT INTO {name} SELECT * FROM {self.warehouse.database}.{name}")


@pytest.fixture(scope="session")
def first_tick(
    exchange_server: SandboxServer, embedded_server: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FirstTick]:
    folder = tmp_path_factory.mktemp("first_tick")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        opened_platform(exchange_server, embedded_server, instance, folder) as made,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)  # no .env of the developer's
            result = made.tick()
        assert result.success
        yield FirstTick(result, made.warehouse, made.read())


@pytest.fixture
def ticked(first_tick: FirstTick, platform: Platform) -> Platform:
    """A platform that holds what the first tick published; its exchange counts requests from here on."""
    first_tick.copy_into(platform.warehouse)
    return platform


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Description of the first failed step."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            assert data.user_failure_data is not None, data.error
            return data.user_failure_data.description or ""
    raise AssertionError("no step failed")


def checks_of(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Evaluations by (asset, check)."""
    return {(e.asset_key.to_user_string(), e.check_name): e for e in result.get_asset_check_evaluations()}


def assert_same_tables(first: dict[str, pd.DataFrame], second: dict[str, pd.DataFrame]) -> None:
    """Every row of every table is the same."""
    for name, frame in first.items():
        pd.testing.assert_frame_equal(frame, second[name], obj=name)
