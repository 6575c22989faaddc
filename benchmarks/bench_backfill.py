"""How fast is a year of history made? `python -m benchmarks.bench_backfill [--days 365] [--wallets 1000] [--tenths]`.

Simulated wallets with one point a day, fetched once at the end, graded by rule. Every day is reconstructed at one slot by the real
job `reconstruct`: a Dagster run of four assets with their checks, published in the embedded ClickHouse. What grows with
the days before is read off the first and last tenth; what grows with wallets off a few days at other numbers of wallets. The
floor is reading, as ClickHouse hands it out, each point that a slot's metrics need, once. Dagster's own part of a day is what a run
takes beside its steps and what a step takes beside its work, measured on a day that is up to date.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd

import hl_assets
from hl_assets.assets.curves import read_curves
from hl_assets.definitions import build_defs
from hl_assets.interchange.panels import panel_slots
from hl_assets.jobs import console_log
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.settings import Settings
from hl_assets.slots import day_bounds
from hl_assets.warehouse.embedded import process as embedded
from hl_assets.warehouse.slices import Slice

END = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), datetime.min.time(), tzinfo=UTC)
DAILY_VOLATILITY = 0.03


@dataclass(frozen=True)
class Place:
    """Where a backfill runs.

    Attributes:
        settings: Of the platform.
        warehouse: The warehouse.
        instance: Dagster's, on disk.
        job: The job `reconstruct`.
    """

    settings: Settings
    warehouse: WarehouseResource
    instance: dg.DagsterInstance
    job: dg.JobDefinition

    def reconstruct(self, day: date, *, full_refresh: bool = False) -> float:
        """Seconds that the run of a day takes."""
        began = time.perf_counter()
        result = self.job.execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            run_config={
                "ops": {"reconstructed_cohorts": {"config": {"full_refresh": full_refresh}}},
                **console_log("CRITICAL"),
            },
        )
        assert result.success, f"{day} failed"
        return time.perf_counter() - began


@contextlib.contextmanager
def place(folder: Path, days: int, wallets: int) -> Iterator[Place]:
    """A warehouse that holds `days` daily points of each wallet, first seen at the end."""
    first = END - timedelta(days=days)
    settings = Settings.load(
        home=folder, source="recorded", clock=END + timedelta(hours=2), start_date=first.date()
    )
    warehouse = WarehouseResource.from_settings(settings)
    with warehouse.open("fill", "bench") as session:
        fill(session, days, wallets)
    dagster_home = folder / "dagster"
    dagster_home.mkdir()
    shutil.copy(Path(hl_assets.__file__).parent / "dagster.yaml", dagster_home)
    try:
        with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
            yield Place(settings, warehouse, instance, build_defs(settings).resolve_job_def("reconstruct"))
    finally:
        embedded.stop(warehouse.config.home)


def fill(session: WarehouseSession, days: int, wallets: int) -> None:
    """Publish the points as one fetch at the end."""
    rng = np.random.default_rng(17)
    returns = rng.normal(0.0005, DAILY_VOLATILITY, (wallets, days + 1))
    value = 10_000 * np.cumprod(1 + np.clip(returns, -0.3, 0.3), axis=1)
    first = END - timedelta(days=days)
    instants = pd.date_range(first, periods=days + 1, freq="D").astype("datetime64[ms, UTC]")
    samples = pd.DataFrame(
        {
            "wallet": np.repeat([f"0x{wallet:040x}" for wallet in range(wallets)], days + 1),
            "ts": np.tile(instants, wallets),
            "account_value": value.ravel(),
            "pnl": (value - value[:, :1]).ravel(),
        }
    ).sort_values(["ts", "wallet"], ignore_index=True)
    at_the_end = panel_slots(samples[samples["ts"] == pd.Timestamp(END)])[0]
    points = PORTFOLIO_POINTS.conform(
        samples.assign(
            as_of=pd.Timestamp(END), scope="all", segment="", contradicts=False, observed_at=pd.Timestamp(END)
        )
    )
    session.publisher.publish(
        [Slice(PORTFOLIO_POINTS, END, points), Slice(PORTFOLIO_FETCHES, END, at_the_end.fetches)],
        session.provenance("recorded"),
    )


def read_floor(where: Place, day: date, wallets: int) -> float:
    """Seconds to read the points that the metrics of a day need."""
    names = [f"0x{wallet:040x}" for wallet in range(wallets)]
    slot = day_bounds(day)[0]
    with where.warehouse.open("floor", "bench") as session:
        began = time.perf_counter()
        read_curves(session.store, names, "all", slot, seen_until=END)
        return time.perf_counter() - began


def a_year(days: int, wallets: int, *, tenths: bool) -> None:
    """Every day, oldest first; or the first and the last tenth of them, over all of the history."""
    dates = [(END - timedelta(days=days - number)).date() for number in range(days)]
    tenth = max(1, len(dates) // 10)
    with tempfile.TemporaryDirectory() as folder, place(Path(folder), days, wallets) as where:
        where.reconstruct(dates[0])  # imports, connections
        began = time.perf_counter()
        seconds = []
        for number, day in enumerate(dates[1 : tenth + 1] + dates[-tenth:] if tenths else dates[1:], start=1):
            seconds.append(where.reconstruct(day))
            if number % 30 == 0:
                print(f"  day {number}: {np.mean(seconds[-30:]):.2f} s a day", flush=True)
        total = time.perf_counter() - began
        early, late = float(np.mean(seconds[:tenth])), float(np.mean(seconds[-tenth:]))
        idle = min(where.reconstruct(dates[-1]) for _ in range(3))
        floor = min(read_floor(where, dates[-1], wallets) for _ in range(3))
        what = f"the first and last {tenth} of {days}" if tenths else f"{len(seconds)}"
        print(
            f"{what} days x {wallets} wallets: {total:.0f} s, {len(seconds) / total:.2f} slots/s, "
            f"{len(seconds) * wallets / total:,.0f} wallet-slots/s\n"
            f"  first tenth {early:.2f} s a day, last tenth {late:.2f} s: x{late / early:.2f} for {days} days of history\n"
            f"  a day that is up to date: {idle:.2f} s (four steps, of which the newest slot is derived again)\n"
            f"  floor, reading the last day's {wallets * days:,} points: {floor:.2f} s, the day takes x{late / floor:.1f}"
        )


def growth_with_wallets(days: int, numbers: list[int]) -> None:
    """The last days of a year at several numbers of wallets."""
    base: float | None = None
    for wallets in numbers:
        with tempfile.TemporaryDirectory() as folder, place(Path(folder), days, wallets) as where:
            last = [(END - timedelta(days=back)).date() for back in (5, 4, 3, 2, 1)]
            seconds = float(np.median([where.reconstruct(day) for day in last][1:]))
        base = base or seconds
        print(
            f"{wallets:>6} wallets x {days} days of history: {seconds:.2f} s a day, x{seconds / base:.2f}",
            flush=True,
        )


def main() -> None:
    if Settings().start_date > (END - timedelta(days=400)).date():
        # The partitions are made when the package is imported, from the environment.
        environment = {**os.environ, "HL_ASSETS_START_DATE": "2024-01-01"}
        os.execve(
            sys.executable,
            [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_backfill", *sys.argv[1:]],
            environment,
        )
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument(
        "--tenths",
        action="store_true",
        help="only the first and last tenth of the days: minutes instead of half an hour",
    )
    arguments = parser.parse_args()
    growth_with_wallets(arguments.days, [250, 500, 1_000, 2_000, 4_000])
    a_year(arguments.days, arguments.wallets, tenths=arguments.tenths)


if __name__ == "__main__":
    main()
