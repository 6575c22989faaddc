"""The processes of a soak as the driver holds them: workers, exchange, ClickHouse; starting, asking, killing.

Belongs here: handles of processes. Does not belong here: what they are told (`driver`).
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from hl_assets.warehouse.embedded import process as embedded
from hl_assets_tests.conftest import bare_environment

Answer = dict[str, Any]
_PATIENCE_SECONDS = 600.0


class KilledError(Exception):
    """The worker ended before it answered."""


class WorkerProcess:
    """A worker that takes orders; started when first needed, and again after it was killed.

    Args:
        folder: Where its settings and output are.
        name: Tells several apart.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.name = folder, name
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._settings: dict[str, Any] = {}

    def configure(self, settings: dict[str, Any], code_version: str) -> None:
        """Use these settings from the next start on; a running worker is ended."""
        self.close()
        self._settings = {"settings": settings, "code_version": code_version}

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ask(self, do: str, **order: Any) -> Answer:
        """Give an order and wait for its answer.

        Raises:
            KilledError: The worker ended before it answered.
        """
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: there is no answer to come, and `_answer` says so
        return self._answer()

    def start(self) -> None:
        """Start it unless it runs; returns when it takes orders."""
        if self.pid is not None:
            return
        chosen = self._folder / f"{self.name}.json"
        chosen.write_text(json.dumps(self._settings), encoding="utf-8")
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "hl_assets_tests.soak.worker", str(chosen)],
                cwd=self._folder,
                env=bare_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._answers = queue.Queue()
        threading.Thread(target=_pump, args=(self._process, self._answers), daemon=True).start()
        self._answer()

    def kill(self) -> bool:
        """Kill -9; returns whether it was alive."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        process.wait()
        return True

    def close(self) -> None:
        """End it as a person would."""
        process = self._process
        if process is None:
            return
        if process.poll() is None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._process = None

    def _answer(self) -> Answer:
        try:
            line = self._answers.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGUSR1)  # it writes where it hangs into its log
            raise TimeoutError(f"worker {self.name} has not answered for {_PATIENCE_SECONDS:.0f} s") from None
        if line is None:
            assert self._process is not None
            status = self._process.wait(60)
            if status != -signal.SIGKILL:
                raise RuntimeError(f"worker {self.name} ended by itself ({status}); its log says why")
            raise KilledError(self.name)
        answer: Answer = json.loads(line)
        return answer


def _pump(process: "subprocess.Popen[str]", answers: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            answers.put(line)
    answers.put(None)


class ExchangeProcess:
    """The recording exchange, always on the same port.

    Args:
        folder: Where it logs.
        wallets: Size of its population.
        seed: Seed of its population.
    """

    def __init__(self, folder: Path, wallets: int, seed: int) -> None:
        self._folder, self._wallets, self._seed = folder, wallets, seed
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._http = httpx.Client(trust_env=False, timeout=30)
        self._clock = ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, clock: str) -> None:
        """Start it with its clock at an instant."""
        self._clock = clock
        command = [sys.executable, "-m", "hl_assets_tests.soak.exchange", "--folder", str(self._folder)]
        command += ["--clock", clock, "--port", str(self._port)]
        command += ["--wallets", str(self._wallets), "--seed", str(self._seed)]
        with (self._folder / "exchange.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=bare_environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        url = self._process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the exchange did not start; see {self._folder / 'exchange.log'}")
        self._port = int(url.rsplit(":", 1)[1])
        self._control("GET", "/clock")

    def set_clock(self, at: str) -> None:
        """Stand still at an instant."""
        self._clock = at
        self._control("PUT", "/clock", {"mode": "frozen", "at": at})

    def set_faults(self, rules: list[dict[str, Any]]) -> None:
        """Switch these faults on and all others off."""
        self._control("PUT", "/faults", {"faults": rules})

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start again where the clock stood, without faults."""
        self.start(self._clock)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self.kill()
        self._http.close()

    def _control(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._http.request(method, f"{self.url}/sandbox{path}", json=body).raise_for_status()
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


class Server:
    """The embedded ClickHouse of a folder, seen from outside.

    Args:
        home: Its data folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def pid(self) -> int | None:
        """Process id of whoever serves the folder."""
        state = embedded.status(self._home)
        return None if state is None else state.pid

    def url(self) -> str:
        """Its address; started if it does not run."""
        return embedded.ensure_running(self._home)

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; returns whether it was there."""
        pid = self.pid
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def stop(self) -> None:
        """Stop it cleanly."""
        embedded.stop(self._home, timeout_seconds=120)
