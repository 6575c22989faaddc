"""Days that nobody observed, made from histories fetched later: no look-ahead, no mixing, the same again."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from hl_assets.api.app import create_app
from hl_assets.assets.curves import read_curves
from hl_assets.assets.derivation import SlotTask
from hl_assets.assets.reconstructed_cohorts import unobserved_slots
from hl_assets.assets.wallet_metrics import derive_metrics
from hl_assets.interchange.import_export import ImportRequest
from hl_assets.interchange.panels import import_panel
from hl_assets.interchange.rejects import RejectLog
from hl_assets.interchange.target import Target
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.slots import day_bounds
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.pipeline.conftest import DAY, SLOT, Platform, checks_of, failure_of

LAST_WEEK = datetime(2026, 5, 24, tzinfo=UTC)
PAST_DAY = "2026-05-24"
DERIVED_TABLES = ("wallet_metrics", "ai_grades", "wallet_scores")


def reconstruct(platform: Platform, day: str = PAST_DAY, **config: Any) -> Any:
    ops: dict[str, Any] = {"reconstructed_cohorts": {"config": config}}
    return (
        platform.defs()
        .resolve_job_def("reconstruct")
        .execute_in_process(
            instance=platform.instance, partition_key=day, run_config={"ops": ops}, raise_on_error=False
        )
    )


def test_a_past_day_is_made_from_later_histories(ticked: Platform) -> None:
    before = ticked.read()
    result = reconstruct(ticked)
    assert result.success, failure_of(result)
    assert all(check.passed for check in checks_of(result).values() if check.severity.value == "ERROR")
    after = ticked.read()
    cohort = after["reconstructed_cohorts"]
    assert set(cohort["as_of"]) == {LAST_WEEK}
    assert set(cohort["confirmed_by"]) == {SLOT}
    assert cohort["hindsight_days"].round(3).unique().tolist() == [7.507]
    assert (cohort["newest_point"] <= LAST_WEEK).all()
    for table in (*DERIVED_TABLES, "score_runs"):
        rows = after[table]
        past = rows[rows["as_of"] == LAST_WEEK]
        assert len(past) == (1 if table == "score_runs" else len(cohort)), table
        assert set(past["origin"]) == {"reconstructed"}, table
        observed = rows[rows["as_of"] == SLOT].reset_index(drop=True)
        assert len(observed) == len(before[table])
        assert set(observed["origin"]) == {"simulated"}, table
    metrics = after["wallet_metrics"].query("origin == 'reconstructed'")
    assert (metrics["last_ts"] <= LAST_WEEK).all()
    metadata = result.asset_materializations_for_node("reconstructed_cohorts")[0].metadata
    assert "survived" in str(metadata["survivorship"].value)
    assert metadata["slots_reconstructed"].value == 1


def test_the_api_serves_a_reconstructed_slot_and_says_so(ticked: Platform) -> None:
    assert reconstruct(ticked).success
    wallet = ticked.read()["reconstructed_cohorts"]["wallet"].iloc[0]
    with Warehouse(ticked.warehouse) as store:
        app = create_app(ticked.settings.model_copy(update={"api_rate_per_minute": 0}), store, launcher=None)
        with TestClient(app) as client:
            past = {"as_of": "2026-05-25T00:00:00Z"}
            ranking = client.get("/v1/leaderboard", params=past)
            page = client.get(f"/v1/wallets/{wallet}", params=past)
    assert ranking.status_code == page.status_code == 200, (ranking.text, page.text)
    for answer in (ranking, page):
        assert '"origin":"reconstructed"' in answer.text


def test_metrics_equal_those_of_data_cut_at_the_day(ticked: Platform) -> None:
    """The same points without anything later give the same figures."""
    assert reconstruct(ticked).success
    whole = ticked.read()
    points = whole["portfolio_points"]
    cut = points[points["ts"] <= LAST_WEEK].assign(as_of=LAST_WEEK)
    with Warehouse(ticked.warehouse) as store:
        curves = read_curves(store, sorted(set(points["wallet"])), "all", LAST_WEEK, seen_until=SLOT)
        task = SlotTask(LAST_WEEK, "reconstructed")
        again = derive_metrics(store, task, ticked.settings).frame
    assert (curves.ts_ms <= LAST_WEEK.timestamp() * 1000).all()
    assert curves.n_points == len(cut.query("scope == 'all' and segment == '' and not contradicts"))
    pd.testing.assert_frame_equal(
        again, whole["wallet_metrics"].query("origin == 'reconstructed'").reset_index(drop=True)
    )


def test_a_planted_future_point_changes_nothing(ticked: Platform) -> None:
    """Points dated after the slot, and points that a later slot was the first to see."""
    assert reconstruct(ticked).success
    before = ticked.read()
    later = SLOT + timedelta(minutes=10)
    wallet = before["reconstructed_cohorts"]["wallet"].iloc[0]
    planted = pd.DataFrame(
        {
            "as_of": [later, later],
            "wallet": [wallet, wallet],
            "scope": ["all", "all"],
            "segment": ["", ""],
            "ts": [LAST_WEEK + timedelta(hours=1), LAST_WEEK - timedelta(hours=1)],
            "account_value": [1e9, 1e9],
            "pnl": [1e9, 1e9],
            "contradicts": [False, False],
            "observed_at": [later, later],
        }
    )
    with WarehouseResource(ticked.warehouse, "simulated").open("plant", "test") as session:
        session.publisher.replace_slice(
            PORTFOLIO_POINTS, later, PORTFOLIO_POINTS.conform(planted), session.provenance("simulated")
        )
    result = ticked.materialize(["wallet_metrics", "ai_grades", "wallet_scores"], PAST_DAY, full_refresh=True)
    assert result.success
    after = ticked.read()
    for table in DERIVED_TABLES:
        pd.testing.assert_frame_equal(before[table], after[table], obj=table)


def test_the_reconstruction_is_remade_only_on_request(ticked: Platform) -> None:
    assert reconstruct(ticked).success
    first = versions(ticked)
    result = reconstruct(ticked)
    assert result.success
    assert versions(ticked) == first, "what was fixed stays"
    ticked.at(SLOT + timedelta(minutes=10))
    assert ticked.tick().success
    assert reconstruct(ticked).success
    assert versions(ticked) == first
    assert reconstruct(ticked, full_refresh=True).success
    assert versions(ticked) != first
    cohort = ticked.read()["reconstructed_cohorts"]
    assert set(cohort["known_through"]) == {SLOT + timedelta(minutes=10)}


def test_a_trend_never_crosses_from_reconstructed_to_observed(ticked: Platform) -> None:
    for day in ("2026-05-28", "2026-05-29", "2026-05-30"):
        assert reconstruct(ticked, day).success
    ticked.at(SLOT + timedelta(minutes=10))
    assert ticked.tick().success
    scores = ticked.read()["wallet_scores"]
    newest_past = scores[scores["as_of"] == datetime(2026, 5, 30, tzinfo=UTC)]
    assert newest_past["trend_points"].max() == 3, "reconstructed slots see reconstructed ones"
    live = scores[scores["as_of"] == SLOT + timedelta(minutes=10)]
    assert live["trend_points"].max() <= 2
    assert live["rank_change"].isna().all()


def test_finer_grains_fill_only_stretches_without_a_slot(ticked: Platform) -> None:
    result = reconstruct(ticked, DAY, every="1h")
    assert result.success, failure_of(result)
    slots = ticked.manifest_slots()["reconstructed_cohorts"]
    midnight = day_bounds(date.fromisoformat(DAY))[0]
    hours = [midnight + timedelta(hours=hour) for hour in range(12)]
    assert slots == [hour for hour in hours if hour + timedelta(hours=1) <= SLOT], (
        "12:00 was observed at 12:10"
    )
    assert ticked.manifest_slots()["wallet_scores"] == [*slots, SLOT]


def test_an_observed_day_needs_no_reconstruction(ticked: Platform) -> None:
    result = reconstruct(ticked, DAY)
    assert result.success, failure_of(result)
    assert ticked.manifest_slots()["reconstructed_cohorts"] == []


def test_what_is_observed_after_all_wins(ticked: Platform) -> None:
    """A slot that is imported later is derived from what was observed, and the reconstruction of it withdrawn."""
    assert reconstruct(ticked).success
    with WarehouseResource(ticked.warehouse, "simulated").open("late", "test") as session:
        for contract in (PORTFOLIO_FETCHES, PORTFOLIO_POINTS):
            rows = session.store.read_table(contract, as_of=SLOT)
            rows = rows[rows["ts"] <= LAST_WEEK] if contract is PORTFOLIO_POINTS else rows
            session.publisher.replace_slice(
                contract,
                LAST_WEEK,
                contract.conform(rows.assign(as_of=pd.Timestamp(LAST_WEEK))),
                session.provenance("simulated"),
            )
    assert reconstruct(ticked).success
    assert ticked.manifest_slots()["reconstructed_cohorts"] == []
    scores = ticked.read()["wallet_scores"]
    assert set(scores.loc[scores["as_of"] == LAST_WEEK, "origin"]) == {"simulated"}


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("2026-01-02", "the oldest stored point is dated"),
        ("2026-05-31", "none of its slots is over for an hour"),
    ],
)
def test_what_cannot_be_reconstructed_says_why(ticked: Platform, day: str, why: str) -> None:
    if day == DAY:
        withdraw_everything_observed(ticked)
        ticked.at(datetime(2026, 5, 31, 0, 20, tzinfo=UTC))
    else:
        keep_young_points(ticked)
    result = reconstruct(ticked, day)
    assert not result.success
    assert why in failure_of(result)


def test_an_empty_store_says_what_to_do(platform: Platform) -> None:
    result = reconstruct(platform)
    assert "no portfolio point is stored. Run a tick first" in failure_of(result)


def test_a_wallet_that_no_later_slot_answered_for_is_left_out(ticked: Platform) -> None:
    result = reconstruct(ticked, "2026-05-31")
    assert result.success
    ticked.at(SLOT + timedelta(days=2))
    result = reconstruct(ticked, "2026-06-01")
    assert not result.success
    assert "no wallet with a point before" in failure_of(result)


@pytest.mark.parametrize("every", [timedelta(days=1), timedelta(hours=1), timedelta(minutes=10)])
def test_unobserved_slots_begin_stretches_in_which_nothing_was_seen(every: timedelta) -> None:
    day = date(2026, 5, 24)
    begin, end = day_bounds(day)
    later = end + timedelta(days=1)
    everything = unobserved_slots(day, every, set(), later)
    assert everything == [begin + every * n for n in range((end - begin) // every)]
    seen = begin + timedelta(hours=3, minutes=20)
    left = unobserved_slots(day, every, {seen}, later)
    assert [slot for slot in everything if slot not in left] == [
        slot for slot in everything if slot <= seen < slot + every
    ]
    assert unobserved_slots(day, every, set(), begin + timedelta(minutes=59)) == []


def test_a_panel_backfilled_equals_each_day_from_scratch(platform: Platform) -> None:
    """Every day's ranking is the one of a store that never saw a later day."""
    platform.overrides = {"source": "recorded", "eligible_min_points": 2, "eligible_min_span_days": 1}
    samples = invented_panel(days=3, wallets=12)
    import_samples(platform, samples)
    days = sorted({ts.date().isoformat() for ts in samples["ts"]})
    backfill(platform, days)
    scores = platform.read()["wallet_scores"]
    assert scores["calculated_rank"].notna().any()
    platform.drop()
    upto = samples[samples["ts"] <= day_bounds(date.fromisoformat(days[1]))[0]]
    import_samples(platform, upto)
    backfill(platform, days[:2])
    alone = platform.read()["wallet_scores"]
    assert alone["as_of"].nunique() == 2
    assert alone["calculated_rank"].notna().any()
    expected = scores[scores["as_of"].isin(alone["as_of"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)


def backfill(platform: Platform, days: Sequence[str]) -> None:
    for day in days:
        assert platform.materialize(DERIVED_TABLES, day).success


def invented_panel(*, days: int, wallets: int) -> pd.DataFrame:
    rows = [
        (
            f"0x{wallet:040x}",
            pd.Timestamp("2026-05-20", tz="UTC") + pd.Timedelta(days=day),
            1_000.0 + wallet * 50 + day * (wallet - 4) * 7 + (day * wallet % 5) * 11,
            day * (wallet - 4) * 7.0 + (day * wallet % 5) * 11,
        )
        for day in range(days)
        for wallet in range(1, wallets + 1)
    ]
    frame = pd.DataFrame(rows, columns=["wallet", "ts", "account_value", "pnl"])
    return frame.astype({"ts": "datetime64[ms, UTC]"}).sort_values(["ts", "wallet"], ignore_index=True)


def import_samples(platform: Platform, samples: pd.DataFrame) -> None:
    resource = WarehouseResource(platform.warehouse, "recorded")
    with (
        resource.open("import", "import") as session,
        RejectLog(platform.home / "rejects.jsonl") as log,
    ):
        import_panel(Target(session, exists=True, origin="recorded"), samples, ImportRequest(), log)


def keep_young_points(platform: Platform) -> None:
    """Leave only the last month's points, as if the accounts were young."""
    with WarehouseResource(platform.warehouse, "simulated").open("young", "test") as session:
        rows = session.store.read_table(PORTFOLIO_POINTS, as_of=SLOT)
        session.publisher.replace_slice(
            PORTFOLIO_POINTS,
            SLOT,
            rows[rows["ts"] > SLOT - timedelta(days=30)].reset_index(drop=True),
            session.provenance("simulated"),
        )


def withdraw_everything_observed(platform: Platform) -> None:
    """Leave the points and no fetch of the day."""
    with WarehouseResource(platform.warehouse, "simulated").open("none", "test") as session:
        session.publisher.withdraw(PORTFOLIO_FETCHES, [SLOT], session.provenance("simulated"))


def versions(platform: Platform) -> dict[str, int]:
    with WarehouseResource(platform.warehouse, "simulated").open("look", "test") as session:
        found = session.manifest.committed(RECONSTRUCTED_COHORTS)
        return {slot.isoformat(): publication.version for slot, publication in found.items()}
