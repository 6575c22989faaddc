"""The command line as a person uses it: real processes, one small sandbox, an embedded ClickHouse of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hl_assets.warehouse.embedded.process import status, stop

AS_OF = "2026-05-31T12:10:00Z"


class Shell:
    """Runs `hl-assets` in an empty folder with a small sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        ours = {"SANDBOX_WALLETS": "200", "TOP_N_WALLETS": "12", "EMBEDDED_IDLE_SECONDS": "120"}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "hl_assets.cli", *arguments],
            cwd=self.folder, env={**inherited, **ours, **environment}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("user")
    yield Shell(folder)
    stop(folder / ".hl_assets" / "clickhouse")


@pytest.fixture(scope="module")
def first_run(shell: Shell) -> subprocess.CompletedProcess[str]:
    return shell.run("run", "--as-of", AS_OF)


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
    top = shell.run("top", "--rows", "3")
    assert top.returncode == 0, top.stderr
    assert ranked_wallets(top.stdout) == ranked_wallets(first_run.stdout)[:3]


def test_query_formats(shell: Shell, first_run: subprocess.CompletedProcess[str]) -> None:
    sql = "SELECT as_of, wallet, calculated_rank, cagr_score, missing_metrics FROM wallet_scores ORDER BY wallet"
    rows = json.loads(shell.run("query", sql, "--format", "json").stdout)
    assert len(rows) == 12
    assert rows[0]["as_of"] == AS_OF
    assert isinstance(rows[0]["missing_metrics"], list)
    csv_lines = shell.run("query", sql, "--format", "csv").stdout.splitlines()
    assert csv_lines[0] == "as_of,wallet,calculated_rank,cagr_score,missing_metrics"
    assert len(csv_lines) == 13
    assert "calculated_rank" in shell.run("query", sql).stdout


def test_wallet_explains_its_figures(shell: Shell, first_run: subprocess.CompletedProcess[str]) -> None:
    wallet = json.loads(
        shell.run("query", "SELECT wallet FROM wallet_metrics LIMIT 1", "--format", "json").stdout
    )[0]["wallet"]
    shown = shell.run("wallet", wallet.upper().replace("0X", "0x"))
    assert shown.returncode == 0, shown.stderr
    assert wallet in shown.stdout
    for expected in (
        "max_drawdown",
        "Deepest fall of the index",
        "Grade by rules",
        "the exchange's own PnL",
        "sharpe",
        "by the model unknown (no valid grade)",
        "trend: unknown (too few scores)",
    ):
        assert expected in shown.stdout
    assert "Return index" in shown.stdout, "the curve is drawn"
    drawn = shell.run("wallet", wallet, "--png", "curve.png")
    assert "drawn into curve.png" in drawn.stdout
    picture = shell.folder / "curve.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    known = shell.run("wallet", wallet, "--as-known")
    assert known.returncode == 0, known.stderr
    assert "max_drawdown" in known.stdout
    assert "Rank" not in known.stdout


def test_top_hides_flagged_accounts_only_when_asked_and_says_so(
    shell: Shell, first_run: subprocess.CompletedProcess[str]
) -> None:
    everybody = shell.run("top", "--rows", "12")
    assert "hidden" not in everybody.stdout
    assert all(heading in everybody.stdout for heading in ("trust", "trend/7d", "moved", "style", "flags"))
    sql = "SELECT wallet FROM wallet_scores WHERE is_eligible AND has(entity_flags, 'zero_volume')"
    idle = {row["wallet"] for row in json.loads(shell.run("query", sql, "--format", "json").stdout)}
    hidden = shell.run("top", "--rows", "12", "--hide", "zero_volume")
    shown = {line[1] for line in ranked_wallets(everybody.stdout)}
    assert {line[1] for line in ranked_wallets(hidden.stdout)} == shown - idle
    assert f"hidden: zero_volume ({len(idle)} of {len(shown)} ranked)" in hidden.stdout
    default = shell.run("top", "--hide", "default", ENTITY_FILTER="one_big_win")
    assert "hidden: one_big_win (" in default.stdout


def test_rescoring_stands_beside_the_published_ranking(
    shell: Shell, first_run: subprocess.CompletedProcess[str]
) -> None:
    before = shell.run("top", "--rows", "12").stdout
    done = shell.run("rescore", "--weights", "max_drawdown=5", "--name", "cautious", "--from", "2026-05-31")
    assert done.returncode == 0, done.stderr
    assert "(cautious): max_drawdown 50.0%" in done.stdout
    assert f"1 slots from {AS_OF} to {AS_OF}" in done.stdout
    assert shell.run("top", "--rows", "12").stdout == before
    other = shell.run("top", "--rows", "12", "--config", "cautious")
    assert ", configuration " in other.stdout
    assert sorted(line[1] for line in ranked_wallets(other.stdout)) == sorted(
        line[1] for line in ranked_wallets(before)
    )
    assert ranked_wallets(other.stdout) != ranked_wallets(before)
    taken = shell.run("rescore", "--weights", "roi=5", "--name", "cautious")
    assert (taken.returncode, "already names configuration" in taken.stderr) == (2, True)


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
        (["run", "--source", "recorded"], "needs --recording FILE"),
        (["run", "--source", "recorded", "--recording", "missing.csv"], "missing.csv does not exist"),
        (["run", "--as-of", "1999-01-01"], "1999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_get_one_clear_message(
    shell: Shell, first_run: subprocess.CompletedProcess[str], arguments: Sequence[str], says: str
) -> None:
    done = shell.run(*arguments)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_a_recording_in_the_environment_is_not_served_as_the_sandbox(shell: Shell) -> None:
    done = shell.run("run", "--as-of", AS_OF, "--rows", "1", HL_ASSETS_RECORDING="missing.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulated wallets" in done.stdout.splitlines()[0]


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
    "command", [["run"], ["top"], ["wallet"], ["rescore"], ["query"], ["sandbox"], ["dev"]]
)
def test_help_has_examples(shell: Shell, command: Sequence[str]) -> None:
    text = shell.run(*command, "--help").stdout
    assert "Usage" in text
    assert "hl-assets" in text


def test_the_recorded_vaults_are_ranked(
    shell: Shell, first_run: subprocess.CompletedProcess[str], recorded_data: Path
) -> None:
    (panel,) = (recorded_data / "vault_panel").glob("*.csv.gz")
    done = shell.run(
        "run", "--source", "recorded", "--recording", str(panel), "--as-of", "2026-05-31", "--rows", "5"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traders as of 2026-05-31T00:00:00Z (recorded)" in done.stdout
    assert len([line for line in done.stdout.splitlines() if "0x" in line]) == 5
    sql = "SELECT DISTINCT origin FROM wallet_scores"
    assert json.loads(shell.run("query", sql, "--source", "recorded", "--format", "json").stdout) == [
        {"origin": "recorded"}
    ]
    assert json.loads(shell.run("query", sql, "--format", "json").stdout) == [{"origin": "simulated"}]
