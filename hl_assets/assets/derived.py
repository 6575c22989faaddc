"""The shared body of every derived asset: reconcile the day, then report it to Dagster.

Belongs here: run configuration, check results and the materialisation of a derived day. Does not belong here: which
slots are stale (`assets.reconcile`), what their rows are (each asset).
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.reconcile import Derivation, NothingUpstreamError, SlotOutcome, reconcile_day
from hl_assets.assets.verdict import blocking_results, refusal
from hl_assets.assets.window import nothing_stored, partition_day
from hl_assets.checks.results import coverage_result, drift_result, finding_result, non_empty_result
from hl_assets.failures import classified_failures
from hl_assets.plots import as_markdown
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.settings import Settings
from hl_assets.slots import slot_text

DerivedResults = dg.AssetCheckResult | dg.MaterializeResult[None]


class ReconcileConfig(dg.Config):
    """Run configuration of derived assets."""

    full_refresh: bool = False
    """Derive every slot of the day again, not only the stale ones."""


def derive_day(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: WarehouseResource,
    settings: Settings,
    derivation: Derivation,
) -> Iterator[DerivedResults]:
    """Derive the stale slots of the run's day; good slots are published even if others break their contract."""
    started = time.perf_counter()
    asset = context.asset_key.to_user_string()
    day = partition_day(context)
    with classified_failures(), warehouse.open(context.run.run_id, asset) as session:
        try:
            outcomes = reconcile_day(session, derivation, day, full_refresh=config.full_refresh)
        except NothingUpstreamError as error:
            raise nothing_stored(
                day, error.table, "materialise the assets upstream of this one first"
            ) from error
        results = list(_check_results(session, settings, derivation, outcomes))
        refused = [outcome for outcome in outcomes if not outcome.publishable]
        if refused:
            yield from results
            raise refusal(refused[0].summary, [slot_text(outcome.slot) for outcome in refused])
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                derivation.target,
                slot=outcomes[0].slot,
                frame=outcomes[0].derived.frame,
                rows_of_day=session.rows_of_day(derivation.target, day),
                seconds=time.perf_counter() - started,
                extra=_facts(outcomes),
            ),
        )


def _check_results(
    session: WarehouseSession, settings: Settings, derivation: Derivation, outcomes: Sequence[SlotOutcome]
) -> Iterator[dg.AssetCheckResult]:
    """Verdicts on every slot of the run for the blocking checks, on the newest for the others.

    Of an asset's own checks, a slot that fails a blocking one speaks before the newest.
    """
    newest = outcomes[0]
    rows = len(newest.derived.frame)
    yield from blocking_results([outcome.verdict for outcome in outcomes])
    yield non_empty_result(derivation.target, rows)
    yield drift_result(
        derivation.target,
        rows,
        session.rows_before(derivation.target, newest.slot),
        settings.max_row_count_drift,
    )
    yield coverage_result(newest.derived.coverage, settings.min_coverage)
    blocked = [finding for outcome in outcomes for finding in outcome.derived.findings if finding.blocks]
    worst = {finding.kind.name: finding for finding in [*newest.derived.findings, *reversed(blocked)]}
    yield from map(finding_result, worst.values())


def _facts(outcomes: Sequence[SlotOutcome]) -> dict[str, Any]:
    newest = outcomes[0].derived
    facts = {name: value for name, value in newest.metadata.items() if value is not None}
    pictures = {name: dg.MetadataValue.md(as_markdown(png, name)) for name, png in newest.draw().items()}
    share = {} if newest.coverage.share is None else {"coverage": newest.coverage.share}
    return {"slots_derived": len(outcomes), **share, **facts, **pictures}
