"""The RETENTION setting: what it accepts, and which slots a rule lets go."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.maintenance.rules import RetentionError, RetentionRule, parse_retention
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings

NOW = datetime(2026, 6, 30, 0, 37, tzinfo=UTC)
SLOTS = st.sets(
    st.integers(-80 * 144, 0).map(
        lambda number: datetime(2026, 6, 30, tzinfo=UTC) + number * timedelta(minutes=10)
    ),
    max_size=60,
)


def test_rules_are_read() -> None:
    assert parse_retention(" wallet_metrics = 90 : daily , equity_curves=7,") == {
        "wallet_metrics": RetentionRule("wallet_metrics", 90, keep_daily=True),
        "equity_curves": RetentionRule("equity_curves", 7),
    }
    assert parse_retention("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wallet_metrics", "'wallet_metrics' is no rule; write TABLE=DAYS"),
        ("wallet_metrics=1.5", "'1.5' is not a whole, positive number of days"),
        ("wallet_metrics=-3", "'-3' is not a whole, positive number of days"),
        ("wallet_metrics=0", "wallet_metrics=0 is too short: new slots still need it for 2 days"),
        ("wallet_metrics=9:weekly", "'weekly' is not known"),
        (
            "wallet_metric=9",
            "there is no table 'wallet_metric'; those that may forget are leaderboard_snapshots, ",
        ),
        ("equity_curves=7,equity_curves=8", "equity_curves is named twice"),
        ("portfolio_points=400", "portfolio_points is never removed: the exchange thins its own history"),
        ("vaults=400", "vaults is never removed"),
        ("grade_calls=400", "grade_calls is never removed: it is a ledger"),
        (
            "wallet_scores=7",
            "wallet_scores=7 is too short: new slots still need it for 8 days; give at least 8",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(RetentionError, match=message):
        parse_retention(text, {"wallet_scores": 7.0})


def test_no_table_whose_rows_cannot_be_had_again_may_forget() -> None:
    refused = set()
    for table in TABLES:
        try:
            parse_retention(f"{table.name}=4000")
        except RetentionError:
            refused.add(table.name)
    assert refused >= {"portfolio_points", *(table.name for table in TABLES if table.storage == "ledger")}
    assert "equity_curves" not in refused


def test_settings_refuse_what_later_slots_still_look_back_on() -> None:
    assert Settings.load().retention_rules == {}
    settings = Settings.load(retention="wallet_scores=9,portfolio_fetches=31", trend_days=8)
    assert settings.retention_rules["wallet_scores"].days == 9
    with pytest.raises(ValueError, match=r"RETENTION=wallet_scores=8: .* give at least 9"):
        Settings.load(retention="wallet_scores=8", trend_days=8)
    with pytest.raises(ValueError, match=r"portfolio_fetches=31 is too short: .* for 46 days"):
        Settings.load(retention="portfolio_fetches=31", track_days=45)


def test_whole_days_stay() -> None:
    rule = RetentionRule("equity_curves", 7)
    first_kept = datetime(2026, 6, 23, tzinfo=UTC)
    slots = {first_kept - timedelta(minutes=10), first_kept, NOW}
    assert rule.expired(slots, NOW) == {first_kept - timedelta(minutes=10)}


@given(SLOTS, st.integers(2, 60), st.booleans())
def test_a_rule_lets_go_of_old_slots_only_and_never_of_the_newest(
    slots: set[datetime], days: int, keep_daily: bool
) -> None:
    rule = RetentionRule("wallet_metrics", days, keep_daily=keep_daily)
    expired = rule.expired(slots, NOW)
    assert expired <= slots
    assert not slots or max(slots) not in expired
    assert all(NOW - slot > timedelta(days=days) for slot in expired)
    if keep_daily:
        assert {slot.date() for slot in slots - expired} == {slot.date() for slot in slots}
        assert rule.expired(slots - expired, NOW) == set()
    else:
        first_kept = datetime(2026, 6, 30, tzinfo=UTC) - timedelta(days=days)
        assert expired == {slot for slot in slots if slot < first_kept and slot != max(slots)}
