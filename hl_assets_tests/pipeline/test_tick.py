"""A tick end to end: exchange over HTTP, five assets, ClickHouse, checks."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest

from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.pipeline.conftest import (
    DAY,
    DERIVED,
    RAW,
    SLOT,
    FirstTick,
    Platform,
    assert_same_tables,
    checks_of,
    failure_of,
)

TEN_MINUTES = timedelta(minutes=10)


def test_a_tick_materialises_and_checks_every_asset(first_tick: FirstTick) -> None:
    result, tables = first_tick.result, first_tick.tables
    assert result.success
    materialised = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert materialised == {*RAW, *DERIVED}
    checks = checks_of(result)
    assert len(checks) == 58
    assert all(check.passed for check in checks.values()), [
        key for key, check in checks.items() if not check.passed
    ]
    assert len(tables["portfolio_fetches"]) == len(tables["wallet_scores"]) == 12
    assert set(tables["portfolio_fetches"]["status"]) == {"ok"}
    ranks = tables["wallet_scores"]["calculated_rank"].dropna().sort_values().tolist()
    assert ranks == list(range(1, len(ranks) + 1))
    assert all((frame["as_of"] == SLOT).all() for frame in tables.values())
    assert all((frame["origin"] == "simulated").all() for frame in tables.values() if "origin" in frame)


def test_the_top_wallets_of_the_chosen_measure_are_fetched(platform: Platform) -> None:
    platform.overrides = {"top_n": 10, "top_window": "week", "top_measure": "volume"}
    assert platform.tick().success
    tables = platform.read()
    board = tables["leaderboard_rows"].sort_values(["week_volume", "wallet"], ascending=[False, True])
    fetched = tables["portfolio_fetches"].sort_values("selection_rank")
    assert fetched["wallet"].tolist() == [w for w in board["wallet"] if not w.startswith("0x2000")][:10]
    assert set(fetched["selected_by"]) == {"top:week:volume"}


def test_the_same_slot_twice_is_identical_and_fetches_nothing(
    first_tick: FirstTick, ticked: Platform
) -> None:
    before = ticked.control("GET", "/stats")["requests"]
    assert ticked.tick().success
    assert_same_tables(first_tick.tables, ticked.read())
    assert ticked.control("GET", "/stats")["requests"] == before


def test_an_unchanged_board_is_stored_once(ticked: Platform) -> None:
    for _ in range(2):
        ticked.at(ticked.now + TEN_MINUTES)
        assert ticked.materialize(["leaderboard"], DAY).success
    slots = ticked.manifest_slots()
    assert slots["leaderboard_snapshots"] == [SLOT, SLOT + TEN_MINUTES, SLOT + 2 * TEN_MINUTES]
    assert slots["leaderboard_rows"] == [SLOT]
    snapshots = ticked.read()["leaderboard_snapshots"]
    assert (snapshots["board_as_of"] == SLOT).all()
    assert len(set(snapshots["body_sha256"])) == 1


def test_points_are_stored_once_and_grow_finer(first_tick: FirstTick, ticked: Platform) -> None:
    first = first_tick.tables["portfolio_points"]
    ticked.at(SLOT + TEN_MINUTES)
    assert ticked.materialize(RAW, DAY).success
    points = ticked.read()["portfolio_points"]
    pd.testing.assert_frame_equal(points[points["as_of"] == SLOT].reset_index(drop=True), first)
    assert not points.duplicated(["wallet", "scope", "segment", "ts"]).any()
    new = points[points["as_of"] > SLOT]
    assert 0 < len(new) < len(first) / 5
    assert not points["contradicts"].any()


def test_a_future_point_changes_nothing(first_tick: FirstTick, ticked: Platform) -> None:
    before = first_tick.tables
    wallet = before["wallet_metrics"]["wallet"].iloc[0]
    points = before["portfolio_points"]
    planted = points[(points["wallet"] == wallet) & (points["scope"] == "all")].tail(1).copy()
    planted["ts"] = pd.Series([pd.Timestamp(SLOT + timedelta(minutes=1))], index=planted.index).astype(
        "datetime64[ms, UTC]"
    )
    planted["account_value"] = planted["pnl"] = 1e12
    with Warehouse(ticked.warehouse) as store:
        Publisher(store).publish(
            [Slice(PORTFOLIO_POINTS, SLOT, pd.concat([points, planted]))],
            Provenance("test", "test", "simulated"),
        )
    assert ticked.materialize(DERIVED, DAY, full_refresh=True).success
    after = ticked.read()
    for table in DERIVED:
        pd.testing.assert_frame_equal(before[table], after[table])


def test_a_shrunk_or_emptied_source_leaves_no_stale_row(first_tick: FirstTick, ticked: Platform) -> None:
    fetches = first_tick.tables["portfolio_fetches"]
    for kept in (fetches.head(10), fetches.head(0)):
        with Warehouse(ticked.warehouse) as store:
            Publisher(store).publish(
                [Slice(PORTFOLIO_FETCHES, SLOT, kept)], Provenance("test", "test", "simulated")
            )
        assert ticked.materialize(DERIVED, DAY).success
        tables = ticked.read()
        for table in DERIVED:
            assert set(tables[table]["wallet"]) == set(kept["wallet"]), table


def test_a_withdrawn_source_withdraws_what_was_derived_from_it(ticked: Platform) -> None:
    ticked.at(ticked.now + TEN_MINUTES)
    assert ticked.materialize(RAW, DAY).success
    with Warehouse(ticked.warehouse) as store:
        Publisher(store).withdraw(PORTFOLIO_FETCHES, [SLOT], Provenance("test", "test", "simulated"))
    assert ticked.materialize(DERIVED, DAY).success
    slots = ticked.manifest_slots()
    assert {tuple(slots[table]) for table in (*DERIVED, "score_runs")} == {(SLOT + TEN_MINUTES,)}


def test_a_missed_derivation_heals_on_the_next_tick(platform: Platform) -> None:
    assert platform.materialize(RAW, DAY).success
    platform.at(SLOT + TEN_MINUTES)
    result = platform.tick()
    assert result.success
    assert platform.manifest_slots()["wallet_scores"] == [SLOT, SLOT + TEN_MINUTES]
    (materialisation,) = result.asset_materializations_for_node("wallet_scores")
    assert materialisation.metadata["slots_derived"].value == 2


def test_an_up_to_date_day_derives_only_its_newest_slot(ticked: Platform) -> None:
    for _ in range(2):
        ticked.at(ticked.now + TEN_MINUTES)
        assert ticked.materialize([*RAW, "wallet_metrics"], DAY).success
    result = ticked.materialize(["wallet_metrics"], DAY)
    refreshed = ticked.materialize(["wallet_metrics"], DAY, full_refresh=True)
    counts = [
        run.asset_materializations_for_node("wallet_metrics")[0].metadata["slots_derived"].value
        for run in (result, refreshed)
    ]
    assert counts == [1, 3]


def test_the_present_is_not_taken_for_the_past(platform: Platform) -> None:
    result = platform.tick(SLOT - timedelta(hours=2))
    assert not result.success
    assert "the present cannot be taken for the past" in failure_of(result)
    assert not any(platform.manifest_slots().values())


@pytest.mark.parametrize("asset", ["leaderboard", "portfolio_histories", "wallet_metrics"])
def test_a_past_day_without_data_says_what_is_missing(platform: Platform, asset: str) -> None:
    result = platform.materialize([asset], "2026-05-20")
    assert not result.success
    assert "2026-05-20T00:00:00Z" in failure_of(result)


def test_a_past_day_is_rebuilt_from_what_is_stored(first_tick: FirstTick, ticked: Platform) -> None:
    before = first_tick.tables
    ticked.at(datetime(2026, 6, 3, 8, tzinfo=UTC))
    result = ticked.materialize([*RAW, *DERIVED], DAY, full_refresh=True)
    assert result.success
    assert_same_tables(before, ticked.read())


def test_a_tag_of_another_day_is_refused(platform: Platform) -> None:
    result = platform.materialize(
        ["leaderboard"], "2026-05-30", tags={"hl_assets/slot": "2026-05-31T12:10:00Z"}
    )
    assert "not a slot of partition 2026-05-30" in failure_of(result)


def test_origins_are_never_mixed(ticked: Platform) -> None:
    result = ticked.tick(resources={"warehouse": WarehouseResource(ticked.warehouse, "live")})
    assert not result.success
    assert "holds simulated rows" in failure_of(result)


def test_names_chosen_by_traders_never_reach_dagster(platform: Platform) -> None:
    platform.overrides = {"top_n": 60, "top_measure": "account_value"}
    result = platform.tick()
    assert result.success
    names = {
        name
        for name in platform.read()["leaderboard_rows"]["display_name"]
        if isinstance(name, str) and len(name) > 3
    }
    names.discard("NULL")  # Dagster's own word where an upstream asset was never materialised
    assert names, "the population has names"
    texts = [str(event.event_specific_data) for event in result.all_events]
    assert not [name for name in names if any(name in text for text in texts)]


def test_metadata_uses_one_vocabulary(first_tick: FirstTick) -> None:
    for event in first_tick.result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        assert {
            "as_of",
            "slot",
            "rows",
            "seconds",
            "preview",
            "dagster/partition_row_count",
            "dagster/table_name",
        } <= set(metadata)
        assert isinstance(metadata["preview"], dg.MarkdownMetadataValue)
        assert metadata["preview"].value.count("\n") <= 11
