"""Asset `vaults`: the exchange's list of vaults, once per UTC day, so that pooled money is not taken for a trader.

Belongs here: deciding whether to fetch, shaping and publishing the list, and going on without it. Does not belong here:
the request (`exchange`), flagging wallets (`scoring.entities`).

The list is undocumented, large, and changes by a few vaults a day. A day without it is no reason not to rank: the step
then warns and materialises what is known, and `wallet_scores` uses the newest list at or before its slot.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import pandas as pd

from hl_assets.assets.describe import slot_metadata
from hl_assets.assets.slot_asset import slot_asset
from hl_assets.assets.verdict import blocking_results, judge, refusal
from hl_assets.assets.window import RunWindow, run_window
from hl_assets.checks.results import CheckKind, Finding, drift_result, finding_result, non_empty_result
from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.responses import VaultsResponse
from hl_assets.failures import classified_failures
from hl_assets.resources.exchange import Exchange
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.schemas.vaults import VAULTS
from hl_assets.settings import Settings
from hl_assets.slots import day_bounds, slot_text

LIST_OF_THE_DAY = CheckKind(
    "list_of_the_day", "The list is the day's own; otherwise an older one is used to flag vaults, or none."
)


@slot_asset(
    VAULTS,
    layer="raw",
    grain="vault_x_day",
    group="exchange",
    owner="data-platform",
    coverage=False,
    checks=(LIST_OF_THE_DAY,),
    description=(
        "The exchange's list of vaults, fetched by the first slot of a UTC day that can. Vaults stand on the leaderboard "
        "among the traders; this list tells them apart. Without an answer the newest stored list is used, with a warning."
    ),
)
def vaults(
    context: dg.AssetExecutionContext,
    exchange: dg.ResourceParam[Exchange],
    warehouse: dg.ResourceParam[WarehouseResource],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Fetch the day's list unless it is stored, and publish it."""
    started = time.perf_counter()
    with classified_failures(), warehouse.open_run(context.run, "vaults") as session:
        window = run_window(context, exchange.now())
        known = _known(session, window, exchange)
        verdict = judge([(VAULTS, known.rows)])
        results = [
            *blocking_results([verdict]),
            non_empty_result(VAULTS, len(known.rows)),
            drift_result(
                VAULTS,
                len(known.rows),
                session.rows_before(VAULTS, known.slot),
                settings.max_row_count_drift,
            ),
            finding_result(_finding(known)),
        ]
        if not verdict.publishable:
            yield from results
            raise refusal(verdict.summary, [slot_text(known.slot)])
        if known.is_new:
            session.publisher.replace_slice(
                VAULTS, known.slot, known.rows, session.provenance(exchange.origin)
            )
        yield dg.MaterializeResult(
            check_results=results,
            metadata=slot_metadata(
                VAULTS,
                slot=known.slot,
                frame=known.rows,
                preview_of=known.rows.drop(columns="name"),
                rows_of_day=session.rows_of_day(VAULTS, window.day),
                seconds=time.perf_counter() - started,
                extra={"fetched": known.is_new},
            ),
        )


@dataclass(frozen=True)
class _Known:
    """The list that a run knows: the day's, fetched now or before, else an older one, else none.

    Attributes:
        slot: Slot of the list; the run's own, or the day's first, where there is none.
        rows: Its rows.
        is_new: Whether it was fetched now.
        missing_because: Why it is not the day's; None if it is.
    """

    slot: datetime
    rows: pd.DataFrame
    is_new: bool = False
    missing_because: str | None = None


def _known(session: WarehouseSession, window: RunWindow, exchange: Exchange) -> _Known:
    stored = session.manifest.committed_on(VAULTS, window.day)
    if stored:
        slot = max(stored)
        return _Known(slot, session.store.read_table(VAULTS, as_of=slot))
    if window.slot is None or not window.slot_is_present:
        return _older(
            session, window.slot or day_bounds(window.day)[0], "none was stored while the day was the present"
        )
    try:
        response = exchange.vaults()
    except ExchangeError as error:
        return _older(session, window.slot, str(error))
    return _Known(window.slot, vault_rows(response, window.slot, exchange.origin), is_new=True)


def _older(session: WarehouseSession, slot: datetime, because: str) -> _Known:
    """The newest list before a slot, or none."""
    older = session.published_before(VAULTS, slot)
    if older is None:
        return _Known(slot, VAULTS.empty(), missing_because=because)
    return _Known(older.as_of, session.store.read_table(VAULTS, as_of=older.as_of), missing_because=because)


def _finding(known: _Known) -> Finding:
    facts: dict[str, str | int | float] = {"list_of": slot_text(known.slot), "vaults": len(known.rows)}
    if known.missing_because is not None:
        facts["why"] = known.missing_because
    return Finding(LIST_OF_THE_DAY, known.missing_because is None, facts)


def vault_rows(response: VaultsResponse, slot: datetime, origin: str) -> pd.DataFrame:
    """The rows of `vaults` for an answer, in the exchange's order."""
    listed = response.vaults
    return VAULTS.conform(
        pd.DataFrame(
            {
                "as_of": pd.Series([slot] * len(listed), dtype="datetime64[s, UTC]"),
                "wallet": pd.Series(listed.wallets, dtype=object),
                "name": pd.Series(listed.names, dtype=object),
                "leader": pd.Series(listed.leaders, dtype=object),
                "tvl": listed.tvl,
                "is_closed": pd.Series(listed.is_closed, dtype=bool),
                "relationship": pd.Series(listed.relationships, dtype=object),
                "created_at": pd.to_datetime(listed.created_ms, unit="ms", utc=True),
                "observed_at": pd.Series([response.observed_at] * len(listed), dtype="datetime64[ms, UTC]"),
                "origin": pd.Series([origin] * len(listed), dtype=object),
            }
        )
    )
