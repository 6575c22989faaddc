"""What does a day of grades cost, and what does the store of earlier answers save?

    python -m benchmarks.bench_grades [--wallets 200] [--ticks 144]

Simulated traders, fetched once at the end of a day and seen at each of its ten-minute slots by the points dated until then.
Every slot is graded through the real SDK against a stand-in of the Messages API, with calls stored in a real ClickHouse. The
same slots without stored answers are asked for a dozen ticks and scaled up. Tokens are the stand-in's count (3.5 characters
each); the price is the table's for the model. Behind it, how long a slot takes and how much of that is the stand-in's and
the SDK's own.
"""

import argparse
import asyncio
import dataclasses
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from hl_assets.assets.grade_slot import GradedSlot, SlotToGrade, grade_slot
from hl_assets.assets.leaderboard import board_rows
from hl_assets.assets.points import read_points
from hl_assets.cli import local_exchange
from hl_assets.equity.curves import RaggedCurves
from hl_assets.exchange.payloads import parse_leaderboard
from hl_assets.grading.inputs import build_grade_inputs
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.percentiles import percentile_matrix
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.grader import GraderResource
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded import process as embedded
from hl_assets_tests.messages_api.process import running_process

END = datetime(2026, 5, 31, 0, 0, tzinfo=UTC)
SLOT = timedelta(minutes=10)


def fetched_curves(settings: Settings, wallets: int) -> RaggedCurves:
    """Curves of the board's first wallets as of the day's end."""
    exchange = Exchange.from_settings(settings)
    board = board_rows(parse_leaderboard(exchange.leaderboard().body), END)
    best = board.sort_values("month_pnl", ascending=False)["wallet"].head(wallets)
    outcomes = exchange.portfolios(list(best), on_result=lambda _: None, deadline_seconds=600.0)
    points = pd.concat([read_points(outcome).frame for outcome in outcomes], ignore_index=True)
    points = points[(points["scope"] == "all") & (points["segment"] == "")].sort_values(["wallet", "ts"])
    return RaggedCurves.from_columns(
        points["wallet"].to_numpy(object),
        points["ts"].astype("int64"),
        points["account_value"],
        points["pnl"],
        wallets=sorted(set(points["wallet"])),
    )


def slot_inputs(curves: RaggedCurves, slot: datetime) -> SlotToGrade:
    """What a grader is told about every wallet in a slot."""
    table = compute_wallet_metrics(curves.until(int(slot.timestamp() * 1000)))
    eligibility = assess_eligibility(table)
    inputs = build_grade_inputs(table, percentile_matrix(table.scored(), eligibility.eligible))
    return SlotToGrade(slot, "simulated", inputs, list(table.wallets))


def graded_day(
    store: Warehouse, slots: Sequence[SlotToGrade], grader: GraderResource
) -> tuple[list[GradedSlot], list[float]]:
    """Every slot graded, and the seconds each took."""
    graded, seconds = [], []
    for slot in slots:
        started = time.perf_counter()
        graded.append(grade_slot(store, slot, grader))
        seconds.append(time.perf_counter() - started)
    return graded, seconds


def report(name: str, graded: Sequence[GradedSlot], scale: float) -> None:
    """One line of calls, tokens and money, scaled to the day."""
    tallies = [one.tally for one in graded if one.tally is not None]
    calls = sum(tally.calls for tally in tallies) * scale
    read = sum(t.input_tokens + t.cache_read_tokens + t.cache_write_tokens for t in tallies) * scale
    written = sum(tally.output_tokens for tally in tallies) * scale
    usd = sum(tally.usd for tally in tallies) * scale
    print(
        f"  {name:<34} {calls:>9,.0f} {read / 1e6:>9.2f} M {written / 1e6:>9.2f} M {usd:>9.3f} USD",
        flush=True,
    )


async def bare_seconds(grader: GraderResource, slot: SlotToGrade) -> float:
    """Seconds of the same requests through the SDK alone, as many at once."""
    if grader.model is None:
        raise SystemExit("the benchmark needs a model to ask")
    access = grader.model
    gate = asyncio.Semaphore(access.limits.concurrency)
    async with access.client() as client:

        async def one(request: dict[str, object]) -> None:
            async with gate:
                await client.messages.create(**request)  # type: ignore[call-overload]

        started = time.perf_counter()
        await asyncio.gather(*(one(access.profile.request(item)) for item in slot.inputs))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wallets", type=int, default=200)
    parser.add_argument("--ticks", type=int, default=144)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_process() as url:
        base = {"home": Path(folder), "sandbox_wallets": 2_000, "clock": END, "source": "sandbox"}
        settings = Settings.load(**base)
        with local_exchange.running(local_exchange.start_process(settings, END)) as exchange:
            curves = fetched_curves(
                Settings.load(**base, **exchange.settings_values(settings)), arguments.wallets
            )
        slots = [slot_inputs(curves, END - n * SLOT) for n in range(arguments.ticks - 1, -1, -1)]
        grader = GraderResource.from_settings(
            Settings.load(
                **base,
                grader="claude",
                anthropic_api_key="sk-stand-in",
                anthropic_base_url=url,
                grader_budget_run_usd=1e6,
                grader_budget_day_usd=1e6,
            )
        )
        try:
            with WarehouseResource.from_settings(settings).open("bench", "ai_grades") as session:
                measure(session.store, slots, grader)
        finally:
            embedded.stop(Path(folder) / "clickhouse")


def measure(store: Warehouse, slots: Sequence[SlotToGrade], grader: GraderResource) -> None:
    """Grade the day both ways and print."""
    graded, seconds = graded_day(store, slots, grader)
    ready = sum(grade.status != "insufficient_data" for grade in graded[-1].grades)
    print(f"{len(slots)} ticks of {len(slots[0].wallets)} wallets, {ready} of them ready, {grader.version}")
    print(f"  {'':<34} {'calls':>9} {'read':>11} {'written':>11} {'cost':>13}")
    report("with stored answers, first tick", graded[:1], 1.0)
    report("with stored answers, later ticks", graded[1:], 1.0)
    report("with stored answers, the day", graded, 1.0)
    sample = slots[:: max(len(slots) // 12, 1)]
    if grader.model is not None:
        forgetful = dataclasses.replace(
            grader, model=dataclasses.replace(grader.model, regrade_after=timedelta(0))
        )
        asked, _ = graded_day(store, sample, forgetful)
        report(f"without ({len(sample)} ticks, scaled)", asked, len(slots) / len(sample))
    calls = sum(one.tally.calls for one in graded[1:] if one.tally is not None)
    print(f"  a wallet is asked about {calls / max(ready, 1):.2f} times in the ticks after the first")
    first, later = seconds[0], np.array(seconds[1:])
    bare = asyncio.run(bare_seconds(grader, slots[0]))
    print(
        f"  first tick {first:.2f} s ({first / bare:.1f}x the SDK alone against the stand-in, {bare:.2f} s); a later tick "
        f"{np.median(later):.3f} s (p95 {np.quantile(later, 0.95):.3f} s); "
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
