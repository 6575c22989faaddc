"""The soak's journal: what was done and what came of it, one JSON object a line, in the order it happened.

Belongs here: writing it. It is read by `audit`, which shares no code with what it audits.

| event | fields |
|---|---|
| `start` | slots, seed, database, tables that a whole slot has |
| `attempt` | id, slot, now (what the platform takes for the present: unique), exchange_at (what the exchange shows), kind |
| `outcome` | id, status (success, failed, skipped, killed), run_id, why, seconds |
| `derive`, `derived` | id, day, full_refresh; id, status, why |
| `kill` | what (worker, server, exchange), how, during |
| `sample` | memory, parts, bytes, latencies |
| `end` | |
"""

import json
import threading
import time
from pathlib import Path
from typing import Any

JOURNAL = "journal.jsonl"


class Journal:
    """Appends events; each line is on its way to the disk when `write` returns. Safe to share between threads.

    Args:
        folder: Where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / JOURNAL).open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, event: str, **fields: Any) -> None:
        """Append one event."""
        line = json.dumps({"event": event, "wall": round(time.time(), 3), **fields}, default=str)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
