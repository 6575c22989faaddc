"""Snapshots on the real engine: what is pinned, what is proved, and readers while a slot is published again."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Self

import httpx
import pytest

from hl_assets.api.app import create_app
from hl_assets.api.serving import ApiServer
from hl_assets.api.snapshots import NoSlotError, Snapshots
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.settings import Settings
from hl_assets.warehouse import ddl
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.api.conftest import NOW, SLOTS
from hl_assets_tests.api.generations import PROVENANCE, Template, Writer, generations_in, wallets_of
from hl_assets_tests.pipeline.conftest import SLOT

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture(scope="module")
def template(store: Warehouse) -> Template:
    return Template.of(store, SLOTS[0])


@pytest.fixture
def empty(warehouse: Warehouse) -> Warehouse:
    """A database with tables and nothing in them."""
    warehouse.ensure_tables(TABLES)
    return warehouse


@pytest.fixture
def writer(empty: Warehouse, template: Template) -> Writer:
    """A slot with its first generation."""
    made = Writer(empty, template, SLOT)
    made.raw()
    made.one_after_the_other(1)
    return made


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def always_asking(store: Warehouse) -> Snapshots:
    return Snapshots(store, patience=0)


def wait_until_removed(store: Warehouse, table: TableContract, version: int) -> None:
    """The publisher does not wait for the rows it deletes."""
    deadline = time.monotonic() + 20
    sql = f"SELECT count() FROM {ddl.versions_table(table)} WHERE _version = {{version:UInt64}}"
    while store.read_rows(sql, {"version": version}) != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_is_stored(empty: Warehouse) -> None:
    with pytest.raises(NoSlotError):
        always_asking(empty).at(None)


def test_as_of_is_the_newest_slot_at_or_before(empty: Warehouse, template: Template) -> None:
    for slot in (SLOT, SLOT + 2 * TEN_MINUTES):
        Writer(empty, template, slot).all_at_once(1)
    snapshots = always_asking(empty)
    at = {minutes: SLOT + timedelta(minutes=minutes) for minutes in (0, 19, 20, 500)}
    assert snapshots.at(at[0]).as_of == SLOT
    assert snapshots.at(at[19]).as_of == SLOT
    assert snapshots.at(at[20]).as_of == SLOT + 2 * TEN_MINUTES
    assert snapshots.at(at[500]) == snapshots.at(None)
    with pytest.raises(NoSlotError):
        snapshots.at(SLOT - timedelta(seconds=1))


def test_a_snapshot_is_what_the_scores_were_derived_from(empty: Warehouse, writer: Writer) -> None:
    first = always_asking(empty).at(None)
    old = dict(writer.versions)
    assert {name: pin.version for name, pin in first.pins.items()} == old
    writer.derive(WALLET_METRICS, generation=2, upstream=(PORTFOLIO_FETCHES,))
    writer.derive(AI_GRADES, generation=2, upstream=(WALLET_METRICS,))
    between = always_asking(empty).at(None)
    assert between.id == first.id, "the scores are still those of the old metrics and grades"
    assert between.consistent
    writer.derive(WALLET_SCORES, generation=2, upstream=(WALLET_METRICS, AI_GRADES))
    after = always_asking(empty).at(None)
    assert (
        after.pins[WALLET_METRICS.name].version
        == writer.versions[WALLET_METRICS.name]
        != old[WALLET_METRICS.name]
    )
    assert after.id != first.id


def test_a_version_that_is_gone_is_replaced_by_the_newest_and_said_so(
    empty: Warehouse, template: Template
) -> None:
    writer = Writer(empty, template, SLOT, retain_seconds=0)
    writer.raw()
    writer.one_after_the_other(1)
    old = writer.versions[WALLET_METRICS.name]
    writer.derive(WALLET_METRICS, generation=2, upstream=(PORTFOLIO_FETCHES,))
    wait_until_removed(empty, WALLET_METRICS, old)
    snapshot = always_asking(empty).at(None)
    assert not snapshot.consistent
    assert snapshot.pins[WALLET_METRICS.name].version == writer.versions[WALLET_METRICS.name]
    assert snapshot.pins[AI_GRADES.name].version == writer.versions[AI_GRADES.name]


def test_the_board_is_the_one_that_the_slot_saw(empty: Warehouse, writer: Writer) -> None:
    board = always_asking(empty).at(None).pins[LEADERBOARD_ROWS.name]
    assert board.as_of == SLOTS[0]
    assert board.version == writer.versions[LEADERBOARD_ROWS.name]


def test_a_snapshot_is_whole_until_its_rows_are_removed(empty: Warehouse, template: Template) -> None:
    writer = Writer(empty, template, SLOT, retain_seconds=60)
    writer.all_at_once(1)
    snapshots = always_asking(empty)
    old = snapshots.at(None)
    assert snapshots.still_whole(old)
    writer.all_at_once(2)
    assert snapshots.still_whole(old), "replaced a moment ago, still stored"
    assert snapshots.at(None).id != old.id
    assert snapshots.still_whole(old), "also after somebody else looked"
    Writer(empty, template, SLOT, retain_seconds=0).all_at_once(3)
    wait_until_removed(empty, WALLET_SCORES, old.scores.version)
    assert not snapshots.still_whole(old)
    assert snapshots.still_whole(snapshots.at(None))


def test_a_withdrawn_slot_is_not_served(empty: Warehouse, template: Template) -> None:
    for slot in (SLOT - TEN_MINUTES, SLOT):
        Writer(empty, template, slot).all_at_once(1)
    writer = Writer(empty, template, SLOT)
    writer.publisher.withdraw(WALLET_SCORES, [SLOT], PROVENANCE)
    assert always_asking(empty).at(None).as_of == SLOT - TEN_MINUTES


def test_what_is_known_is_used_for_a_while_only(empty: Warehouse, template: Template) -> None:
    clock = Clock()
    snapshots = Snapshots(empty, patience=1.0, clock=clock)
    writer = Writer(empty, template, SLOT)
    writer.all_at_once(1)
    first = snapshots.at(None)
    writer.all_at_once(2)
    clock.now = 0.9
    assert snapshots.remembered(None) is first
    assert snapshots.remembered(SLOT) is None, "not asked before"
    clock.now = 1.0
    assert snapshots.remembered(None) is None
    assert snapshots.at(None).id != first.id


@pytest.fixture
def client(empty: Warehouse) -> Iterator[httpx.Client]:
    """A client of an app that always looks and keeps nothing."""
    settings = Settings.load(clock=NOW, api_rate_per_minute=0, api_snapshot_seconds=0, api_cache_mb=0)
    with (
        ApiServer(create_app(settings, empty)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as opened,
    ):
        yield opened


WAYS: dict[str, tuple[Callable[[Writer, int], None], float]] = {
    "tables one after the other": (Writer.one_after_the_other, 60.0),
    "all tables at once, replaced rows removed at once": (Writer.all_at_once, 0.0),
}


class Reader:
    """Reads until told to stop, and keeps what was not one whole snapshot.

    Args:
        client: Where to read.
        wallet: Whose page to read.
        may_refuse: Whether the API may say that the slot is being rewritten: with replaced rows removed at once, a slow
            read may find no whole snapshot five times in a row.
    """

    def __init__(self, client: httpx.Client, wallet: str, *, may_refuse: bool) -> None:
        self._client, self._wallet, self._may_refuse = client, wallet, may_refuse
        self._done = threading.Event()
        self.torn: list[object] = []
        self.seen: dict[str, int] = {}
        self.lists = self.pages = 0
        self._threads = [threading.Thread(target=self._read_lists), threading.Thread(target=self._read_pages)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def has_enough(self) -> bool:
        return bool(self.torn) or (self.lists >= 8 and self.pages >= 8 and len(self.seen) >= 4)

    def _answers(self, path: str) -> Iterator[dict[str, Any]]:
        while not self._done.is_set():
            answer = self._client.get(path)
            if answer.status_code == 200:
                yield answer.json()
            elif not (self._may_refuse and "slot-being-rewritten" in answer.text):
                self.torn.append(answer.text)

    def _read_lists(self) -> None:
        for body in self._answers("/wallets?top_n=200"):
            snapshot, found = body["metadata"]["snapshot"], generations_in(body["data"])
            whole = (
                len(found) == 1 and body["metadata"]["count"] == wallets_of(*found) and snapshot["consistent"]
            )
            if not whole or {self.seen.setdefault(snapshot["id"], *found)} != found:
                self.torn.append((found, body["metadata"]))
            self.lists += 1

    def _read_pages(self) -> None:
        for body in self._answers(f"/v1/wallets/{self._wallet}"):
            generation = int(body["metrics"]["total_pnl"])
            text = body["grade"]["overall_assessment"]
            if int(body["scores"]["quant_score"]) != generation or text != f"generation {generation}":
                self.torn.append((generation, text, body["scores"]["quant_score"]))
            self.pages += 1


@pytest.mark.slow
@pytest.mark.parametrize("way", list(WAYS))
def test_every_answer_is_one_snapshot_while_the_slot_is_published_again(
    empty: Warehouse, template: Template, client: httpx.Client, way: str
) -> None:
    publish, retain_seconds = WAYS[way]
    writer = Writer(empty, template, SLOT, retain_seconds=retain_seconds)
    writer.raw()
    publish(writer, 1)
    wallet = template.frames[WALLET_SCORES.name]["wallet"].iloc[0]
    with Reader(client, wallet, may_refuse=not retain_seconds) as reader:
        for generation in range(2, 60):
            publish(writer, generation)
            if reader.has_enough:
                break
            time.sleep(0.1)
    assert reader.torn == []
    assert reader.has_enough, "readers were there while the slot changed"


def test_pages_are_of_one_snapshot_or_refused(
    empty: Warehouse, template: Template, client: httpx.Client
) -> None:
    writer = Writer(empty, template, SLOT)
    writer.all_at_once(1)

    def page(cursor: str | None = None) -> httpx.Response:
        return client.get("/v1/leaderboard", params={"limit": 8} | ({"cursor": cursor} if cursor else {}))

    pages = [page().json()]
    while pages[-1]["page"]["next_cursor"]:
        pages.append(page(pages[-1]["page"]["next_cursor"]).json())
    wallets = [row["wallet"] for found in pages for row in found["data"]]
    assert len(wallets) == len(set(wallets)) == wallets_of(1) == pages[0]["page"]["total_eligible"]
    assert [len(found["data"]) for found in pages] == [8, 8, 5]
    assert {found["snapshot"]["id"] for found in pages} == {pages[0]["snapshot"]["id"]}
    writer.all_at_once(2)
    refused = page(pages[0]["page"]["next_cursor"])
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:hl-assets:problem:cursor-of-another-snapshot"
    assert refused.json()["current_snapshot"] == page().json()["snapshot"]["id"]
