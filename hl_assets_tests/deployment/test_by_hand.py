"""The services of `docker-compose.yml` together: PostgreSQL, gRPC, daemon and web server apart, a backfill, the API.

What takes the schedule's real time is marked `soak`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest

from hl_assets.slots import SLOT
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment import compose
from hl_assets_tests.deployment.by_hand import Platform, running_platform
from hl_assets_tests.deployment.ports import answers, wait_until

pytestmark = pytest.mark.soak

SLOT_SECONDS = SLOT.total_seconds()
DERIVED = ("equity_curves", "wallet_metrics", "ai_grades", "wallet_scores", "tracked_wallets")
CONCURRENT_RUNS = 4
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "hl_assets"}

_LAUNCH_RUN = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RUN = """query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status startTime endTime } } }"""
_ERRORS = """query Errors($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename
  ... on MessageEvent { message } ... on ErrorEvent { error { message causes { message } } } } } } }"""
_LAUNCH_BACKFILL = """mutation Launch($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_BACKFILL = """query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status error { message } runs { runId status } } } }"""


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def variables(**more: str) -> dict[str, str]:
    """What an operator would give compose for the sandbox profile."""
    return {**compose.env_file(REPOSITORY / "deploy" / "sandbox.env"), **more}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Every service, with schedules off so that runs are the tests' own."""
    with running_platform(
        tmp_path_factory.mktemp("platform"), variables(HL_ASSETS_SCHEDULES_ON="false")
    ) as running:
        for service in ("daemon", "webserver", "api"):
            wait_until(f"{service} is healthy", lambda name=service: running.healthy(name), 120)  # type: ignore[misc]
        yield running


def launch(platform: Platform, job: str, *assets: str) -> str:
    """Launch a job, or some assets of it, of today's partition, as the UI does; returns the run's id."""
    selector: dict[str, Any] = {**_REPOSITORY, "jobName": job}
    if assets:
        selector["assetSelection"] = [{"path": [name]} for name in assets]
    tags = [] if job == "freshness" else [{"key": "dagster/partition", "value": today()}]
    params = {"selector": selector, "executionMetadata": {"tags": tags}}
    launched = platform.graphql(_LAUNCH_RUN, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def status(platform: Platform, run_id: str) -> str:
    return str(platform.graphql(_RUN, id=run_id)["runOrError"]["status"])


def wait_for_runs(platform: Platform, run_ids: list[str], seconds: float) -> None:
    ended = {"SUCCESS", "FAILURE", "CANCELED"}
    wait_until("the runs end", lambda: {status(platform, run) for run in run_ids} <= ended, seconds)
    troubles = [
        trouble
        for run in run_ids
        if status(platform, run) != "SUCCESS"
        for trouble in errors_of(platform, run)
    ]
    assert troubles == []


def errors_of(platform: Platform, run_id: str) -> list[str]:
    """Why a run that failed has failed."""
    events = platform.graphql(_ERRORS, id=run_id)["logsForRun"]["events"]
    failures = [
        event for event in events if event["__typename"] in {"ExecutionStepFailureEvent", "RunFailureEvent"}
    ]
    return [f"{event['__typename']}: {event['message']} {event['error']}" for event in failures] or [
        "no reason recorded"
    ]


def backfill(platform: Platform, assets: tuple[str, ...], day: str, seconds: float) -> dict[str, Any]:
    """Launch a backfill as the UI does and wait until it has ended."""
    return wait_for_backfill(platform, launch_backfill(platform, assets, day), seconds)


def launch_backfill(platform: Platform, assets: tuple[str, ...], *days: str) -> str:
    """Launch a backfill as the UI does; returns its id."""
    params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": list(days)}
    launched = platform.graphql(_LAUNCH_BACKFILL, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def backfill_state(platform: Platform, backfill_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = platform.graphql(_BACKFILL, id=backfill_id)["partitionBackfillOrError"]
    return answer


def wait_for_backfill(platform: Platform, backfill_id: str, seconds: float) -> dict[str, Any]:
    """Wait until a backfill has ended; returns how."""

    def ended() -> bool:
        return backfill_state(platform, backfill_id)["status"].startswith(("COMPLETED", "FAILED"))

    wait_until("the backfill ends", ended, seconds)
    return backfill_state(platform, backfill_id)


def no_trouble(platform: Platform) -> None:
    """Every service still runs, and none of them logged an error or a conflict of locks."""
    for service, log in platform.logs().items():
        for trouble in ("Traceback", "deadlock", "database is locked", "could not serialize", "lock timeout"):
            assert trouble not in log, f"{service}:\n{log}"
    for service in ("code-location", "daemon", "webserver", "api", "sandbox"):
        assert platform.healthy(service), platform.log(service)


@pytest.mark.timeout(400)
def test_a_tick_a_backfill_and_the_api(platform: Platform) -> None:
    wait_for_runs(platform, [launch(platform, "tick")], 120)
    ranked = httpx.get(f"{platform.url('api')}/v1/leaderboard", params={"limit": 5}, trust_env=False).json()
    assert len(ranked["data"]) == 5
    assert answers(f"{platform.url('api')}/readyz")

    done = backfill(platform, DERIVED, today(), 180)
    assert done["status"] == "COMPLETED_SUCCESS", done
    assert done["runs"]

    assert int(platform.postgres.query("SELECT count(*) FROM runs WHERE status = 'SUCCESS'", "dagster")) >= 2
    assert not (platform.folder / "dagster" / "history").exists(), "SQLite is not used beside PostgreSQL"
    secrets = {path.read_text().strip() for path in (platform.folder / "secrets").iterdir()} - {""}
    assert len(secrets) == 4
    assert [log for log in platform.logs().values() for secret in secrets if secret in log] == []
    no_trouble(platform)


@dataclass(frozen=True)
class Span:
    """When something ran."""

    start: float
    end: float


def most_at_once(spans: list[Span]) -> int:
    """How many of them ran at the same time, at most."""
    moments = sorted(
        [(span.start, 1) for span in spans] + [(span.end, -1) for span in spans], key=lambda m: (m[0], m[1])
    )
    running = highest = 0
    for _, change in moments:
        running += change
        highest = max(highest, running)
    return highest


@pytest.mark.timeout(600)
def test_four_runs_at_once_on_postgresql(platform: Platform) -> None:
    """More runs than may run at once, over both pools and none: queued, none lost, pools respected."""
    wait_for_runs(platform, [launch(platform, "tick")], 120)
    wanted = (("__ASSET_JOB", "leaderboard"), ("__ASSET_JOB", "wallet_metrics"), *[("freshness",)] * 3)
    run_ids = [launch(platform, *run) for run in wanted * 2]
    wait_for_runs(platform, run_ids, 400)

    stats = [platform.graphql(_STEPS, id=run_id)["runOrError"] for run_id in run_ids]
    at_once = most_at_once([Span(run["stats"]["launchTime"], run["stats"]["endTime"]) for run in stats])
    # On a busy machine the first may end before the fourth is launched.
    assert CONCURRENT_RUNS - 1 <= at_once <= CONCURRENT_RUNS

    pools = pools_of_assets(platform)
    steps: dict[str, list[Span]] = {}
    for run in stats:
        for step in run["stepStats"]:
            if step["stepKey"] in pools:  # the freshness checks have none
                steps.setdefault(pools[step["stepKey"]], []).append(Span(step["startTime"], step["endTime"]))
    assert {pool: (len(spans), most_at_once(spans)) for pool, spans in steps.items()} == {
        "hyperliquid_api": (2, 1),
        "clickhouse_write": (2, 1),
    }
    assert (
        platform.postgres.query("SELECT count(*) FROM concurrency_slots WHERE run_id IS NOT NULL", "dagster")
        == "0"
    )
    assert platform.postgres.query("SELECT deadlocks FROM pg_stat_database WHERE datname = 'dagster'") == "0"
    no_trouble(platform)


_POOLS = "{ assetNodes { assetKey { path } pools } }"
_STEPS = """query Steps($id: ID!) { runOrError(runId: $id) { ... on Run {
  stats { ... on RunStatsSnapshot { launchTime endTime } } stepStats { stepKey startTime endTime } } } }"""


def pools_of_assets(platform: Platform) -> dict[str, str]:
    return {node["assetKey"]["path"][0]: node["pools"][0] for node in platform.graphql(_POOLS)["assetNodes"]}


OUTCOMES = {
    "alerts": (0, 2),  # no webhook is set: `alerts test` says so
    "coverage": (0, 1, 2),  # 1: there are gaps; 2: the only slot is not over yet, and it says so
    "backfill": (0, 1),  # 1: days before the first point, which it names
}


@pytest.mark.timeout(900)
def test_the_operators_page_can_be_followed(platform: Platform, tmp_path: Path) -> None:
    """Every `hl-assets` of docs/deploy.md in its service, after a tick; then backup and restore."""
    wait_for_runs(platform, [launch(platform, "tick")], 180)
    wait_for_runs(platform, [launch(platform, "coverage")], 180)
    assert answers(platform.url("api") + "/healthz")
    assert answers(platform.url("api") + "/readyz")
    backup = tmp_path / "backup"
    followed = []
    for service, written in operators_commands():
        words = [word.replace("/backup", str(backup)) for word in written]
        done = platform.run(service, words)
        said = done.stdout + done.stderr
        assert done.returncode in OUTCOMES.get(words[1], (0,)), (words, said)
        assert "Traceback" not in said
        assert said.strip(), words
        followed.append(words[1])
    assert {"top", "coverage", "quarantine", "alerts", "export", "migrate", "import", "backfill"} <= set(
        followed
    )
    assert (backup / "2026-05-31").is_dir()
    dump = platform.postgres.dump("dagster", tmp_path / "dagster.dump")
    platform.postgres.restore(dump, platform.postgres.create_database("restored"))
    runs = "SELECT count(*) FROM runs"
    assert int(platform.postgres.query(runs, "restored")) == int(platform.postgres.query(runs, "dagster")) > 0


def operators_commands() -> Iterator[tuple[str, list[str]]]:
    """(service, command) in the order of the page."""
    page = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    for service, words in re.findall(
        r'docker compose (?:exec|run --rm --no-deps)(?: --user "[^"]+" --volume "[^"]+")? ([a-z-]+) (hl-assets [^#`\n]+)',
        page,
    ):
        yield service, shlex.split(words)


@pytest.mark.timeout(900)
def test_a_killed_daemon_loses_and_repeats_nothing(platform: Platform) -> None:
    """kill -9 with a run and a backfill in the queue, again as the run leaves it, again as the backfill's runs do.

    A run that was taken from the queue and not yet handed on is given up after two minutes and started again, once.
    """
    wait_for_runs(platform, [launch(platform, "tick")], 180)  # today has a slot
    platform.kill("daemon")
    run = launch(platform, "tick")
    days = [(datetime.now(UTC).date() - timedelta(days=ago)).isoformat() for ago in (1, 0)]
    backfill_id = launch_backfill(platform, ("wallet_metrics",), *days)
    assert status(platform, run) == "QUEUED", "nobody is there to start it"

    platform.restart("daemon")
    wait_until("the run leaves the queue", lambda: status(platform, run) != "QUEUED", 120)
    platform.kill("daemon")
    platform.restart("daemon")
    wait_until("the backfill has begun", lambda: bool(backfill_state(platform, backfill_id)["runs"]), 180)
    platform.kill("daemon")
    platform.restart("daemon")

    succeeded = f"SELECT count(*) FROM runs WHERE status = 'SUCCESS' AND {of_one_origin(run)}"
    wait_until("the tick is done", lambda: platform.postgres.query(succeeded, "dagster") != "0", 400)
    done = wait_for_backfill(platform, backfill_id, 600)
    assert platform.postgres.query(succeeded, "dagster") == "1", "the slot was not ticked twice"
    asked = {
        day_of(platform, one["runId"]): one["runId"]
        for one in done["runs"]
        if not tag_of(platform, one["runId"], "dagster/parent_run_id")
    }
    assert sorted(asked) == days, done
    # Yesterday has no slots, and its run says so by failing; what counts there is that it ran.
    derived = f"SELECT count(*) FROM runs WHERE status = 'SUCCESS' AND {of_one_origin(asked[days[1]])}"
    assert platform.postgres.query(derived, "dagster") == "1"
    wait_until("the daemon is healthy", lambda: platform.healthy("daemon"), 120)
    no_trouble(platform)


def of_one_origin(*run_ids: str) -> str:
    """SQL: these runs and the runs that repeat them."""
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    repeats = f"SELECT run_id FROM run_tags WHERE key = 'dagster/root_run_id' AND value IN ({listed})"
    return f"(run_id IN ({listed}) OR run_id IN ({repeats}))"


def day_of(platform: Platform, run_id: str) -> str:
    """The day that a backfill's run is for."""
    tags = ("dagster/partition", "dagster/asset_partition_range_start")
    return next(day for tag in tags if (day := tag_of(platform, run_id, tag)))


def tag_of(platform: Platform, run_id: str, key: str) -> str:
    """A tag of a run, empty if it has none."""
    return platform.postgres.query(
        f"SELECT value FROM run_tags WHERE key = '{key}' AND run_id = '{run_id}'", "dagster"
    )


@pytest.mark.timeout(3_600)
def test_the_schedule_ticks_three_slots(tmp_path: Path) -> None:
    """In real time, half an hour: nothing but the daemon starts the ticks, and a slot that begins while it is dead is made up for.

    A backfill runs between the first two ticks; the daemon is killed before the third slot and is back 45 s into it.
    """
    with running_platform(tmp_path, variables()) as platform:
        for service in ("daemon", "webserver", "api"):
            wait_until(f"{service} is healthy", lambda name=service: platform.healthy(name), 120)  # type: ignore[misc]

        def ticked() -> list[str]:
            sql = (
                "SELECT t.value FROM run_tags t JOIN runs r USING (run_id) WHERE t.key = 'hl_assets/slot' AND r.status = 'SUCCESS' "
                "AND r.run_id IN (SELECT run_id FROM run_tags WHERE key = 'dagster/schedule_name' AND value = 'every_slot') "
                "ORDER BY 1"
            )
            return platform.postgres.query(sql, "dagster").splitlines()

        wait_until("the first slot has ticked", lambda: len(ticked()) >= 1, SLOT_SECONDS + 180)
        assert backfill(platform, DERIVED, today(), 300)["status"] == "COMPLETED_SUCCESS"
        wait_until("two slots have ticked", lambda: len(ticked()) >= 2, 2 * SLOT_SECONDS)
        platform.kill("daemon")
        third = datetime.fromisoformat(ticked()[-1]) + SLOT
        sleep((third - datetime.now(UTC)).total_seconds() + 45)
        assert len(ticked()) == 2, "nobody was there to start the third"
        platform.restart("daemon")
        wait_until("three slots have ticked", lambda: len(ticked()) >= 3, 300)
        instants = [datetime.fromisoformat(slot) for slot in ticked()]
        gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(instants)}
        assert gaps == {SLOT_SECONDS}, "no slot was missed"
        for slot in ticked():
            answer = httpx.get(
                f"{platform.url('api')}/v1/leaderboard", params={"as_of": slot}, trust_env=False
            )
            assert answer.status_code == 200, answer.text
        no_trouble(platform)
