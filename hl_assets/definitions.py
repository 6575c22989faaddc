"""The code location: assets, checks, jobs, schedules and resources put together.

Belongs here: assembly. Does not belong here: any logic.
"""

from collections.abc import Mapping

import dagster as dg

from hl_assets.assets.ai_grades import ai_grades
from hl_assets.assets.equity_curves import equity_curves
from hl_assets.assets.leaderboard import leaderboard
from hl_assets.assets.portfolio_histories import portfolio_histories
from hl_assets.assets.tracked_wallets import tracked_wallets
from hl_assets.assets.vaults import vaults
from hl_assets.assets.wallet_metrics import wallet_metrics
from hl_assets.assets.wallet_scores import wallet_scores
from hl_assets.checks.freshness import freshness_watch
from hl_assets.jobs import freshness_job, tick_job
from hl_assets.maintenance.job import maintenance_job
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.grader import GraderResource
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schedules import freshness_schedule, maintenance_schedule, tick_schedule
from hl_assets.settings import Settings


def build_defs(
    settings: Settings | None = None, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Everything Dagster needs, without contacting anything.

    Args:
        settings: Default: from the environment.
        resources: Resources to use instead of those the settings name, by key.
    """
    settings = settings or Settings()
    running = dg.DefaultScheduleStatus.RUNNING if settings.schedules_on else dg.DefaultScheduleStatus.STOPPED
    assets = [
        leaderboard,
        vaults,
        portfolio_histories,
        tracked_wallets,
        equity_curves,
        wallet_metrics,
        ai_grades,
        wallet_scores,
    ]
    asset_checks = [freshness_watch]
    maintenance = maintenance_job(key for made in (*assets, *asset_checks) for key in made.check_keys)
    return dg.Definitions(
        assets=assets,
        asset_checks=asset_checks,
        jobs=[tick_job, freshness_job, maintenance],
        schedules=[
            tick_schedule(running, settings.now),
            freshness_schedule(running),
            maintenance_schedule(running, maintenance),
        ],
        resources={
            "settings": settings,
            "exchange": Exchange.from_settings(settings),
            "warehouse": WarehouseResource.from_settings(settings),
            "grader": GraderResource.from_settings(settings),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_defs()
