"""`hl-assets backfill` and `quarantine` as a person uses them, on a small panel."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hl_assets.assets.derivation import SlotTask
from hl_assets.assets.quarantine import Quarantine, set_aside
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import stop
from hl_assets_tests.cli.test_run import Shell

FIRST = datetime(2026, 5, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A store with a panel of four days, the third of which is missing."""
    made = Shell(tmp_path_factory.mktemp("backfiller"))
    lines = ["date,address,account_value,pnl"]
    for day in (0, 1, 3):
        date = (FIRST + timedelta(days=day)).date()
        lines += [f"{date},0x{wallet:040x},{1000 + wallet * day},{wallet * day}" for wallet in range(1, 6)]
    panel = made.folder / "panel.csv"
    panel.write_text("\n".join(lines) + "\n")
    assert made.call("import", str(panel), "--source", "recorded") == 0
    yield made
    stop(made.folder / ".hl_assets" / "clickhouse")


def query(shell: Shell, sql: str) -> list[tuple[object, ...]]:
    settings = Settings.load(home=shell.folder / ".hl_assets", source="recorded")
    with Warehouse(warehouse_config(settings)) as store:
        return store.read_rows(sql)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, without line breaks."""
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def backfill(shell: Shell, *options: str) -> int:
    return shell.call("backfill", "--source", "recorded", *options)


def test_days_are_rebuilt_or_reconstructed_once(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert backfill(shell, "--from", "2026-05-20", "--to", "2026-05-23", "--dry-run") == 0
    assert "4 of 4 days to do: 3 observed slots to rebuild where stale, 1 to reconstruct" in said(capsys)
    assert query(shell, "SELECT count() FROM wallet_scores") == [(0,)]

    assert backfill(shell, "--from", "2026-05-20", "--to", "2026-05-23") == 0
    assert "4 of 4 days, 4 slots scored on them, 0 days failed" in said(capsys)
    origins = query(
        shell,
        "SELECT toDate(as_of), any(origin), uniqExact(origin), count() FROM wallet_scores GROUP BY 1 ORDER BY 1",
    )
    assert [(str(day), origin, kinds, rows) for day, origin, kinds, rows in origins] == [
        ("2026-05-20", "recorded", 1, 5),
        ("2026-05-21", "recorded", 1, 5),
        ("2026-05-22", "reconstructed", 1, 5),
        ("2026-05-23", "recorded", 1, 5),
    ]

    assert backfill(shell, "--from", "2026-05-20", "--to", "2026-05-23") == 0
    assert "0 of 4 days to do" in said(capsys), "the same command again finds nothing to do"


def test_a_backfill_is_resumed_where_it_was_cut_short(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hl_assets.cli.backfill as command  # noqa: PLC0415

    original = command._Days._run
    days = []

    def interrupted(self: object, day: object, step: object) -> list[str]:
        if days:
            raise KeyboardInterrupt
        days.append(day)
        return original(self, day, step)  # type: ignore[arg-type]

    monkeypatch.setattr(command._Days, "_run", interrupted)
    options = ("--from", "2026-05-20", "--to", "2026-05-21", "--full-refresh", "--assets", "wallet_metrics")
    assert backfill(shell, *options) == 130, "as a shell has it after Ctrl-C"
    monkeypatch.undo()
    told = said(capsys)
    assert "1 of 2 days" in told
    name = told.split("--resume ")[1].split()[0]
    before = query(
        shell,
        "SELECT toDate(as_of), max(version) FROM publications WHERE table_name = 'wallet_metrics' GROUP BY 1",
    )
    assert backfill(shell, "--resume", name) == 0
    after = query(
        shell,
        "SELECT toDate(as_of), max(version) FROM publications WHERE table_name = 'wallet_metrics' GROUP BY 1",
    )
    changed = [str(day) for day, version in after if (day, version) not in before]
    assert changed == ["2026-05-21"], "the day that was done is left alone, only what was asked for is made"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--to", "2026-05-21"], "--from is needed"),
        (["--from", "2026-05-22", "--to", "2026-05-21"], "is after --to"),
        (["--from", "2026-05-22T12:00:00Z"], "whole UTC days"),
        (["--from", "yesterday"], "is not an ISO date"),
        (["--from", "2025-12-31"], "HL_ASSETS_START_DATE"),
        (["--from", "2026-05-20", "--assets", "wallet_metric"], "not a derived asset; there are"),
        (["--from", "2026-05-01", "--to", "2026-05-19"], "no stored point is older than 2026-05-20"),
        (["--resume", "20260101T000000-1"], "knows no run of such a backfill"),
    ],
)
def test_what_cannot_be_done_says_why(
    shell: Shell, capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    assert backfill(shell, *options) == 2
    assert why in said(capsys)


def test_days_before_the_first_point_are_named_and_the_others_done(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backfill(shell, "--from", "2026-05-18", "--to", "2026-05-20") == 1
    assert "2026-05-18 to 2026-05-19 (2 days): no stored point is older than 2026-05-20" in said(capsys)


def test_quarantine_lists_and_waives(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    def quarantine(*options: str) -> int:
        return shell.call("quarantine", "--source", "recorded", *options)

    assert quarantine() == 0
    assert "No slot is in quarantine" in said(capsys)
    settings = Settings.load(home=shell.folder / ".hl_assets", source="recorded")
    with Warehouse(warehouse_config(settings)) as store:
        set_aside(
            store,
            Quarantine(WALLET_METRICS),
            SlotTask(FIRST, "recorded", {"portfolio_fetches": 1}),
            "PoisonError: [red]not a number[/red]\x1b[31m",
            now=FIRST,
            run_id="a run",
        )
    assert quarantine() == 0
    told = said(capsys)
    assert "2026-05-20T00:00:00Z" in told
    assert "[red]not a number[/red]" in told
    assert "\x1b[31m" not in told
    assert quarantine("--waive", "2026-05-20T00:00:00Z") == 2
    assert "--waive needs --reason" in said(capsys)
    assert quarantine("--waive", "2026-05-20T00:10:00Z", "--reason", "x") == 2
    assert "is not in quarantine" in said(capsys)
    assert quarantine("--waive", "2026-05-20T00:00:00Z", "--reason", "known") == 0
    assert quarantine() == 0
    assert "waived" in said(capsys)
