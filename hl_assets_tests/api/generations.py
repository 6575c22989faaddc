"""Slots whose every table says which generation it is of, for tests that publish one slot again and again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.slices import Provenance, Slice

PROVENANCE = Provenance("test", "test", "simulated")
DERIVED = (WALLET_METRICS, AI_GRADES, WALLET_SCORES, SCORE_RUNS)
_TABLES = (*DERIVED, PORTFOLIO_FETCHES, LEADERBOARD_SNAPSHOTS)


def wallets_of(generation: int) -> int:
    """How many wallets a generation has: never as many as the one before."""
    return 20 + generation % 7


@dataclass(frozen=True)
class Template:
    """Rows of a real slot to make generations of.

    Attributes:
        frames: Table name -> rows; only of wallets that are ranked.
        board: Rows of the board that the slot saw.
    """

    frames: Mapping[str, pd.DataFrame]
    board: pd.DataFrame

    @classmethod
    def of(cls, store: Warehouse, slot: datetime) -> "Template":
        """The rows of a stored slot."""
        frames = {table.name: store.read_table(table, as_of=slot) for table in _TABLES}
        scores = frames[WALLET_SCORES.name]
        ranked = set(scores.loc[scores["is_eligible"], "wallet"])
        kept = {
            name: frame[frame["wallet"].isin(ranked)].sort_values("wallet").reset_index(drop=True)
            if "wallet" in frame
            else frame
            for name, frame in frames.items()
        }
        board = store.read_table(
            LEADERBOARD_ROWS, as_of=frames[LEADERBOARD_SNAPSHOTS.name]["board_as_of"].iloc[0]
        )
        return cls(kept, board)

    def frame(self, table: TableContract, slot: datetime, generation: int) -> pd.DataFrame:
        """A table's rows of a generation."""
        frame = self.frames[table.name].copy()
        if "wallet" in frame:
            frame = frame.head(wallets_of(generation)).reset_index(drop=True)
        frame["as_of"] = pd.Series([slot] * len(frame), dtype=frame["as_of"].dtype)
        marks: dict[str, Any] = {
            WALLET_METRICS.name: {"total_pnl": float(generation)},
            AI_GRADES.name: {"overall_assessment": f"generation {generation}"},
            WALLET_SCORES.name: {
                "quant_score": float(generation % 100),
                "entity_flags": [[] for _ in frame.index],
            },
            SCORE_RUNS.name: {"n_wallets": generation},
        }.get(table.name, {})
        return frame.assign(**{name: pd.Series(value, index=frame.index) for name, value in marks.items()})


class Writer:
    """Publishes generations of a slot.

    Args:
        store: The warehouse.
        template: Rows to publish.
        slot: The slot.
        retain_seconds: How long replaced rows stay.
    """

    def __init__(
        self, store: Warehouse, template: Template, slot: datetime, *, retain_seconds: float = 60.0
    ) -> None:
        self._template = template
        self.slot = slot
        self.publisher = Publisher(store, retain_seconds=retain_seconds)
        self.versions: dict[str, int] = {}

    def raw(self) -> None:
        """Publish what the slot observed."""
        board_slot = self._template.board["as_of"].iloc[0].to_pydatetime()
        self._publish([Slice(LEADERBOARD_ROWS, board_slot, self._template.board)], ())
        self.derive(LEADERBOARD_SNAPSHOTS, generation=0, upstream=())
        self.derive(PORTFOLIO_FETCHES, generation=0, upstream=())

    def one_after_the_other(self, generation: int) -> None:
        """As the assets do: each table in a commit of its own, derived from the ones before."""
        self.derive(WALLET_METRICS, generation=generation, upstream=(PORTFOLIO_FETCHES,))
        self.derive(AI_GRADES, generation=generation, upstream=(WALLET_METRICS,))
        self.derive(
            WALLET_SCORES, SCORE_RUNS, generation=generation,
            upstream=(WALLET_METRICS, AI_GRADES, PORTFOLIO_FETCHES),
        )  # fmt: skip

    def all_at_once(self, generation: int) -> None:
        """Everything in one commit; the scores name no versions."""
        self.derive(*DERIVED, generation=generation, upstream=())

    def derive(self, *tables: TableContract, generation: int, upstream: tuple[TableContract, ...]) -> None:
        """Publish tables of a generation."""
        self._publish(
            [Slice(table, self.slot, self._template.frame(table, self.slot, generation)) for table in tables],
            upstream,
        )

    def _publish(self, slices: list[Slice], upstream: tuple[TableContract, ...]) -> None:
        inputs = {table.name: self.versions[table.name] for table in upstream}
        done = self.publisher.publish(slices, replace(PROVENANCE, inputs=inputs))
        assert done.version is not None
        self.versions.update({one.contract.name: done.version for one in slices})


def generations_in(rows: list[dict[str, Any]]) -> set[int]:
    """Generations that the rows of `/wallets` are of, by their metrics and grades; by their scores modulo 100."""
    found = set()
    for row in rows:
        of_metrics = int(row["total_pnl"])
        found.add(of_metrics)
        found.add(int(row["quant_score"]) + of_metrics // 100 * 100)
        if row["agent_analysis_text"] is not None:
            found.add(int(row["agent_analysis_text"].removeprefix("generation ")))
    return found
