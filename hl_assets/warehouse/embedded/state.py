"""What a data folder of the embedded server holds besides data: who owns it, and where it listens.

Belongs here: the paths inside the folder, the state file, the log's tail. Does not belong here: starting or stopping
(`process`), serving (`server`).

```
<home>/data/           chDB's files
<home>/server.lock     held (flock) by the serving process as long as it lives; freed by the kernel when it dies
<home>/start.lock      held by whoever is starting a server
<home>/server.json     the serving process: pid, port, instance; stale unless server.lock is held
<home>/server.log      log (rotated), <home>/server.out  what the process printed since its start
```
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

HOST = "127.0.0.1"


@dataclass(frozen=True)
class ServerState:
    """A serving process.

    Attributes:
        pid: Its process id.
        port: Its port on 127.0.0.1, None while it is starting.
        instance: Its random name, told by `/hl-assets/instance`.
        started_at: Start, ISO 8601, UTC.
        version: Version of the engine, empty while it is starting.
    """

    pid: int
    port: int | None
    instance: str
    started_at: str
    version: str = ""

    @property
    def url(self) -> str | None:
        """Address for ClickHouse clients, None while it is starting."""
        return None if self.port is None else f"http://{HOST}:{self.port}"


@dataclass(frozen=True)
class Home:
    """Paths of one data folder."""

    folder: Path

    @property
    def data(self) -> Path:
        """ChDB's own folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Rotated log of the server."""
        return self.folder / "server.log"

    @property
    def output(self) -> Path:
        """What the server process printed (crashes of the engine end up here)."""
        return self.folder / "server.out"

    @property
    def _state(self) -> Path:
        return self.folder / "server.json"

    def create(self) -> None:
        """Create the folder, readable by its owner only."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def owner_lock(self) -> FileLock:
        """The lock a server holds while it lives."""
        return FileLock(self.folder / "server.lock")

    def start_lock(self) -> FileLock:
        """The lock that makes simultaneous starters wait for each other."""
        return FileLock(self.folder / "start.lock")

    def is_owned(self) -> bool:
        """Whether a living process holds the owner lock."""
        if not self.folder.is_dir():
            return False
        lock = self.owner_lock()
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def write_state(self, state: ServerState) -> None:
        """Replace the state file in one step."""
        draft = self._state.with_suffix(f".{state.pid}.tmp")
        draft.write_text(json.dumps(asdict(state)))
        draft.replace(self._state)

    def read_state(self) -> ServerState | None:
        """The state file's content, None if there is none or it is unreadable."""
        try:
            return ServerState(**json.loads(self._state.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return None

    def tail(self, lines: int = 20) -> str:
        """Last lines of what the server printed and logged, for error messages."""
        parts = []
        for path in (self.output, self.log):
            if path.is_file() and path.stat().st_size:
                with path.open("rb") as stream:
                    stream.seek(max(os.fstat(stream.fileno()).st_size - 16_384, 0))
                    text = stream.read().decode(errors="replace")
                parts.append(f"{path.name}:\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(parts) or "(the server left no log)"
