"""The command line as a person uses it: real processes, one small sandbox, an embedded ClickHouse of its own.

Mistakes, help and variants of a command that has run as a process call its entry point without one: starting Python and
importing pandas and Dagster would take ten times longer than what is tested.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from hl_assets import cli
from hl_assets.cli import local_exchange
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant
from hl_assets.warehouse.embedded.process import status, stop
from hl_assets_tests.conftest import bare_environment

AS_OF = "2026-05-31T12:10:00Z"


class Shell:
    """Runs `hl-assets` in an empty folder with a small sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        return bare_environment(SANDBOX_WALLETS="200", TOP_N_WALLETS="12", EMBEDDED_IDLE_SECONDS="120")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hl_assets.cli", *arguments],
            cwd=self.folder, env={**self.environment, **environment}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def call(self, *arguments: str, **environment: str) -> int:
        """As `run` without a process of its own; returns the exit status. An unknown error is raised, not printed."""
        with (
            mock.patch.dict(os.environ, self.environment | environment, clear=True),
            mock.patch.object(sys, "argv", ["hl-assets", *arguments]),
            contextlib.chdir(self.folder),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
        return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("user")
    yield Shell(folder)
    stop(folder / ".hl_assets" / "clickhouse")


@pytest.fixture(scope="module")
def first_run(shell: Shell) -> subprocess.CompletedProcess[str]:
    return shell.run("run", "--as-of", AS_OF)


Say = Callable[..., str]


@pytest.fixture
def say(shell: Shell, capsys: pytest.CaptureFixture[str]) -> Say:
    """Calls a command that succeeds; returns what it prints."""

    def called(*arguments: str, **environment: str) -> str:
        status = shell.call(*arguments, **environment)
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out

    return called


def ranked_wallets(output: str) -> list[list[str]]:
    """Rank, wallet and the figures of each line of a printed ranking."""
    return [line.split() for line in output.splitlines() if " 0x" in line]


def test_a_first_run_ranks_the_sandbox_and_says_how_to_go_live(
    first_run: subprocess.CompletedProcess[str],
) -> None:
    assert first_run.returncode == 0, first_run.stdout + first_run.stderr
    lines = first_run.stdout.splitlines()
    assert "sandbox" in lines[0]
    assert "hl-assets run --source live" in lines[0]
    assert f"Traders as of {AS_OF} (sandbox)" in first_run.stdout
    for step in ("leaderboard", "portfolio_histories", "wallet_metrics", "ai_grades", "wallet_scores"):
        assert any(step in line and "passed" in line for line in lines), step
    assert f"Slot {AS_OF} materialised in" in first_run.stdout
    assert first_run.stderr == ""


def test_everything_is_kept_under_one_folder(
    shell: Shell, first_run: subprocess.CompletedProcess[str]
) -> None:
    assert [path.name for path in shell.folder.iterdir()] == [".hl_assets"]
    running = status(shell.folder / ".hl_assets" / "clickhouse")
    assert running is not None, "it stays for the next command, until it is idle"


def test_top_prints_the_same_ranking(shell: Shell, first_run: subprocess.CompletedProcess[str]) -> None:
    """As a process of its own, what the tests below call without one."""
    top = shell.run("top", "--rows", "3")
    assert top.returncode == 0, top.stderr
    assert ranked_wallets(top.stdout) == ranked_wallets(first_run.stdout)[:3]


def test_query_formats(say: Say, first_run: subprocess.CompletedProcess[str]) -> None:
    sql = "SELECT as_of, wallet, calculated_rank, cagr_score, missing_metrics FROM wallet_scores ORDER BY wallet"
    rows = json.loads(say("query", sql, "--format", "json"))
    assert len(rows) == 12
    assert rows[0]["as_of"] == AS_OF
    assert isinstance(rows[0]["missing_metrics"], list)
    csv_lines = say("query", sql, "--format", "csv").splitlines()
    assert csv_lines[0] == "as_of,wallet,calculated_rank,cagr_score,missing_metrics"
    assert len(csv_lines) == 13
    assert "calculated_rank" in say("query", sql)


def test_wallet_explains_its_figures(
    shell: Shell, say: Say, first_run: subprocess.CompletedProcess[str]
) -> None:
    wallet = next(word for word in ranked_wallets(first_run.stdout)[0] if word.startswith("0x"))
    shown = say("wallet", wallet.upper().replace("0X", "0x"))
    assert wallet in shown
    for expected in (
        "max_drawdown",
        "Deepest fall of the index",
        "Grade by rule",
        "the exchange's own PnL",
        "sharpe",
        "by the model unknown (no valid grade)",
        "trend: unknown (too few scores)",
    ):
        assert expected in shown
    assert "Return index" in shown, "the curve is drawn"
    assert "drawn into curve.png" in say("wallet", wallet, "--png", "curve.png")
    picture = shell.folder / "curve.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    known = say("wallet", wallet, "--as-known")
    assert "max_drawdown" in known
    assert "Rank" not in known


def test_top_hides_flagged_accounts_only_when_asked_and_says_so(
    say: Say, first_run: subprocess.CompletedProcess[str]
) -> None:
    everybody = say("top", "--rows", "12")
    assert "hidden" not in everybody
    assert all(heading in everybody for heading in ("trust", "trend/7d", "moved", "style", "flags"))
    sql = "SELECT wallet FROM wallet_scores WHERE is_eligible AND has(entity_flags, 'zero_volume')"
    idle = {row["wallet"] for row in json.loads(say("query", sql, "--format", "json"))}
    hidden = say("top", "--rows", "12", "--hide", "zero_volume")
    shown = {line[1] for line in ranked_wallets(everybody)}
    assert {line[1] for line in ranked_wallets(hidden)} == shown - idle
    assert f"hidden: zero_volume ({len(idle)} of {len(shown)} ranked)" in hidden
    assert "hidden: one_big_win (" in say("top", "--hide", "default", ENTITY_FILTER="one_big_win")


def test_rescoring_stands_beside_the_published_ranking(
    shell: Shell, say: Say, first_run: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = say("top", "--rows", "12")
    done = shell.run("rescore", "--weights", "max_drawdown=5", "--name", "cautious", "--from", "2026-05-31")
    assert done.returncode == 0, done.stderr
    assert "(cautious): max_drawdown 50.0%" in done.stdout
    assert f"1 slots from {AS_OF} to {AS_OF}" in done.stdout
    assert say("top", "--rows", "12") == before
    other = say("top", "--rows", "12", "--config", "cautious")
    assert ", configuration " in other
    assert sorted(line[1] for line in ranked_wallets(other)) == sorted(
        line[1] for line in ranked_wallets(before)
    )
    assert ranked_wallets(other) != ranked_wallets(before)
    assert shell.call("rescore", "--weights", "roi=5", "--name", "cautious") == 2
    assert "already names configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["top", "--hide", "vaults"], "no entity flag is called 'vaults'"),
        (["top", "--config", "unknown"], "no scores of configuration 'unknown' are stored"),
        (["rescore", "--weights", "sharpe=1"], "no scored metric is called 'sharpe'"),
        (["rescore", "--weights", "roi=1"], "these are the default weights"),
        (["rescore", "--weights", "roi=2", "--name", "a b"], "--name 'a b'"),
        (
            ["rescore", "--weights", "roi=2", "--to", "2020-01-01"],
            "no slot is scored between the beginning and",
        ),
        (["wallet", "0x123"], "not a wallet address"),
        (["wallet", "0x" + "1" * 40], "nothing is stored about 0x1111"),
        (["top", "--as-of", "2020-01-01"], "no slot is scored at or before 2020-01-01"),
        (["top", "--source", "live"], "hl-assets run --source live"),
        (["top", "--as-of", "yesterday"], "'yesterday' is not an ISO date"),
        (["query", "SELECT nonsense FROM wallet_scores"], "nonsense"),
        (["run", "--source", "live", "--as-of", "2026-05-31"], "the present cannot be taken for the past"),
        (["run", "--source", "recorded"], "needs --recording PATH"),
        (["run", "--source", "recorded", "--recording", "missing.csv"], "missing.csv does not exist"),
        (["run", "--as-of", "1999-01-01"], "1999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_get_one_clear_message(
    shell: Shell,
    first_run: subprocess.CompletedProcess[str],
    capfd: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    says: str,
) -> None:
    status = shell.call(*arguments)
    printed = capfd.readouterr()
    assert status == 2, printed.out
    assert "Traceback" not in printed.err
    assert says in printed.err
    assert len(printed.err.strip().splitlines()) <= 4


def test_a_recording_in_the_environment_is_not_served_as_the_sandbox(shell: Shell) -> None:
    """The process that `run` starts, with what `run` passes on."""
    environment = shell.environment | {"HL_ASSETS_RECORDING": "missing.csv"}
    with mock.patch.dict(os.environ, environment, clear=True), contextlib.chdir(shell.folder):
        settings = Settings.load()
        assert settings.recording is not None
        process = local_exchange.start_process(settings, parse_instant(AS_OF))
        with local_exchange.running(process) as exchange:
            assert exchange.now() == parse_instant(AS_OF)
            assert process.stdout is not None
            assert "200 simulated wallets" in process.stdout.readline()


def test_a_bad_setting_is_named(shell: Shell) -> None:
    done = shell.run("top", TOP_N_WALLETS="many")
    assert done.returncode == 2
    assert "TOP_N_WALLETS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_is_named_without_its_password(shell: Shell) -> None:
    done = shell.run("top", CLICKHOUSE_URL="http://user:hunter2@127.0.0.1:9/db")
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_failed_tick_ends_with_status_1_and_its_cause(
    shell: Shell, first_run: subprocess.CompletedProcess[str]
) -> None:
    done = shell.run(
        "run", "--source", "live",
        HYPERLIQUID_INFO_URL="http://127.0.0.1:9", HYPERLIQUID_STATS_URL="http://127.0.0.1:9/Mainnet",
        HYPERLIQUID_MAX_ATTEMPTS="2", HYPERLIQUID_BACKOFF_SECONDS="0.01",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "leaderboard failed: leaderboard: " in done.stdout
    assert "2 attempts" in done.stdout
    assert "FAILED" in done.stdout


def test_warehouse_commands(shell: Shell, first_run: subprocess.CompletedProcess[str]) -> None:
    assert "running, pid" in shell.run("warehouse", "status").stdout
    assert "stopped" in shell.run("warehouse", "stop").stdout
    assert "not running" in shell.run("warehouse", "status").stdout
    assert "0x" in shell.run("top").stdout, "it starts again on demand, data intact"


@pytest.mark.parametrize(
    "command",
    [["run"], ["top"], ["wallet"], ["grade"], ["grade-eval"], ["rescore"], ["query"], ["sandbox"], ["dev"]],
)
def test_help_has_examples(shell: Shell, capsys: pytest.CaptureFixture[str], command: Sequence[str]) -> None:
    assert shell.call(*command, "--help") == 0
    text = capsys.readouterr().out
    assert "Usage" in text
    assert "hl-assets" in text


def test_the_recorded_vaults_are_ranked(
    shell: Shell, say: Say, first_run: subprocess.CompletedProcess[str], recorded_data: Path
) -> None:
    (panel,) = (recorded_data / "vault_panel").glob("*.csv.gz")
    done = shell.run(
        "run", "--source", "recorded", "--recording", str(panel), "--as-of", "2026-05-31", "--rows", "5"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traders as of 2026-05-31T00:00:00Z (recorded)" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "0x" in line]) == 5
    sql = "SELECT DISTINCT origin FROM wallet_scores"
    assert json.loads(say("query", sql, "--source", "recorded", "--format", "json")) == [
        {"origin": "recorded"}
    ]
    assert json.loads(say("query", sql, "--format", "json")) == [{"origin": "simulated"}]


def test_wallets_are_watched_and_unwatched_by_hand(
    shell: Shell, first_run: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wallet = "0x" + "aB" * 20
    assert shell.call("unwatch", wallet) == 2
    assert "is not watched (source sandbox)" in capsys.readouterr().err
    assert [shell.call("watch", wallet), shell.call("watch", wallet.lower()), shell.call("watch")] == [
        0,
        0,
        0,
    ]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{wallet.lower()} is watched: it is tracked, but fetched only with FETCH_PLAN=board"
    assert said[1:] == [f"{wallet.lower()} is watched already", wallet.lower()]
    assert shell.call("unwatch", wallet) == 0
    capsys.readouterr()
    assert shell.call("watch") == 0
    assert capsys.readouterr().out == ""
    assert shell.call("watch", "0xnobody") == 2
    assert "not a wallet address" in capsys.readouterr().err
