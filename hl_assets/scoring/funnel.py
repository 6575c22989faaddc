"""The funnel: how many wallets came to each gate on the way to a rank, and how many passed it.

Belongs here: counting. Which gates there are and who fails them is decided elsewhere (`hl_assets.metrics.eligibility`, and
whatever asks the exchange).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        name: what a wallet that fails it is told.
        entered: wallets that failed no gate before it.
        passed: those of them that did not fail it either.
    """

    name: str
    entered: int
    passed: int


def count_gates(first_failed: Sequence[str | None], gates: Sequence[str]) -> list[Gate]:
    """Every gate in order with how many wallets entered and passed it.

    Args:
        first_failed: per wallet the first gate it failed, None if it passed all.
        gates: names of the gates, in order.

    Raises:
        ValueError: a wallet failed a gate that is not among them.
    """
    failed = Counter(name for name in first_failed if name is not None)
    unknown = sorted(set(failed) - set(gates))
    if unknown:
        raise ValueError(f"no gate is called {', '.join(unknown)}; there are {', '.join(gates)}")
    counted, left = [], len(first_failed)
    for name in gates:
        counted.append(Gate(name, left, left - failed[name]))
        left -= failed[name]
    return counted
