"""A tick on request: `hl-assets tick`, the process that runs it, and the launcher that starts it for the REST API.

Belongs here: starting, accepting or refusing a tick, and running it in a process of its own. Does not belong here: what a
tick does (`hl_assets.jobs`), HTTP (`hl_assets.api`).

The API must answer while a tick runs, serve without Dagster, and give a run id that exists. So the launcher starts
`hl-assets tick` as a process; that one takes a lock, looks for unfinished ticks in Dagster's instance, and only then writes
a small file that says which run it will be (or which one is in the way), which the launcher waits for. It needs no daemon
and no web server; where they run on the same instance, the run is in the UI and the schedule skips its slot while it is
unfinished. Two requests at the same moment meet at the lock.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from hl_assets.api.ticks import TickNotStartedError, TickRunningError, TickStarted
from hl_assets.cli import local_exchange
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.cli.logs import log_to_stderr
from hl_assets.settings import Settings
from hl_assets.slots import slot_of, slot_text

if TYPE_CHECKING:
    from dagster import DagsterInstance

logger = logging.getLogger(__name__)

_ACCEPT_SECONDS = 120.0
_POLL_SECONDS = 0.05
_STOP_SECONDS = 20.0
_PUBLIC_EXCHANGE = Settings.model_fields["info_url"].default


class ProcessTickLauncher:
    """Starts ticks as processes; one at a time. Safe to share between threads.

    Args:
        settings: The platform's settings.
        options: Options of `hl-assets tick` that give the process the same settings, beside the environment it inherits.
    """

    def __init__(self, settings: Settings, options: Sequence[str]) -> None:
        self._options = list(options)
        self._log = settings.home.resolve() / "logs" / "ticks.log"
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._run_id: str | None = None

    def start(self) -> TickStarted:
        """See `TickLauncher.start`."""
        if not self._lock.acquire(blocking=False):
            raise TickRunningError(None)
        try:
            if self._process is not None and self._process.poll() is None:
                raise TickRunningError(self._run_id)
            return self._start()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop a tick that this launcher started, as Ctrl-C would; what it has not published stays as it was."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self) -> TickStarted:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="hl_assets_tick_") as folder, self._log.open("ab") as log:
            verdict = Path(folder) / "verdict.json"
            command = [
                sys.executable,
                "-m",
                "hl_assets.cli",
                "tick",
                "--verdict",
                str(verdict),
                *self._options,
            ]
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            said = self._wait_for(verdict, self._process)
        if "run_id" in said:
            self._run_id = said["run_id"]
            return TickStarted(run_id=said["run_id"], slot=said["slot"])
        raise TickRunningError(said["running"])

    def _wait_for(self, verdict: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
        deadline = time.monotonic() + _ACCEPT_SECONDS
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            if verdict.exists():
                said: dict[str, Any] = json.loads(verdict.read_text(encoding="utf-8"))
                return said
            if ended:
                logger.error("a tick did not start; its output is in %s", self._log)
                raise TickNotStartedError(
                    "the tick's process ended before it began; the server's logs say why"
                )
            time.sleep(_POLL_SECONDS)
        self.close()
        raise TickNotStartedError(f"the tick was not accepted within {_ACCEPT_SECONDS:.0f} s")


def run_tick(values: dict[str, object], verdict: Path | None) -> int:
    """Run a tick of the current slot, unless one is unfinished; returns the exit status: 0 materialised, 1 failed.

    Args:
        values: Settings that were given, by field name.
        verdict: File to say into, once it is decided, whether this run was accepted.

    Raises:
        CommandError: A tick is unfinished, or a local process did not start.
    """
    settings = Settings.load(**values)
    log_to_stderr(settings, own_level="warning", runs_print=True)
    home = prepare_dagster_home(settings)
    lock = FileLock(_lock_file(settings))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _say(verdict, {"running": None})
        raise CommandError("a tick is already starting or running; wait for it") from None
    with lock, ExitStack() as stack:
        settings = _with_exchange(settings, values, stack)
        return _run(settings, home, verdict)


def _lock_file(settings: Settings) -> Path:
    """A file of the source under HL_ASSETS_HOME, which services share; DAGSTER_HOME may be read-only."""
    folder = settings.home.resolve() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"tick_{settings.source}.lock"


def _with_exchange(settings: Settings, values: dict[str, object], stack: ExitStack) -> Settings:
    """The settings, pointing at a local exchange if the source needs one and they name none yet."""
    if settings.source == "live" or settings.info_url != _PUBLIC_EXCHANGE:
        return settings
    process = local_exchange.start_process(settings, settings.clock)
    stack.callback(local_exchange.stop, process)
    exchange = stack.enter_context(local_exchange.running(process))
    given = {**values, **exchange.settings_values(settings)}
    if settings.source == "recorded":
        given["clock"] = settings.clock or slot_of(exchange.now())
    return Settings.load(**given)


def _run(settings: Settings, home: Path, verdict: Path | None) -> int:
    from dagster import DagsterInstance  # noqa: PLC0415 - takes seconds; other commands do without

    from hl_assets.definitions import build_defs  # noqa: PLC0415
    from hl_assets.jobs import console_log, tick_job  # noqa: PLC0415
    from hl_assets.partitions import SLOT_TAG, partition_key  # noqa: PLC0415

    with DagsterInstance.from_config(str(home)) as instance:
        running = unfinished_tick(instance, lambda: datetime.now(UTC))
        if running is not None:
            _say(verdict, {"running": running})
            raise CommandError(f"tick {running} is not finished; wait for it")
        job = build_defs(settings).resolve_job_def(tick_job.name)
        slot, run_id = slot_of(settings.now()), str(uuid.uuid4())
        _say(verdict, {"run_id": run_id, "slot": slot_text(slot)})
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=partition_key(slot),
            tags={SLOT_TAG: slot_text(slot), "hl_assets/requested_by": "hl-assets tick"},
            run_config=console_log("WARNING"),
            raise_on_error=False,
        )
    return 0 if result.success else 1


def unfinished_tick(instance: "DagsterInstance", now: Callable[[], datetime]) -> str | None:
    """Run id of a tick that is not finished; None if there is none.

    One older than the longest a tick may take is dead, its process killed before it could say so: it stands in nobody's way.
    """
    from dagster import RunsFilter  # noqa: PLC0415

    from hl_assets.jobs import MAX_RUNTIME_SECONDS, tick_job  # noqa: PLC0415
    from hl_assets.schedules import UNFINISHED  # noqa: PLC0415

    records = instance.get_run_records(RunsFilter(job_name=tick_job.name, statuses=UNFINISHED))
    for record in records:
        created = record.create_timestamp
        created = created.replace(tzinfo=UTC) if created.tzinfo is None else created
        if (now() - created).total_seconds() < MAX_RUNTIME_SECONDS:
            return record.dagster_run.run_id
    return None


def _say(verdict: Path | None, said: dict[str, Any]) -> None:
    """Write the verdict, whole or not at all."""
    if verdict is None:
        if "run_id" in said:
            sys.stdout.write(f"run {said['run_id']}, slot {said['slot']}\n")
            sys.stdout.flush()
        return
    draft = verdict.with_suffix(".draft")
    draft.write_text(json.dumps(said), encoding="utf-8")
    draft.replace(verdict)
