"""What is measured while a soak is played: memory, parts, bytes, and how long a small insert takes.

Belongs here: taking one sample. Does not belong here: what the figures must be (`report`).
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from hl_assets_tests.soak.processes import Server

_PARTS_SQL = """
SELECT table, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
FROM system.parts WHERE active AND database = '{database}' GROUP BY table FORMAT JSONCompact
"""
_INACTIVE_SQL = (
    "SELECT count() FROM system.parts WHERE NOT active AND database = '{database}' FORMAT TabSeparated"
)
_MUTATIONS_SQL = (
    "SELECT count() FROM system.mutations WHERE NOT is_done AND database = '{database}' FORMAT TabSeparated"
)
_PROBE_TABLE = "CREATE TABLE IF NOT EXISTS {database}_probe.probe (at DateTime64(3), n UInt32) ENGINE = MergeTree ORDER BY at"
_PROBE_INSERT = "INSERT INTO {database}_probe.probe SELECT now64(3), number FROM numbers(100)"


class Sampler:
    """Takes samples.

    Args:
        server: ClickHouse.
        database: The platform's database.
        dagster_home: Dagster's instance folder.
    """

    def __init__(self, server: Server, database: str, dagster_home: Path) -> None:
        self._server, self._database, self._dagster_home = server, database, dagster_home

    def take(self, pids: Mapping[str, int | None]) -> dict[str, Any]:
        """One sample.

        Args:
            pids: Processes whose memory is wanted, by name.
        """
        url = self._server.url()
        with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
            parts = client.post("/", content=_PARTS_SQL.format(database=self._database)).json()["data"]
            inactive = int(client.post("/", content=_INACTIVE_SQL.format(database=self._database)).text)
            mutations = int(client.post("/", content=_MUTATIONS_SQL.format(database=self._database)).text)
            probe = self._probe(client)
        pids = {**pids, "server": self._server.pid}
        return {
            "rss_mb": {name: _rss_mb(pid) for name, pid in pids.items() if pid is not None},
            "pids": pids,
            "parts": {table: int(count) for table, count, _, _ in parts},
            "rows": {table: int(rows) for table, _, rows, _ in parts},
            "bytes": {table: int(size) for table, _, _, size in parts},
            "inactive_parts": inactive,
            "mutations": mutations,
            "insert_seconds": probe,
            "dagster_bytes": _bytes_under(self._dagster_home),
        }

    def _probe(self, client: httpx.Client) -> float:
        for statement in (f"CREATE DATABASE IF NOT EXISTS {self._database}_probe", _PROBE_TABLE):
            client.post("/", content=statement.format(database=self._database)).raise_for_status()
        began = time.perf_counter()
        client.post("/", content=_PROBE_INSERT.format(database=self._database)).raise_for_status()
        return time.perf_counter() - began


def _rss_mb(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) / 1024 if lines else None


def _bytes_under(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
