"""Tracked and watched wallets end to end: who stays followed, in which status, and that the plan fetches them."""

from datetime import timedelta

import numpy as np
import pandas as pd

from hl_assets.assets.fetch_plan import read_states
from hl_assets.assets.watching import Followed, read_followed, read_watched, request_watch
from hl_assets.exchange.planner import PlanRules
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.pipeline.conftest import DAY, RAW, SLOT, FirstTick, Platform

TEN_MINUTES = timedelta(minutes=10)
LATER = SLOT + TEN_MINUTES
PROVENANCE = Provenance("test", "test", "simulated")


def tracked_at(platform: Platform, slot: object) -> pd.DataFrame:
    tracked = platform.read()["tracked_wallets"]
    return tracked[tracked["as_of"] == slot].set_index("wallet")


def test_the_top_is_tracked_with_its_status(first_tick: FirstTick) -> None:
    tracked = first_tick.tables["tracked_wallets"].set_index("wallet")
    assert set(tracked.index) == set(first_tick.tables["portfolio_fetches"]["wallet"])
    assert (tracked["since"] == SLOT).all()
    assert (tracked["last_in_top"] == SLOT).all()
    assert (tracked["last_on_board"] == SLOT).all()
    assert not tracked["watched"].any()
    assert set(tracked["status"]) <= {"active", "dormant", "wiped_out"}
    points = first_tick.tables["portfolio_points"]
    newest = points[points["scope"] == "all"].groupby("wallet")["ts"].max()
    assert (tracked["last_point"] <= newest.reindex(tracked.index)).all()
    assert (
        tracked["last_moved"].dropna() <= tracked["last_point"].reindex(tracked["last_moved"].dropna().index)
    ).all()


def publish_slot_without(platform: Platform, first_tick: FirstTick, gone: str) -> None:
    """Ten minutes later a wallet is neither on the board nor fetched."""
    tables = first_tick.tables
    board = tables["leaderboard_rows"].assign(as_of=pd.Timestamp(LATER))
    snapshot = tables["leaderboard_snapshots"].assign(
        as_of=pd.Timestamp(LATER), board_as_of=pd.Timestamp(LATER)
    )
    fetches = tables["portfolio_fetches"].assign(as_of=pd.Timestamp(LATER))
    with Warehouse(platform.warehouse) as store:
        slices = [
            Slice(LEADERBOARD_ROWS, LATER, LEADERBOARD_ROWS.conform(board[board["wallet"] != gone])),
            Slice(LEADERBOARD_SNAPSHOTS, LATER, LEADERBOARD_SNAPSHOTS.conform(snapshot)),
            Slice(PORTFOLIO_FETCHES, LATER, PORTFOLIO_FETCHES.conform(fetches[fetches["wallet"] != gone])),
        ]
        Publisher(store).publish(slices, PROVENANCE)


def test_a_wallet_that_leaves_the_board_stays_tracked_until_its_days_are_over(
    first_tick: FirstTick, ticked: Platform
) -> None:
    lively = first_tick.tables["tracked_wallets"].query("status == 'active'")
    gone = lively["wallet"].iloc[0]
    publish_slot_without(ticked, first_tick, gone)
    ticked.at(LATER)
    assert ticked.materialize([*RAW, "tracked_wallets"], DAY).success
    row = tracked_at(ticked, LATER).loc[gone]
    assert (row["status"], row["reason"]) == ("off_board", "left_board")
    assert row["last_in_top"] == row["last_on_board"] == SLOT
    ticked.overrides = {"track_days": 5 / (24 * 60)}
    assert ticked.materialize(["tracked_wallets"], DAY, full_refresh=True).success
    assert gone not in tracked_at(ticked, LATER).index
    assert gone in tracked_at(ticked, SLOT).index


def test_watching_counts_from_when_it_was_asked_for(ticked: Platform) -> None:
    wallet = "0x" + "ab" * 20
    with Warehouse(ticked.warehouse) as store:
        for action in ("watch", "unwatch", "watch"):  # in one instant: the order of asking counts
            request_watch(store, wallet, action, now=SLOT + timedelta(minutes=3), origin="simulated")  # type: ignore[arg-type]
        assert read_watched(store, SLOT).empty
        assert read_watched(store, LATER)["wallet"].tolist() == [wallet]
    assert ticked.materialize(["tracked_wallets"], DAY, full_refresh=True).success
    assert wallet not in tracked_at(ticked, SLOT).index
    ticked.at(LATER)
    assert ticked.materialize([*RAW, "tracked_wallets"], DAY).success
    row = tracked_at(ticked, LATER).loc[wallet]
    assert row["watched"]
    assert (row["status"], row["reason"]) == ("off_board", "no_points")
    assert row["since"] == SLOT
    assert pd.isna(row["last_in_top"])
    with Warehouse(ticked.warehouse) as store:
        request_watch(store, wallet, "unwatch", now=LATER, origin="simulated")
        assert read_watched(store, LATER + TEN_MINUTES).empty


def test_the_plan_fetches_watched_wallets_always_and_lively_ones_hourly(ticked: Platform) -> None:
    tables = ticked.read()
    lively, rests = tables["portfolio_fetches"]["wallet"][:2]
    board = tables["leaderboard_rows"]["wallet"].tolist()
    with Warehouse(ticked.warehouse) as store:
        request_watch(store, board[-1], "watch", now=SLOT, origin="simulated")
        followed = read_followed(store, LATER, LATER)
        status = tables["tracked_wallets"].set_index("wallet")["status"]
        rest = status.isin(["dormant", "wiped_out"])
        assert followed.watched == (board[-1],)
        assert set(followed.lively) == set(status.index[~rest])
        assert set(followed.resting) == set(status.index[rest])
        assert not read_followed(store, SLOT, SLOT).lively, "only earlier slots count"
        for now, hourly in ((SLOT + timedelta(minutes=50), False), (SLOT + timedelta(minutes=70), True)):
            states = read_states(
                store,
                LATER,
                now,
                board,
                rules=PlanRules(top_n=1),
                followed=Followed((board[-1],), (lively,), (rests,)),
            )
            tracked = set(states.wallets[states.tracked])
            assert tracked == ({board[-1], lively} if hourly else {board[-1]})


def test_a_watched_wallet_off_the_board_is_fetched_and_scored(platform: Platform) -> None:
    platform.overrides = {
        "fetch_plan": "board",
        "top_n": 3,
        "weight_per_minute": 200,
        "fetch_reserve_seconds": 599.0,
    }
    stranger = "0x" + "cd" * 20
    platform.read_published()
    with Warehouse(platform.warehouse) as store:
        request_watch(store, stranger, "watch", now=SLOT, origin="simulated")
    assert platform.materialize([*RAW, "tracked_wallets"], DAY).success
    tables = platform.read()
    fetches = tables["portfolio_fetches"].sort_values("selection_rank").set_index("wallet")
    assert fetches.index[3] == stranger
    assert fetches["selected_by"].value_counts().to_dict() == {"top:month:pnl": 3, "tracked": 1, "new": 6}
    assert set(tables["tracked_wallets"]["wallet"]) == {*fetches.index[:3], stranger}
    assert np.array_equal(
        tables["tracked_wallets"]["watched"], tables["tracked_wallets"]["wallet"] == stranger
    )
