"""Which expired slices may go: never one that something published refers to."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hl_assets.maintenance.expiry import references, removable
from hl_assets.warehouse.manifest import Publication
from hl_assets.warehouse.slices import SliceKey

T0 = datetime(2026, 5, 1, tzinfo=UTC)
FLOW = ("portfolio_fetches", "wallet_metrics", "ai_grades", "wallet_scores")


def at(number: int) -> datetime:
    return T0 + number * timedelta(minutes=10)


def published(table: str, number: int, version: int, **inputs: int) -> Publication:
    return Publication(table, at(number), version, 1, inputs=inputs)


def settle(
    slices: list[Publication], expired: set[SliceKey], boards: dict[datetime, datetime] | None = None
) -> tuple[set[SliceKey], dict[tuple[str, str], int]]:
    """What may go, and what holds the rest."""
    versions = {(one.table_name, one.as_of): one.version for one in slices}
    found = references({key: versions[key] for key in expired}, slices, boards or {})
    expiry = removable(expired, found)
    return set(expiry.removable), dict(expiry.held)


def test_a_slice_stays_while_its_version_is_named() -> None:
    slices = [published("wallet_metrics", 0, 5), published("wallet_scores", 0, 9, wallet_metrics=5)]
    metrics, scores = ("wallet_metrics", T0), ("wallet_scores", T0)
    assert settle(slices, {metrics}) == (set(), {("wallet_metrics", "wallet_scores"): 1})
    assert settle(slices, {metrics, scores}) == ({metrics, scores}, {})


def test_a_version_that_was_replaced_since_holds_nothing() -> None:
    slices = [published("wallet_metrics", 0, 6), published("wallet_scores", 0, 9, wallet_metrics=5)]
    assert settle(slices, {("wallet_metrics", T0)}) == ({("wallet_metrics", T0)}, {})


def test_one_publication_of_many_slots_is_referred_to_slot_by_slot() -> None:
    slices = [published("wallet_metrics", number, 5) for number in range(3)]
    slices.append(published("wallet_scores", 2, 9, wallet_metrics=5))
    keys = {("wallet_metrics", at(number)) for number in range(3)}
    assert settle(slices, keys) == (
        keys - {("wallet_metrics", at(2))},
        {("wallet_metrics", "wallet_scores"): 1},
    )


def test_a_version_of_another_slot_holds_every_slot_that_has_it() -> None:
    slices = [published("wallet_metrics", 0, 5), published("rescored_scores", 7, 9, wallet_metrics=5)]
    assert settle(slices, {("wallet_metrics", T0)})[0] == set()


def test_a_board_stays_while_a_snapshot_points_at_it() -> None:
    slices = [
        published("leaderboard_rows", 0, 5),
        published("leaderboard_snapshots", 0, 5),
        published("leaderboard_snapshots", 4, 7),
    ]
    boards = {at(0): at(0), at(4): at(0)}
    rows, first = ("leaderboard_rows", T0), ("leaderboard_snapshots", T0)
    assert settle(slices, {rows, first}, boards) == (
        {first},
        {("leaderboard_rows", "leaderboard_snapshots"): 1},
    )
    assert settle(slices, {rows, first, ("leaderboard_snapshots", at(4))}, boards)[0] >= {rows}


def test_the_board_of_a_slot_stays_while_its_wallets_do() -> None:
    for table in ("portfolio_fetches", "tracked_wallets", "wallet_metrics"):
        slices = [published("leaderboard_snapshots", 0, 5), published(table, 0, 6)]
        key = ("leaderboard_snapshots", T0)
        assert settle(slices, {key}) == (set(), {("leaderboard_snapshots", table): 1})


def test_what_holds_reaches_through_slices_that_expired_themselves() -> None:
    slices = [
        published("portfolio_fetches", 0, 1),
        published("wallet_metrics", 0, 2, portfolio_fetches=1),
        published("wallet_scores", 0, 3, wallet_metrics=2),
    ]
    expired = {("portfolio_fetches", T0), ("wallet_metrics", T0)}
    assert settle(slices, expired) == (
        set(),
        {("wallet_metrics", "wallet_scores"): 1, ("portfolio_fetches", "wallet_metrics"): 1},
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Publication], set[SliceKey]]:
    """Slices of a flow, each naming some or none of the earlier tables' versions, and which of them expired."""
    slices: list[Publication] = []
    for level, table in enumerate(FLOW):
        for number in draw(st.sets(st.integers(0, 5), max_size=6)):
            inputs = {name: draw(st.integers(1, 3)) for name in FLOW[:level] if draw(st.booleans())}
            slices.append(published(table, number, draw(st.integers(1, 3)), **inputs))
    expired = {(one.table_name, one.as_of) for one in slices if draw(st.booleans())}
    return slices, expired


def refers(source: Publication, target: Publication, slices: list[Publication]) -> bool:
    """The rule in its plainest words."""
    if source.inputs.get(target.table_name) != target.version:
        return False
    same_slot = any(
        one.table_name == target.table_name and one.as_of == source.as_of and one.version == target.version
        for one in slices
    )
    return target.as_of == source.as_of or not same_slot


@given(histories())
def test_no_slice_that_stays_refers_to_one_that_goes(
    history: tuple[list[Publication], set[SliceKey]],
) -> None:
    slices, expired = history
    gone, held = settle(slices, expired)
    assert gone <= expired
    staying = [one for one in slices if (one.table_name, one.as_of) not in gone]
    going = [one for one in slices if (one.table_name, one.as_of) in gone]
    assert not any(refers(source, target, slices) for source in staying for target in going)
    assert sum(held.values()) == len(expired - gone)


@given(histories())
def test_nothing_stays_without_a_reason(history: tuple[list[Publication], set[SliceKey]]) -> None:
    slices, expired = history
    gone, _ = settle(slices, expired)
    staying = [one for one in slices if (one.table_name, one.as_of) not in gone]
    for one in staying:
        if (one.table_name, one.as_of) in expired:
            assert any(refers(source, one, slices) for source in staying)
