import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.exchange.sandbox.capture import Capture, read_index
from hl_assets.exchange.sandbox.errors import NotRecordedError, RecordingError
from hl_assets.exchange.selection import TopN
from hl_assets.interchange.capture_writer import CaptureWriter
from hl_assets.interchange.errors import CaptureError
from hl_assets.interchange.recorder import RecordedRound, RecordingPlan, record, round_of
from hl_assets.resources.exchange import Exchange
from hl_assets.slots import SLOT as SLOT_LENGTH
from hl_assets.slots import slot_of, slot_text
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets_tests.interchange.commands import run_command
from hl_assets_tests.pipeline.conftest import SLOT, Platform, checks_of, failure_of

TOP = TopN(12, "month", "pnl")


def recording(platform: Platform, folder: Path, rounds: int, **changes: object) -> list[RecordedRound]:
    """Record the platform's exchange from its present on; waiting moves its clock."""
    exchange = replace(Exchange.from_settings(platform.settings), now=lambda: platform.now)
    until = platform.now + SLOT_LENGTH * rounds
    plan = replace(RecordingPlan(TOP, SLOT_LENGTH, until, 60.0), **changes)
    with CaptureWriter(folder, "simulated") as writer:
        return list(
            record(exchange, writer, plan, lambda s: platform.at(platform.now + timedelta(seconds=s)))
        )


@pytest.fixture
def replaying(
    platform: Platform, embedded_server: Path, tmp_path: Path
) -> Iterator[Callable[[Path], Platform]]:
    """Opens a platform of its own on a replay of a folder."""
    opened: list[tuple[SandboxServer, Platform]] = []

    def start(folder: Path) -> Platform:
        config = SandboxConfig(recording=folder, weight_limit=None)
        server = SandboxServer(config).__enter__()
        warehouse = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
        made = replace(platform, exchange=server, warehouse=warehouse, home=tmp_path / "replay")
        opened.append((server, made))
        return made

    yield start
    for server, made in opened:
        made.drop()
        server.__exit__(None, None, None)


def info(url: str, wallet: str) -> httpx.Response:
    return httpx.post(f"{url}/info", json={"type": "portfolio", "user": wallet}, trust_env=False)


def board(url: str) -> httpx.Response:
    return httpx.get(f"{url}/Mainnet/leaderboard", trust_env=False)


def test_answers_are_replayed_byte_for_byte_at_their_instants(
    platform: Platform, tmp_path: Path, replaying: Callable[[Path], Platform]
) -> None:
    said: dict[datetime, tuple[bytes, str, bytes]] = {}
    folder = tmp_path / "capture"
    for slot in (SLOT, SLOT + SLOT_LENGTH):
        platform.at(slot)
        recording(platform, folder, 1)
        wallet = next(entry.wallet for entry in read_index(folder)[0] if entry.wallet)
        answer = board(platform.exchange.url)
        said[slot] = (
            answer.content,
            answer.headers["last-modified"],
            info(platform.exchange.url, wallet).content,
        )
    again = replaying(folder)
    for slot, (body, modified, portfolio) in said.items():
        for moment in (slot, slot + timedelta(minutes=9, seconds=59)):
            again.at(moment)
            assert board(again.exchange.url).content == body
            assert board(again.exchange.url).headers["last-modified"] == modified
            assert info(again.exchange.url, wallet).content == portfolio
    assert said[SLOT][2] != said[SLOT + SLOT_LENGTH][2]


@pytest.mark.soak
def test_a_recorded_hour_replays_to_the_same_tables(
    platform: Platform, tmp_path: Path, replaying: Callable[[Path], Platform]
) -> None:
    slots = [SLOT + SLOT_LENGTH * step for step in range(6)]  # the board changes before the last
    ticked = slots[::5]
    for slot in slots:
        platform.at(slot)
        if slot in ticked:
            assert platform.tick().success
        recording(platform, tmp_path / "capture", 1)
    again = replaying(tmp_path / "capture")
    for slot in ticked:
        again.at(slot)
        result = again.tick()
        assert result.success, failure_of(result)
    first, second = platform.read(), again.read()
    assert len(first["wallet_scores"]) == 2 * 12
    assert first["leaderboard_rows"]["as_of"].nunique() == 2
    assert again.manifest_slots() == platform.manifest_slots()
    assert second.pop("vaults").empty, "the list of vaults is not recorded"
    for name in second:
        # What a clock measured, and what follows from the list of vaults.
        others = {"elapsed_seconds", "entity_flags", "wallets_by_flag", "vaults_as_of", "input_hashes"}
        columns = [column for column in second[name] if column not in others]
        pd.testing.assert_frame_equal(first[name][columns], second[name][columns], obj=name)


def test_rounds_keep_to_the_grid_and_are_recorded_once(platform: Platform, tmp_path: Path) -> None:
    platform.at(SLOT + timedelta(minutes=3))
    rounds = recording(platform, tmp_path / "c", 3)
    assert [one.at for one in rounds] == [SLOT + SLOT_LENGTH * step for step in range(4)]
    assert [(one.wallets, one.failed) for one in rounds] == [(12, 0)] * 4
    before = (tmp_path / "c" / "index.jsonl").read_bytes()
    platform.at(SLOT + timedelta(minutes=33))
    assert recording(platform, tmp_path / "c", 0, until=platform.now + timedelta(minutes=1)) == []
    assert (tmp_path / "c" / "index.jsonl").read_bytes() == before


def test_an_unchanged_board_is_stored_once(platform: Platform, tmp_path: Path) -> None:
    recording(platform, tmp_path, 2)
    boards = [entry for entry in read_index(tmp_path)[0] if entry.kind == "leaderboard"]
    assert len(boards) == 2
    assert len({(entry.file, entry.offset) for entry in boards}) == 1


def test_what_was_not_recorded_or_failed_is_refused_and_never_invented(
    platform: Platform, tmp_path: Path, replaying: Callable[[Path], Platform]
) -> None:
    recording(platform, tmp_path / "c", 1)
    wallets = [entry.wallet for entry in read_index(tmp_path / "c")[0] if entry.wallet]
    platform.fault(endpoint="info", kind="server_error", wallets=[wallets[0]])
    platform.at(SLOT + SLOT_LENGTH)
    [one] = recording(platform, tmp_path / "c", 1)
    assert (one.wallets, one.failed) == (12, 1)
    again = replaying(tmp_path / "c")
    again.at(SLOT + SLOT_LENGTH)
    failed = info(again.exchange.url, wallets[0])
    assert failed.status_code == 404
    assert "failed in the round of 2026-05-31T12:20" in failed.text
    stranger = info(again.exchange.url, "0x" + "12" * 20)
    assert stranger.status_code == 404
    assert "was not asked for" in stranger.text
    vaults = httpx.get(f"{again.exchange.url}/Mainnet/vaults", trust_env=False)
    assert vaults.status_code == 404
    result = again.tick()
    assert result.success, "a wallet's failure is a row"
    fetches = again.read()["portfolio_fetches"]
    assert fetches.set_index("wallet").loc[wallets[0], "status"] == "failed"
    assert ("portfolio_histories", "coverage") in checks_of(result)


def test_a_board_that_failed_is_a_round_without_wallets(platform: Platform, tmp_path: Path) -> None:
    platform.fault(endpoint="leaderboard", kind="server_error")
    [one] = recording(platform, tmp_path, 1)
    assert (one.wallets, one.failed) == (0, 1)
    with pytest.raises(NotRecordedError, match="leaderboard failed in the round"):
        Capture(tmp_path).leaderboard(round(SLOT.timestamp() * 1000))


def test_between_rounds_nobody_pretends(platform: Platform, tmp_path: Path) -> None:
    recording(platform, tmp_path, 1)
    platform.at(SLOT + 3 * SLOT_LENGTH)
    recording(platform, tmp_path, 1)
    capture = Capture(tmp_path)
    gap = round((SLOT + SLOT_LENGTH).timestamp() * 1000)
    with pytest.raises(NotRecordedError, match="no round was recorded for 2026-05-31T12:20"):
        capture.leaderboard(gap)
    assert capture.span_ms() == (gap - 600_000, gap + 3 * 600_000)
    assert capture.newest_ms == gap + 2 * 600_000


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_recorder_killed_while_writing_loses_only_what_it_was_writing(
    platform: Platform, tmp_path: Path, cut: int
) -> None:
    recording(platform, tmp_path, 1)
    index = tmp_path / "index.jsonl"
    whole = read_index(tmp_path)[0]
    index.write_bytes(index.read_bytes()[:-cut])
    assert read_index(tmp_path)[0] == whole[: len(read_index(tmp_path)[0])]
    platform.at(SLOT + SLOT_LENGTH)
    recording(platform, tmp_path, 1)
    entries = read_index(tmp_path)[0]
    assert {entry.at for entry in entries} == {SLOT, SLOT + SLOT_LENGTH}
    capture = Capture(tmp_path)
    for entry in entries:
        if entry.wallet:
            assert len(capture.portfolio(entry.wallet, round(entry.at.timestamp() * 1000))) == entry.size


def test_changed_bytes_are_not_replayed(platform: Platform, tmp_path: Path) -> None:
    recording(platform, tmp_path, 1)
    [path] = (tmp_path / "bodies").iterdir()
    harmed = bytearray(path.read_bytes())
    harmed[-30:-20] = b"0123456789"
    path.write_bytes(harmed)
    last = read_index(tmp_path)[0][-1]
    with pytest.raises(RecordingError, match=r"at \d+: the body"):
        Capture(tmp_path).portfolio(last.wallet or "", round(SLOT.timestamp() * 1000))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with (
        pytest.raises(CaptureError, match=r"holds mine\.txt and is no capture"),
        CaptureWriter(tmp_path, "live"),
    ):
        pass
    with pytest.raises(RecordingError, match="is no folder of `hl-assets record`"):
        Capture(tmp_path)
    with (
        CaptureWriter(tmp_path / "c", "live"),
        pytest.raises(CaptureError, match="another recorder"),
        CaptureWriter(tmp_path / "c", "live"),
    ):
        pass
    with pytest.raises(CaptureError, match="holds live answers"), CaptureWriter(tmp_path / "c", "simulated"):
        pass
    with pytest.raises(RecordingError, match="holds no answers yet"):
        Capture(tmp_path / "c")


@given(
    instant=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    minutes=st.integers(1, 1440),
)
def test_a_round_is_the_multiple_at_or_before(instant: datetime, minutes: int) -> None:
    every = timedelta(minutes=minutes)
    at = round_of(instant, every)
    assert at <= instant < at + every
    assert at.timestamp() % every.total_seconds() == 0
    assert round_of(instant, SLOT_LENGTH) == slot_of(instant)


def test_the_commands_record_the_sandbox_and_replay_it(tmp_path: Path) -> None:
    environment = {
        "SANDBOX_WALLETS": "100", "TOP_N_WALLETS": "5", "EMBEDDED_IDLE_SECONDS": "20", "GRADER": "rules"
    }  # fmt: skip
    wrong = run_command(tmp_path, environment, "record", "--out", "c", "--every", "soon")
    assert wrong.returncode == 2
    assert "--every 'soon' is not a span of time" in wrong.stderr
    done = run_command(tmp_path, environment, "record", "--out", "c", "--every", "1d", "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert "leaderboard and 5 portfolios" in done.stdout
    [header] = (tmp_path / "c" / "capture.json").read_text().splitlines()
    assert json.loads(header)["origin"] == "simulated"
    at = read_index(tmp_path / "c")[0][0].at
    replayed = run_command(
        tmp_path, environment, "run", "--source", "recorded", "--recording", "c", "--as-of", slot_text(at)
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert f"Slot {slot_text(at)} materialised" in replayed.stdout
    run_command(tmp_path, environment, "warehouse", "stop")


def test_the_clock_of_a_replay_stands_at_the_newest_round(platform: Platform, tmp_path: Path) -> None:
    recording(platform, tmp_path, 2)
    with SandboxServer(SandboxConfig(recording=tmp_path, clock=None)) as server:
        assert server.venue.clock.setting == ClockSetting.frozen(SLOT + SLOT_LENGTH)
