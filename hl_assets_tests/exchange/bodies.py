"""Bodies in the exchange's shape, small and made up, for tests that need one rather than a real one."""

import json
from typing import Any

LEADERBOARD_NAMES = ("day", "week", "month", "allTime")
PORTFOLIO_NAMES = (*LEADERBOARD_NAMES, "perpDay", "perpWeek", "perpMonth", "perpAllTime")
START_MS = 1_755_772_320_063


def address(number: int) -> str:
    return f"0x{number:040x}"


def leaderboard_document(n: int = 3) -> dict[str, Any]:
    def performance(row: int, window: int) -> dict[str, str]:
        return {"pnl": f"-{row}.{window}5", "roi": f"0.0{row}{window}", "vlm": f"{row}{window}00.25"}

    return {
        "leaderboardRows": [
            {
                "ethAddress": address(row + 1),
                "accountValue": f"{row + 1}00000.5",
                "windowPerformances": [
                    [name, performance(row, i)] for i, name in enumerate(LEADERBOARD_NAMES)
                ],
                "prize": 0,
                "displayName": None if row % 2 else f"trader {row}",
            }
            for row in range(n)
        ]
    }


def portfolio_document(points: int = 3, base: float = 1000.0) -> list[Any]:
    def history(first: float, step: float) -> list[list[Any]]:
        return [[START_MS + 7_200_000 * i, str(first + step * i)] for i in range(points)]

    return [
        [name, {"accountValueHistory": history(base, 1.5), "pnlHistory": history(0.0, 1.5), "vlm": f"{i}.25"}]
        for i, name in enumerate(PORTFOLIO_NAMES)
    ]


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()
