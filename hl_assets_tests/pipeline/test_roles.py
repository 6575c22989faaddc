"""The platform as the database's users: a statement that production would refuse fails here.

The engine itself checks every statement of a tick and of its upkeep against the writer's privileges, and every one of the API
against the API's; `hl_assets_tests.warehouse.restricted_server` says how.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import httpx
import pytest

from hl_assets.alerts.record import record_sent
from hl_assets.api.app import create_app
from hl_assets.api.reads import SERVED
from hl_assets.api.serving import ApiServer
from hl_assets.assets.watching import request_watch
from hl_assets.cli.rescore import run_rescore
from hl_assets.cli.serve import api_warehouse
from hl_assets.exchange.sandbox import SandboxServer
from hl_assets.maintenance.upkeep import plan_expiry, sweep_tables, withdraw_expired
from hl_assets.schemas import TABLES
from hl_assets.schemas.tracking import TRACKED_WALLETS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text
from hl_assets.warehouse.access import Access, Interval, Load, Role, access_of_roles
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance
from hl_assets_tests.pipeline.conftest import DAY, SLOT, Platform, failure_of
from hl_assets_tests.warehouse.restricted_server import serving_as

pytestmark = pytest.mark.slow  # a tick, as the writer

ROLES = access_of_roles(TABLES, "hl_assets_sandbox", SERVED, Load(threads=8, query_seconds=20))
WALLET = "0x" + "ab" * 20


@pytest.fixture(scope="module")
def home(exchange_server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose tables the migrator made and which the writer alone filled."""
    home, folder = tmp_path_factory.mktemp("clickhouse"), tmp_path_factory.mktemp("platform")
    migrator = tmp_path_factory.mktemp("migrator")
    with serving_as(ROLES[Role.MIGRATOR], home, migrator) as url, Warehouse(config_of(url)) as store:
        store.ensure_tables(TABLES)
    with (
        pytest.MonkeyPatch.context() as patch,
        serving_as(ROLES[Role.WRITER], home, tmp_path_factory.mktemp("writer")) as url,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.chdir(folder)  # no .env of the developer's
        platform = Platform(exchange_server, instance, config_of(url), folder)
        platform.control("DELETE", "/faults")
        fill(platform)
        keep_up(platform)
    return home


def config_of(url: str) -> WarehouseConfig:
    return WarehouseConfig(url=url, database="hl_assets_sandbox", attempts=1)


def fill(platform: Platform) -> None:
    """A tick, and its slot derived again."""
    platform.at(SLOT)
    ticked = platform.tick()
    assert ticked.success, failure_of(ticked)
    again = platform.materialize(["wallet_metrics", "ai_grades", "wallet_scores"], DAY, full_refresh=True)
    assert again.success, failure_of(again)


def keep_up(platform: Platform) -> None:
    """What is done to the warehouse beside ticks: retention, sweeping, requests of people."""
    settings = platform.settings
    with Warehouse(platform.warehouse) as store:
        publisher = Publisher(store, retain_seconds=0)
        expired = plan_expiry(
            store, Settings.load(retention="wallet_metrics=40").retention_rules, settings.now()
        )
        withdraw_expired(publisher, expired, Provenance("run", "test", "simulated"), lambda: 60.0)
        publisher.withdraw(TRACKED_WALLETS, [SLOT], Provenance("run", "test", "simulated"))
        assert sweep_tables(publisher, lambda: 60.0).rows, (
            "something is deleted, or the privilege is not tried"
        )
        request_watch(store, WALLET, "watch", now=settings.now(), origin=settings.origin)
        record_sent(store, [])
    values = {
        "clickhouse_url": platform.warehouse.url,
        "clickhouse_database": platform.warehouse.database,
        "clock": SLOT,
    }
    run_rescore(values, "roi=2", None, None, "mine")


@contextmanager
def api_over(home: Path, access: Access, folder: Path) -> Iterator[httpx.Client]:
    """The API, all of whose statements come from a user with these privileges."""
    with serving_as(access, home, folder) as url:
        settings = Settings.load(
            clickhouse_url=url, clickhouse_database="hl_assets_sandbox", clock=SLOT + timedelta(minutes=4), api_rate_per_minute=0,
            api_snapshot_seconds=0,
        )  # fmt: skip
        with (
            Warehouse(api_warehouse(settings)) as store,
            ApiServer(create_app(settings, store)) as server,
            httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
        ):
            yield client


def test_every_endpoint_answers_the_api_user(home: Path, tmp_path: Path) -> None:
    with api_over(home, ROLES[Role.API], tmp_path) as client:
        best = client.get("/v1/leaderboard").json()["data"][0]["wallet"]
        paths = [
            path for path, verbs in client.get("/openapi.json").json()["paths"].items() if "get" in verbs
        ]
        assert len(paths) > 8
        for path in paths:
            answer = client.get(path.format(address=best, slot=slot_text(SLOT)))
            assert answer.status_code == 200, (path, answer.text)
        assert client.get(f"/v1/wallets/{WALLET}").status_code == 404
        figures = client.get("/metrics").text
        assert "hl_assets_platform_readable 1.0" in figures
        assert "hl_assets_scored_wallets{" in figures


def test_a_quota_that_is_used_up_is_told_as_that(home: Path, tmp_path: Path) -> None:
    tight = replace(ROLES[Role.API], quota=(Interval("hour", {"queries": 12}),))
    with api_over(home, tight, tmp_path) as client:
        answers = [client.get(f"/v1/leaderboard?limit={limit}") for limit in range(1, 12)]
    last = answers[-1]
    assert last.status_code == 503
    assert "retry-after" in last.headers
    assert "quota" not in last.text.lower()
