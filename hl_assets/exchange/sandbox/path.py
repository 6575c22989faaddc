"""Random access to Brownian motion: the value at any instant without the path before it.

Levy's construction: the value at the end of a fixed horizon is drawn first, then midpoints by bridging (the midpoint of
an interval of length h between values a and b is normal with mean (a + b)/2 and variance h/4). Each midpoint's normal
number is addressed by its node in the binary tree, so descending from the root to the cell that holds an instant costs
one number per level and never depends on which other instants were asked for. Inside the finest cell the path is
linear. What the motion means (a performance index) is not known here.
"""

from dataclasses import dataclass

import numpy as np

from hl_assets.exchange.sandbox.arrays import YEAR_MS, FloatArray, HashArray, IntArray
from hl_assets.exchange.sandbox.errors import InstantOutOfRangeError
from hl_assets.exchange.sandbox.randomness import normals

_END_NODE = 0
_ROOT_NODE = 1


@dataclass(frozen=True, slots=True)
class Horizon:
    """The fixed span on which paths exist: 2**levels cells of `cell_ms` from `origin_ms`."""

    origin_ms: int
    cell_ms: int = 320_000
    levels: int = 19

    @property
    def end_ms(self) -> int:
        """First instant after the span."""
        return self.origin_ms + (self.cell_ms << self.levels)

    @property
    def years(self) -> float:
        """Length of the span in years."""
        return (self.cell_ms << self.levels) / YEAR_MS


def brownian(horizon: Horizon, keys: HashArray, instants_ms: IntArray) -> FloatArray:
    """Brownian motion at the instants, in units of the square root of a year.

    Args:
        horizon: The span of the construction.
        keys: Path key of each query, shape (n,) or broadcastable to the instants.
        instants_ms: Instants, shape (n,).

    Returns:
        Values, shape (n,); 0 at the horizon's origin.

    Raises:
        InstantOutOfRangeError: An instant lies outside the horizon.
    """
    if instants_ms.size == 0:
        return np.zeros(0)
    elapsed = instants_ms - horizon.origin_ms
    if int(elapsed.min()) < 0 or int(instants_ms.max()) >= horizon.end_ms:
        raise InstantOutOfRangeError(
            f"instant outside the simulated span [{horizon.origin_ms}, {horizon.end_ms}) ms: "
            f"asked {int(instants_ms.min())} .. {int(instants_ms.max())}"
        )
    cells = elapsed // horizon.cell_ms
    within = (elapsed - cells * horizon.cell_ms) / horizon.cell_ms
    left, right = _cell_ends(horizon, np.broadcast_to(keys, instants_ms.shape), cells)
    return left + (right - left) * within


def _cell_ends(horizon: Horizon, keys: HashArray, cells: IntArray) -> tuple[FloatArray, FloatArray]:
    left = np.zeros(cells.shape)
    right = np.sqrt(horizon.years) * normals(keys, np.full(cells.shape, _END_NODE, dtype=np.int64))
    node = np.full(cells.shape, _ROOT_NODE, dtype=np.int64)
    length = horizon.years
    for level in range(horizon.levels):
        middle = 0.5 * (left + right) + 0.5 * np.sqrt(length) * normals(keys, node)
        bit = (cells >> (horizon.levels - 1 - level)) & 1
        upper = bit == 1
        left = np.where(upper, middle, left)
        right = np.where(upper, right, middle)
        node = 2 * node + bit
        length *= 0.5
    return left, right
