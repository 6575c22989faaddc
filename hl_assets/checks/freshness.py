"""The freshness watch: is the newest slot of every table recent?

Belongs here: the check that looks at the data's own time. Dagster's freshness policies look at the last materialisation
of any partition, so a running backfill of old days hides a dead tick; this check does not. Does not belong here: checks
of a slot's rows (`results`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from hl_assets.failures import classified_failures
from hl_assets.jobs import ASSETS_IN_ORDER, FRESHNESS_CHECK
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import WALLET_SCORES
from hl_assets.schemas.tracking import TRACKED_WALLETS
from hl_assets.settings import Settings
from hl_assets.slots import slot_text

_TABLES = dict(
    zip(
        ASSETS_IN_ORDER,
        (
            LEADERBOARD_SNAPSHOTS,
            PORTFOLIO_FETCHES,
            TRACKED_WALLETS,
            EQUITY_CURVES,
            WALLET_METRICS,
            AI_GRADES,
            WALLET_SCORES,
        ),
        strict=True,
    )
)


def freshness_policy(settings: Settings) -> dg.FreshnessPolicy:
    """Dagster's own view of the same limits, shown on an asset's page; it counts materialisations of any partition."""
    return dg.FreshnessPolicy.time_window(
        warn_window=timedelta(minutes=settings.freshness_warn_minutes),
        fail_window=timedelta(minutes=settings.freshness_fail_minutes),
    )


@dg.multi_asset_check(
    name="freshness_watch",
    specs=[
        dg.AssetCheckSpec(FRESHNESS_CHECK, asset=asset, description="The newest published slot is recent.")
        for asset in ASSETS_IN_ORDER
    ],
    can_subset=True,  # a person materialises single assets, and their checks with them
)
def freshness_watch(
    context: dg.AssetCheckExecutionContext,
    exchange: dg.ResourceParam[Exchange],
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult]:
    """Compare the newest slot of every table with the present."""
    with classified_failures(), warehouse.open_run(context.run, "freshness") as session:
        now = exchange.now()
        chosen = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
        for asset, table in _TABLES.items():
            if asset not in chosen:
                continue
            newest = session.manifest.latest_slot(table)
            yield freshness_result(asset, None if newest is None else newest.as_of, now, settings)


def freshness_result(
    asset: str, newest: datetime | None, now: datetime, settings: Settings
) -> dg.AssetCheckResult:
    """The verdict on one table: a warning, then an error, as its newest slot ages; never published is an error."""
    age = None if newest is None else now - newest
    fail_after = timedelta(minutes=settings.freshness_fail_minutes)
    late = age is None or age >= timedelta(minutes=settings.freshness_warn_minutes)
    severe = age is None or age >= fail_after
    metadata: dict[str, dg.MetadataValue] = {
        "now": dg.MetadataValue.timestamp(now),
        "newest_slot": dg.MetadataValue.text("none" if newest is None else slot_text(newest)),
    }
    if age is not None:
        metadata["age_minutes"] = dg.MetadataValue.float(round(age.total_seconds() / 60, 1))
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=FRESHNESS_CHECK,
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
