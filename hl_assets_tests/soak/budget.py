"""How much of the exchange's budget do consecutive slots use, in real time? `python -m hl_assets_tests.soak.budget`.

A local exchange enforces 1,200 weight a minute. At every slot's beginning a tick starts in a process of its own, as the
daemon would start it, unless the one before is still running: then the slot is skipped, as the schedule would. Reported
are the weight used out of what the slots' minutes allow, the refusals, and how long before the next slot each tick ended.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from hl_assets.cli import local_exchange
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, slot_of, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded import process as embedded
from hl_assets_tests.conftest import REPOSITORY

WEIGHT_PER_MINUTE = 1_200
SLOT_WEIGHT = WEIGHT_PER_MINUTE * 10
_START = timedelta(seconds=2)
"""How long after a slot's beginning the daemon has evaluated its schedules."""
_SLOTS_SQL = """
SELECT as_of, count() AS wanted, countIf(status != 'failed') AS answered, sum(weight) AS weight,
    arraySort(groupUniqArray(assumeNotNull(error_kind))) AS failures
FROM portfolio_fetches GROUP BY as_of ORDER BY as_of
"""


@dataclass
class SlotUse:
    """What one slot did. Seconds count from the slot's beginning."""

    slot: str
    began: float
    ended: float | None = None
    status: int | None = None
    wanted: int = 0
    answered: int = 0
    weight: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: bool = False


@dataclass(frozen=True)
class BudgetUse:
    """The measurement.

    Attributes:
        plan: `FETCH_PLAN`.
        slots: One entry per slot, skipped ones included.
        refused: Answers with status 429.
        highest: Most weight in any 60 s, as the exchange counted it.
    """

    plan: str
    slots: list[SlotUse]
    refused: int
    highest: int

    @property
    def share(self) -> float:
        """Weight used of what all the slots allow."""
        return sum(slot.weight for slot in self.slots) / (SLOT_WEIGHT * len(self.slots))

    def lines(self) -> Iterator[str]:
        """The measurement for people."""
        for slot in self.slots:
            if slot.skipped:
                yield f"{slot.slot}  skipped: the tick before was still running"
                continue
            ended = (
                "did not end" if slot.ended is None else f"ended {slot.ended:5.1f} s, status {slot.status}"
            )
            yield (
                f"{slot.slot}  began {slot.began:4.1f} s, {ended}; {slot.answered} of {slot.wanted} answered, weight "
                f"{slot.weight:,} ({slot.weight / SLOT_WEIGHT:.1%}) {' '.join(slot.failures)}"
            )
        yield (
            f"FETCH_PLAN={self.plan}: {self.share:.1%} of the budget of {len(self.slots)} slots used, {self.refused} "
            f"refused, at most {self.highest} in any 60 s"
        )


def measure(
    plan: str, n_slots: int, *, wallets: int, top_n: int, home: Path, changes: dict[str, str]
) -> BudgetUse:
    """Run ticks of consecutive slots in real time; takes ten minutes a slot.

    Args:
        plan: `FETCH_PLAN`.
        n_slots: How many slots.
        wallets: Wallets of the simulated population.
        top_n: `TOP_N_WALLETS`.
        home: `HL_ASSETS_HOME`; must be empty.
        changes: More settings, by environment variable.
    """
    given = Settings.load(home=home, sandbox_wallets=wallets, sandbox_weight_per_minute=WEIGHT_PER_MINUTE)
    process = local_exchange.start_process(given, None)
    with local_exchange.running(process) as exchange:
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "HL_ASSETS_SOURCE": "sandbox",
            "HL_ASSETS_HOME": str(home),
            "HYPERLIQUID_INFO_URL": exchange.url,
            "HYPERLIQUID_STATS_URL": f"{exchange.url}/Mainnet",
            "FETCH_PLAN": plan,
            "TOP_N_WALLETS": str(top_n),
            **changes,
        }
        config = warehouse_config(given)
        assert config.home is not None
        embedded.ensure_running(config.home)
        try:
            slots = _play(n_slots, environment, home)
            with Warehouse(config) as store:
                _fill_in(slots, store)
        finally:
            embedded.stop(config.home)
        stats: dict[str, Any] = httpx.get(f"{exchange.url}/sandbox/stats", trust_env=False).json()
    return BudgetUse(plan, slots, stats["http_429"], stats["weight"]["max_in_any_60s"])


def _play(n_slots: int, environment: dict[str, str], home: Path) -> list[SlotUse]:
    first = slot_of(datetime.now(UTC)) + SLOT
    slots: list[SlotUse] = []
    running: tuple[subprocess.Popen[bytes], SlotUse] | None = None
    with (home / "ticks.log").open("ab") as log:
        for slot in (first + SLOT * number for number in range(n_slots)):
            running = _wait(slot + _START, running)
            use = SlotUse(slot_text(slot), _START.total_seconds(), skipped=running is not None)
            slots.append(use)
            if running is None:
                process = subprocess.Popen(
                    [sys.executable, "-m", "hl_assets.cli", "tick"],
                    cwd=home,
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
                running = process, use
        last = first + SLOT * (n_slots - 1)
        while running is not None and datetime.now(UTC) < last + 2 * SLOT:
            running = _wait(datetime.now(UTC) + _START, running)
        if running is not None:
            running[0].kill()
    return slots


def _wait(
    until: datetime, running: tuple[subprocess.Popen[bytes], SlotUse] | None
) -> tuple[subprocess.Popen[bytes], SlotUse] | None:
    """Wait for an instant, noting when the running tick ends; returns that tick if it has not."""
    while datetime.now(UTC) < until:
        if running is not None and running[0].poll() is not None:
            process, use = running
            began = datetime.fromisoformat(use.slot)
            use.ended, use.status = (datetime.now(UTC) - began).total_seconds(), process.returncode
            running = None
        time.sleep(0.1)
    return running


def _fill_in(slots: list[SlotUse], store: Warehouse) -> None:
    stored = {slot_text(as_of): rest for as_of, *rest in store.read_rows(_SLOTS_SQL)}
    for use in slots:
        if use.slot in stored:
            use.wanted, use.answered, use.weight, use.failures = stored[use.slot]


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="hl_assets_budget_") as made:
        yield Path(made)


def main() -> int:
    """Measure and print; 1 if the budget was overdrawn or too little of it used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=("top", "board"), default="top")
    parser.add_argument("--slots", type=int, default=3)
    parser.add_argument("--wallets", type=int, default=5_000, help="simulated wallets")
    parser.add_argument("--top-n", type=int, default=600)
    parser.add_argument("--home", type=Path, help="empty folder to work in; default: a temporary one")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="more settings")
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    chosen = parser.parse_args()
    with _folder(chosen.home) as home:
        use = measure(
            chosen.plan,
            chosen.slots,
            wallets=chosen.wallets,
            top_n=chosen.top_n,
            home=home,
            changes=dict(text.split("=", 1) for text in chosen.set),
        )
    for line in use.lines():
        print(line)
    if chosen.report is not None:
        chosen.report.write_text(json.dumps({**asdict(use), "share": use.share}, indent=1))
    return 0 if use.refused == 0 and use.share >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
