"""The code location: loads without contacting anything, and every asset says what it must."""

import subprocess
import sys

import dagster as dg
import pytest

from hl_assets.checks.grades import GRADE_CHECKS
from hl_assets.checks.results import QUARANTINE
from hl_assets.definitions import build_defs
from hl_assets.jobs import (
    ASSETS_IN_ORDER,
    DAILY_ASSETS,
    DERIVED_ASSETS,
    FRESHNESS_CHECK,
    OPERATIONS_ASSETS,
    RECONSTRUCTED_ASSETS,
)
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings

DEFS = build_defs(Settings.load(clickhouse_url="http://nowhere.invalid:1", info_url="http://nowhere.invalid"))
GRAPH = DEFS.resolve_asset_graph()


def test_loads_in_a_fresh_interpreter_without_secrets(tmp_path) -> None:
    code = "import dagster as dg, hl_assets.definitions as d; dg.Definitions.validate_loadable(d.defs)"
    environment = {"PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [], "loading writes nothing"


@pytest.mark.parametrize(
    "name", [*ASSETS_IN_ORDER, *DAILY_ASSETS, *OPERATIONS_ASSETS, *RECONSTRUCTED_ASSETS[:1]]
)
def test_every_asset_is_described(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    assert len(node.description or "") > 80
    assert all(owner.startswith("team:") for owner in node.owners)
    assert node.owners
    assert "clickhouse" in node.kinds
    assert node.group_name != "default"
    assert {"layer", "grain"} <= set(node.tags)
    assert node.pools
    assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
    assert node.backfill_policy is not None
    assert node.backfill_policy.max_partitions_per_run == 1
    columns = node.metadata["dagster/column_schema"].columns
    assert columns
    assert all(column.description for column in columns)
    assert node.metadata["dagster/table_name"] in {table.name for table in TABLES}


@pytest.mark.parametrize("name", ASSETS_IN_ORDER)
def test_every_asset_has_its_checks(name: str) -> None:
    checks = {key.name for key in GRAPH.get_check_keys_for_assets({dg.AssetKey(name)})}
    wanted = {"contract", "unique_key", "non_empty", "row_count_drift", FRESHNESS_CHECK}
    own = {kind.name for kind in GRADE_CHECKS} if name == "ai_grades" else set()
    own |= {QUARANTINE.name} if name in DERIVED_ASSETS else set()
    assert checks == wanted | own | (set() if name == "leaderboard" else {"coverage"})


@pytest.mark.parametrize("name", ASSETS_IN_ORDER)
def test_only_outages_of_the_warehouse_are_retried_by_dagster(name: str) -> None:
    policy = DEFS.resolve_job_def("tick").get_node_named(name).definition.retry_policy
    assert policy is not None
    assert policy.max_retries >= 1


def test_lineage_is_the_flow_of_a_slot() -> None:
    upstream = {
        name: {key.to_user_string() for key in GRAPH.get(dg.AssetKey(name)).parent_keys}
        for name in ASSETS_IN_ORDER
    }
    assert upstream == {
        "leaderboard": set(),
        "portfolio_histories": {"leaderboard"},
        "tracked_wallets": {"portfolio_histories"},
        "equity_curves": {"portfolio_histories"},
        "wallet_metrics": {"portfolio_histories", "reconstructed_cohorts"},
        "ai_grades": {"wallet_metrics"},
        "wallet_scores": {
            "wallet_metrics",
            "ai_grades",
            "portfolio_histories",
            "reconstructed_cohorts",
            "vaults",
        },
    }


def test_the_tick_runs_in_one_process_and_freshness_is_also_watched_without_it() -> None:
    tick = DEFS.resolve_job_def("tick")
    assert tick.executor_def.name == "in_process"
    assert {node.name for node in tick.nodes} == {*ASSETS_IN_ORDER, *DAILY_ASSETS, "freshness_watch"}
    freshness = DEFS.resolve_job_def("freshness")
    assert {node.name for node in freshness.nodes} == {"freshness_watch"}


def test_coverage_depends_on_no_tick() -> None:
    coverage = DEFS.resolve_job_def("coverage")
    assert coverage.executor_def.name == "in_process"
    assert {node.name for node in coverage.nodes} == {"slot_coverage"}
    node = GRAPH.get(dg.AssetKey("slot_coverage"))
    assert {key.to_user_string() for key in node.parent_keys} == {
        "leaderboard", "portfolio_histories", "wallet_scores",
    }  # fmt: skip
    assert set(node.pools) == {"coverage"}, "a stuck tick holds the others"
    checks = {key.name for key in GRAPH.get_check_keys_for_assets({dg.AssetKey("slot_coverage")})}
    assert checks == {"contract", "unique_key", "non_empty", "row_count_drift", "no_missing_slots"}


def test_raw_and_ranked_assets_have_a_freshness_policy() -> None:
    for name in ("leaderboard", "wallet_scores"):
        assert GRAPH.get(dg.AssetKey(name)).freshness_policy is not None, name
