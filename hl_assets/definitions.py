"""The code location: assets, checks, jobs, schedules, sensors and resources put together.

Belongs here: assembly. Does not belong here: any logic.
"""

from collections.abc import Mapping

import dagster as dg

from hl_assets.assets.ai_grades import ai_grades
from hl_assets.assets.equity_curves import equity_curves
from hl_assets.assets.leaderboard import leaderboard
from hl_assets.assets.portfolio_histories import portfolio_histories
from hl_assets.assets.reconstructed_cohorts import reconstructed_cohorts
from hl_assets.assets.slot_coverage import slot_coverage
from hl_assets.assets.tracked_wallets import tracked_wallets
from hl_assets.assets.vaults import vaults
from hl_assets.assets.wallet_metrics import wallet_metrics
from hl_assets.assets.wallet_scores import wallet_scores
from hl_assets.checks.freshness import freshness_watch
from hl_assets.jobs import coverage_job, freshness_job, rebuild_job, reconstruct_job, tick_job
from hl_assets.maintenance.job import maintenance_job
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.grader import GraderResource
from hl_assets.resources.logs import console_logger
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schedules import coverage_schedule, freshness_schedule, maintenance_schedule, tick_schedule
from hl_assets.sensors import alerts_sensor, run_failures_sensor
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
    told = settings.schedules_on and settings.alert_webhook_url is not None
    alerting = dg.DefaultSensorStatus.RUNNING if told else dg.DefaultSensorStatus.STOPPED
    assets = [
        leaderboard,
        vaults,
        portfolio_histories,
        reconstructed_cohorts,
        tracked_wallets,
        equity_curves,
        wallet_metrics,
        ai_grades,
        wallet_scores,
        slot_coverage,
    ]
    asset_checks = [freshness_watch]
    maintenance = maintenance_job(key for made in (*assets, *asset_checks) for key in made.check_keys)
    return dg.Definitions(
        assets=assets,
        asset_checks=asset_checks,
        jobs=[tick_job, rebuild_job, reconstruct_job, freshness_job, coverage_job, maintenance],
        schedules=[
            tick_schedule(running, settings.now),
            freshness_schedule(running),
            coverage_schedule(running),
            maintenance_schedule(running, maintenance),
        ],
        sensors=[alerts_sensor(alerting), run_failures_sensor(alerting)],
        resources={
            "settings": settings,
            "exchange": Exchange.from_settings(settings),
            "warehouse": WarehouseResource.from_settings(settings),
            "grader": GraderResource.from_settings(settings),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
        loggers={"console": console_logger(settings)},
    )


defs = build_defs()
