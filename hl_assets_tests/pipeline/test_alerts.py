"""Alerts end to end: real sensors of the code location, real runs, a real warehouse, a real receiver."""

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from hl_assets.alerts.record import read_sent
from hl_assets.alerts.state import decode
from hl_assets.assets.watching import request_watch
from hl_assets.definitions import build_defs
from hl_assets.jobs import console_log
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.schemas.tracking import TRACKED_WALLETS
from hl_assets.sensors import NO_WEBHOOK, TOLD_TAG
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice
from hl_assets_tests.alerts.builders import SECRET, TOKEN, Receiver, receiving
from hl_assets_tests.exchange.scripted_server import Reply
from hl_assets_tests.pipeline.conftest import SLOT, Platform

TEN_MINUTES = timedelta(minutes=10)


@dataclass
class Sensors:
    """The two sensors as Dagster's daemon evaluates them: each with its stored cursor."""

    platform: Platform
    receiver: Receiver
    cursors: dict[str, str | None] = field(default_factory=dict)
    resources: dict[str, object] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def look(self, name: str = "alerts", times: int = 1) -> str:
        """Evaluate a sensor; returns what its last tick says."""
        said = ""
        repository = self.platform.defs(self.resources).get_repository_def()
        for _ in range(times):
            context = dg.build_sensor_context(
                instance=self.platform.instance,
                cursor=self.cursors.get(name),
                repository_def=repository,
                sensor_name=name,
            )
            context = context.merge_resources(repository.get_top_level_resources())
            tick = repository.get_sensor_def(name).evaluate_tick(context)
            self.cursors[name] = tick.cursor
            errors = [str(reaction.error) for reaction in tick.dagster_run_reactions or []]
            said = tick.skip_message or "; ".join(errors)
            self.said.append(said)
        return said

    def run(self, *, success: bool) -> str:
        """A run of a job called tick that does nothing, or fails at it; returns its id."""

        @dg.op
        def work() -> None:
            if not success:
                raise dg.Failure("planted", allow_retries=False)

        @dg.job(name="tick", config=console_log("CRITICAL"))
        def tick() -> None:
            work()

        result = tick.execute_in_process(instance=self.platform.instance, raise_on_error=False)
        assert result.success == success
        return result.run_id

    def fail(self) -> str:
        return self.run(success=False)

    def succeed(self) -> str:
        return self.run(success=True)

    @property
    def told(self) -> list[tuple[str, str]]:
        return self.receiver.told

    def ledger(self) -> pd.DataFrame:
        with Warehouse(self.platform.warehouse) as store:
            return read_sent(store, 100)[::-1]


@pytest.fixture
def sensors(ticked: Platform) -> Iterator[Sensors]:
    """The sensors of a platform whose first slot is published."""
    with receiving() as receiver:
        ticked.overrides |= {
            "alert_webhook_url": receiver.url,
            "alert_webhook_secret": SECRET,
            "alert_timeout_seconds": 1.0,
        }
        made = Sensors(ticked, receiver)
        made.look("run_failures")
        yield made
        shown = "\n".join([*made.said, *(cursor or "" for cursor in made.cursors.values())])
        assert TOKEN not in shown
        assert SECRET not in shown


def test_failures_in_a_row_are_told_once_at_once_and_resolved_by_a_success(sensors: Sensors) -> None:
    platform = sensors.platform
    assert sensors.look() == "0 open, 0 delivered"
    platform.at(SLOT + TEN_MINUTES)
    platform.fault(endpoint="leaderboard", kind="server_error")
    assert not platform.tick().success
    assert sensors.look("run_failures") == "tick has not failed 2 times in a row"
    sensors.look(times=2)
    assert sensors.told == []
    crossing = platform.tick().run_id
    assert sensors.look("run_failures") == "told: Job tick failed 2 times in a row"
    assert sensors.told == [("opened", "run_failed/tick")]
    body = sensors.receiver.acknowledged[0]
    assert body["type"] == "hl_assets.alert.opened"
    assert body["data"]["facts"]["failures_in_a_row"] == 2
    assert body["data"]["slot"] == "2026-05-31T12:20:00Z"
    run = platform.instance.get_run_by_id(crossing)
    assert run is not None
    assert TOLD_TAG in run.tags

    sensors.look(times=3)
    assert not platform.tick().success
    assert "already" in sensors.look("run_failures")
    sensors.look(times=3)
    assert sensors.told == [("opened", "run_failed/tick")]

    platform.control("DELETE", "/faults")
    assert platform.tick().success
    sensors.look(times=5)
    assert sensors.told == [("opened", "run_failed/tick"), ("resolved", "run_failed/tick")]
    ledger = sensors.ledger()
    assert list(ledger["event"]) == ["opened", "resolved"]
    assert list(ledger["message_id"]) == [b["data"]["id"] for b in sensors.receiver.acknowledged]


def test_an_alert_that_the_failure_sensor_could_not_deliver_is_sent_by_the_other(sensors: Sensors) -> None:
    sensors.look()
    sensors.fail()
    sensors.fail()
    sensors.look("run_failures")
    sensors.receiver.script = [Reply(status=500)] * 3
    assert "the webhook answered 500" in sensors.look("run_failures")
    assert sensors.told == []
    sensors.receiver.script = [Reply(status=503)] * 3
    sensors.look(times=2)
    assert "PROBLEM: opened run_failed/tick: the webhook answered 503" in sensors.look()
    sensors.look(times=3)
    assert sensors.told == [("opened", "run_failed/tick")]
    assert len({request.headers["webhook-id"] for request in sensors.receiver.requests}) == 1
    sensors.succeed()
    sensors.look(times=4)
    assert sensors.told[1:] == [("resolved", "run_failed/tick")]


def test_a_state_that_got_lost_tells_nothing_twice(sensors: Sensors) -> None:
    sensors.look()
    sensors.fail()
    sensors.fail()
    sensors.look(times=4)
    assert sensors.told == [("opened", "run_failed/tick")]
    sensors.cursors["alerts"] = "of another version"
    sensors.look(times=2)
    sensors.fail()
    sensors.look(times=4)
    assert sensors.told == [("opened", "run_failed/tick")]
    sensors.succeed()
    sensors.look(times=4)
    assert sensors.told[1:] == [("resolved", "run_failed/tick")]


def test_failures_of_the_past_are_not_told(sensors: Sensors) -> None:
    sensors.fail()
    sensors.fail()
    sensors.look(times=5)
    assert sensors.told == []


def test_a_warehouse_that_is_away_is_told_and_everything_is_recorded_when_it_is_back(
    sensors: Sensors,
) -> None:
    sensors.look()
    away = WarehouseConfig(url="http://127.0.0.1:9/nowhere", attempts=1)
    sensors.resources = {"warehouse": WarehouseResource(away, "simulated")}
    sensors.platform.at(SLOT + timedelta(hours=3))  # stale, too, but nobody can see that
    assert "the warehouse cannot be read" in sensors.look(times=4)
    assert sensors.told == [("opened", "warehouse")]
    assert len(decode(sensors.cursors["alerts"] or "").unrecorded) == 1
    sensors.resources = {}
    sensors.platform.at(SLOT)
    sensors.look(times=3)
    assert sensors.told == [("opened", "warehouse"), ("resolved", "warehouse")]
    sensors.look()
    assert list(sensors.ledger()["event"]) == ["opened", "resolved"]
    assert list(sensors.ledger()["kind"]) == ["warehouse", "warehouse"]
    assert decode(sensors.cursors["alerts"] or "").unrecorded == ()


def test_stale_data_are_told_until_a_slot_is_observed_and_a_reconstructed_one_does_not_help(
    sensors: Sensors,
) -> None:
    sensors.look()
    sensors.platform.at(SLOT + timedelta(minutes=40))
    sensors.look(times=3)
    both = {("opened", "stale/wallet_scores"), ("opened", "stale/leaderboard_snapshots")}
    assert both <= set(sensors.told)
    plant_scores(sensors, SLOT + timedelta(minutes=30), origin="reconstructed")
    sensors.look(times=3)
    assert ("resolved", "stale/wallet_scores") not in sensors.told
    plant_scores(sensors, SLOT + timedelta(minutes=30))
    sensors.look(times=3)
    assert ("resolved", "stale/wallet_scores") in sensors.told
    assert ("resolved", "stale/leaderboard_snapshots") not in sensors.told


def test_missing_slots_are_told(sensors: Sensors) -> None:
    sensors.platform.overrides |= {"alert_kinds": "missing_slots"}
    sensors.look()
    for minutes in (10, 20, 30, 40, 50):
        sensors.platform.at(SLOT + timedelta(minutes=minutes))
        sensors.look()
    assert sensors.told == []
    sensors.platform.at(SLOT + timedelta(minutes=60))
    sensors.look(times=3)
    assert sensors.told == [("opened", "missing_slots/wallet_scores")]
    assert sensors.receiver.acknowledged[0]["data"]["facts"]["missing"] == 3


def test_a_thin_slot_is_told(sensors: Sensors) -> None:
    sensors.look()
    with Warehouse(sensors.platform.warehouse) as store:
        fetches = store.read_table(PORTFOLIO_FETCHES, as_of=SLOT)
    failed = fetches.assign(status=["failed"] * 6 + ["ok"] * (len(fetches) - 6))
    plant(sensors, PORTFOLIO_FETCHES, SLOT + TEN_MINUTES, failed)
    sensors.platform.at(SLOT + TEN_MINUTES)
    sensors.look(times=3)
    assert sensors.told == [("opened", "coverage/portfolio_fetches")]
    assert sensors.receiver.acknowledged[0]["data"]["facts"]["answered"] == len(fetches) - 6


def test_a_check_of_severity_error_is_told(sensors: Sensors) -> None:
    @dg.asset(
        name="leaderboard", check_specs=[dg.AssetCheckSpec("planted", asset="leaderboard", blocking=False)]
    )
    def planted() -> dg.MaterializeResult:
        bad = dg.AssetCheckResult(check_name="planted", passed=False, severity=dg.AssetCheckSeverity.ERROR)
        return dg.MaterializeResult(check_results=[bad])

    sensors.look()
    job = dg.define_asset_job("tick", selection=[planted])
    ticking = dg.Definitions(assets=[planted], jobs=[job]).resolve_job_def("tick")
    assert ticking.execute_in_process(instance=sensors.platform.instance).success
    sensors.look(times=3)
    assert sensors.told == [("opened", "checks_failed/tick")]
    assert sensors.receiver.acknowledged[0]["data"]["facts"]["checks"] == ["leaderboard.planted"]


def plant(sensors: Sensors, table: Any, slot: Any, rows: pd.DataFrame, origin: str = "simulated") -> None:
    """Publish rows of another slot."""
    moved = rows.assign(as_of=pd.Series([slot] * len(rows)).astype("datetime64[s, UTC]"), origin=origin)
    with Warehouse(sensors.platform.warehouse) as store:
        Publisher(store).publish([Slice(table, slot, moved)], Provenance("test", "test", origin))


def plant_scores(
    sensors: Sensors,
    slot: Any,
    *,
    changes: dict[str, dict[str, Any]] | None = None,
    run: dict[str, Any] | None = None,
    origin: str = "simulated",
) -> None:
    """Publish the first slot's scores as those of another slot, with some wallets' values changed."""
    with Warehouse(sensors.platform.warehouse) as store:
        scores = store.read_table(WALLET_SCORES, as_of=SLOT)
        runs = store.read_table(SCORE_RUNS, as_of=SLOT)
    for wallet, values in (changes or {}).items():
        for name, value in values.items():
            scores.loc[scores["wallet"] == wallet, name] = value
    hashed = {name: value for name, value in (run or {}).items() if name == "config_hash"}
    plant(sensors, WALLET_SCORES, slot, scores.assign(**hashed), origin)
    plant(sensors, SCORE_RUNS, slot, runs.assign(**(run or {})), origin)


def watched_wallet(sensors: Sensors) -> str:
    """The best wallet of the first slot, watched from before it."""
    with Warehouse(sensors.platform.warehouse) as store:
        (best,) = store.read_table(WALLET_SCORES, as_of=SLOT, where={"calculated_rank": 1})["wallet"]
        request_watch(store, best, "watch", now=SLOT, origin="simulated")
    return str(best)


def test_jumps_of_a_watched_wallet_are_told_once_and_others_are_not(sensors: Sensors) -> None:
    wallet = watched_wallet(sensors)
    sensors.platform.overrides |= {"alert_rank_jump": 5, "alert_score_jump": 10.0}
    sensors.look(times=2)
    assert sensors.told == []
    with Warehouse(sensors.platform.warehouse) as store:
        scores = store.read_table(WALLET_SCORES, as_of=SLOT)
    other = next(name for name in scores["wallet"] if name != wallet)
    worse = {"calculated_rank": 11, "weighted_score": 25.0}
    plant_scores(sensors, SLOT + TEN_MINUTES, changes={wallet: worse, other: worse})
    sensors.platform.at(SLOT + TEN_MINUTES)
    sensors.look(times=5)
    assert set(sensors.told) == {("occurred", f"rank_jump/{wallet}"), ("occurred", f"score_jump/{wallet}")}
    assert len(sensors.told) == 2
    facts = next(
        b["data"]["facts"] for b in sensors.receiver.acknowledged if b["data"]["kind"] == "rank_jump"
    )
    assert (facts["before"], facts["now"], facts["change"], facts["better"]) == (1, 11, 10, False)
    # A jump back within the period is counted, not told.
    plant_scores(sensors, SLOT + 2 * TEN_MINUTES)
    sensors.look(times=3)
    assert len(sensors.told) == 2
    assert decode(sensors.cursors["alerts"] or "").quiet[f"rank_jump/{wallet}"].held_back == 1


@pytest.mark.parametrize(
    "other",
    [
        {"origin": "reconstructed"},
        {"run": {"config_hash": "f" * 16}},
        {"run": {"input_versions": [{"wallet_metrics": "another"}]}},
    ],
    ids=["reconstructed", "configuration", "formulas"],
)
def test_slots_of_another_scale_are_not_compared(sensors: Sensors, other: dict[str, Any]) -> None:
    wallet = watched_wallet(sensors)
    sensors.platform.overrides |= {"alert_rank_jump": 5}
    sensors.look(times=2)
    plant_scores(
        sensors,
        SLOT + TEN_MINUTES,
        changes={wallet: {"calculated_rank": 11, "weighted_score": 25.0}},
        **other,
    )
    sensors.platform.at(SLOT + TEN_MINUTES)
    sensors.look(times=4)
    assert sensors.told == []


def test_leaving_the_ranking_and_coming_to_rest_are_told(sensors: Sensors) -> None:
    wallet = watched_wallet(sensors)
    sensors.look()
    with Warehouse(sensors.platform.warehouse) as store:
        tracked = store.read_table(TRACKED_WALLETS, as_of=SLOT)
    row = tracked["wallet"] == wallet
    assert set(tracked.loc[row, "status"]) == {"active"}
    tracked.loc[row, ["status", "reason"]] = ["wiped_out", "lost_everything"]
    slot = SLOT + TEN_MINUTES
    plant(sensors, TRACKED_WALLETS, slot, tracked)
    gone = {"calculated_rank": pd.NA, "is_eligible": False, "ineligible_reason": "span_below_minimum"}
    plant_scores(sensors, slot, changes={wallet: gone})
    sensors.platform.at(slot)
    sensors.look(times=3)
    assert set(sensors.told) == {
        ("occurred", f"left_ranking/{wallet}"),
        ("occurred", f"status_change/{wallet}"),
    }


def test_nothing_is_done_without_a_webhook(ticked: Platform) -> None:
    sensors = Sensors(ticked, Receiver())
    assert sensors.look() == NO_WEBHOOK
    assert sensors.cursors["alerts"] is None
    sensors.look("run_failures")
    sensors.fail()
    assert sensors.look("run_failures") == NO_WEBHOOK


def test_neither_address_nor_secret_is_logged_or_stored(
    sensors: Sensors, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sensors.look()
    sensors.receiver.script = [Reply(status=404), Reply(drop=True), Reply(status=301), Reply(status=500)]
    sensors.fail()
    sensors.fail()
    sensors.look("run_failures", times=2)
    sensors.look(times=4)
    events = [
        str(record.event_log_entry)
        for run in sensors.platform.instance.get_runs()
        for record in sensors.platform.instance.get_records_for_run(run.run_id).records
    ]
    tags = [str(run.tags) for run in sensors.platform.instance.get_runs()]
    for text in (caplog.text, *events, *tags):
        assert TOKEN not in text
        assert SECRET not in text
        assert base64.b64encode(b"k" * 32).decode() not in text


@pytest.mark.parametrize(
    ("on", "webhook", "status"),
    [(True, True, "RUNNING"), (True, False, "STOPPED"), (False, True, "STOPPED")],
)
def test_sensors_run_where_schedules_do_and_a_webhook_is_set(on: bool, webhook: bool, status: str) -> None:
    where = {"alert_webhook_url": "https://h.example/x", "alert_webhook_secret": SECRET} if webhook else {}
    repository = build_defs(Settings.load(schedules_on=on, **where)).get_repository_def()
    for name in ("alerts", "run_failures"):
        assert repository.get_sensor_def(name).default_status.value == status


def test_the_ledger_has_what_was_said(sensors: Sensors) -> None:
    sensors.look()
    sensors.platform.at(SLOT + timedelta(minutes=40))
    sensors.look(times=4)
    row = sensors.ledger().set_index("alert_key").loc["stale/wallet_scores"]
    body = next(b for b in sensors.receiver.acknowledged if b["data"]["key"] == "stale/wallet_scores")
    assert row["title"] == body["data"]["title"]
    assert json.loads(row["facts"]) == body["data"]["facts"]
    assert (row["attempts"], row["status_code"], row["origin"]) == (1, 204, "simulated")
    assert row["about_slot"] == SLOT


def test_a_database_of_another_source_is_an_unusable_warehouse(sensors: Sensors) -> None:
    sensors.look()
    live = WarehouseResource(replace(sensors.platform.warehouse), "live")
    sensors.resources = {"warehouse": live}
    sensors.look(times=3)
    assert sensors.told == [("opened", "warehouse")]
    assert sensors.receiver.acknowledged[0]["data"]["facts"] == {"error": "MixedOriginsError"}
