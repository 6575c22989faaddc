"""The exchange's JSON: decimal strings with float noise, leaderboard, portfolio and vaults bodies.

Money is rounded to 1e-6 USD and volume to 1e-2 USD, then printed as the nearest double with up to 10 decimals and
without trailing zeros, which is where the exchange's digits like "917841122.7465319633" come from.

The recorded sizes of the real leaderboard body (25 MB for 30,352 rows, 40 MB for some 47,300) are about 840 bytes a row,
where the same row takes some 450 bytes without white space and 880 with an indentation of two. The default is therefore
the indented layout; whether the exchange really indents is not known. Nothing here computes a number.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import orjson

from hl_assets.exchange.sandbox.arrays import CENTS, MICRO, FloatArray, IntArray
from hl_assets.exchange.sandbox.source import (
    BOARD_WINDOWS,
    PORTFOLIO_WINDOWS,
    Board,
    Portfolio,
    Vault,
    WindowSeries,
)

EMPTY_BOARD = b'{"leaderboardRows":[]}'


def decimals(values: FloatArray) -> list[str]:
    """Up to 10 decimals, no trailing zeros but one digit after the point."""
    return [_trimmed(f"{value:.10f}") for value in values.tolist()]


def dollars(amounts: IntArray) -> list[str]:
    """Micro-dollars as decimal strings."""
    return decimals(amounts / MICRO)


def volumes(amounts: IntArray) -> list[str]:
    """Cents as decimal strings."""
    return decimals(amounts / CENTS)


def leaderboard_body(board: Board, *, indented: bool) -> bytes:
    """The body of `GET /Mainnet/leaderboard`."""
    if not board.addresses:
        return EMPTY_BOARD
    names = ("null" if name is None else orjson.dumps(name).decode() for name in board.names)
    pnl, volume = dollars(board.pnl.ravel()), volumes(board.volume.ravel())
    roi = decimals(board.roi.ravel())
    cells = zip(
        board.addresses, dollars(board.account_value), *_by_window(pnl, roi, volume), names, strict=True
    )
    template, before, between, after = _INDENTED if indented else _COMPACT
    return (before + between.join(template % row for row in cells) + after).encode()


def portfolio_body(portfolio: Portfolio) -> bytes:
    """The body of a `portfolio` answer: eight pairs in the exchange's order."""
    known: dict[int, str] = {}
    pairs = []
    for name in PORTFOLIO_WINDOWS:
        window = portfolio[name]
        if id(window) not in known:
            known[id(window)] = _series(window)
        pairs.append(f'["{name}",{known[id(window)]}]')
    return f"[{','.join(pairs)}]".encode()


def vaults_body(vaults: Sequence[Vault]) -> bytes:
    """The body of `GET /Mainnet/vaults`."""
    return orjson.dumps([_vault(vault) for vault in vaults])


def vault_details_body(vault: Vault | None, portfolio: Portfolio | None) -> bytes:
    """The body of a `vaultDetails` answer without followers; null for what is no vault."""
    if vault is None or portfolio is None:
        return b"null"
    summary = {
        "name": vault.name,
        "vaultAddress": vault.address,
        "leader": vault.leader,
        "description": "",
        "portfolio": orjson.Fragment(portfolio_body(portfolio)),
        "apr": vault.apr,
        "followerState": None,
        "leaderFraction": 1.0,
        "leaderCommission": 0.1,
        "followers": [],
        "maxDistributable": 0.0,
        "maxWithdrawable": 0.0,
        "isClosed": vault.is_closed,
        "relationship": vault.relationship,
        "allowDeposits": not vault.is_closed,
        "alwaysCloseOnWithdraw": False,
    }
    return orjson.dumps(summary)


def _series(window: WindowSeries) -> str:
    instants = window.instants.tolist()
    value, pnl = _points(instants, dollars(window.account_value)), _points(instants, dollars(window.pnl))
    volume = volumes(np.array([window.volume], dtype=np.int64))[0]
    return f'{{"accountValueHistory":[{value}],"pnlHistory":[{pnl}],"vlm":"{volume}"}}'


def _points(instants: Iterable[int], texts: Iterable[str]) -> str:
    return ",".join(f'[{instant},"{text}"]' for instant, text in zip(instants, texts, strict=True))


def _vault(vault: Vault) -> dict[str, object]:
    return {
        "apr": vault.apr,
        "pnls": [[name, dollars(vault.pnls[name])] for name in BOARD_WINDOWS],
        "summary": {
            "name": vault.name,
            "vaultAddress": vault.address,
            "leader": vault.leader,
            "tvl": dollars(np.array([vault.tvl], dtype=np.int64))[0],
            "isClosed": vault.is_closed,
            "relationship": vault.relationship,
            "createTimeMillis": vault.created_ms,
        },
    }


def _trimmed(text: str) -> str:
    plain = text.rstrip("0")
    if not plain.endswith("."):
        return plain
    return "0.0" if plain == "-0." else plain + "0"


def _by_window(*columns: list[str]) -> list[list[str]]:
    """Row-major columns of the four windows as one list per window and column: day pnl, day roi, day vlm, week ..."""
    count = len(BOARD_WINDOWS)
    return [column[window::count] for window in range(count) for column in columns]


def _layout(*, indented: bool) -> tuple[str, str, str, str]:
    """Template of a row with 15 holes, and what stands before, between and after the rows."""
    windows = [[name, {"pnl": "%s", "roi": "%s", "vlm": "%s"}] for name in BOARD_WINDOWS]
    row = {
        "ethAddress": "%s",
        "accountValue": "%s",
        "windowPerformances": windows,
        "prize": 0,
        "displayName": "%s",
    }
    if not indented:
        return _unquoted(orjson.dumps(row).decode()), '{"leaderboardRows":[', ",", "]}"
    whole = orjson.dumps({"leaderboardRows": [row]}, option=orjson.OPT_INDENT_2).decode()
    start, end = whole.index('{\n      "ethAddress"'), whole.rindex("\n  ]")
    return _unquoted(whole[start:end]), whole[:start], ",\n    ", whole[end:]


def _unquoted(template: str) -> str:
    """The display name brings its own quotes, or is null."""
    return template.replace('"displayName": "%s"', '"displayName": %s').replace(
        '"displayName":"%s"', '"displayName":%s'
    )


_COMPACT = _layout(indented=False)
_INDENTED = _layout(indented=True)
