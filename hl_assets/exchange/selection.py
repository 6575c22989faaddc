"""Whom to fetch: the wallets of a board that a slot wants portfolios of.

Belongs here: the rule that picks wallets, as pure functions. Does not belong here: fetching, reading tables.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from hl_assets.exchange.addresses import is_system_address

Window = Literal["day", "week", "month", "all_time"]
Measure = Literal["pnl", "roi", "volume", "account_value"]


@dataclass(frozen=True)
class TopN:
    """The `count` best wallets of one measure over one window; `account_value` has no window."""

    count: int
    window: Window
    measure: Measure

    @property
    def name(self) -> str:
        """How rows name this rule, e.g. `top:month:pnl`."""
        return (
            f"top:{self.measure}" if self.measure == "account_value" else f"top:{self.window}:{self.measure}"
        )

    @property
    def board_column(self) -> str:
        """Column of `leaderboard_rows` that ranks."""
        return self.measure if self.measure == "account_value" else f"{self.window}_{self.measure}"

    def select(self, board: pd.DataFrame) -> list[str]:
        """Wallets to fetch, best first.

        System addresses (bridges, burn addresses) are not traders and are passed over. Ties go to the lower address,
        so the same board always gives the same wallets.

        Args:
            board: Rows with `wallet` and the ranking column.
        """
        traders = board.loc[~board["wallet"].map(is_system_address), ["wallet", self.board_column]]
        ranked = traders.sort_values([self.board_column, "wallet"], ascending=[False, True], kind="stable")
        return [str(wallet) for wallet in ranked["wallet"].head(self.count)]
