"""Playing a soak: slot after slot through the real job, with what the plan says goes wrong, and a journal of it.

Belongs here: making a plan happen. Does not belong here: which plan (`plan`), the processes (`processes`), judging what is stored
afterwards (`audit`).

The platform's present is a clock frozen at an instant that no other attempt has, so every stored `observed_at` names the attempt
it comes from. The exchange's clock is set to the same instant, except for the second of two racing runs, which shares the
exchange with the first.
"""

import logging
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from hl_assets.slots import slot_text
from hl_assets_tests.soak.journal import Journal
from hl_assets_tests.soak.plan import SLOT, Rule, SlotPlan
from hl_assets_tests.soak.processes import Answer, ExchangeProcess, KilledError, Server, WorkerProcess
from hl_assets_tests.soak.samples import Sampler

logger = logging.getLogger(__name__)

WHOLE_SLOT = (
    "leaderboard_snapshots",
    "portfolio_fetches",
    "portfolio_points",
    "tracked_wallets",
    "wallet_metrics",
    "ai_grades",
    "wallet_scores",
    "score_runs",
)
"""Tables in which a slot stands whose tick succeeded."""
DATABASE = "soak"
_DEAD_AFTER = timedelta(minutes=15)
"""How long Dagster lets a run go on whose process is gone."""
_UNKNOWN_WALLET = "0x" + "ab" * 20
_BASE: dict[str, Any] = {
    "top_n": 20,
    "weight_per_minute": 120_000,
    "max_attempts": 3,
    "backoff_seconds": 0.01,
    "info_timeout_seconds": 1.5,
    "leaderboard_timeout_seconds": 1.5,
    "clickhouse_database": DATABASE,
    "embedded_idle_seconds": 0,
}
_GENERATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"fetch_plan": "board", "top_n": 10, "max_data_age_hours": 24.0, "fetch_max_age_hours": 6.0},
    {"score_weights": "max_drawdown=2,roi=0.5"},
    {"fetch_plan": "board", "top_n": 5, "max_data_age_hours": 6.0},
    {"top_n": 30, "top_measure": "volume", "track_days": 1.0},
)
"""Settings that a new version of the code comes with, in turn."""


class Soak:
    """One soak.

    Args:
        plan: What happens.
        folder: Where everything is kept; must be empty.
        wallets: Simulated wallets.
        seed: Seed of the population.
    """

    def __init__(self, plan: Sequence[SlotPlan], folder: Path, *, wallets: int, seed: int) -> None:
        self._plan = plan
        self._folder = folder
        self._seed = seed
        self._home = folder / "home"
        self._journal = Journal(folder)
        self._exchange = ExchangeProcess(folder, wallets, seed)
        self._worker = WorkerProcess(folder, "worker")
        self._second = WorkerProcess(folder, "second")
        self.server = Server(self._home / "clickhouse")
        self._lock = threading.Lock()
        self._last: datetime | None = None
        self._ids = 0
        self._durations: list[float] = [8.0]
        self._generation = 0
        self._graves: dict[str, list[int]] = {}
        self._noticed_at: datetime | None = None
        self._sampler = Sampler(self.server, DATABASE, self._home / "dagster" / "sandbox")

    def play(self, on_slot: Callable[[SlotPlan, str], None] = lambda _plan, _status: None) -> None:
        """Play every slot, then derive whatever is stale."""
        self._journal.write(
            "start", slots=len(self._plan), seed=self._seed, database=DATABASE, tables=list(WHOLE_SLOT)
        )
        try:
            self._begin()
            for slot in self._plan:
                on_slot(slot, self._play_slot(slot))
            self._settle()
            self._journal.write("end")
        finally:
            self._worker.close()
            self._second.close()
            self._exchange.close()
            self._journal.close()

    # One slot

    def _begin(self) -> None:
        self._exchange.start(self._plan[0].slot.isoformat())
        self._configure()
        self._worker.ask("tables")

    def _configure(self) -> None:
        number = self._generation
        values = {
            **_BASE,
            **_GENERATIONS[number % len(_GENERATIONS)],
            "home": str(self._home),
            "info_url": self._exchange.url,
            "stats_url": f"{self._exchange.url}/Mainnet",
        }
        self._worker.configure(values, f"soak.{number}")
        self._second.configure(values, f"soak.{number}")
        self._journal.write("generation", number=number, settings=_GENERATIONS[number % len(_GENERATIONS)])

    def _play_slot(self, plan: SlotPlan) -> str:
        if plan.down:
            self._journal.write("down", slot=slot_text(plan.slot))
            return "down"
        if plan.disruption == "generation":
            self._generation += 1
            self._configure()
        self._bury_due(plan.moment)
        if plan.disruption == "watch":
            self._watch(plan)
        status = self._tick_with_trouble(plan)
        self._exchange.set_faults([])
        self._aftermath(plan, status)
        later = plan.moment + timedelta(seconds=100)
        if plan.freshness:
            now = self._moment(later).isoformat()
            self._journal.write("freshness", **self._told(self._worker, do="freshness", now=now))
        if plan.number % 5 == 0 or plan.number == len(self._plan) - 1:
            self._sample(plan)
        return status

    def _tick_with_trouble(self, plan: SlotPlan) -> str:
        """The tick that the schedule asks for, with the plan's faults and kills while it runs."""
        now = self._moment(plan.moment)
        self._exchange.set_clock(now.isoformat())
        self._exchange.set_faults(list(plan.faults))
        if plan.disruption in {"race", "race_kill"}:
            return self._race(plan, now)
        with self._trouble(plan):
            return self._attempt(self._worker, plan.slot, now, "schedule", plan.faults)

    def _aftermath(self, plan: SlotPlan, status: str) -> None:
        """What happens in the slot after its tick."""
        kind = plan.disruption
        later = plan.moment + timedelta(seconds=90)
        if kind in {"worker_kill", "both_kill"} and status == "killed":
            self._noticed_at = plan.slot + _DEAD_AFTER
        elif status == "killed":
            self._bury(self._worker)
            self._by_hand(plan.slot, later, "after_kill")
        if kind == "repeat":
            self._attempt(self._worker, plan.slot, self._moment(plan.moment), "schedule")
            self._by_hand(plan.slot, later, "repeat")
        if kind in {"rerun", "exchange_gone"}:
            self._by_hand(plan.slot, later, "rerun")
        if kind in {"repair", "repair_kill"}:
            self._repair(plan, later)
        if kind in {"backfill", "refresh", "refresh_kill"}:
            self._derive(plan, later)

    # What goes wrong

    @contextmanager
    def _trouble(self, plan: SlotPlan) -> Iterator[None]:
        """Do what the plan says to processes, somewhere in the middle of the block."""
        actions: dict[str, Callable[[], None]] = {
            "worker_kill": lambda: self._kill_worker(self._worker),
            "worker_kill_seen": lambda: self._kill_worker(self._worker),
            "both_kill": self._kill_both,
            "server_kill": self._kill_server,
            "server_stop": self._stop_server,
            "server_pause": self._pause_server,
            "exchange_kill": self._bounce_exchange,
        }
        if plan.disruption == "exchange_gone":
            self._exchange.kill()
            self._journal.write("kill", what="exchange", how="gone")
            try:
                yield
            finally:
                self._exchange.restart()
            return
        action = actions.get(plan.disruption or "")
        if action is None:
            yield
            return
        with self._sometime(plan.fraction, action):
            yield

    @contextmanager
    def _sometime(self, fraction: float, action: Callable[[], None]) -> Iterator[None]:
        """Act at a fraction of a tick's usual time after the block began, at its end at the latest."""
        timer = threading.Timer(fraction * self._usual_seconds, action)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    @property
    def _usual_seconds(self) -> float:
        return statistics.median(self._durations[-20:])

    def _kill_server(self) -> None:
        self._journal.write("kill", what="server", alive=self.server.signal(signal.SIGKILL))

    def _stop_server(self) -> None:
        self._journal.write("kill", what="server", how="stopped")
        self.server.stop()

    def _kill_both(self) -> None:
        self._kill_server()
        self._kill_worker(self._worker)

    def _pause_server(self) -> None:
        if self.server.signal(signal.SIGSTOP):
            self._journal.write("kill", what="server", how="paused")
            time.sleep(2)
            self.server.signal(signal.SIGCONT)

    def _bounce_exchange(self) -> None:
        self._exchange.kill()
        self._journal.write("kill", what="exchange", how="back at once")
        self._exchange.restart()

    def _race(self, plan: SlotPlan, now: datetime) -> str:
        """Two runs of a slot at once; the second asks a second later, of the same exchange."""
        self._second.start()
        second_now = self._moment(now + timedelta(seconds=1))
        trouble = self._sometime(plan.fraction, lambda: self._kill_worker(self._second))

        def second() -> None:
            with trouble if plan.disruption == "race_kill" else nullcontext():
                status = self._attempt(
                    self._second, plan.slot, second_now, "race", plan.faults, exchange_at=now
                )
            if status == "killed":
                self._bury(self._second)  # what it held would keep the other one waiting

        thread = threading.Thread(target=second)
        thread.start()
        status = self._attempt(self._worker, plan.slot, now, "by_hand", plan.faults)
        thread.join()
        return status

    def _kill_worker(self, worker: WorkerProcess) -> None:
        pid = worker.pid
        alive = worker.kill()
        self._journal.write("kill", what=worker.name, alive=alive)
        if alive and pid is not None:
            self._graves.setdefault(worker.name, []).append(pid)

    # What the worker is told

    def _attempt(
        self,
        worker: WorkerProcess,
        slot: datetime,
        now: datetime,
        how: str,
        faults: Sequence[Rule] = (),
        *,
        exchange_at: datetime | None = None,
        run_id: str | None = None,
    ) -> str:
        """One run of a slot's tick; returns success, failed, skipped or killed."""
        number = self._number()
        self._journal.write(
            "attempt",
            id=number,
            slot=slot_text(slot),
            now=now.isoformat(),
            exchange_at=(exchange_at or now).isoformat(),
            kind=how,
            faults=list(faults),
        )
        order: dict[str, Any] = {"do": "schedule" if how == "schedule" else "run", "slot": slot_text(slot)}
        if run_id is not None:
            order = {"do": "retry", "run_id": run_id}
        answer = self._told(worker, **order, now=now.isoformat())
        if answer["status"] == "success":
            self._durations.append(answer["seconds"])
        self._journal.write("outcome", id=number, **answer)
        return str(answer["status"])

    def _by_hand(self, slot: datetime, moment: datetime, how: str) -> str:
        """A person runs a slot again, with a healthy exchange."""
        now = self._moment(moment)
        self._exchange.set_clock(now.isoformat())
        return self._attempt(self._worker, slot, now, how)

    def _repair(self, plan: SlotPlan, moment: datetime) -> None:
        earlier = self._plan[max(0, plan.number - 1 - int(plan.draw * 5))].slot
        if plan.disruption == "repair":
            self._by_hand(earlier, moment, "repair")
            return
        with self._sometime(plan.fraction, lambda: self._kill_worker(self._worker)):
            status = self._by_hand(earlier, moment, "repair")
        if status == "killed":
            self._bury(self._worker)

    def _derive(self, plan: SlotPlan, moment: datetime) -> None:
        refresh = plan.disruption != "backfill"
        days = sorted({slot.slot.date() for slot in self._plan[: plan.number + 1]})
        day = days[-1] if refresh else days[int(plan.draw * len(days))]
        if plan.disruption != "refresh_kill":
            self._derive_day(day, self._moment(moment), full_refresh=refresh)
            return
        with self._sometime(plan.fraction * 2, lambda: self._kill_worker(self._worker)):
            status = self._derive_day(day, self._moment(moment), full_refresh=True)
        if status == "killed":
            self._bury(self._worker)

    def _derive_day(self, day: date, now: datetime, *, full_refresh: bool) -> str:
        number = self._number()
        self._journal.write("derive", id=number, day=day, full_refresh=full_refresh, now=now.isoformat())
        answer = self._told(
            self._worker, do="derive", day=day.isoformat(), now=now.isoformat(), full_refresh=full_refresh
        )
        self._journal.write("derived", id=number, **answer)
        return str(answer["status"])

    def _watch(self, plan: SlotPlan) -> None:
        now = self._moment(plan.slot).isoformat()
        answer = self._told(self._worker, do="watch", wallets=[_UNKNOWN_WALLET], now=now)
        self._journal.write("watch", **answer)

    def _told(self, worker: WorkerProcess, do: str, **order: Any) -> Answer:
        """The worker's answer, or that it was killed over the order."""
        try:
            return worker.ask(do, **order)
        except KilledError:
            return {"status": "killed"}

    def _bury(self, worker: WorkerProcess) -> Answer:
        """Have the dead runs of a killed worker marked as failed; by its successor."""
        answer = worker.ask("bury", pids=self._graves.pop(worker.name, []))
        self._journal.write("bury", worker=worker.name, **answer)
        return answer

    def _bury_due(self, moment: datetime) -> None:
        """Mark dead runs as failed once Dagster would, and retry them from failure, as it does."""
        if self._noticed_at is None or moment < self._noticed_at:
            return
        noticed, self._noticed_at = self._noticed_at, None
        for dead in self._bury(self._worker)["dead"]:
            now = self._moment(noticed)
            self._exchange.set_clock(now.isoformat())
            if dead["slot"] is not None:
                slot = datetime.fromisoformat(dead["slot"])
                self._attempt(self._worker, slot, now, "retry", run_id=dead["run_id"])

    # The end, and what is measured

    def _settle(self) -> None:
        """Heal what is stale, with nothing going wrong."""
        last = self._plan[-1].slot
        if self._noticed_at is not None:
            self._bury_due(self._noticed_at)
        for day in sorted({slot.slot.date() for slot in self._plan}):
            self._derive_day(day, self._moment(last + SLOT - timedelta(seconds=30)), full_refresh=False)

    def _sample(self, plan: SlotPlan) -> None:
        pids = {"worker": self._worker.pid, "exchange": self._exchange.pid, "server": self.server.pid}
        self._journal.write("sample", number=plan.number, **self._sampler.take(pids))

    def _number(self) -> int:
        with self._lock:
            self._ids += 1
            return self._ids

    def _moment(self, wanted: datetime) -> datetime:
        """The wanted instant, or the first second after every one given before."""
        self._last = wanted if self._last is None else max(wanted, self._last + timedelta(seconds=1))
        return self._last
