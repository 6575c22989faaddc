"""A real PostgreSQL server for tests: a private cluster in a temporary folder, on a loopback port.

Belongs here: finding the binaries, starting and stopping. Does not belong here: what is stored in it.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hl_assets_tests.deployment.ports import free_port

USER = "dagster"
PASSWORD = "s3same/with:odd@characters"
_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")
_RUNNERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        binaries: Folder of its programs.
        user: Its superuser.
        password: The superuser's password.
    """

    port: int
    binaries: Path
    user: str
    password: str = field(repr=False)

    def query(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; returns psql's bare output."""
        command = [
            self.binaries / "psql",
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        done = subprocess.run(
            [*command, "-U", self.user, "-d", database, "-c", sql],
            env={"PGPASSWORD": self.password}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    def dump(self, database: str, file: Path) -> Path:
        """`pg_dump` in the custom format, as docs/deploy.md backs up."""
        with file.open("wb") as output:
            self._program("pg_dump", "--format=custom", database, stdout=output)
        return file

    def restore(self, dump: Path, url: str) -> None:
        """`pg_restore` into the database of a URL."""
        with dump.open("rb") as given:
            self._program("pg_restore", f"--dbname={url}", "--clean", "--if-exists", stdin=given)

    def _program(self, name: str, *arguments: str, **streams: Any) -> None:
        """Run one of PostgreSQL's client programs as the superuser."""
        place = ["--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}"]
        subprocess.run(
            [self.binaries / name, *place, *arguments], env={"PGPASSWORD": self.password}, check=True, timeout=120, **streams
        )  # fmt: skip

    def create_database(self, name: str) -> str:
        """Create a database; returns its URL without the password."""
        self.query(f'CREATE DATABASE "{name}"')
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{name}"


def postgres_binaries() -> Path:
    """Folder with `initdb`, `postgres` and `psql`; skips the test where there is none."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    for place in _PLACES:
        candidates += sorted(Path(place).glob("*/bin"), reverse=True)
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
            return folder
    pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")


@contextmanager
def running_postgres(user: str = USER, password: str = PASSWORD) -> Iterator[Postgres]:
    """Initialise a cluster and run it until the block ends. PostgreSQL refuses root, so root hands it to another user."""
    binaries = postgres_binaries()
    folder = Path(
        tempfile.mkdtemp(prefix="hl_assets_pg_", dir="/tmp")
    )  # pytest's folders are closed to other users
    runner = _unprivileged_user()
    try:
        password_file = folder / "password"
        password_file.write_text(password)
        if runner is not None:
            for path in (folder, password_file):
                os.chown(path, runner.pw_uid, runner.pw_gid)
        as_user: dict[str, Any] = (
            {} if runner is None else {"user": runner.pw_uid, "group": runner.pw_gid, "extra_groups": []}
        )
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", user, "--auth=scram-sha-256", "--encoding=UTF8",
             "--locale=C", f"--pwfile={password_file}", "--no-sync"],
            cwd=folder, check=True, capture_output=True, timeout=120, **as_user,
        )  # fmt: skip
        port = free_port()
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder,
             "-c", "fsync=off", "-c", "log_min_error_statement=error"],
            cwd=folder, stdout=log, stderr=log, **as_user,
        )  # fmt: skip
        try:
            _wait(binaries, port, folder)
            yield Postgres(port, binaries, user, password)
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown; SIGTERM's waits for clients
            server.wait(60)
            log.close()
    finally:
        shutil.rmtree(folder)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Somebody else, if this is root."""
    if os.geteuid() != 0:
        return None
    for name in _RUNNERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _wait(binaries: Path, port: int, folder: Path) -> None:
    ready = subprocess.run(
        ["sh", "-c", f"for i in $(seq 300); do '{binaries}/pg_isready' -q -h 127.0.0.1 -p {port} && exit 0; sleep 0.1; done; exit 1"],
        check=False, timeout=60,
    )  # fmt: skip
    assert ready.returncode == 0, (folder / "log").read_text()
