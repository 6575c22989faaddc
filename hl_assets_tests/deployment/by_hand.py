"""The platform of `docker-compose.yml`, started by hand without containers.

Belongs here: every service as a process with the command, environment, order and healthcheck of the file. Replaced are
only what a container would give: host names and ports by loopback ones, folders by temporary ones, the ClickHouse image by
the embedded ClickHouse over HTTP (which knows no users, so `hl-assets access` is left out), the PostgreSQL image by a PostgreSQL server of this machine.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import yaml

from hl_assets.warehouse.embedded.process import ensure_running, stop
from hl_assets_tests.conftest import REPOSITORY, bare_environment
from hl_assets_tests.deployment import compose, dockerfile
from hl_assets_tests.deployment.ports import free_port, wait_until
from hl_assets_tests.deployment.postgres import Postgres, running_postgres

REPLACED = ("clickhouse", "postgres")
_STOP_SECONDS = 60
_FOLDERS = {
    "/run/secrets": "secrets",
    "/opt/dagster": "dagster",
    "/var/lib/hl_assets": "state",
    "/tmp": "tmp",
}
"""Folder in a container -> folder of the test."""
_CONTAINER_FOLDER = re.compile("|".join(rf"{folder}(?=/|$)" for folder in _FOLDERS))


class Platform:
    """Running services.

    Attributes:
        folder: Everything they keep.
        ports: Service -> its port on 127.0.0.1.
        postgres: The PostgreSQL server.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str], postgres: Postgres, clickhouse_url: str
    ) -> None:
        self.folder = folder
        self.services = compose.services(variables, frozenset({"sandbox"}))
        self.postgres = postgres
        self.clickhouse_url = clickhouse_url
        self.ports = {name: free_port() for name in self.services}
        self.ports |= {"postgres": postgres.port, "clickhouse": int(clickhouse_url.rpartition(":")[2])}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []
        self._make_folders()

    def url(self, service: str) -> str:
        """Address of a service that speaks HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask Dagster's web server."""
        answer = httpx.post(
            f"{self.url('webserver')}/graphql",
            json={"query": query, "variables": variables},
            trust_env=False,
            timeout=60,
        ).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def start(self) -> None:
        """Start everything as `docker compose up` does: in order, each when those it waits for are as far as demanded."""
        for service in self.services.values():
            if service.name in REPLACED:
                continue
            for name, condition in service.waits_for.items():
                self._wait_for(name, condition)
            self._start(service)

    def pid(self, service: str) -> int:
        return self._processes[service].pid

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")

    def logs(self) -> dict[str, str]:
        return {name: self.log(name) for name in self._processes}

    def healthy(self, service: str) -> bool:
        """Whether the file's own healthcheck of a service says so."""
        if service in REPLACED:
            return True  # asked for before anything is started
        self._assert_running(service)
        definition = self.services[service]
        done = subprocess.run(
            self._local(definition.healthcheck, service), env=self._environment(definition), cwd=self.folder / "state",
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode == 0

    def run(self, service: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as `docker compose exec` and `run` do: with a service's environment and in its folder."""
        return subprocess.run(
            command, env=self._environment(self.services[service]), cwd=self.folder / "state",
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def kill(self, service: str) -> None:
        """Kill a service as the kernel does with a container: every process of it at once, without a word."""
        process = self._processes[service]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self, service: str) -> None:
        """Start a service that was killed, as its restart policy does."""
        self._start(self.services[service])

    def stop(self) -> None:
        """Stop everything in reverse order, as compose does."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(
                    process.pid, signal.SIGKILL
                )  # what is left of its group, like a removed container's
            process.wait()
        for log in self._logs:
            log.close()

    # From the file to this machine

    def _make_folders(self) -> None:
        home = self.folder / "dagster"
        (home / "storage").mkdir(parents=True)
        for name in ("state", "tmp"):
            (self.folder / name).mkdir()
        for name in dockerfile.copied_into(dockerfile.environment()["DAGSTER_HOME"]):
            shutil.copy(REPOSITORY / name, home)
        workspace = home / "workspace.yaml"
        document = yaml.safe_load(workspace.read_text(encoding="utf-8"))
        for entry in document["load_from"]:
            server = entry["grpc_server"]
            assert server["port"] == self._port_of(server["host"])
            server["port"] = self.ports[server["host"]]
            server["host"] = "127.0.0.1"
        workspace.write_text(yaml.safe_dump(document), encoding="utf-8")

    def _port_of(self, service: str) -> int:
        """The port that a service's command names."""
        command = self.services[service].command
        return int(command[command.index("--port") + 1])

    def _local(self, command: list[str], service: str) -> list[str]:
        local = [self._text(part).replace(" && hl-assets access", "") for part in command]
        for index, part in enumerate(command):
            if part == "--port":
                local[index + 1] = str(self.ports[service])
        own = self._port_of(service) if "--port" in self.services[service].command else 0
        return [
            part.replace("0.0.0.0", "127.0.0.1").replace(
                f"127.0.0.1:{own}/", f"127.0.0.1:{self.ports[service]}/"
            )
            for part in local
        ]

    def _text(self, text: str) -> str:
        """A value of the file with this machine's addresses and folders."""
        for name, port in self.ports.items():
            text = re.sub(rf"\b{name}:\d+", f"127.0.0.1:{port}", text)
        return _CONTAINER_FOLDER.sub(lambda match: str(self.folder / _FOLDERS[match[0]]), text)

    def _environment(self, service: compose.Service) -> dict[str, str]:
        variables = {**dockerfile.environment(), **service.environment}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        inherited = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        }
        local = {name: self._text(value) for name, value in variables.items()}
        return {**bare_environment(), **inherited, **local, "PATH": path}

    def _start(self, service: compose.Service) -> None:
        log = (self.folder / f"{service.name}.log").open("ab")
        self._logs.append(log)
        self._processes[service.name] = subprocess.Popen(
            self._local(service.command, service.name), env=self._environment(service), cwd=self.folder / "state",
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def _wait_for(self, name: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self._processes[name].wait(120) == 0, self.log(name)
        else:
            assert condition == "service_healthy"
            wait_until(f"{name} is healthy", lambda: self.healthy(name), 120)

    def _assert_running(self, service: str) -> None:
        assert self._processes[service].poll() is None, f"{service} ended:\n{self.log(service)}"


@contextmanager
def running_platform(folder: Path, variables: Mapping[str, str]) -> Iterator[Platform]:
    """Start the platform with secrets of `deploy/make-secrets.sh`, and stop it at the end of the block."""
    secrets = folder / "secrets"
    subprocess.run(
        [REPOSITORY / "deploy" / "make-secrets.sh", secrets], check=True, capture_output=True, timeout=60
    )
    definition = compose.services(variables)["postgres"]
    with ExitStack() as stack:
        password = (secrets / "postgres_password").read_text().strip()
        postgres = stack.enter_context(running_postgres(definition.environment["POSTGRES_USER"], password))
        postgres.create_database(definition.environment["POSTGRES_DB"])
        clickhouse = folder / "clickhouse"
        url = ensure_running(clickhouse, idle_stop_seconds=0)
        stack.callback(stop, clickhouse)
        platform = Platform(folder, variables, postgres, url)
        stack.callback(platform.stop)
        platform.start()
        yield platform
