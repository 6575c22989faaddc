"""`hl-assets dev`: everything a person wants to try, in one terminal, until Ctrl-C.

Belongs here: starting and stopping the processes together. Does not belong here: what they do.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from hl_assets.cli import local_exchange
from hl_assets.cli.console import make_console
from hl_assets.cli.dagster_home import prepare_dagster_home
from hl_assets.cli.errors import CommandError
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.settings import Settings, environment_of
from hl_assets.slots import slot_of, slot_text
from hl_assets.warehouse.embedded import process as embedded

_STOP_SECONDS = 30


def run_dev(values: dict[str, object], port: int) -> int:
    """Start everything, wait for Ctrl-C or for Dagster to end, stop everything; returns Dagster's exit status."""
    console = make_console()
    settings = Settings.load(**values)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a service manager's stop is as clean as Ctrl-C
    _refuse_taken_port(port, "--port")
    _refuse_taken_port(settings.api_port, "--api-port")
    with ExitStack() as stack:
        overrides: dict[str, Any] = {**values, "home": settings.home.resolve(), "schedules_on": True}
        if settings.source != "live":
            overrides |= _start_exchange(settings, stack, console)
        if settings.clickhouse_url is None:
            overrides |= {"embedded_idle_seconds": 0}  # the schedule wakes it every 10 minutes anyway
            _start_warehouse(Settings.load(**overrides), stack, console)
        settings = Settings.load(**overrides)
        home = prepare_dagster_home(settings)
        _start_api(environment_of(overrides), settings, stack, console)
        dagster = _start_dagster(home, environment_of(overrides), port)
        console.print(
            f"Dagster UI      http://127.0.0.1:{port} (instance in {home})", highlight=False, soft_wrap=True
        )
        console.print(_schedule_line(settings), highlight=False, soft_wrap=True)
        console.print("Ctrl-C stops everything.", highlight=False)
        try:
            return dagster.wait()
        except KeyboardInterrupt:
            console.print("\nstopping ...")
            return 0
        finally:
            _stop_dagster(dagster)


def _refuse_taken_port(port: int, option: str) -> None:
    """Dagster would start its daemon all the same and leave a person looking at somebody else's UI."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"port {port} on 127.0.0.1 is taken ({error.strerror}); stop what uses it, or choose another with {option}"
            ) from error


def _start_exchange(settings: Settings, stack: ExitStack, console: Console) -> dict[str, Any]:
    """Start the local exchange; returns the settings that point at it."""
    process = local_exchange.start_process(settings, None, port=settings.sandbox_port)
    stack.callback(local_exchange.stop, process)
    exchange = stack.enter_context(local_exchange.running(process))
    console.print(f"Local exchange  {exchange.url} ({settings.source})", highlight=False, soft_wrap=True)
    values = exchange.settings_values(settings)
    if settings.source == "recorded":  # a recording does not go on: its newest sample stays the present
        values |= {"clock": slot_of(exchange.now()), "schedules_on": False}
    return values


def _start_warehouse(settings: Settings, stack: ExitStack, console: Console) -> None:
    folder = warehouse_config(settings).home
    if folder is None:
        raise CommandError("the embedded ClickHouse has no folder")
    url = embedded.ensure_running(folder, idle_stop_seconds=0)
    stack.callback(embedded.stop, folder)
    console.print(f"ClickHouse      {url} (embedded, data in {folder})", highlight=False, soft_wrap=True)


def _start_dagster(home: Path, environment: Mapping[str, str], port: int) -> "subprocess.Popen[bytes]":
    """Dagster's web server, daemon and code location; in a group of its own, so that Ctrl-C reaches them in order."""
    command = [sys.executable, "-m", "dagster", "dev", "-m", "hl_assets.definitions", "-a", "defs"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--log-level", "warning"]
    return subprocess.Popen(  # noqa: S603 - our own arguments
        command,
        cwd=home,
        env={**os.environ, **environment, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"},
        start_new_session=True,
    )


def _start_api(
    environment: Mapping[str, str], settings: Settings, stack: ExitStack, console: Console
) -> None:
    """The REST API, with its log in a file; it stops before everything it reads from."""
    log = settings.home / "logs" / "api.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        api = subprocess.Popen(  # noqa: S603 - our own arguments
            [sys.executable, "-m", "hl_assets.cli", "serve", "--source", settings.source],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    stack.callback(_stop_api, api)
    url = f"http://127.0.0.1:{settings.api_port}"
    console.print(
        f"REST API        {url} (endpoints: {url}/docs; log: {log})", highlight=False, soft_wrap=True
    )


def _stop_api(api: "subprocess.Popen[bytes]") -> None:
    api.terminate()
    try:
        api.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        api.kill()
        api.wait()


def _stop_dagster(dagster: "subprocess.Popen[bytes]") -> None:
    """Stop Dagster as Ctrl-C would; its run workers end with their runs or with it."""
    if dagster.poll() is not None:
        return
    os.killpg(dagster.pid, signal.SIGINT)
    deadline = time.monotonic() + _STOP_SECONDS
    while dagster.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    if dagster.poll() is None:
        os.killpg(dagster.pid, signal.SIGKILL)
        dagster.wait()


def _schedule_line(settings: Settings) -> str:
    if not settings.schedules_on:
        at = slot_text(settings.now())
        return f"Schedules       off: the recording stands at {at}; materialise that day in the UI"
    return (
        "Schedules       every_slot at :00, :10, ... UTC, watch_freshness at :05, :15, ... and settle_coverage at :07, :17, ... "
        "are on"
    )
