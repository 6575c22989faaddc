"""What a soak measured, and whether it stayed within bounds: memory, parts, latencies, sizes, seconds per tick.

Belongs here: figures from the journal's samples and outcomes. Does not belong here: what is stored (`audit`).
"""

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_PARTS = 100
"""Active parts of one table. ClickHouse slows inserts down from 1,000 in a partition."""
MOST_GROWTH = 1.5
GROWTH_FREE_MB = 200.0
"""Memory may grow by half and this much from the first quarter to the last: caches fill."""
MOST_INSERT_SECONDS = 2.0


@dataclass(frozen=True)
class Bound:
    """One figure and the most it may be."""

    name: str
    value: float
    most: float

    @property
    def kept(self) -> bool:
        """Whether it is within its bound."""
        return self.value <= self.most


class Summary:
    """The figures of one soak.

    Args:
        journal: `journal.jsonl`.
    """

    def __init__(self, journal: Path) -> None:
        events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines() if line]
        self.samples = [event for event in events if event["event"] == "sample"]
        self.outcomes = [event for event in events if event["event"] == "outcome"]
        self.attempts = [event for event in events if event["event"] == "attempt"]
        self.kills = [event for event in events if event["event"] == "kill"]
        self.derived = [event for event in events if event["event"] == "derived"]
        self.freshness = [event for event in events if event["event"] == "freshness"]
        self.seconds = events[-1]["wall"] - events[0]["wall"]

    def bounds(self) -> list[Bound]:
        """Every bound, kept or not; none without samples."""
        if not self.samples:
            return []
        parts = [max(sample["parts"].values()) for sample in self.samples]
        inserts = [sample["insert_seconds"] for sample in self.samples]
        found = [
            Bound("most active parts of a table", max(parts), MOST_PARTS),
            Bound("p95 of a small insert, s", _quantile(inserts, 0.95), MOST_INSERT_SECONDS),
        ]
        for name in ("server", "worker"):
            first, last = (statistics.median(values) for values in self._quarters(name))
            found.append(Bound(f"memory of the {name}, MB", last, MOST_GROWTH * first + GROWTH_FREE_MB))
        return found

    def lines(self) -> Iterator[str]:
        """The figures for people."""
        statuses = Counter(outcome["status"] for outcome in self.outcomes)
        kills = Counter(f"{kill['what']} {kill.get('how', '')}".strip() for kill in self.kills)
        kinds = Counter(attempt["kind"] for attempt in self.attempts)
        yield f"{len(self.attempts)} runs asked for ({_counts(kinds)}): {_counts(statuses)}; {self.seconds:.0f} s in all"
        yield f"processes killed, stopped or paused: {_counts(kills)}"
        yield f"runs of derived tables alone: {_counts(Counter(one['status'] for one in self.derived))}"
        yield f"runs of the freshness watch: {_counts(Counter(one['status'] for one in self.freshness))}"
        ticks = [outcome["seconds"] for outcome in self.outcomes if outcome["status"] == "success"]
        for name, values in (("seconds a tick", ticks), *self._series()):
            quarters = " ".join(f"{statistics.median(part):10.3f}" for part in _split(values, 4) if part)
            yield f"{name:34} median by quarter {quarters}   most {max(values):10.3f}"
        for bound in self.bounds():
            verdict = "ok" if bound.kept else "EXCEEDED"
            yield f"{bound.name:34} {bound.value:10.2f}, at most {bound.most:.2f}: {verdict}"

    def _series(self) -> Iterator[tuple[str, list[float]]]:
        for name in ("server", "worker", "exchange"):
            yield f"memory of the {name}, MB", self._memory(self.samples, name)
        yield "active parts in all", [float(sum(sample["parts"].values())) for sample in self.samples]
        yield (
            "active parts of the worst table",
            [float(max(sample["parts"].values())) for sample in self.samples],
        )
        yield "parts waiting for removal", [float(sample["inactive_parts"]) for sample in self.samples]
        yield "mutations under way", [float(sample["mutations"]) for sample in self.samples]
        yield "a small insert, s", [sample["insert_seconds"] for sample in self.samples]
        yield (
            "ClickHouse's active parts, MB",
            [sum(sample["bytes"].values()) / 1e6 for sample in self.samples],
        )
        yield "Dagster's instance, MB", [sample["dagster_bytes"] / 1e6 for sample in self.samples]

    def _quarters(self, name: str) -> tuple[list[float], list[float]]:
        parts = _split(self.samples, 4)
        return self._memory(parts[0], name), self._memory(parts[-1], name)

    @staticmethod
    def _memory(samples: Sequence[dict[str, Any]], name: str) -> list[float]:
        return [sample["rss_mb"][name] for sample in samples if sample["rss_mb"].get(name) is not None] or [
            0.0
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"


def _split(values: Sequence[Any], n: int) -> list[Sequence[Any]]:
    """The values in `n` parts, in order; at least one part has any."""
    size = max(1, -(-len(values) // n))
    return [values[start : start + size] for start in range(0, len(values), size)]


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
