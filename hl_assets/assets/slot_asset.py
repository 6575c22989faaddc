"""`slot_asset`: the decorator of every asset, with what they all have in common.

Belongs here: what follows from an asset's table and layer: partitions, pool, retries, backfills, checks, table metadata.
Does not belong here: what differs between assets.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import dagster as dg

from hl_assets.assets.describe import definition_metadata
from hl_assets.checks.results import QUARANTINE, CheckKind, check_specs
from hl_assets.failures import RETRY_WAREHOUSE
from hl_assets.partitions import daily
from hl_assets.schemas.contract import TableContract

# Partitioned check specs and backfill policies are flagged preview and beta in Dagster 1.13; both are used on purpose.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*AssetCheckSpec.*")
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")

_POOLS = {"raw": "hyperliquid_api", "derived": "clickhouse_write", "bookkeeping": "clickhouse_write"}
"""Raw assets wait for the exchange, the others for the warehouse."""


def slot_asset(
    table: TableContract,
    *,
    layer: Literal["raw", "derived", "bookkeeping"],
    grain: str,
    group: str,
    owner: str,
    description: str,
    deps: Sequence[str] = (),
    kinds: frozenset[str] = frozenset({"python", "clickhouse"}),
    coverage: bool = True,
    checks: Sequence[CheckKind] = (),
    freshness_policy: dg.FreshnessPolicy | None = None,
    pool: str | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make an asset of a function that publishes a table slot by slot; the function's name is the asset's.

    Args:
        table: Its (main) table; name, columns, grain and cautions become the definition's metadata.
        layer: raw (takes from the exchange), derived (reconciled with what is upstream, slot by slot), or bookkeeping.
        grain: What a row is, as a tag.
        group: Group in Dagster's UI.
        owner: Team that answers for it.
        description: What it holds, for people.
        deps: Assets upstream.
        kinds: Kinds shown in Dagster's UI.
        coverage: Whether it checks the share of wallets that made it through.
        checks: The checks that it carries beside those of every asset.
        freshness_policy: Dagster's own watch, where it has one.
        pool: Pool of its own, for what must not wait for others [default: that of its layer].
    """
    carried = (*checks, QUARANTINE) if layer == "derived" else checks

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        made = dg.asset(
            deps=list(deps),
            description=description,
            group_name=group,
            kinds=set(kinds),
            owners=[f"team:{owner}"],
            tags={"layer": layer, "grain": grain},
            pool=pool or _POOLS[layer],
            partitions_def=daily,
            retry_policy=RETRY_WAREHOUSE,
            # One run and one verdict of the checks per day; a run over several days would have one for all.
            backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
            freshness_policy=freshness_policy,
            check_specs=check_specs(
                function.__name__, partitions_def=daily, coverage=coverage, others=carried
            ),
            metadata=definition_metadata(table),
        )
        return made(function)

    return decorate
