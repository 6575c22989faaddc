"""Asset `slot_coverage`: what became of every ended slot, and why, settled between ticks whatever becomes of them.

Belongs here: which slots a run examines, publishing what is new, and what it says about itself. Does not belong here: what is
stored of a slot (`assets.coverage_facts`), what Dagster knows of it (`assets.coverage_evidence`), its status and cause
(`coverage.classify`).

A run of today's partition settles every ended slot since the first one stored, so slots of a day on which nothing ran are
settled by the next run; a run of a past day settles that day's. Nothing depends on a tick: a day without any is the point.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd

from hl_assets.assets.coverage_evidence import read_knowledge
from hl_assets.assets.coverage_facts import (
    changed,
    coverage_frame,
    first_slots,
    read_coverage,
    read_facts,
    reasons_of,
    stale_slots,
)
from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.verdict import blocking_results, judge, refusal
from hl_assets.assets.window import nothing_stored, partition_day
from hl_assets.checks.results import CheckKind, Finding, drift_result, finding_result, non_empty_result
from hl_assets.coverage.classify import Knowledge, SlotRow, classify, slot_status
from hl_assets.coverage.gaps import (
    SPANS,
    STATUSES,
    covered_share,
    find_gaps,
    longest_gap,
    status_grid,
)
from hl_assets.coverage.vocabulary import CAUSES, Cause, Status
from hl_assets.failures import classified_failures
from hl_assets.plots import as_markdown, slots_png
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.settings import Settings
from hl_assets.slots import SLOT, day_bounds, day_of, slot_of, slot_text
from hl_assets.warehouse.slices import Slice

NO_MISSING_SLOTS = CheckKind(
    "no_missing_slots",
    "Every slot that ended within the last 24 hours (of a past day: every slot of the day) is covered.",
)
_DAYS_DRAWN = 31
_SLOTS_PER_COMMIT = 5_000
"""Only a first look at months of history has more: it is published newest first, and a run that is killed loses no portion."""
_COLUMNS = ["as_of", "status", "cause", "cause_detail"]


@slot_asset(
    SLOT_COVERAGE,
    layer="bookkeeping",
    grain="slot",
    group="operations",
    owner="data-platform",
    deps=["leaderboard", "portfolio_histories", "wallet_scores"],
    coverage=False,
    checks=(NO_MISSING_SLOTS,),
    pool="coverage",
    description=(
        "One row per 10-minute slot since the first stored one: live, unchanged, reconstructed, partial or missing, and the "
        "cause where it was not observed and scored in its time: which step failed, why the schedule skipped it, or that "
        "nothing ran at all. Made between ticks and independent of them; causes are kept after Dagster forgets them."
    ),
)
def slot_coverage(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Examine the ended slots that are not settled, and publish rows that are new or changed."""
    started = time.perf_counter()
    with classified_failures(), warehouse.open_run(context.run, SLOT_COVERAGE.name) as session:
        now, day = settings.now(), partition_day(context)
        span = _span(session, day, now)
        examined = _examine(session, span, context.instance, settings, now)
        verdict = judge([(SLOT_COVERAGE, examined.rows)])
        results = blocking_results([verdict])
        if not verdict.publishable:
            yield from results
            raise refusal(verdict.summary, [slot_text(slot) for slot in examined.slots[-1:]])
        _publish(session, examined, settings.origin)
        history = session.store.read_table(SLOT_COVERAGE, columns=_COLUMNS, end=span.end)
        of_day = session.store.read_table(SLOT_COVERAGE, start=span.day_start, end=span.day_end)
        newest = of_day.tail(1)
        slot = newest["as_of"].iloc[0].to_pydatetime() if len(newest) else span.day_start
        results += [
            non_empty_result(SLOT_COVERAGE, len(of_day)),
            drift_result(
                SLOT_COVERAGE,
                len(newest),
                session.rows_before(SLOT_COVERAGE, slot),
                settings.max_row_count_drift,
            ),
            finding_result(_missing_finding(history, span)),
        ]
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                SLOT_COVERAGE,
                slot=slot,
                frame=newest,
                preview_of=of_day.iloc[::-1],
                rows_of_day=len(of_day),
                seconds=time.perf_counter() - started,
                extra={
                    "slots_examined": len(examined.slots),
                    "slots_published": len(examined.moved),
                    **_facts(of_day, history, span),
                },
            ),
        )


@dataclass(frozen=True)
class _Span:
    """The slots of a run.

    Attributes:
        start: First slot to settle.
        end: Present slot, or end of the past day: the first slot that is not settled.
        day_start: First slot of the partition's day.
        day_end: First slot of the day after.
        first_snapshot: First slot with a board; None if there is none.
    """

    start: datetime
    end: datetime
    day_start: datetime
    day_end: datetime
    first_snapshot: datetime | None


def _span(session: WarehouseSession, day: date, now: datetime) -> _Span:
    """The ended slots that a run of a day is to settle.

    Raises:
        dg.Failure: A day before the first stored slot, or after the present.
    """
    first, first_snapshot = first_slots(session.store)
    day_start, day_end = day_bounds(day)
    today = day == day_of(now)
    if first is None:
        return _Span(day_start, day_start, day_start, day_end, None)
    end = slot_of(now) if today else min(day_end, slot_of(now))
    if not today and (day_end <= first or day_start >= end):
        raise nothing_stored(
            day,
            "slot_coverage",
            f"the first slot is {slot_text(first)}, the newest ended one before {slot_text(end)}",
        )
    start = first if today else max(first, day_start)
    return _Span(min(start, end), end, day_start, day_end, first_snapshot)


@dataclass(frozen=True)
class _Examined:
    """What a run found.

    Attributes:
        slots: Slots examined, oldest first.
        rows: Rows to publish: new ones, changed ones, and those whose tables have moved.
        moved: Their slots, with the versions that were seen.
    """

    slots: list[datetime]
    rows: pd.DataFrame
    moved: Mapping[datetime, Mapping[str, int]]


def _examine(
    session: WarehouseSession, span: _Span, instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> _Examined:
    if span.start >= span.end:
        return _Examined([], SLOT_COVERAGE.empty(), {})
    stale = stale_slots(session.store, span.start, span.end)
    slots = stale.slots
    if not slots:
        return _Examined([], SLOT_COVERAGE.empty(), {})
    facts = read_facts(session.store, slots)
    stored = read_coverage(session.store, slots)
    in_question = [slot for slot in slots if slot_status(facts[slot]) not in {Status.LIVE, Status.UNCHANGED}]
    knowledge = (
        read_knowledge(instance, in_question, lambda: datetime.now(UTC)) if in_question else Knowledge()
    )
    began, known = knowledge.began(span.first_snapshot), reasons_of(stored)
    rows: list[SlotRow] = [
        classify(facts[slot], knowledge, began=began, now=now, known=known.get(slot)) for slot in slots
    ]
    frame = coverage_frame(rows, now, settings.origin)
    new = frame["as_of"].isin(list(stale.moved)) | changed(frame, stored)
    kept = frame[new].reset_index(drop=True)
    versions = {slot: facts[slot].versions for slot in (one.to_pydatetime() for one in kept["as_of"])}
    return _Examined(slots, kept, versions)


def _publish(session: WarehouseSession, examined: _Examined, origin: str) -> None:
    """Publish the rows, each with the versions that it was made from."""
    slices = [
        Slice(SLOT_COVERAGE, slot, examined.rows.iloc[place : place + 1], versions, origin=of_slot)
        for place, ((slot, versions), of_slot) in enumerate(
            zip(examined.moved.items(), examined.rows["origin"], strict=True)
        )
    ]
    slices.reverse()
    for first in range(0, len(slices), _SLOTS_PER_COMMIT):
        session.publisher.publish(slices[first : first + _SLOTS_PER_COMMIT], session.provenance(origin))


def _missing_finding(history: pd.DataFrame, span: _Span) -> Finding:
    """Uncovered slots of the last 24 hours before the span's end; a run that is still at work is not missing yet."""
    since = max(span.end - timedelta(days=1), span.day_start if span.end == span.day_end else span.start)
    recent = history[
        (history["as_of"] >= pd.Timestamp(since)) & (history["cause"] != str(Cause.RUN_UNFINISHED))
    ]
    gaps = find_gaps(recent)
    share = covered_share(recent)
    facts: dict[str, str | int | float] = {
        "since": slot_text(since),
        "slots": share.slots,
        "uncovered": share.slots - share.covered,
    }
    if gaps:
        facts["which"] = "; ".join(gap.text for gap in gaps[-5:])
        facts["what_to_do"] = gaps[-1].reconstruction
    samples: list[dict[str, str | int | float]] = [
        {
            "slots": gap.text,
            "detail": gap.detail or "",
            "advice": CAUSES[Cause(gap.cause)].advice if gap.cause else "",
        }
        for gap in reversed(gaps)
    ]
    return Finding(NO_MISSING_SLOTS, not gaps, facts, samples)


def _facts(of_day: pd.DataFrame, history: pd.DataFrame, span: _Span) -> dict[str, Any]:
    """Counts of the day, the longest gap, shares, and the picture of the last month."""
    statuses, causes = of_day["status"].value_counts(), of_day["cause"].value_counts()
    facts: dict[str, Any] = {f"slots_{status}": int(statuses.get(str(status), 0)) for status in STATUSES}
    facts |= {f"cause_{cause}": int(count) for cause, count in causes.items()}
    gap = longest_gap(history)
    facts["longest_gap"] = "none" if gap is None else gap.text
    for name, length in SPANS:
        share = covered_share(history, None if length is None else span.end - length).share
        if share is not None:
            facts[f"covered {name}"] = round(share, 5)
    if len(history):
        last = day_of(span.end - SLOT)
        first = max(last - timedelta(days=_DAYS_DRAWN - 1), history["as_of"].iloc[0].date())
        png = slots_png(
            status_grid(history, first, last),
            first,
            [str(status) for status in STATUSES],
            f"Slots until {last}",
        )
        facts["slots"] = dg.MetadataValue.md(as_markdown(png, "slots"))
    return facts
