"""Jobs: the tick that materialises a slot, and the freshness watch.

Belongs here: which assets and checks run together, and their run tags. Does not belong here: when (`schedules`), what
(`assets`, `checks`).
"""

import dagster as dg

ASSETS_IN_ORDER = ("leaderboard", "portfolio_histories", "wallet_metrics", "ai_grades", "wallet_scores")
"""The flow of a slot, upstream first."""

FRESHNESS_CHECK = "freshness"
MAX_RUNTIME_SECONDS = 900

_assets = dg.AssetSelection.assets(*ASSETS_IN_ORDER)
_freshness_checks = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(dg.AssetKey(asset), FRESHNESS_CHECK) for asset in ASSETS_IN_ORDER)
)

tick_job = dg.define_asset_job(
    "tick",
    # Selecting an asset selects its checks; freshness has a job of its own, because a tick that never runs must be
    # noticed too.
    selection=_assets - _freshness_checks,
    # A process per step costs about 7 s each; a tick is five small steps.
    executor_def=dg.in_process_executor,
    description="Materialise the current slot: leaderboard, portfolios, metrics, grades, scores.",
    tags={"dagster/max_runtime": str(MAX_RUNTIME_SECONDS)},
)

freshness_job = dg.define_asset_job(
    "freshness",
    selection=_freshness_checks,
    executor_def=dg.in_process_executor,
    description="Check that the newest slot of every table is recent, also while a backfill hides a dead tick.",
)
