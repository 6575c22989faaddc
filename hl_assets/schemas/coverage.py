"""Contract of slot coverage: what became of every slot since the first stored one, and why."""

import pandas as pd
import pandera.pandas as pa

from hl_assets.coverage.vocabulary import STATUS_MEANINGS, Cause, Status
from hl_assets.schemas.contract import (
    Instant,
    Slot,
    TableContract,
    column,
    instant_column,
    nullable_count_column,
    origin_column,
    slot_column,
)


class SlotCoverage(pa.DataFrameModel):
    """What became of a slot: one row for every ended slot since the first stored one, covered or not.

    Causes come from Dagster's runs and ticks and are written while Dagster still has them; `docs/coverage.md` explains
    each. The versions of the tables that were seen are in `publications.inputs`.
    """

    as_of: Slot = slot_column()
    status: str = column(
        "; ".join(f"{status}: {meaning}" for status, meaning in STATUS_MEANINGS.items()),
        clickhouse="LowCardinality(String)",
        isin=[str(status) for status in Status],
    )
    cause: str = column(
        "Why the slot was not observed and scored in its time; null if it was. One of "
        + ", ".join(str(cause) for cause in Cause),
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
        isin=[str(cause) for cause in Cause],
    )
    cause_detail: str = column(
        "What is known beyond the cause, on one line: an error, the reason of a skip; null if nothing is",
        clickhouse="Nullable(String)",
        nullable=True,
    )
    failed_step: str = column(
        "Step of the run that failed; null if none did",
        clickhouse="LowCardinality(Nullable(String))",
        nullable=True,
    )
    run_id: str = column(
        "Run that is to blame, else the one that published the slot's newest table; null if no run is known",
        clickhouse="Nullable(String)",
        nullable=True,
    )
    board_as_of: Slot = column(
        "Slot under which the board's rows are stored; null without leaderboard_snapshots in `stages`",
        clickhouse="Nullable(DateTime('UTC'))",
        unit="UTC",
        nullable=True,
    )
    n_wanted: pd.Int64Dtype = nullable_count_column(
        "Wallets asked about; null without portfolio_fetches in `stages`", unit="wallets"
    )
    n_answered: pd.Int64Dtype = nullable_count_column(
        "Wallets answered; null without portfolio_fetches in `stages`", unit="wallets"
    )
    n_scored: pd.Int64Dtype = nullable_count_column(
        "Rows of wallet_scores; null without wallet_scores in `stages`", unit="wallets"
    )
    n_ranked: pd.Int64Dtype = nullable_count_column(
        "Ranked wallets; null without a row of score_runs", unit="wallets"
    )
    stages: object = column(
        "Tables published for the slot: of leaderboard_snapshots, portfolio_fetches, wallet_metrics, ai_grades, wallet_scores",
        clickhouse="Array(String)",
    )
    settled: bool = column(
        "Whether the verdict stands unless something is published or taken back; an uncovered slot is examined again for an "
        "hour and while a run of it is unfinished",
        clickhouse="Bool",
    )
    examined_at: Instant = instant_column("When the slot was examined")
    origin: str = origin_column()

    class Config:
        """pandera's switches."""

        strict = True
        ordered = True


SLOT_COVERAGE = TableContract(
    name="slot_coverage",
    model=SlotCoverage,
    grain="slot",
    key=("as_of",),
    order_by=("as_of",),
    caution="Counts of wallets are stocks of a slot: never sum them over slots.",
)
