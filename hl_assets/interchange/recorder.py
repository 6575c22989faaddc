"""Recording an exchange: its leaderboard and the top wallets' portfolios, as they came, round by round.

Belongs here: when a round begins and what it asks for. Does not belong here: requests and their budget (`exchange`), the folder
(`capture_writer`).

Rounds begin at whole multiples of their distance, so rounds of ten minutes belong to the slots. The first one begins at once and
belongs to the multiple before it; a round that takes too long costs those that it overlaps.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.payloads import Leaderboard, LeaderboardWindow
from hl_assets.exchange.responses import LeaderboardResponse, PortfolioOutcome
from hl_assets.exchange.sandbox.capture import CaptureEntry
from hl_assets.exchange.selection import TopN
from hl_assets.interchange.capture_writer import CaptureWriter
from hl_assets.progress import Progress, announce
from hl_assets.resources.exchange import Exchange
from hl_assets.slots import slot_text

logger = logging.getLogger(__name__)

_EPOCH = datetime.fromtimestamp(0, UTC)
_WINDOWS: dict[str, LeaderboardWindow] = {
    "day": "day",
    "week": "week",
    "month": "month",
    "all_time": "allTime",
}


@dataclass(frozen=True)
class RecordedRound:
    """What one round gave.

    Attributes:
        at: Instant it belongs to.
        wallets: Wallets asked for.
        failed: Answers that did not come, the leaderboard's included.
        seconds: How long it took, by the exchange's clock.
    """

    at: datetime
    wallets: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class RecordingPlan:
    """What to record.

    Attributes:
        rule: The wallets of each round.
        every: Distance of two rounds; also how long a round stands for the present when it is replayed.
        until: No round begins at or after this instant; None: until somebody stops it.
        deadline_seconds: Portfolios not there so long after a round's leaderboard are given up.
    """

    rule: TopN
    every: timedelta
    until: datetime | None
    deadline_seconds: float


def record(
    exchange: Exchange, writer: CaptureWriter, plan: RecordingPlan, sleep: Callable[[float], None]
) -> Iterator[RecordedRound]:
    """Record round after round; a round that is in the folder already is not recorded again.

    Args:
        exchange: Whom to ask, under its shared budget of weight.
        writer: Where to.
        plan: What, and how long.
        sleep: Waits so many seconds.

    Yields:
        Each round once it is stored.
    """
    while plan.until is None or exchange.now() < plan.until:
        at = round_of(exchange.now(), plan.every)
        if at not in writer.rounds:
            yield _round(exchange, writer, plan, at)
        following = at + plan.every
        if plan.until is not None and following >= plan.until:
            return
        sleep(max((following - exchange.now()).total_seconds(), 0.0))


def round_of(instant: datetime, every: timedelta) -> datetime:
    """The round an instant falls in: its floor to a multiple of `every`, counted from 1970."""
    return _EPOCH + (instant.astimezone(UTC) - _EPOCH) // every * every


def _round(exchange: Exchange, writer: CaptureWriter, plan: RecordingPlan, at: datetime) -> RecordedRound:
    began = exchange.now()
    try:
        board = exchange.leaderboard()
    except ExchangeError as error:
        logger.warning("round %s has no leaderboard: %s", slot_text(at), error)
        failure = CaptureEntry(
            at=at,
            valid_seconds=plan.every.total_seconds(),
            kind="leaderboard",
            observed_at=exchange.now(),
            status="failed",
            error=str(error),
        )
        writer.add(failure, None)
        writer.sync()
        return RecordedRound(at, 0, 1, (exchange.now() - began).total_seconds())
    writer.add(_board_entry(board, plan, at), board.body)
    wallets = plan.rule.select(_ranked(board.leaderboard, plan.rule))
    failed = _portfolios(exchange, writer, plan, at, wallets)
    writer.sync()
    return RecordedRound(at, len(wallets), failed, (exchange.now() - began).total_seconds())


def _portfolios(
    exchange: Exchange, writer: CaptureWriter, plan: RecordingPlan, at: datetime, wallets: Sequence[str]
) -> int:
    """Ask for the wallets, writing each answer down as it comes; returns how many failed."""
    done = failed = 0
    announce(Progress("portfolios", 0, len(wallets)))

    def keep(outcome: PortfolioOutcome) -> None:
        nonlocal done, failed
        done, failed = done + 1, failed + (outcome.response is None)
        writer.add(_portfolio_entry(outcome, plan, at), outcome.response.body if outcome.response else None)
        announce(Progress("portfolios", done, len(wallets), failed))

    exchange.portfolios(wallets, on_result=keep, deadline_seconds=plan.deadline_seconds)
    return failed


def _board_entry(board: LeaderboardResponse, plan: RecordingPlan, at: datetime) -> CaptureEntry:
    return CaptureEntry(
        at=at,
        valid_seconds=plan.every.total_seconds(),
        kind="leaderboard",
        observed_at=board.observed_at,
        status="ok",
        last_modified=board.last_modified,
        sha256=board.sha256,
    )


def _portfolio_entry(outcome: PortfolioOutcome, plan: RecordingPlan, at: datetime) -> CaptureEntry:
    return CaptureEntry(
        at=at,
        valid_seconds=plan.every.total_seconds(),
        kind="portfolio",
        wallet=outcome.wallet,
        observed_at=outcome.observed_at,
        status="failed" if outcome.response is None else "ok",
        error=None if outcome.error is None else str(outcome.error),
        sha256="" if outcome.response is None else outcome.response.sha256,
    )


def _ranked(board: Leaderboard, rule: TopN) -> pd.DataFrame:
    """The columns of a board that the rule ranks by."""
    if rule.measure == "account_value":
        values = board.account_value
    else:
        values = getattr(board.performance[_WINDOWS[rule.window]], rule.measure)
    return pd.DataFrame({"wallet": list(board.wallets), rule.board_column: values})
