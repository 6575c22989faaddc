"""Which points of an answer are new, known or contradicting."""

from datetime import UTC, datetime

import pandas as pd

from hl_assets.assets.points import mark_new

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


def test_another_pnl_contradicts_only_where_its_beginning_is_fixed() -> None:
    anchored = mark_new(points((0, 100, 5)), known(points((0, 100, 7))))
    assert anchored["contradicts"].tolist() == [True]
    moving = mark_new(points((0, 100, 5), segment="week"), known(points((0, 100, 7), segment="week")))
    assert moving.empty


def test_noise_of_the_last_digit_is_no_contradiction() -> None:
    assert mark_new(points((0, 160_794_563.92618099, 0)), known(points((0, 160_794_563.92618097, 0)))).empty


def test_segments_and_scopes_do_not_meet() -> None:
    stored = known(points((0, 100, 0)).assign(scope="perp"))
    assert minutes(mark_new(points((0, 100, 0)), stored)) == [0]
