"""How fast and how lean is reading the exchange's payloads? `python -m benchmarks.bench_payloads [rows] [megabytes]`."""

import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hl_assets.exchange.payloads import (
    LEADERBOARD_WINDOWS,
    PORTFOLIO_WINDOWS,
    parse_leaderboard,
    parse_portfolio,
)

_WALLET = "0x" + "1" * 40


def leaderboard_body(rows: int, megabytes: float) -> bytes:
    """A made-up leaderboard; blanks fill it up to the size (the real one's digits alone take about 24 MB)."""
    rng = random.Random(1)

    def decimal(scale: float) -> str:
        return f"{rng.gauss(0, scale):.10f}"

    document = {
        "leaderboardRows": [
            {
                "ethAddress": f"0x{rng.getrandbits(160):040x}",
                "accountValue": decimal(1e6).lstrip("-"),
                "windowPerformances": [
                    [name, {"pnl": decimal(1e5), "roi": decimal(0.1), "vlm": decimal(1e9).lstrip("-")}]
                    for name in LEADERBOARD_WINDOWS
                ],
                "prize": 0,
                "displayName": None if i % 30 else f"trader {i}",
            }
            for i in range(rows)
        ]
    }
    body = json.dumps(document, separators=(",", ":")).encode()
    blanks = max(0, int(megabytes * 1e6) - len(body)) // rows
    return body.replace(b',{"ethAddress"', b"," + b" " * blanks + b'{"ethAddress"')


def portfolio_body(points: int = 76) -> bytes:
    """A made-up portfolio with as many points in each window."""
    history = [[1_755_772_320_063 + i * 7_200_000, f"{1e8 + i:.10f}"] for i in range(points)]
    window = {"accountValueHistory": history, "pnlHistory": history, "vlm": "170043719297.2099914551"}
    return json.dumps([[name, window] for name in PORTFOLIO_WINDOWS]).encode()


def measure(name: str, file: Path, repeats: int) -> None:
    """Reads the file's body repeatedly; in a process of its own, so that peak memory is the reading's."""
    parse: Callable[[bytes], Any] = parse_leaderboard
    if name.startswith("portfolio"):
        parse = partial(parse_portfolio, wallet=_WALLET)
    body = file.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        parse(body)
        times.append(time.perf_counter() - started)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{name}: {len(body) / 1e6:.2f} MB, best {min(times) * 1e3:.1f} ms, worst {max(times) * 1e3:.1f} ms, "
        f"peak memory +{grown:.0f} MB"
    )


def write(name: str, file: Path, rows: int, megabytes: float) -> None:
    file.write_bytes(
        leaderboard_body(rows, megabytes) if name.startswith("leaderboard") else portfolio_body()
    )


def in_a_process_of_its_own(work: Callable[..., None], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()


def main(rows: int, megabytes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "body.json"
        for name, repeats in ((f"leaderboard of {rows} rows", 5), ("portfolio of 8 x 76 points", 200)):
            in_a_process_of_its_own(write, name, file, rows, megabytes)
            in_a_process_of_its_own(measure, name, file, repeats)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 47_500,
        float(sys.argv[2]) if len(sys.argv) > 2 else 40.0,
    )
