"""`python -m hl_assets_tests.soak --slots 1000 --seed 7`: play a soak, audit what it stored, and say what was measured."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hl_assets_tests.conftest import bare_environment
from hl_assets_tests.soak.driver import Soak
from hl_assets_tests.soak.journal import JOURNAL
from hl_assets_tests.soak.plan import SlotPlan, calm_plan, make_plan
from hl_assets_tests.soak.summary import Summary


def main() -> int:
    """Play and audit; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m hl_assets_tests.soak", description=__doc__)
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--wallets", type=int, default=60, help="simulated wallets")
    parser.add_argument("--folder", type=Path, help="empty folder to work in, kept; default: a temporary one")
    parser.add_argument("--calm", action="store_true", help="nothing goes wrong")
    chosen = parser.parse_args()
    plan = calm_plan(chosen.slots) if chosen.calm else make_plan(chosen.slots, chosen.seed)
    if chosen.folder is None:
        with TemporaryDirectory(prefix="hl_assets_soak_") as folder:
            return run(plan, Path(folder), wallets=chosen.wallets, seed=chosen.seed, on_slot=tell)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return run(plan, chosen.folder.resolve(), wallets=chosen.wallets, seed=chosen.seed, on_slot=tell)


def tell(slot: SlotPlan, status: str) -> None:
    """One line about a slot that was played."""
    faults = " ".join(f"{rule['endpoint']}:{rule['kind']}" for rule in slot.faults)
    told = f"{slot.number:4d} {slot.slot:%m-%d %H:%M} {status:8} {slot.disruption or '-'} {faults}"
    print(f"{time.strftime('%H:%M:%S')} {told}", flush=True)


def run(
    plan: list[SlotPlan],
    folder: Path,
    *,
    wallets: int,
    seed: int,
    on_slot: Callable[[SlotPlan, str], None] = lambda _slot, _status: None,
) -> int:
    """Play a plan in a folder, audit it in a process of its own, and print what came of it; 1 if anything is wrong."""
    soak = Soak(plan, folder, wallets=wallets, seed=seed)
    try:
        soak.play(on_slot)
        audit = subprocess.run(
            [sys.executable, "-m", "hl_assets_tests.soak.audit", soak.server.url(), str(folder)],
            cwd=folder,
            env=bare_environment(),
            check=False,
        )
    finally:
        soak.server.stop()
    summary = Summary(folder / JOURNAL)
    for line in summary.lines():
        print(line)
    return int(audit.returncode != 0 or not all(bound.kept for bound in summary.bounds()))


if __name__ == "__main__":
    sys.exit(main())
