"""What the REST API reads of the warehouse: all that its database user may read.

Belongs here: tables, and columns where a table holds more than is served. Does not belong here: reading them (`queries`,
`snapshots`, `hl_assets.observability.reading`), the user (`hl_assets.warehouse.access`).
"""

from collections.abc import Mapping

from hl_assets.api.models import CALL_COLUMNS
from hl_assets.schemas.alerts import ALERTS
from hl_assets.schemas.coverage import SLOT_COVERAGE
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES, GRADE_CALLS
from hl_assets.schemas.leaderboard import LEADERBOARD_ROWS, LEADERBOARD_SNAPSHOTS
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.portfolio import PORTFOLIO_FETCHES
from hl_assets.schemas.quarantine import QUARANTINED_SLOTS
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES

SERVED: Mapping[str, tuple[str, ...] | None] = {
    **dict.fromkeys(
        table.name
        for table in (
            LEADERBOARD_SNAPSHOTS,
            LEADERBOARD_ROWS,
            PORTFOLIO_FETCHES,
            EQUITY_CURVES,
            WALLET_METRICS,
            AI_GRADES,
            WALLET_SCORES,
            SCORE_RUNS,
            # Only for /metrics:
            SLOT_COVERAGE,
            QUARANTINED_SLOTS,
            ALERTS,
        )
    ),
    # Neither the text that the model was given nor its raw answer.
    GRADE_CALLS.name: tuple(dict.fromkeys((*GRADE_CALLS.key, "wallet", *CALL_COLUMNS))),
}
"""Table -> the columns that are read of it; None = all of them."""
