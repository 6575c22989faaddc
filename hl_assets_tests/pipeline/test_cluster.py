"""The platform on a cluster: it publishes and serves what it does on one server."""

from collections.abc import Iterator

import dagster as dg
import httpx
import pytest

from hl_assets.api.app import create_app
from hl_assets.api.serving import ApiServer
from hl_assets.exchange.sandbox import SandboxServer
from hl_assets.slots import slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.pipeline.conftest import DAY, SLOT, FirstTick, Platform, assert_same_tables, failure_of
from hl_assets_tests.warehouse.rehearsed_cluster import CLUSTER, serving_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clustered(exchange_server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose warehouse is a cluster, after the tick that `first_tick` took on one server."""
    folder = tmp_path_factory.mktemp("platform")
    with (
        pytest.MonkeyPatch.context() as patch,
        serving_cluster(
            tmp_path_factory.mktemp("clickhouse"), tmp_path_factory.mktemp("configuration")
        ) as url,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.chdir(folder)  # no .env of the developer's
        config = WarehouseConfig(url=url, database="hl_assets", cluster=CLUSTER, attempts=1)
        platform = Platform(exchange_server, instance, config, folder)
        platform.control("DELETE", "/faults")
        platform.at(SLOT)
        ticked = platform.tick()
        assert ticked.success, failure_of(ticked)
        yield platform


def test_a_tick_publishes_what_it_does_on_one_server(clustered: Platform, first_tick: FirstTick) -> None:
    found = clustered.read()
    alone = dict(first_tick.tables)
    for tables in (alone, found):
        tables["portfolio_fetches"] = tables["portfolio_fetches"].drop(
            columns="elapsed_seconds"
        )  # this machine's
    assert sum(len(frame) > 0 for frame in alone.values()) > 8
    assert_same_tables(alone, found)


def test_a_slot_is_derived_again(clustered: Platform) -> None:
    before = clustered.read()["wallet_scores"]
    again = clustered.materialize(["wallet_metrics", "ai_grades", "wallet_scores"], DAY, full_refresh=True)
    assert again.success, failure_of(again)
    assert len(clustered.read()["wallet_scores"]) == len(before) > 0


def test_every_endpoint_answers(clustered: Platform) -> None:
    with (
        Warehouse(clustered.warehouse) as store,
        ApiServer(create_app(clustered.settings, store)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        best = client.get("/v1/leaderboard").json()["data"][0]["wallet"]
        paths = [
            path for path, verbs in client.get("/openapi.json").json()["paths"].items() if "get" in verbs
        ]
        assert len(paths) > 8
        for path in paths:
            answer = client.get(path.format(address=best, slot=slot_text(SLOT)))
            assert answer.status_code == 200, (path, answer.text)
