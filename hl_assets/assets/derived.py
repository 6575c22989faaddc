"""The shared body of every derived asset: reconcile the day, then report it to Dagster.

Belongs here: run configuration, check results and the materialisation of a derived day. Does not belong here: which
slots are stale (`assets.reconcile`), what their rows are (each asset).
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from hl_assets.assets.derivation import Derivation
from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.quarantine import Quarantine
from hl_assets.assets.reconcile import (
    Effort,
    FailedSlot,
    NothingUpstreamError,
    ReconciledDay,
    SlotOutcome,
    reconcile_day,
)
from hl_assets.assets.verdict import blocking_results, refusal
from hl_assets.assets.window import nothing_stored, partition_day
from hl_assets.checks.results import (
    QUARANTINE,
    Finding,
    coverage_result,
    drift_result,
    finding_result,
    non_empty_result,
)
from hl_assets.failures import classified_failures
from hl_assets.plots import as_markdown
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.settings import Settings
from hl_assets.slots import day_of, slot_text

DerivedResults = dg.AssetCheckResult | dg.MaterializeResult[None]


class ReconcileConfig(dg.Config):
    """Run configuration of derived assets."""

    full_refresh: bool = False
    """Derive every slot of the day again, not only the stale ones."""

    retry_quarantined: bool = False
    """Also try the slots in quarantine again."""


def derive_day(
    context: dg.AssetExecutionContext,
    config: ReconcileConfig,
    warehouse: WarehouseResource,
    settings: Settings,
    derivation: Derivation,
) -> Iterator[DerivedResults]:
    """Derive the stale slots of the run's day.

    The run's verdict is that of the day's newest slot. An earlier one that fails goes into quarantine, where a check of its
    own stays red, and stops nobody.
    """
    started = time.perf_counter()
    asset = context.asset_key.to_user_string()
    day = partition_day(context)
    with classified_failures(), warehouse.open_run(context.run, asset) as session:
        effort = Effort(full_refresh=config.full_refresh, retry_quarantined=config.retry_quarantined)
        try:
            reconciled = reconcile_day(session, derivation, day, effort, settings.now())
        except NothingUpstreamError as error:
            upstream = " and ".join(table.name for table in derivation.lineage.upstream)
            raise nothing_stored(
                day, error.table or upstream, "materialise the assets upstream of this one first"
            ) from error
        yield finding_result(_quarantine_finding(reconciled.quarantine))
        newest = reconciled.newest
        if isinstance(newest, FailedSlot):
            raise newest.error
        results = list(_check_results(session, settings, derivation, newest))
        if not newest.publishable:
            yield from results
            raise refusal(newest.summary, [slot_text(newest.slot)])
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                derivation.lineage.target,
                slot=newest.slot,
                frame=newest.derived.frame,
                rows_of_day=session.rows_of_day(derivation.lineage.target, day),
                seconds=time.perf_counter() - started,
                extra=_facts(newest, reconciled),
            ),
        )


def _check_results(
    session: WarehouseSession, settings: Settings, derivation: Derivation, newest: SlotOutcome
) -> Iterator[dg.AssetCheckResult]:
    """Verdicts on the day's newest slot."""
    target, rows = derivation.lineage.target, len(newest.derived.frame)
    yield from blocking_results([newest.verdict])
    yield non_empty_result(target, rows)
    yield drift_result(
        target,
        rows,
        session.rows_before(target, newest.slot),
        settings.max_row_count_drift,
    )
    yield coverage_result(newest.derived.coverage, settings.min_coverage)
    yield from map(finding_result, newest.derived.findings)


def _quarantine_finding(quarantine: Quarantine) -> Finding:
    """Red while a slot of the table, of whatever day, is neither replayed nor waived."""
    unresolved = quarantine.unresolved
    facts: dict[str, str | int | float] = {
        "slots": len(unresolved),
        "waived": len(quarantine.slots) - len(unresolved),
    }
    if unresolved:
        first, last = day_of(unresolved[0].slot), day_of(unresolved[-1].slot)
        facts["what_to_do"] = (
            f"mend the cause and replay: hl-assets backfill --from {first} --to {last}; or accept the loss: "
            f"hl-assets quarantine --waive {slot_text(unresolved[0].slot)} --reason ..."
        )
    samples = [{"slot": slot_text(one.slot), "reason": one.reason, "run": one.run_id} for one in unresolved]
    return Finding(QUARANTINE, not unresolved, facts, samples)


def _facts(newest: SlotOutcome, reconciled: ReconciledDay) -> dict[str, Any]:
    derived = newest.derived
    facts = {name: value for name, value in derived.metadata.items() if value is not None}
    pictures = {name: dg.MetadataValue.md(as_markdown(png, name)) for name, png in derived.draw().items()}
    share = {} if derived.coverage.share is None else {"coverage": derived.coverage.share}
    failed = _failed(reconciled.earlier)
    told = {"slots_quarantined_now": ", ".join(failed)} if failed else {}
    return {"slots_derived": 1 + len(reconciled.earlier) - len(failed), **told, **share, **facts, **pictures}


def _failed(outcomes: Sequence[SlotOutcome | FailedSlot]) -> list[str]:
    return [
        slot_text(outcome.slot)
        for outcome in outcomes
        if isinstance(outcome, FailedSlot) or not outcome.publishable
    ]
