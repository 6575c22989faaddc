"""A process of its own that fetches portfolios under a shared budget; started by the tests of the budget.

`python -m hl_assets_tests.exchange.spend_budget URL STATE_DIR WEIGHT WINDOW_SECONDS FIRST COUNT`
"""

import asyncio
import sys
from pathlib import Path

from hl_assets.exchange.client import HyperliquidClient
from hl_assets.exchange.config import ExchangeConfig
from hl_assets_tests.exchange.bodies import address


async def main(url: str, state_dir: str, weight: str, window: str, first: str, count: str) -> None:
    config = ExchangeConfig(
        info_url=url,
        weight_per_minute=int(weight),
        limiter_state_dir=Path(state_dir),
        limiter_window_seconds=float(window),
        limiter_slack_seconds=float(window) / 60,
    )
    async with HyperliquidClient(config) as client:
        outcomes = await client.portfolios([address(int(first) + i) for i in range(int(count))])
    assert all(outcome.status == "ok" for outcome in outcomes), [outcome.error for outcome in outcomes]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
