"""What Prometheus is told of the platform, by a real scrape of what a real tick stored."""

import re
import socket
import threading
import time
from datetime import timedelta
from itertools import product

import httpx
import pytest
from prometheus_client import Metric
from starlette.testclient import TestClient

from hl_assets.api.app import create_app
from hl_assets.api.service import limits_of
from hl_assets.assets.grade_calls import usd_spent_on
from hl_assets.coverage.vocabulary import Status
from hl_assets.jobs import ASSETS_IN_ORDER, DAILY_ASSETS
from hl_assets.observability.catalogue import METRICS
from hl_assets.observability.collector import OWN
from hl_assets.observability.reading import STAGES, read_platform
from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import CALL_MODES, CALL_OUTCOMES
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance
from hl_assets_tests.observability.conftest import FAILING, NOW, TOP_N, Ticked, families
from hl_assets_tests.pipeline.conftest import SLOT

NAMES = {metric.full_name: metric for metric in METRICS}


def values(scraped: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """Values of a metric by its labels, in the catalogue's order."""
    labels = NAMES[f"hl_assets_{name}"].labels
    samples = scraped[f"hl_assets_{name}".removesuffix("_total")].samples
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in samples}


def test_every_metric_has_a_sample_once_there_is_something_to_say(scraped: dict[str, Metric]) -> None:
    told = {sample.name for family in scraped.values() for sample in family.samples}
    assert {*NAMES, *OWN} <= told


def test_samples_have_the_catalogues_labels_and_kind(scraped: dict[str, Metric]) -> None:
    for name, metric in NAMES.items():
        family = scraped[name.removesuffix("_total")]
        assert family.type == metric.kind, name
        assert family.documentation == metric.meaning
        for sample in family.samples:
            assert set(sample.labels) == set(metric.labels), name


def test_names_follow_prometheus_conventions() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert re.fullmatch(r"hl_assets_[a-z_]+", metric.full_name)


def test_nothing_that_a_user_of_the_exchange_controls_is_a_label(api: httpx.Client) -> None:
    text = api.get("/metrics").text
    assert "0x" not in text
    assert all(len(value) < 80 for value in re.findall(r'="([^"]*)"', text))
    assert len(text.splitlines()) < 600, "the number of series does not grow with wallets or slots"


def test_freshness_is_that_of_every_table(scraped: dict[str, Metric]) -> None:
    newest = values(scraped, "table_newest_slot_timestamp_seconds")
    for table in STAGES:
        assert newest[table,] == SLOT.timestamp(), table
    assert newest["slot_coverage",] == SLOT.timestamp()
    assert {(table.name,) for table in TABLES} > set(newest)
    rows = values(scraped, "table_newest_slot_rows")
    assert rows["portfolio_fetches",] == TOP_N
    assert values(scraped, "freshness_limit_seconds") == {("warn",): 1200.0, ("fail",): 1800.0}


def test_stages_are_the_ticks_assets_and_add_up(scraped: dict[str, Metric]) -> None:
    assert set(STAGES.values()) == {*ASSETS_IN_ORDER, *DAILY_ASSETS}
    after = values(scraped, "tick_published_seconds")
    stages = values(scraped, "tick_stage_seconds")
    assert set(after) == {(asset,) for asset in STAGES.values()}
    assert set(stages) == set(after) - {("leaderboard",)}, "when the first one began is not stored"
    assert all(0 < seconds < 60 for seconds in stages.values())
    assert sum(stages.values()) == pytest.approx(after["wallet_scores",] - after["leaderboard",])
    assert values(scraped, "tick_slot_timestamp_seconds") == {(): SLOT.timestamp()}


def test_fetches_by_outcome_and_what_they_cost(scraped: dict[str, Metric], store: Warehouse) -> None:
    wallets = values(scraped, "fetch_wallets")
    assert sum(wallets.values()) == TOP_N
    assert wallets["refused",] == FAILING
    assert wallets["answered",] == TOP_N - FAILING
    assert values(scraped, "fetch_failures") == {("rate_limited",): FAILING}
    [(weight, attempts, points)] = store.read_rows(
        "SELECT sum(weight), sum(attempts), sum(n_new_points) FROM portfolio_fetches"
    )
    assert values(scraped, "fetch_weight_spent") == {(): weight}
    assert values(scraped, "fetch_requests") == {(): attempts}
    assert values(scraped, "fetch_repeated_requests") == {(): attempts - TOP_N}
    assert attempts > TOP_N
    assert values(scraped, "fetch_new_points") == {(): points}
    assert values(scraped, "fetch_weight_allowed") == {(): 12_000}


def test_the_budget_is_that_of_all_egress_addresses() -> None:
    settings = Settings.load(
        egress_proxies="http://u:p@10.0.0.1:8080,http://u:p@10.0.0.2:8080", weight_per_minute=1000
    )
    assert limits_of(settings).weight_per_slot == 20_000


def test_coverage_of_the_last_hour_and_day(scraped: dict[str, Metric]) -> None:
    slots = values(scraped, "coverage_slots")
    assert set(slots) == set(product(("1h", "1d"), map(str, Status)))
    assert slots["1d", "live"] == slots["1h", "live"] == 1
    outcomes = values(scraped, "tick_outcomes")
    for window in ("1h", "1d"):
        of_window = {cause: count for (name, cause), count in outcomes.items() if name == window}
        assert sum(of_window.values()) == sum(slots[window, str(status)] for status in Status)
        assert of_window["none"] == 1


def test_grades_and_money(scraped: dict[str, Metric], store: Warehouse) -> None:
    grades = values(scraped, "grade_wallets")
    assert sum(grades.values()) == TOP_N - FAILING
    assert grades["llm", "graded"] == 3, "every fifth of eleven"
    assert values(scraped, "grade_fallbacks") == {("budget_run",): 2}
    calls = values(scraped, "grader_calls_total")
    assert set(calls) == set(product(CALL_MODES, CALL_OUTCOMES)), (
        "a kind of call that never was is 0, as the ledger knows"
    )
    [(count, usd)] = store.read_rows("SELECT count(), sum(estimated_usd) FROM grade_calls")
    assert sum(calls.values()) == count > 0
    assert sum(values(scraped, "grader_usd_total").values()) == pytest.approx(usd)
    midnight = NOW.replace(hour=0, minute=0)
    assert values(scraped, "grader_usd_today") == {(): pytest.approx(usd_spent_on(store, midnight))}
    assert usd > 0


def test_wallets_quarantine_and_alerts(scraped: dict[str, Metric]) -> None:
    assert values(scraped, "scored_wallets") == {
        ("wanted",): TOP_N,
        ("scored",): TOP_N - FAILING,
        ("ranked",): pytest.approx(TOP_N - FAILING, abs=FAILING + 2),
    }
    slots = values(scraped, "quarantined_slots")
    assert slots["wallet_metrics", "quarantined"] == slots["wallet_metrics", "waived"] == 1
    assert slots["wallet_scores", "quarantined"] == 0
    alerts = values(scraped, "open_alerts")
    assert alerts == {("stale", "error"): 1, ("run_failed", "error"): 0, ("rank_jump", "error"): 0}


def test_the_answer_is_within_prometheus_patience(api: httpx.Client) -> None:
    began = time.perf_counter()
    api.get("/metrics")
    assert time.perf_counter() - began < 3


# What is unknown is absent


def own_only(text: str) -> None:
    """The platform's own figures are absent, all of them, and nothing is 0 in their place."""
    told = families(text)
    assert told["hl_assets_platform_readable"].samples[0].value == 0
    assert {name for name in told if not name.startswith("hl_assets_api_")} <= {*OWN}, (
        "figures of a platform that nobody could ask"
    )


def test_a_warehouse_that_is_away_breaks_no_scrape() -> None:
    nowhere = Warehouse(WarehouseConfig(url="http://127.0.0.1:1", attempts=1, connect_timeout_seconds=1))
    client = TestClient(create_app(Settings.load(clock=NOW), nowhere))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "hl_assets_api_warehouse_up 0.0" in answer.text
    own_only(answer.text)


def test_a_warehouse_that_is_silent_breaks_no_scrape(ticked: Ticked) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # Long enough to show that the scrape does not wait for it, short enough for the test to end.
        config = WarehouseConfig(url=url, attempts=1, connect_timeout_seconds=4, query_timeout_seconds=4)
        client = TestClient(create_app(Settings.load(clock=NOW), Warehouse(config)))
        with client:  # one event loop, as in a process that serves
            began = time.perf_counter()
            answer = client.get("/metrics")
            waited = time.perf_counter() - began
    assert answer.status_code == 200
    assert waited < 4
    assert "hl_assets_api_warehouse_up 0.0" in answer.text
    own_only(answer.text)


def test_a_store_without_tables(warehouse: Warehouse) -> None:
    answer = TestClient(create_app(Settings.load(clock=NOW), warehouse)).get("/metrics")
    assert answer.status_code == 200
    own_only(answer.text)


def test_an_empty_store_knows_that_no_money_was_spent_and_nothing_else(warehouse: Warehouse) -> None:
    warehouse.ensure_tables(TABLES)
    told = families(TestClient(create_app(Settings.load(clock=NOW), warehouse)).get("/metrics").text)
    assert told["hl_assets_platform_readable"].samples[0].value == 1
    assert told["hl_assets_grader_usd_today"].samples[0].value == 0
    for absent in (
        "table_newest_slot_timestamp_seconds",
        "tick_published_seconds",
        "fetch_wallets",
        "grade_wallets",
        "scored_wallets",
        "coverage_slots",
        "tick_outcomes",
        "open_alerts",
    ):
        assert f"hl_assets_{absent}" not in told


def test_tables_that_stand_still_and_other_origins(warehouse: Warehouse, store: Warehouse) -> None:
    warehouse.ensure_tables(TABLES)
    rows = store.read_table(LEADERBOARD_SNAPSHOTS)
    for origin in ("simulated", "reconstructed"):
        slot = SLOT if origin == "simulated" else SLOT + timedelta(days=1)
        moved = rows.assign(as_of=rows["as_of"] + (slot - SLOT), origin=origin)
        Publisher(warehouse).replace_slice(
            LEADERBOARD_SNAPSHOTS, slot, moved, Provenance("r", "test", origin)
        )
    much_later = SLOT + timedelta(days=100)
    facts = read_platform(warehouse, "simulated", much_later)
    assert {name: table.slot for name, table in facts.tables.items()} == {LEADERBOARD_SNAPSHOTS.name: SLOT}
    assert facts.tick is not None
    assert set(facts.tick.published_at) == {"leaderboard"}
    assert facts.tick.stage_seconds == {}
    assert read_platform(warehouse, "live", much_later).tables == {}


def test_scrapes_at_the_same_time_cost_one_reading(ticked: Ticked, store: Warehouse) -> None:
    """Ten readings would be a hundred statements."""
    settings = ticked.settings.model_copy(update={"api_metrics_seconds": 60.0})
    before = len(ticked.proxy.statements)
    with TestClient(create_app(settings, store)) as client:
        threads = [threading.Thread(target=client.get, args=("/metrics",)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.get("/metrics")
    reading = [one for one in ticked.proxy.statements[before:] if "quarantined_slots" in one.text]
    assert len(reading) == 1
