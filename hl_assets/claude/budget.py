"""Money: limits in USD that no number of concurrent calls can pass.

Belongs here: reserving before a call and settling after it. What calls cost belongs in `prices`.

A call is made only with its worst case reserved, so the limits hold whatever the answers cost, as long as an answer costs no
more than its worst case. Amounts are counted in whole pico-USD, rounded up: sums are exact. One event loop.
"""

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Literal

BudgetLimit = Literal["budget_run", "budget_day"]

_PICO = 1_000_000_000_000
_logger = logging.getLogger(__name__)


class Budget:
    """What a run may spend, and what all runs of a day may.

    Args:
        per_run_usd: limit of this run; `math.inf` for none.
        per_day_usd: limit of the UTC day; `math.inf` for none.
        spent_today_usd: what the day's earlier calls cost.

    Raises:
        ValueError: an amount is negative or not a number.
    """

    def __init__(self, *, per_run_usd: float, per_day_usd: float, spent_today_usd: float) -> None:
        for name, amount in (
            ("per_run_usd", per_run_usd),
            ("per_day_usd", per_day_usd),
            ("spent_today_usd", spent_today_usd),
        ):
            if not amount >= 0:
                raise ValueError(f"{name} must be at least 0 USD, got {amount}")
        self.per_run_usd = per_run_usd
        self.per_day_usd = per_day_usd
        self.spent_today_usd = spent_today_usd
        self._spent = 0
        self._reserved = 0
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def spent_usd(self) -> float:
        """What this run's settled calls cost."""
        return self._spent / _PICO

    @property
    def reserved_usd(self) -> float:
        """What the calls in flight may cost."""
        return self._reserved / _PICO

    def try_reserve(self, worst_case_usd: float) -> "Reservation | BudgetLimit":
        """Reserve now, or the limit that forbids it, without waiting for calls in flight."""
        amount = _pico(worst_case_usd)
        limit = self._forbidding(self._spent + self._reserved + amount)
        return limit if limit is not None else self._take(amount)

    async def reserve(self, worst_case_usd: float) -> "Reservation | BudgetLimit":
        """Reserve for one call, or the limit that forbids it.

        Waits while calls in flight might still cost less than reserved and so make room; once even that would not help,
        the limit is final for this amount. Who asks first is served first, so nobody overtakes one who waits.
        """
        amount = _pico(worst_case_usd)
        async with self._turn:
            while True:
                if (limit := self._forbidding(self._spent + amount)) is not None:
                    return limit
                if self._forbidding(self._spent + self._reserved + amount) is None:
                    return self._take(amount)
                await self._changed.wait()

    def hold(self, worst_case_usd: float) -> "Reservation":
        """Reserve whatever the limits say: for money already committed, such as a batch of an earlier run."""
        return self._take(_pico(worst_case_usd))

    def _take(self, amount: int) -> "Reservation":
        self._reserved += amount
        return Reservation(self, amount)

    def _forbidding(self, total: int) -> BudgetLimit | None:
        if total > _limit(self.per_run_usd):
            return "budget_run"
        if total + _pico(self.spent_today_usd) > _limit(self.per_day_usd):
            return "budget_day"
        return None

    def _settle(self, reserved: int, actual: int) -> None:
        self._reserved -= reserved
        self._spent += actual
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@dataclass(eq=False)
class Reservation:
    """Money set aside for one call; settled exactly once."""

    _budget: Budget
    _amount: int
    _open: bool = True

    @property
    def worst_case_usd(self) -> float:
        """What was reserved."""
        return self._amount / _PICO

    def settle(self, actual_usd: float | None) -> None:
        """Replace the worst case by what the call cost; None, when nobody knows, keeps the worst case.

        Raises:
            RuntimeError: settled before.
        """
        if not self._open:
            raise RuntimeError("a reservation is settled once")
        self._open = False
        actual = self._amount if actual_usd is None else _pico(actual_usd)
        if actual > self._amount:
            _logger.warning(
                "a call cost %.6f USD where at most %.6f was expected: the token estimate is too low",
                actual / _PICO,
                self._amount / _PICO,
            )
        self._budget._settle(self._amount, actual)  # noqa: SLF001

    def release(self) -> None:
        """Give everything back: the call was not made."""
        self.settle(0.0)


def _pico(amount_usd: float) -> int:
    if not (math.isfinite(amount_usd) and amount_usd >= 0):
        raise ValueError(f"an amount must be at least 0 USD and finite, got {amount_usd}")
    return math.ceil(round(amount_usd * _PICO, 3))  # rounded first: 0.1 + 0.2 is no more than 0.3


def _limit(limit_usd: float) -> float:
    return limit_usd if math.isinf(limit_usd) else round(limit_usd * _PICO)
