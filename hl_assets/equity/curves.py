"""`RaggedCurves`: the account value and PnL of many wallets in one flat, sorted, duplicate-free layout.

Belongs here: building, checking, cutting and filtering that layout. Where the points come from (a portfolio response, a
table) and what is computed from them do not belong here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hl_assets.equity.amounts import differ_usd
from hl_assets.equity.errors import EquityInputError
from hl_assets.equity.ragged import (
    BoolArray,
    FloatArray,
    IntArray,
    check_offsets,
    offsets_of,
    segment_count,
    segment_of,
)


@dataclass(frozen=True, slots=True, eq=False)
class RaggedCurves:
    """Equity curves of many wallets; the points of wallet `w` are `[offsets[w]:offsets[w + 1]]`.

    Build it with `from_columns` or `from_groups`, which sort, deduplicate and check values; the constructor itself
    checks only that the shapes fit.

    Attributes:
        wallets: lower-case addresses, unique, one per curve.
        ts_ms: int64[n_points], UTC milliseconds, strictly rising inside a wallet.
        account_value: float64[n_points], USD.
        pnl: float64[n_points], cumulative PnL in USD. Only its differences are used, so any constant may be added.
        offsets: int64[n_wallets + 1].
        contradictions: int64[n_wallets], points left out because their timestamp already had a different value.

    Raises:
        EquityInputError: shapes that do not fit.
    """

    wallets: tuple[str, ...]
    ts_ms: IntArray
    account_value: FloatArray
    pnl: FloatArray
    offsets: IntArray
    contradictions: IntArray

    def __post_init__(self) -> None:
        n_points = len(self.ts_ms)
        if len(self.account_value) != n_points or len(self.pnl) != n_points:
            raise EquityInputError(
                f"ts_ms, account_value and pnl must have one length; got {n_points}, "
                f"{len(self.account_value)} and {len(self.pnl)}"
            )
        check_offsets(self.offsets, n_points)
        if len(self.wallets) != len(self.offsets) - 1 or len(self.contradictions) != len(self.wallets):
            raise EquityInputError(
                f"{len(self.wallets)} wallets, {len(self.contradictions)} contradiction counts and "
                f"{len(self.offsets)} offsets do not describe the same curves"
            )

    @classmethod
    def from_columns(
        cls,
        wallet: Sequence[str] | npt.NDArray[np.object_],
        ts_ms: npt.ArrayLike,
        account_value: npt.ArrayLike,
        pnl: npt.ArrayLike,
        *,
        wallets: Sequence[str] | None = None,
    ) -> "RaggedCurves":
        """Build from one row per point, in any order and with repeats (the shape of a table of points).

        Of points with the same wallet and timestamp the first given is kept; a later one with another value counts as
        a contradiction. Rows already ordered by wallet and time are not sorted again.

        Args:
            wallet: address of each point.
            ts_ms: UTC milliseconds of each point.
            account_value: USD.
            pnl: cumulative USD.
            wallets: the curves wanted, in order; those without a point get an empty curve. Default: the addresses in
                order of first appearance.

        Raises:
            EquityInputError: lengths differ, a value is not finite, or a point's wallet is not in `wallets`.
        """
        times = np.asarray(ts_ms, dtype=np.int64)
        values = np.asarray(account_value, dtype=np.float64)
        profits = np.asarray(pnl, dtype=np.float64)
        if not len(wallet) == len(times) == len(values) == len(profits):
            raise EquityInputError(
                f"one row per point needs equal lengths; got wallet {len(wallet)}, ts_ms {len(times)}, "
                f"account_value {len(values)}, pnl {len(profits)}"
            )
        names, codes = _wallet_codes(wallet, wallets)
        _check_finite("account_value", values, names, codes)
        _check_finite("pnl", profits, names, codes)
        in_order = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (times[1:] > times[:-1]))
        if bool(in_order.all()):
            contradictions = np.zeros(len(names), dtype=np.int64)
        else:
            order = np.lexsort((times, codes))  # stable: of equal keys the first given stays first
            codes, times, values, profits = codes[order], times[order], values[order], profits[order]
            kept, contradictory = _first_of_each(codes, times, values, profits)
            contradictions = np.bincount(codes[contradictory], minlength=len(names)).astype(np.int64)
            codes, times, values, profits = codes[kept], times[kept], values[kept], profits[kept]
        offsets = offsets_of(np.bincount(codes, minlength=len(names)).astype(np.int64))
        return cls(names, times, values, profits, offsets, contradictions)

    @classmethod
    def from_groups(
        cls, wallets: Sequence[str], groups: Sequence[tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]]
    ) -> "RaggedCurves":
        """Build from one `(ts_ms, account_value, pnl)` triple per wallet (the shape of `groupArray` rows).

        Raises:
            EquityInputError: as `from_columns`, or the number of wallets and groups differ.
        """
        if len(wallets) != len(groups):
            raise EquityInputError(f"{len(wallets)} wallets but {len(groups)} groups of points")
        lengths = np.array([len(np.asarray(group[0])) for group in groups], dtype=np.int64)
        columns = [_joined([group[part] for group in groups]) for part in range(3)]
        wallet = np.repeat(np.array(list(wallets), dtype=object), lengths)
        return cls.from_columns(wallet, columns[0], columns[1], columns[2], wallets=wallets)

    @property
    def n_wallets(self) -> int:
        """Number of curves, empty ones included."""
        return len(self.wallets)

    @property
    def n_points(self) -> int:
        """Number of points of all curves."""
        return len(self.ts_ms)

    @property
    def lengths(self) -> IntArray:
        """int64[n_wallets], points per curve."""
        return np.diff(self.offsets)

    def until(self, as_of_ms: int) -> "RaggedCurves":
        """The curves as dated at or before an instant: no later point is read (point in time)."""
        return self.where(self.ts_ms <= as_of_ms)

    def where(self, keep: BoolArray) -> "RaggedCurves":
        """The curves reduced to the points marked true; wallets stay, possibly empty."""
        if bool(keep.all()):
            return self
        offsets = offsets_of(segment_count(keep, self.offsets))
        return RaggedCurves(
            self.wallets,
            self.ts_ms[keep],
            self.account_value[keep],
            self.pnl[keep],
            offsets,
            self.contradictions,
        )

    def chunks(self, max_points: int) -> Iterator[tuple[slice, "RaggedCurves"]]:
        """Consecutive wallets with at most `max_points` points together (one wallet may exceed it alone).

        Yields:
            The slice of wallets and their curves, as views on these arrays: bounded memory for what is derived.
        """
        begin = 0
        while begin < self.n_wallets:
            limit = self.offsets[begin] + max_points
            end = max(begin + 1, int(np.searchsorted(self.offsets, limit, side="right")) - 1)
            yield slice(begin, end), self._wallet_slice(begin, end)
            begin = end

    def _wallet_slice(self, begin: int, end: int) -> "RaggedCurves":
        points = slice(int(self.offsets[begin]), int(self.offsets[end]))
        return RaggedCurves(
            self.wallets[begin:end],
            self.ts_ms[points],
            self.account_value[points],
            self.pnl[points],
            self.offsets[begin : end + 1] - self.offsets[begin],
            self.contradictions[begin:end],
        )


def _joined(parts: Sequence[npt.ArrayLike]) -> npt.NDArray[np.generic]:
    return np.concatenate([np.asarray(part) for part in parts]) if parts else np.empty(0)


def _wallet_codes(
    wallet: Sequence[str] | npt.NDArray[np.object_], wallets: Sequence[str] | None
) -> tuple[tuple[str, ...], IntArray]:
    """Names of the curves and the curve's number of every point."""
    column = np.asarray(wallet, dtype=object)
    # Only the first point of each run of equal addresses is looked up: points mostly arrive sorted by wallet.
    heads = (
        np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
        if len(column)
        else np.empty(0, np.int64)
    )
    known = {name: number for number, name in enumerate(wallets or ())}
    if wallets is not None and len(known) != len(wallets):
        raise EquityInputError("wallets repeats an address; each curve is wanted once")
    runs = np.empty(len(heads), dtype=np.int64)
    for place, head in enumerate(heads):
        name = str(column[head])
        if wallets is not None and name not in known:
            raise EquityInputError(
                f"a point belongs to wallet {name!r}, which is not in the wallets asked for"
            )
        runs[place] = known.setdefault(name, len(known))
    lengths = np.diff(np.append(heads, len(column)))
    return tuple(known), np.repeat(runs, lengths)


def _first_of_each(
    codes: IntArray, times: IntArray, values: FloatArray, profits: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """For points sorted by wallet and time: which are the first of their timestamp, and which contradict that first."""
    kept = np.ones(len(codes), dtype=np.bool_)
    kept[1:] = (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
    first = np.flatnonzero(kept)[
        segment_of(np.arange(len(codes)), np.append(np.flatnonzero(kept), len(codes)))
    ]
    contradictory = differ_usd(values, values[first]) | differ_usd(profits, profits[first])
    return kept, contradictory


def _check_finite(column: str, values: FloatArray, names: tuple[str, ...], codes: IntArray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise EquityInputError(
            f"{column} of wallet {names[codes[bad[0]]]} is {values[bad[0]]} ({len(bad)} such points): "
            "points must be finite; leave unknown ones out"
        )
