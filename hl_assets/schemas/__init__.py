"""Table contracts: one module per subject, all of them listed in `TABLES`.

Belongs here: what every table means, its columns, key and limits. Does not belong here: SQL, Dagster, I/O.
"""

from hl_assets.schemas.alerts import ALERTS
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES, GRADE_BATCHES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES, PORTFOLIO_POINTS
from hl_assets.schemas.quarantine import QUARANTINED_SLOTS
from hl_assets.schemas.reconstruction import RECONSTRUCTED_COHORTS
from hl_assets.schemas.scores import RESCORED_SCORES, SCORE_RUNS, WALLET_SCORES
from hl_assets.schemas.tracking import TRACKED_WALLETS, WATCH_REQUESTS
from hl_assets.schemas.vaults import VAULTS

TABLES: tuple[TableContract, ...] = (
    LEADERBOARD_SNAPSHOTS,
    LEADERBOARD_ROWS,
    VAULTS,
    PORTFOLIO_FETCHES,
    PORTFOLIO_POINTS,
    RECONSTRUCTED_COHORTS,
    WATCH_REQUESTS,
    TRACKED_WALLETS,
    EQUITY_CURVES,
    WALLET_METRICS,
    GRADE_CALLS,
    GRADE_BATCHES,
    AI_GRADES,
    WALLET_SCORES,
    SCORE_RUNS,
    RESCORED_SCORES,
    QUARANTINED_SLOTS,
    ALERTS,
    SLOT_COVERAGE,
)
"""Every contract, in the order data flows."""
