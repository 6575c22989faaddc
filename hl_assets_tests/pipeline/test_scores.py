"""Scores of a slot end to end: flags, funnel, runs, trend from earlier slots only, eligibility settings, re-scoring."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg
import httpx
import pandas as pd
import pytest

from hl_assets.assets.rescoring import rescorable, rescore
from hl_assets.assets.score_inputs import ScoringRules
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.scores import RESCORED_SCORES, SCORE_RUNS, WALLET_SCORES
from hl_assets.scoring.config import ScoringConfig, parse_weights
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.pipeline.conftest import RAW, SLOT, FirstTick, Platform, checks_of

DAY = timedelta(days=1)
TODAY = "2026-05-31"


@contextmanager
def session_of(platform: Platform) -> Iterator[WarehouseSession]:
    with WarehouseResource(platform.warehouse, "simulated").open("test", "test") as session:
        yield session


def plant(platform: Platform, scores: pd.DataFrame, age: timedelta, **changes: Any) -> None:
    """Publish an earlier or later slot of wallet_scores."""
    planted = scores.assign(
        as_of=pd.Series([SLOT - age] * len(scores)).astype("datetime64[s, UTC]"), **changes
    )
    with Warehouse(platform.warehouse) as store:
        Publisher(store).publish(
            [Slice(WALLET_SCORES, SLOT - age, planted)], Provenance("test", "test", "simulated")
        )


def test_a_slot_is_flagged_counted_and_explained(platform: Platform) -> None:
    platform.overrides = {"top_n": 200, "top_measure": "account_value"}
    assert platform.tick().success
    tables = platform.read()
    scores, (run,) = tables["wallet_scores"].set_index("wallet"), tables["score_runs"].to_dict("records")

    listed = httpx.get(f"{platform.exchange.stats_url}/vaults", trust_env=False).json()
    vaults = {entry["summary"]["vaultAddress"] for entry in listed}
    volumes = tables["portfolio_fetches"].set_index("wallet")["all_time_volume"]
    metrics = tables["wallet_metrics"].set_index("wallet")
    assert set(tables["vaults"]["wallet"]) == vaults
    assert vaults & set(scores.index)
    for wallet, row in scores.iterrows():
        assert ("vault" in row["entity_flags"]) == (wallet in vaults)
        assert ("zero_volume" in row["entity_flags"]) == (volumes[wallet] == 0)
        assert ("one_big_win" in row["entity_flags"]) == (metrics["best_day_share"][wallet] >= 0.5)
        assert row["trust_label"] == metrics["trust_label"][wallet]
        for name in (
            "quant_score",
            "rule_score",
            "agent_score",
            "adjusted_score",
            "trend_slope",
            "rank_change",
        ):
            assert pd.isna(row[name]) == (name in row["null_reasons"]), name
    assert set(scores.loc[scores["is_eligible"], "null_reasons"].map(lambda why: why["agent_score"])) == {
        "no_valid_grade"
    }

    ranked = scores[scores["is_eligible"]]
    assert (ranked["rule_score"] == ranked["weighted_score"]).all()
    assert run["n_wallets"] == len(volumes)
    assert (run["n_scored"], run["n_eligible"]) == (len(scores), len(ranked))
    entered, passed = list(run["funnel_entered"].items()), list(run["funnel_passed"].values())
    assert entered[0] == ("fetch_failed", len(volumes))
    assert [count for _, count in entered[1:]] == passed[:-1]
    assert passed[-1] == len(ranked)
    assert run["wallets_by_source"] == {"grader": 0, "rules": len(ranked)}
    assert run["wallets_by_flag"]["vault"] == ranked["entity_flags"].map(lambda flags: "vault" in flags).sum()
    assert run["median_quant_score"] == pytest.approx(ranked["quant_score"].median())
    assert run["vaults_as_of"] == SLOT
    assert hashlib.sha256(run["config"].encode()).hexdigest()[:16] == run["config_hash"]
    assert set(scores["config_hash"]) == {run["config_hash"]}
    assert set(scores["config_version"]) == {run["config_version"]}
    with Warehouse(platform.warehouse) as store:
        published = [Manifest(store).committed(table)[SLOT] for table in (WALLET_SCORES, SCORE_RUNS)]
    assert published[0].version == published[1].version, "one publication"
    assert set(published[1].inputs) == {"wallet_metrics", "ai_grades", "portfolio_fetches"}


def test_trend_and_rank_change_read_earlier_slots_of_the_same_configuration_only(
    first_tick: FirstTick, ticked: Platform
) -> None:
    platform, scores = ticked, first_tick.tables["wallet_scores"]
    n = int(scores["calculated_rank"].max())
    for days in range(1, 7):
        falling = (scores["weighted_score"] - 0.5 * days).clip(lower=20)
        plant(
            platform,
            scores,
            days * DAY,
            weighted_score=falling,
            calculated_rank=n + 1 - scores["calculated_rank"],
        )
    plant(platform, scores, 1.5 * DAY, weighted_score=20.0, config_hash="0" * 16)
    plant(platform, scores, 8 * DAY, weighted_score=20.0)
    plant(platform, scores, -DAY, weighted_score=20.0)
    assert platform.materialize(["wallet_scores"], TODAY).success
    tables = platform.read()
    after = tables["wallet_scores"][tables["wallet_scores"]["as_of"] == SLOT]
    ranked = after[after["is_eligible"] & (after["weighted_score"] >= 24)]
    assert len(ranked) > 5
    assert ranked["trend_slope"].to_numpy() == pytest.approx(3.5)
    assert set(ranked["trend_direction"]) == {"up"}
    assert set(ranked["trend_points"]) == {7}
    assert set(ranked["trend_span_days"]) == {6.0}
    expected = n + 1 - 2 * ranked["calculated_rank"]
    assert ranked["rank_change"].tolist() == expected.tolist()
    run = tables["score_runs"].set_index("as_of").loc[SLOT]
    assert run["rank_reference_as_of"] == SLOT - DAY
    assert run["n_with_trend"] == after["trend_slope"].notna().sum()


def test_a_full_refresh_scores_the_oldest_slot_first(ticked: Platform) -> None:
    for _ in range(2):
        ticked.at(ticked.now + timedelta(minutes=10))
        assert ticked.materialize(RAW, TODAY).success
    assert ticked.materialize(
        ["wallet_metrics", "ai_grades", "wallet_scores"], TODAY, full_refresh=True
    ).success
    with Warehouse(ticked.warehouse) as store:
        order = {
            table.name: [publication.version for publication in Manifest(store).committed(table).values()]
            for table in (WALLET_METRICS, WALLET_SCORES)
        }
    assert order["wallet_scores"] == sorted(order["wallet_scores"])
    assert order["wallet_metrics"] == sorted(order["wallet_metrics"], reverse=True)


def test_a_day_without_the_list_of_vaults_is_ranked_with_a_warning(platform: Platform) -> None:
    platform.fault(endpoint="vaults", kind="server_error")
    result = platform.tick()
    assert result.success
    check = checks_of(result)["vaults", "list_of_the_day"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "3 attempts" in check.metadata["why"].value
    assert pd.isna(platform.read()["score_runs"]["vaults_as_of"].iloc[0])

    platform.control("DELETE", "/faults")
    for slot in (SLOT + timedelta(minutes=10), SLOT + timedelta(minutes=20)):
        platform.at(slot)
        result = platform.materialize(["leaderboard", "vaults"], TODAY)
        assert checks_of(result)["vaults", "list_of_the_day"].passed
    assert platform.read()["vaults"]["as_of"].unique().tolist() == [SLOT + timedelta(minutes=10)], (
        "once a day"
    )

    platform.at(SLOT + DAY)
    platform.fault(endpoint="vaults", kind="wrong_shape", variant="missing_field")
    result = platform.tick()
    assert result.success
    assert not checks_of(result)["vaults", "list_of_the_day"].passed
    runs = platform.read()["score_runs"].set_index("as_of")
    assert runs.loc[SLOT + DAY, "vaults_as_of"] == SLOT + timedelta(minutes=10), (
        "the newest known list is used"
    )


def test_eligibility_of_the_settings_reaches_metrics_and_scores(platform: Platform) -> None:
    platform.overrides = {"eligible_min_points": 100_000, "score_weights": "roi=2"}
    assert platform.tick().success
    tables = platform.read()
    assert not tables["wallet_scores"]["is_eligible"].any()
    assert set(tables["wallet_scores"]["ineligible_reason"]) == {"too_few_points"}
    assert {why["trust"] for why in tables["wallet_metrics"]["null_reasons"]} == {"not_eligible"}
    (run,) = tables["score_runs"].to_dict("records")
    assert run["funnel_passed"]["too_few_points"] == 0
    assert pd.isna(run["median_weighted_score"])
    assert '"roi":0.285714285714' in run["config"]


def test_rescoring_keeps_every_configuration_and_the_published_scores(ticked: Platform) -> None:
    platform = ticked
    platform.at(platform.now + timedelta(minutes=10))
    assert platform.tick().success
    before = platform.read()["wallet_scores"]
    hashes = {}
    with session_of(platform) as session:
        slots = rescorable(session, None, None)
        for name, weights in (("a", "roi=3"), ("b", "max_drawdown=3"), ("a", "roi=3")):
            config = ScoringConfig(parse_weights(weights))
            hashes[name] = config.config_hash()
            rules = ScoringRules.from_settings(platform.settings, config)
            done = list(rescore(session, rules, name, slots))
            assert [entry.slot for entry in done] == [SLOT, SLOT + timedelta(minutes=10)]
            assert all(entry.correlation is not None and -1 <= entry.correlation < 1 for entry in done)
    tables = platform.read()
    pd.testing.assert_frame_equal(tables["wallet_scores"], before)
    rescored = tables["rescored_scores"]
    assert len(rescored) == 2 * len(before)
    assert dict(zip(rescored["config_name"], rescored["config_hash"], strict=True)) == hashes
    assert not rescored.duplicated(list(RESCORED_SCORES.key)).any()
    with Warehouse(platform.warehouse) as store:
        inputs = Manifest(store).committed(RESCORED_SCORES)[SLOT].inputs
    assert set(inputs) == {"wallet_metrics", "ai_grades", "portfolio_fetches"}
