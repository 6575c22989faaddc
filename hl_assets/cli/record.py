"""`hl-assets record`: the exchange's answers into a folder, until the time is over or Ctrl-C.

Belongs here: options to a plan, and a line per round. Does not belong here: recording (`hl_assets.interchange.recorder`).
"""

import re
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from hl_assets.cli import local_exchange
from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.exchange.selection import TopN
from hl_assets.interchange.capture_writer import CaptureWriter
from hl_assets.interchange.recorder import RecordingPlan, record
from hl_assets.resources.exchange import Exchange
from hl_assets.settings import Settings
from hl_assets.slots import slot_text

console = make_console()

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def record_exchange(values: dict[str, object], out: Path, every: str, duration: str | None) -> int:
    """Record; returns the exit status: 1 if any answer did not come.

    Raises:
        CommandError: An option cannot be used.
        CaptureError: The folder cannot be added to.
    """
    settings = Settings.load(**values)
    if settings.source == "recorded":
        raise CommandError("--source recorded is a recording already; record from live or sandbox")
    distance = _span("--every", every)
    lasting = None if duration is None else _span("--for", duration)
    rounds = failed = 0
    with ExitStack() as stack:
        if settings.source == "sandbox":
            process = local_exchange.start_process(settings, None)
            local = stack.enter_context(local_exchange.running(process))
            settings = Settings.load(**{**values, **local.settings_values(settings)})
        exchange = Exchange.from_settings(settings)
        plan = RecordingPlan(
            rule=TopN(settings.top_n, settings.top_window, settings.top_measure),
            every=distance,
            until=None if lasting is None else exchange.now() + lasting,
            deadline_seconds=min(settings.fetch_deadline_seconds, distance.total_seconds()),
        )
        writer = stack.enter_context(CaptureWriter(out, settings.origin))
        stack.enter_context(progress_bar(console, "Recording"))
        console.print(_first_line(settings, plan, out), highlight=False, soft_wrap=True)
        try:
            for one in record(exchange, writer, plan, time.sleep):
                rounds, failed = rounds + 1, failed + one.failed
                trouble = f", {one.failed} failed" if one.failed else ""
                console.print(
                    f"{slot_text(one.at)}  leaderboard and {one.wallets} portfolios{trouble} in {one.seconds:.1f} s; "
                    f"{writer.n_bytes / 1e6:,.1f} MB written",
                    highlight=False,
                )
        except KeyboardInterrupt:
            console.print("stopped; what was recorded is complete up to here")
    console.print(
        f"{rounds} rounds in {out}. Next: hl-assets run --source recorded --recording {out}, or "
        f"hl-assets sandbox --recording {out}",
        highlight=False,
        soft_wrap=True,
    )
    return 1 if failed else 0


def _first_line(settings: Settings, plan: RecordingPlan, out: Path) -> str:
    end = "until Ctrl-C" if plan.until is None else f"until {slot_text(plan.until)}"
    return (
        f"Recording {settings.info_url} ({settings.source}) into {out}: the leaderboard and {plan.rule.count} portfolios "
        f"({plan.rule.name}) every {plan.every}, {end}."
    )


def _span(option: str, text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)\s*([smhd])", text.strip())
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < span <= timedelta(days=366):
        raise CommandError(f"{option} {text!r} is not a span of time, e.g. 30s, 10m, 1h or 2d")
    return span
