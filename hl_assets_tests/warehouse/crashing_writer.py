"""A writer that dies with SIGKILL at a chosen step; `test_crashes` runs it in a process of its own."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher, Slice, Withdrawal
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, T0, marks, slot

STEPS = ("_insert_rows", "_verify", "_commit", "_clean_up")
NEW_VALUES = [7.0, 8.0]


def die() -> None:
    """As `kill -9` does: nothing is cleaned up, no handler runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(step: str) -> type[Publisher]:
    """A publisher that dies when the step has been done; `begin` dies before the first."""

    def after(inner: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> None:
            inner(*arguments)
            die()

        return run

    if step == "begin":
        return type("Dying", (Publisher,), {"_insert_rows": lambda *_: die()})
    return type("Dying", (Publisher,), {step: after(getattr(Publisher, step))})


def publish_and_die(home: Path, database: str, step: str) -> None:
    """Publish two tables and withdraw a slot, dying on the way."""
    warehouse = Warehouse(WarehouseConfig(home=home, database=database))
    slices = [Slice(MARKS, T0, marks(T0, NEW_VALUES)), Slice(MARKS_BY_WALLET, T0, marks(T0, NEW_VALUES))]
    publisher = dying_after(step)(warehouse, retain_seconds=0)
    publisher.publish(slices, PROVENANCE, withdraw=[Withdrawal(MARKS, slot(1))])
