"""One tick of a small sandbox, taken through a proxy that remembers its statements, and the API over what it stored.

What a healthy tick does not leave (calls to a model, a slot in quarantine, an alert) is added to the ledgers, so that every
metric has something to say. Tests only read.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import httpx
import pandas as pd
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hl_assets.api.app import create_app
from hl_assets.api.serving import ApiServer
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.schemas.alerts import ALERTS
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.quarantine import QUARANTINED_SLOTS
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets.warehouse.ledger import append_entries
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance
from hl_assets_tests.api.grades import grade_frames
from hl_assets_tests.observability.recording_proxy import RecordingProxy, Statement
from hl_assets_tests.pipeline.conftest import DAY, SLOT, Platform, failure_of

NOW = SLOT + timedelta(minutes=17)
TOP_N = 12
FAILING = 1
"""Wallets whose every request the exchange answers with 429."""


@dataclass(frozen=True)
class Ticked:
    """What one tick left.

    Attributes:
        run_id: Its run.
        statements: Every statement that it sent to ClickHouse.
        stored: Where its rows are, by way of the proxy.
        settings: Of the API over it.
        proxy: The proxy.
    """

    run_id: str
    statements: tuple[Statement, ...]
    stored: WarehouseConfig
    settings: Settings
    proxy: RecordingProxy


@pytest.fixture(scope="session")
def ticked(embedded_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticked]:
    sandbox = SandboxConfig(wallets=200, seed=11, clock=ClockSetting.frozen(SLOT), weight_limit=None)
    home = tmp_path_factory.mktemp("observed")
    with (
        pytest.MonkeyPatch.context() as patch,
        RecordingProxy(ensure_running(embedded_server)) as proxy,
        SandboxServer(sandbox) as exchange,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.chdir(home)  # no .env of the developer's
        config = WarehouseConfig(url=proxy.url, database=f"test_{uuid.uuid4().hex[:12]}")
        platform = Platform(exchange, instance, config, home, overrides={"top_n": TOP_N, "max_attempts": 2})
        platform.at(SLOT)
        platform.fault(endpoint="info", kind="rate_limited", wallets=best(platform))
        result = platform.tick()
        assert result.success, failure_of(result)
        statements = tuple(proxy.statements)
        platform.at(NOW)
        covered = (
            platform.defs()
            .resolve_job_def("coverage")
            .execute_in_process(instance=instance, partition_key=DAY)
        )
        assert covered.success
        with Warehouse(config) as store:
            append_what_no_healthy_tick_leaves(store)
        settings = Settings.load(clock=NOW, api_rate_per_minute=0, api_metrics_seconds=0)
        yield Ticked(result.run_id, statements, config, settings, proxy)
        platform.drop()


def best(platform: Platform) -> list[str]:
    """The best wallets of the exchange's board by monthly PnL."""
    rows = httpx.get(f"{platform.exchange.stats_url}/leaderboard", trust_env=False).json()["leaderboardRows"]
    pnl = {row["ethAddress"]: float(dict(row["windowPerformances"])["month"]["pnl"]) for row in rows}
    return sorted(pnl, key=pnl.__getitem__, reverse=True)[:FAILING]


def append_what_no_healthy_tick_leaves(store: Warehouse) -> None:
    grades, calls = grade_frames(store.read_table(WALLET_METRICS, as_of=SLOT), SLOT)
    Publisher(store).replace_slice(AI_GRADES, SLOT, grades, Provenance("test", "test", "simulated"))
    append_entries(store, GRADE_CALLS, calls)
    for event, at in (("quarantined", 1), ("waived", 2)):
        entry = {
            "as_of": pd.Series([SLOT - timedelta(minutes=10 * at)], dtype="datetime64[s, UTC]"),
            "table_name": ["wallet_metrics"],
            "recorded_at": [SLOT + timedelta(minutes=at)],
            "event": [event],
            "reason": ["\x1b[31mred\n"],
            "inputs": [{}],
            "code_version": ["0.1.0"],
            "run_id": ["r"],
            "origin": ["simulated"],
        }
        append_entries(store, QUARANTINED_SLOTS, QUARANTINED_SLOTS.conform(entry))
    told = [
        ("stale/wallet_scores", "stale", "opened", 1),
        ("run_failed/tick", "run_failed", "opened", 1),
        ("run_failed/tick", "run_failed", "resolved", 2),
        ("rank_jump/0x" + "1" * 40, "rank_jump", "occurred", 1),
    ]
    for number, (key, kind, event, minute) in enumerate(told):
        message = {
            "as_of": pd.Series([SLOT], dtype="datetime64[s, UTC]"),
            "message_id": [f"msg_{number:032x}"],
            "event": [event],
            "alert_key": [key],
            "kind": [kind],
            "severity": ["error"],
            "title": ["t"],
            "facts": ["{}"],
            "about_slot": pd.Series([pd.NaT], dtype="datetime64[s, UTC]"),
            "first_seen": [SLOT],
            "decided_at": [SLOT + timedelta(minutes=minute)],
            "delivered_at": [SLOT + timedelta(minutes=minute)],
            "number": [1],
            "held_back": [0],
            "attempts": [1],
            "status_code": pd.Series([200], dtype="Int64"),
            "origin": ["simulated"],
        }
        append_entries(store, ALERTS, ALERTS.conform(message))


@pytest.fixture(scope="session")
def store(ticked: Ticked) -> Iterator[Warehouse]:
    with Warehouse(ticked.stored) as opened:
        yield opened


@pytest.fixture(scope="session")
def api(ticked: Ticked, store: Warehouse) -> Iterator[httpx.Client]:
    """A client of the API over real HTTP."""
    app = create_app(ticked.settings, store)
    with ApiServer(app) as server, httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def scraped(api: httpx.Client) -> dict[str, Metric]:
    """Metric family -> what a scrape says of it; a request was made before, so that the API's own are there."""
    assert api.get("/healthz").status_code == 200
    answer = api.get("/metrics")
    assert answer.status_code == 200, answer.text
    return families(answer.text)


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}
