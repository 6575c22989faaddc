"""The `equity_curves` asset, and which points a slot may see."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from hl_assets.assets.curves import read_curves
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.pipeline.conftest import DAY, RAW, SLOT, FirstTick, Platform

TEN_MINUTES = timedelta(minutes=10)
_FAULT = "perp_perp_baseline_fault"
PROVENANCE = Provenance("test", "test", "simulated")


def test_curves_and_metrics_tell_one_story(first_tick: FirstTick) -> None:
    tables = first_tick.tables
    curves = tables["equity_curves"].query("scope == 'all'").sort_values(["wallet", "ts"]).groupby("wallet")
    metrics = tables["wallet_metrics"].set_index("wallet")
    assert len(metrics) == 12
    for wallet, curve in curves:
        row = metrics.loc[str(wallet)]
        assert curve["drawdown"].min() == row["max_drawdown"]
        np.testing.assert_allclose(curve["return_index"].iloc[-1] - 1, row["roi"], rtol=1e-12)
        assert len(curve) == row["data_points"]
        np.testing.assert_allclose(curve["flow"].sum(), row["net_flow"], rtol=1e-9, atol=1e-6)
        assert curve["flags"].iloc[0] == ["start"]


def test_a_day_keeps_its_newest_curves_only(ticked: Platform) -> None:
    curves = (*RAW, "equity_curves")
    for _ in range(2):
        ticked.at(ticked.now + TEN_MINUTES)
        assert ticked.materialize(curves, DAY).success
    assert ticked.manifest_slots()["equity_curves"] == [SLOT + 2 * TEN_MINUTES]
    ticked.at(SLOT + timedelta(days=1))
    assert ticked.materialize(curves, "2026-06-01").success
    assert ticked.manifest_slots()["equity_curves"] == [SLOT + 2 * TEN_MINUTES, SLOT + timedelta(days=1)]


def test_perp_curves_exist_and_faulty_ones_fall_back(first_tick: FirstTick, ticked: Platform) -> None:
    tables = first_tick.tables
    fetches = tables["portfolio_fetches"]
    wallet = fetches["wallet"].iloc[0]
    faulty = fetches.assign(
        flags=[
            [_FAULT] if name == wallet else flags
            for name, flags in zip(fetches["wallet"], fetches["flags"], strict=True)
        ]
    )
    with Warehouse(ticked.warehouse) as store:
        Publisher(store).publish([Slice(PORTFOLIO_FETCHES, SLOT, faulty)], PROVENANCE)
    assert ticked.materialize(["equity_curves"], DAY).success
    curves = ticked.read()["equity_curves"]
    perp = curves[(curves["wallet"] == wallet) & (curves["scope"] == "perp")].reset_index(drop=True)
    whole = curves[(curves["wallet"] == wallet) & (curves["scope"] == "all")].reset_index(drop=True)
    assert len(perp) > 2
    pd.testing.assert_series_equal(perp["return_index"], whole["return_index"])
    assert all("fell_back_to_all" in flags for flags in perp["flags"])
    sound = set(fetches.loc[[_FAULT not in flags for flags in fetches["flags"]], "wallet"]) - {wallet}
    others = curves[curves["wallet"].isin(sound) & (curves["scope"] == "perp")]
    assert others["wallet"].nunique() > 3
    assert not any("fell_back_to_all" in flags for flags in others["flags"])


def test_of_contradicting_points_the_first_seen_counts(first_tick: FirstTick, ticked: Platform) -> None:
    points = first_tick.tables["portfolio_points"]
    wallet = points["wallet"].iloc[0]
    with Warehouse(ticked.warehouse) as store:
        before = read_curves(store, [wallet], "all", SLOT)
        other = points[(points["wallet"] == wallet) & (points["scope"] == "all")].iloc[[5]].copy()
        other["as_of"] = pd.Series([pd.Timestamp(SLOT + TEN_MINUTES)], index=other.index).astype(
            points["as_of"].dtype
        )
        other["account_value"] += 1000.0
        other["contradicts"] = True
        Publisher(store).publish([Slice(PORTFOLIO_POINTS, SLOT + TEN_MINUTES, other)], PROVENANCE)
        after = read_curves(store, [wallet], "all", SLOT + TEN_MINUTES)
    np.testing.assert_array_equal(after.account_value[: before.n_points], before.account_value)
    assert after.contradictions.tolist() == [1]


def test_as_known_at_sees_only_what_had_arrived(first_tick: FirstTick, ticked: Platform) -> None:
    wallet = first_tick.tables["wallet_metrics"]["wallet"].iloc[0]
    ticked.at(SLOT + TEN_MINUTES)
    assert ticked.materialize(RAW, DAY).success
    with Warehouse(ticked.warehouse) as store:
        counts = [
            read_curves(store, [wallet], "all", SLOT + TEN_MINUTES, known_at=known_at).n_points
            for known_at in (SLOT - TEN_MINUTES, SLOT, SLOT + TEN_MINUTES, None)
        ]
    assert counts[0] == 0
    assert 0 < counts[1] < counts[2] == counts[3]


def test_points_stored_unanchored_join_the_curve_once_a_later_slot_connects_them(platform: Platform) -> None:
    assert platform.tick().success
    points = platform.read()["portfolio_points"]
    wallet = points["wallet"].iloc[0]
    curve = points[(points["wallet"] == wallet) & (points["scope"] == "all")].sort_values("ts").tail(8)
    later = SLOT + TEN_MINUTES

    def stored(rows: pd.DataFrame, slot: datetime, segment: str, minutes: int, pnl: float) -> pd.DataFrame:
        as_of = pd.Series([pd.Timestamp(slot)] * len(rows), index=rows.index).astype(points["as_of"].dtype)
        seen = pd.Series([pd.Timestamp(slot)] * len(rows), index=rows.index).astype(
            points["observed_at"].dtype
        )
        return rows.assign(
            as_of=as_of,
            observed_at=seen,
            segment=segment,
            ts=rows["ts"] - pd.Timedelta(minutes=minutes),
            pnl=rows["pnl"] + pnl,
        )

    # A week window between the curve's points, on a baseline of its own; then an answer that anchors one of its points.
    week = stored(curve, SLOT - TEN_MINUTES, "week", 1, -5_000.0)
    bridge = stored(curve.iloc[[3]], later, "", 1, 0.0)
    with Warehouse(platform.warehouse) as store:
        before = read_curves(store, [wallet], "all", later)
        Publisher(store).publish([Slice(PORTFOLIO_POINTS, SLOT - TEN_MINUTES, week)], PROVENANCE)
        loose = read_curves(store, [wallet], "all", later)
        Publisher(store).publish([Slice(PORTFOLIO_POINTS, later, bridge)], PROVENANCE)
        joined = read_curves(store, [wallet], "all", later)
        as_of_before = read_curves(store, [wallet], "all", SLOT)
        known_before = read_curves(store, [wallet], "all", later, known_at=later - timedelta(seconds=1))
    for unchanged in (loose, as_of_before, known_before):
        np.testing.assert_array_equal(unchanged.ts_ms, before.ts_ms)
    assert joined.n_points == before.n_points + len(week)
    added = ~np.isin(joined.ts_ms, before.ts_ms)
    np.testing.assert_array_equal(
        joined.ts_ms[added], week["ts"].astype("datetime64[ms, UTC]").astype("int64")
    )
    np.testing.assert_allclose(joined.pnl[added], curve["pnl"], rtol=0, atol=1e-6)
    assert joined.contradictions.tolist() == [0]
