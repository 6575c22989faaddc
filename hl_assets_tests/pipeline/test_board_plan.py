"""FETCH_PLAN=board end to end: a slot spends what is left of its budget on the whole board, best first."""

import io
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hl_assets.assets.fetch_plan import read_states
from hl_assets.assets.watching import Followed
from hl_assets.cli.wallet import show_wallet
from hl_assets.exchange.addresses import is_system_address
from hl_assets.exchange.planner import PlanRules
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.pipeline.conftest import DAY, RAW, SLOT, Platform, assert_same_tables

TEN_MINUTES = timedelta(minutes=10)
TOP = "top:month:pnl"
STRANGER = "0x" + "1" * 40

SMALL = {
    "fetch_plan": "board",
    "top_n": 4,
    "weight_per_minute": 400,
    "fetch_reserve_seconds": 599.0,  # one window of the budget: 20 wallets
}


def fetches_of(platform: Platform, slot: object) -> pd.DataFrame:
    fetches = platform.read()["portfolio_fetches"]
    return fetches[fetches["as_of"] == slot].sort_values("selection_rank").reset_index(drop=True)


@pytest.fixture
def planned(platform: Platform) -> Platform:
    platform.overrides = dict(SMALL)
    return platform


def fresh_budget(platform: Platform, name: str) -> None:
    """A slot later the budget's window is empty again; here it takes no ten minutes."""
    platform.home = platform.home / name


def test_slots_spend_what_is_left_and_cover_the_board_in_turn(planned: Platform) -> None:
    seen: set[str] = set()
    for turn in range(3):
        slot = SLOT + turn * TEN_MINUTES
        planned.at(slot)
        fresh_budget(planned, str(turn))
        result = planned.materialize(RAW, DAY)
        assert result.success
        fetches = fetches_of(planned, slot)
        assert fetches["selection_rank"].tolist() == list(range(1, 21))
        assert fetches["selected_by"].tolist() == [TOP] * 4 + ["new"] * 16
        assert fetches["weight"].sum() == 400
        others = set(fetches["wallet"][4:])
        assert not others & seen
        seen |= set(fetches["wallet"])
        (made,) = result.asset_materializations_for_node("portfolio_histories")
        assert made.metadata["weight_left"].value == made.metadata["weight_planned"].value == 400
        assert made.metadata["planned_new"].value == 16
    board = planned.read()["leaderboard_rows"].sort_values(["month_pnl", "wallet"], ascending=[False, True])
    traders = [wallet for wallet in board["wallet"] if not is_system_address(wallet)]
    assert seen == set(traders[: 4 + 3 * 16])


def test_a_slot_run_again_asks_only_for_what_failed(planned: Platform) -> None:
    planned.overrides["max_attempts"] = 1
    planned.fault(endpoint="info", kind="server_error", requests=3)
    assert planned.materialize(RAW, DAY).success
    first = fetches_of(planned, SLOT)
    assert (first["status"] == "failed").sum() == 3
    planned.at(SLOT + timedelta(minutes=5))
    fresh_budget(planned, "again")
    assert planned.materialize(RAW, DAY).success
    second = fetches_of(planned, SLOT)
    assert set(second["status"]) == {"ok"}
    columns = ["wallet", "selection_rank", "selected_by"]
    pd.testing.assert_frame_equal(first[columns], second[columns])
    assert (second["observed_at"] > SLOT + timedelta(minutes=4)).sum() == 3


def test_a_spent_budget_leaves_the_top(planned: Platform) -> None:
    assert planned.materialize(RAW, DAY).success
    planned.at(SLOT + TEN_MINUTES)
    planned.overrides |= {"fetch_deadline_seconds": 0.01}  # nobody waits for the window to pass
    assert planned.materialize(RAW, DAY).success
    fetches = fetches_of(planned, SLOT + TEN_MINUTES)
    assert fetches["selected_by"].tolist() == [TOP] * 4
    assert set(fetches["error_kind"]) == {"deadline"}


def test_a_late_slot_fetches_the_top_only(planned: Platform) -> None:
    assert planned.materialize(["leaderboard"], DAY).success
    planned.at(SLOT + timedelta(minutes=40))
    tags = {"hl_assets/slot": "2026-05-31T12:10:00Z"}
    assert planned.materialize(["portfolio_histories"], DAY, tags=tags).success
    assert fetches_of(planned, SLOT)["selected_by"].tolist() == [TOP] * 4


def test_what_boards_and_fetches_say_is_what_the_planner_is_told(ticked: Platform) -> None:
    tables = ticked.read()
    board, fetches = tables["leaderboard_rows"], tables["portfolio_fetches"]
    moved, failed, quiet, _ = fetches.sort_values("selection_rank")["wallet"][:4]
    hour, later = SLOT + timedelta(hours=1), SLOT + timedelta(hours=2)
    with Warehouse(ticked.warehouse) as store:
        for slot in (hour, later):
            rows = board.assign(as_of=pd.Series([slot] * len(board)).astype("datetime64[s, UTC]"))
            rows.loc[rows["wallet"] == moved, "all_time_pnl"] += 0.1 * rows["account_value"].abs() + 10
            rows.loc[rows["wallet"] == quiet, "account_value"] *= 1.0005
            snapshot = tables["leaderboard_snapshots"].assign(as_of=slot, board_as_of=slot)
            slices = [
                Slice(LEADERBOARD_ROWS, slot, LEADERBOARD_ROWS.conform(rows)),
                Slice(LEADERBOARD_SNAPSHOTS, slot, LEADERBOARD_SNAPSHOTS.conform(snapshot)),
            ]
            Publisher(store).publish(slices, Provenance("test", "test", "simulated"))
        row = fetches[fetches["wallet"] == failed].assign(as_of=hour, observed_at=hour, status="failed")
        Publisher(store).publish(
            [Slice(PORTFOLIO_FETCHES, hour, PORTFOLIO_FETCHES.conform(row))],
            Provenance("test", "test", "simulated"),
        )
        now = later + timedelta(minutes=30)
        ranked = board["wallet"].tolist()
        states = read_states(
            store, later, now, ranked, rules=PlanRules(top_n=4), followed=Followed(watched=(STRANGER,))
        )
    at = {wallet: i for i, wallet in enumerate(states.wallets.tolist())}
    assert set(at) == {*ranked, STRANGER}
    assert states.rank[at[ranked[6]]] == 7
    assert np.isnan(states.rank[at[STRANGER]])
    assert states.tracked[at[STRANGER]]
    assert states.tracked.sum() == 1
    assert set(states.wallets[states.answered]) == set(fetches["wallet"])
    assert states.age_hours == pytest.approx(np.where(states.wallets == STRANGER, 0, 2.5), abs=0.01)
    assert states.moved_hours[at[moved]] == pytest.approx(1.5)
    assert np.isnan(states.moved_hours[[i for wallet, i in at.items() if wallet != moved]]).all()
    assert states.failed_hours[at[failed]] == pytest.approx(1.5)
    assert np.isnan(states.failed_hours[at[moved]])
    assert set(states.wallets[~np.isnan(states.score_rank)]) <= set(fetches["wallet"])


def test_running_the_plan_twice_changes_nothing(planned: Platform) -> None:
    assert planned.materialize(RAW, DAY).success
    before = planned.read()
    assert planned.materialize(RAW, DAY).success
    assert_same_tables(before, planned.read())


def test_wallets_of_earlier_slots_stay_covered_while_their_data_are_young(planned: Platform) -> None:
    planned.overrides |= {"max_data_age_hours": 0.2}
    slots = [SLOT + turn * TEN_MINUTES for turn in range(3)]
    for slot in slots:
        planned.at(slot)
        fresh_budget(planned, f"{slot:%H%M}")
        assert planned.materialize([*RAW, "equity_curves", "wallet_metrics"], DAY).success
    tables = planned.read()
    fetches, metrics = tables["portfolio_fetches"], tables["wallet_metrics"]
    for turn, slot in enumerate(slots):
        young = fetches[(fetches["as_of"] <= slot) & (fetches["as_of"] >= slots[max(0, turn - 1)])]
        of_slot = metrics[metrics["as_of"] == slot].set_index("wallet")
        assert set(of_slot.index) == set(young["wallet"]), "0.2 hours reach one slot back"
        newest = young.groupby("wallet")["as_of"].max()
        expected = (slot - newest).dt.total_seconds() / 3600
        pd.testing.assert_series_equal(
            of_slot["data_age_hours"].sort_index(), expected.sort_index(), check_names=False
        )
    assert set(tables["equity_curves"]["wallet"]) == set(metrics.loc[metrics["as_of"] == slots[-1], "wallet"])


def test_without_an_age_a_slot_covers_what_it_fetched(planned: Platform) -> None:
    for turn in range(2):
        planned.at(SLOT + turn * TEN_MINUTES)
        fresh_budget(planned, str(turn))
        assert planned.materialize([*RAW, "wallet_metrics"], DAY).success
    tables = planned.read()
    columns = ["as_of", "wallet"]
    pd.testing.assert_frame_equal(tables["wallet_metrics"][columns], tables["portfolio_fetches"][columns])
    assert (tables["wallet_metrics"]["data_age_hours"] == 0).all()


def test_the_age_of_a_wallets_data_is_shown(planned: Platform) -> None:
    planned.overrides |= {"max_data_age_hours": 1.0}
    for turn in range(2):
        planned.at(SLOT + turn * TEN_MINUTES)
        fresh_budget(planned, str(turn))
        assert planned.materialize([*RAW, "wallet_metrics", "ai_grades", "wallet_scores"], DAY).success
    old = set(fetches_of(planned, SLOT)["wallet"]) - set(fetches_of(planned, SLOT + TEN_MINUTES)["wallet"])
    scores = planned.read()["wallet_scores"]
    assert old <= set(scores.loc[scores["as_of"] == SLOT + TEN_MINUTES, "wallet"])
    shown = io.StringIO()
    values = {
        "clickhouse_url": ensure_running(planned.warehouse.home),
        "clickhouse_database": planned.warehouse.database,
    }
    show_wallet(values, min(old), None, Console(file=shown, width=160), png=None, as_known=False)
    assert "Its newest answer was 0.2 hours old when the slot began." in shown.getvalue()
