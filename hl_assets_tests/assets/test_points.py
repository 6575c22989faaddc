"""Which points of an answer are new, known or contradicting."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from hl_assets.assets.points import continue_segments, mark_new
from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.ragged import BoolArray
from hl_assets.equity.segments import Segment, join_stored
from hl_assets.equity.stitch import stitch_portfolio
from hl_assets_tests.equity.builders import DAY_MS, HOUR_MS, START_MS, Portfolio, Window, portfolio, window

T0 = pd.Timestamp("2026-05-31", tz="UTC").as_unit("ms")
WALLET = "0x" + "1" * 40


def points(*rows: tuple[int, float, float], segment: str = "") -> pd.DataFrame:
    """Rows of (minute, account value, PnL)."""
    return pd.DataFrame(
        {
            "wallet": WALLET,
            "scope": "all",
            "segment": segment,
            "ts": pd.Series(
                [T0 + pd.Timedelta(minutes=minute) for minute, _, _ in rows], dtype="datetime64[ms, UTC]"
            ),
            "account_value": [value for _, value, _ in rows],
            "pnl": [pnl for _, _, pnl in rows],
            "observed_at": datetime(2026, 5, 31, tzinfo=UTC),
        }
    )


def known(frame: pd.DataFrame) -> pd.DataFrame:
    renamed = frame.rename(columns={"account_value": "known_account_value", "pnl": "known_pnl"})
    return renamed.drop(columns="observed_at")


def minutes(frame: pd.DataFrame) -> list[int]:
    return [int((ts - T0).total_seconds() // 60) for ts in frame["ts"]]


def test_only_points_that_are_not_stored_are_new() -> None:
    fresh = mark_new(
        points((0, 100, 0), (10, 110, 10), (20, 120, 20)), known(points((0, 100, 0), (20, 120, 20)))
    )
    assert minutes(fresh) == [10]
    assert not fresh["contradicts"].any()


def test_everything_is_new_at_first() -> None:
    fresh = mark_new(points((0, 100, 0), (10, 110, 10)), known(points()))
    assert minutes(fresh) == [0, 10]
    assert not fresh["contradicts"].any()


def test_another_value_for_a_stored_instant_is_kept_and_marked() -> None:
    fresh = mark_new(points((0, 100, 0), (10, 111, 10)), known(points((0, 100, 0), (10, 110, 10))))
    assert minutes(fresh) == [10]
    assert fresh["contradicts"].tolist() == [True]
    assert fresh["account_value"].tolist() == [111]


def test_a_contradiction_is_stored_once() -> None:
    stored = known(points((0, 100, 0), (10, 110, 10), (10, 111, 10)))
    assert mark_new(points((0, 100, 0), (10, 111, 10)), stored).empty


def test_another_pnl_contradicts() -> None:
    assert mark_new(points((0, 100, 5)), known(points((0, 100, 7))))["contradicts"].tolist() == [True]


def test_noise_of_the_last_digit_is_no_contradiction() -> None:
    assert mark_new(points((0, 160_794_563.92618099, 0)), known(points((0, 160_794_563.92618097, 0)))).empty


def test_segments_and_scopes_do_not_meet() -> None:
    stored = known(points((0, 100, 0)).assign(scope="perp"))
    assert minutes(mark_new(points((0, 100, 0)), stored)) == [0]


class TestSegments:
    """PnL of a window that is not anchored counts from a start that moves with every answer."""

    SLOT = datetime(2026, 5, 31, 12, 10, tzinfo=UTC)
    STORED = known(points((0, 100, 0), (10, 110, 10), (20, 120, 20), segment="week 2026-05-30T00:00Z"))

    def test_a_segment_goes_on_under_its_name_and_on_its_baseline(self) -> None:
        answer = points((10, 110, 0), (20, 120, 10), (30, 130, 20), segment="month")
        continued = continue_segments(answer, self.STORED, self.SLOT)
        assert set(continued["segment"]) == {"week 2026-05-30T00:00Z"}
        assert continued["pnl"].tolist() == [10, 20, 30]
        fresh = mark_new(continued, self.STORED)
        assert minutes(fresh) == [30]
        assert not fresh["contradicts"].any()

    def test_without_a_shared_instant_it_is_a_new_one(self) -> None:
        answer = points((11, 110, 0), (30, 130, 20), segment="week")
        continued = continue_segments(answer, self.STORED, self.SLOT)
        assert set(continued["segment"]) == {"week 2026-05-31T12:10Z"}
        assert continued["pnl"].tolist() == [0, 20]

    def test_shared_instants_that_disagree_are_no_connection(self) -> None:
        answer = points((10, 110, 0), (20, 120, 10.1), (30, 130, 20), segment="week")
        assert set(continue_segments(answer, self.STORED, self.SLOT)["segment"]) == {"week 2026-05-31T12:10Z"}

    def test_another_account_value_is_no_connection_and_a_contradiction(self) -> None:
        answer = points((10, 111, 0), (20, 120, 10), segment="week")
        fresh = mark_new(continue_segments(answer, self.STORED, self.SLOT), self.STORED)
        assert (minutes(fresh), fresh["contradicts"].tolist(), fresh["pnl"].tolist()) == ([10], [True], [10])

    def test_of_two_segments_of_one_answer_only_one_goes_on(self) -> None:
        week, day = (
            points((10, 110, 0), (30, 130, 20), segment="week"),
            points((20, 120, 0), (30, 130, 9), segment="day"),
        )
        continued = continue_segments(pd.concat([week, day], ignore_index=True), self.STORED, self.SLOT)
        assert not continued.duplicated(["wallet", "scope", "segment", "ts"]).any()
        assert set(continued["segment"]) == {"week 2026-05-30T00:00Z", "week 2026-05-31T12:10Z"}

    def test_the_anchored_curve_and_other_scopes_are_left_alone(self) -> None:
        anchored = points((10, 110, 3))
        perp = points((10, 110, 0), segment="week").assign(scope="perp")
        continued = continue_segments(pd.concat([anchored, perp], ignore_index=True), self.STORED, self.SLOT)
        assert continued["segment"].tolist() == ["", "week 2026-05-31T12:10Z"]
        assert continued["pnl"].tolist() == [3, 0]


class _Store:
    """Rows of `portfolio_points`, answer by answer, as `portfolio_histories` adds them and `read_curves` reads them."""

    def __init__(self) -> None:
        self.rows = points().assign(slot=0)

    def add(self, slot: int, *windows: Window) -> None:
        answer = stitch_portfolio(Portfolio(WALLET, {each.name: each for each in windows})).all
        frame = points().drop(columns="observed_at").reindex(range(len(answer)))
        frame = frame.assign(
            wallet=WALLET,
            scope="all",
            segment=np.array(answer.segments, dtype=object)[answer.segment],
            ts=pd.to_datetime(answer.ts_ms, unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            account_value=answer.account_value,
            pnl=answer.pnl,
            observed_at=T0,
        )
        stored = known(self.rows.drop(columns="slot"))
        instant = datetime(2026, 5, 31, tzinfo=UTC) + slot * timedelta(minutes=10)
        fresh = mark_new(continue_segments(frame, stored, instant), stored).assign(slot=slot)
        assert not fresh["contradicts"].any()
        self.rows = pd.concat([self.rows, fresh[self.rows.columns]] if slot else [fresh[self.rows.columns]])
        assert not self.rows.duplicated(["segment", "ts"]).any()

    def curve(self, slot: int) -> RaggedCurves:
        """The curve as of a slot."""
        seen = self.rows[self.rows["slot"] <= slot].sort_values(["ts", "slot"])
        seen = seen.assign(ms=seen["ts"].astype("int64"))
        anchored = seen[seen["segment"] == ""]
        curves = RaggedCurves.from_columns(
            anchored["wallet"].to_numpy(object), anchored["ms"], anchored["account_value"], anchored["pnl"]
        )
        segments = [
            Segment(
                rows["ms"].to_numpy(),
                rows["account_value"].to_numpy(),
                rows["pnl"].to_numpy(),
                np.zeros(len(rows), np.bool_),
            )
            for _, rows in seen[seen["segment"] != ""].groupby("segment")
        ]
        return join_stored(curves, {WALLET: segments})


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), bridge=st.integers(1, 14))
def test_a_curve_fetched_in_pieces_over_time_is_the_curve_fetched_at_once(seed: int, bridge: int) -> None:
    """Fifteen answers, two days apart. allTime shows every tenth sample, the week window the others of seven days: they
    share no instant, until in one answer allTime shows one sample of the week as well."""
    rng = np.random.default_rng(seed)
    n = 400
    ts = START_MS + np.cumsum(rng.integers(HOUR_MS, 3 * HOUR_MS, n))
    value, pnl = np.round(rng.uniform(10, 1e6, n), 6), np.round(np.cumsum(rng.normal(0, 1e4, n)), 6)
    rare = np.arange(n) % 10 == 0
    seen = {"allTime": np.zeros(n, np.bool_), "week": np.zeros(n, np.bool_)}
    store = _Store()

    def shown(name: str, mask: BoolArray) -> Window:
        return window(name, ts[mask], value[mask], pnl[mask] - pnl[mask][0])

    for slot in range(15):
        until = ts <= ts[0] + (2 * slot + 2) * DAY_MS
        week = until & ~rare & (ts > ts[until][-1] - 7 * DAY_MS)
        all_time = until & rare
        if slot == bridge:
            all_time[rng.choice(np.flatnonzero(week))] = True
        store.add(slot, shown("allTime", all_time), shown("week", week))
        seen = {"allTime": seen["allTime"] | all_time, "week": seen["week"] | week}
        curve = store.curve(slot)
        at_once = stitch_portfolio(portfolio(*(shown(name, mask) for name, mask in seen.items()))).all
        expected_ts, expected_value, expected_pnl = at_once.anchored()
        assert (len(expected_ts) > seen["allTime"].sum()) == (slot >= bridge)
        assert curve.ts_ms.tolist() == expected_ts.tolist()
        assert curve.account_value.tolist() == expected_value.tolist()
        assert np.abs(curve.pnl - expected_pnl).max() < 1e-6
        assert curve.contradictions.tolist() == [0]
    # Point in time: what the bridge connected is not connected as of the answer before.
    assert set(store.curve(bridge - 1).ts_ms.tolist()) <= set(ts[rare].tolist())
