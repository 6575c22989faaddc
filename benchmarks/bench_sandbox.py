"""Cost of the local exchange: building a population, a leaderboard body of 47,500 rows, portfolio answers.

python benchmarks/bench_sandbox.py [--rows 47500]
"""

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial

import httpx

from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, SandboxServer
from hl_assets.exchange.sandbox.config import DEFAULT_EPOCH

ON_BOARD_AT_EPOCH = 0.947
PORTFOLIOS = 300


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def portfolio_milliseconds(client: httpx.Client, url: str, wallets: list[str]) -> list[float]:
    def ask(wallet: str) -> None:
        client.post(url, json={"type": "portfolio", "user": wallet}).raise_for_status()

    return sorted(1000 * seconds(partial(ask, wallet)) for wallet in wallets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=47_500, help="leaderboard rows to aim at")
    wallets = min(round(parser.parse_args().rows / ON_BOARD_AT_EPOCH), 50_000)
    server = SandboxServer(
        SandboxConfig(wallets=wallets, clock=ClockSetting.frozen(DEFAULT_EPOCH), weight_limit=None)
    )
    building = seconds(server.__enter__)
    with httpx.Client(timeout=120) as client:
        start = time.perf_counter()
        body = client.get(f"{server.stats_url}/leaderboard").raise_for_status().content
        first = time.perf_counter() - start
        again = seconds(lambda: client.get(f"{server.stats_url}/leaderboard").raise_for_status())
        vaults = seconds(lambda: client.get(f"{server.stats_url}/vaults").raise_for_status())
        rows = [row["ethAddress"] for row in httpx.Response(200, content=body).json()["leaderboardRows"]]
        asked = rows[:: max(len(rows) // PORTFOLIOS, 1)]
        times = portfolio_milliseconds(client, f"{server.info_url}/info", asked)
    server.__exit__(None, None, None)
    print(f"population of {wallets}: built in {building:.1f} s")
    print(f"leaderboard: {len(rows)} rows, {len(body) / 1e6:.1f} MB, {len(body) / len(rows):.0f} bytes a row")
    print(
        f"leaderboard: first answer {first:.2f} s, the same hour again {again:.3f} s; vaults first {vaults:.2f} s"
    )
    print(
        f"portfolio over HTTP: median {times[len(times) // 2]:.1f} ms, 95th percentile {times[int(len(times) * 0.95)]:.1f} ms"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process (client included): {peak:.0f} MB")


if __name__ == "__main__":
    main()
