"""Jobs: the tick that materialises a slot, the freshness watch, and the coverage of slots.

Belongs here: which assets and checks run together, and their run tags. Does not belong here: when (`schedules`), what
(`assets`, `checks`).
"""

from typing import Any

import dagster as dg

ASSETS_IN_ORDER = (
    "leaderboard",
    "portfolio_histories",
    "tracked_wallets",
    "equity_curves",
    "wallet_metrics",
    "ai_grades",
    "wallet_scores",
)
"""The flow of a slot, upstream first."""

DAILY_ASSETS = ("vaults",)
"""What a slot needs too, but is fetched once per UTC day."""

DERIVED_ASSETS = ASSETS_IN_ORDER[2:]
"""What can be made again from what is stored."""

RECONSTRUCTED_ASSETS = ("reconstructed_cohorts", "wallet_metrics", "ai_grades", "wallet_scores")
"""What is made of a slot that nobody observed. Its curves are not stored: every day would repeat all of them."""

OPERATIONS_ASSETS = ("slot_coverage",)
"""What describes the running of the platform; made in jobs of their own, also when no tick succeeds."""

FRESHNESS_CHECK = "freshness"
MAX_RUNTIME_SECONDS = 900


def console_log(level: str) -> dict[str, Any]:
    """Run configuration that sets what a run prints on its console; Dagster's UI shows everything in any case."""
    return {"loggers": {"console": {"config": {"log_level": level}}}}


tick_job = dg.define_asset_job(
    "tick",
    # Selecting assets selects their checks.
    selection=dg.AssetSelection.assets(*ASSETS_IN_ORDER, *DAILY_ASSETS),
    # A process per step costs about 7 s each; a tick is a few small steps.
    executor_def=dg.in_process_executor,
    config=console_log("WARNING"),
    description="Materialise the current slot: leaderboard, portfolios, curves, metrics, grades, scores.",
    tags={"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)},
)

rebuild_job = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.assets(*DERIVED_ASSETS),
    executor_def=dg.in_process_executor,
    config=console_log("WARNING"),
    description="Derive a day's observed slots again from what is stored, where sources or code changed.",
)

reconstruct_job = dg.define_asset_job(
    "reconstruct",
    selection=dg.AssetSelection.assets(*RECONSTRUCTED_ASSETS),
    executor_def=dg.in_process_executor,
    config=console_log("WARNING"),
    description=(
        "Reconstruct slots of a past day that nobody observed from histories fetched later: survivors only, marked "
        "`reconstructed`. Grain: `every` in the run configuration of reconstructed_cohorts."
    ),
)

freshness_job = dg.define_asset_job(
    "freshness",
    # A tick that never runs checks nothing, so the watch has a job of its own too.
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey(asset), FRESHNESS_CHECK) for asset in ASSETS_IN_ORDER)
    ),
    executor_def=dg.in_process_executor,
    config=console_log("WARNING"),
    description="Check that the newest slot of every table is recent, also while a backfill hides a dead tick.",
)

coverage_job = dg.define_asset_job(
    "coverage",
    selection=dg.AssetSelection.assets(*OPERATIONS_ASSETS),
    executor_def=dg.in_process_executor,
    config=console_log("WARNING"),
    description="Settle what became of every ended slot: live, unchanged, reconstructed, partial, missing, and why.",
    tags={"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)},
)
