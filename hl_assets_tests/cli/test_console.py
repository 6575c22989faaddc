"""Text of others on a terminal: errors that quote what was sent."""

import io
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hl_assets.cli.backfill import _failed_table
from hl_assets.cli.console import harmless
from hl_assets_tests.interchange.commands import run_command

HOSTILE = "[/red] \x1b[31mred\x1b]0;title\x07 \u202edesrever"


@given(st.text())
def test_nothing_is_left_that_steers_a_terminal(text: str) -> None:
    shown = harmless(text)
    assert len(shown) == len(text)
    assert all(char.isprintable() or char in "\n\t" for char in shown)


def test_plain_text_stays() -> None:
    assert harmless("é ⚠ 交易\n\tat $.rows[17]") == "é ⚠ 交易\n\tat $.rows[17]"


def test_why_a_day_of_a_backfill_failed_is_shown_as_it_is() -> None:
    """Square brackets are no markup: a closing tag that closes nothing would be an error of its own."""
    out = io.StringIO()
    Console(file=out, width=120).print(_failed_table({date(2026, 5, 31): [HOSTILE]}))
    assert "[/red]" in out.getvalue()
    assert not {"\x1b", "\x07", "\u202e"} & set(out.getvalue())


def test_an_error_is_shown_without_control_characters(tmp_path: Path) -> None:
    done = run_command(tmp_path, {}, "import", f"missing{HOSTILE}.csv")
    assert done.returncode == 2
    assert "missing" in done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stderr)
