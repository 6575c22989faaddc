"""A recorded panel as a `Source`: only what the recording says, and only what it said up to the virtual now.

Differences from the exchange, all for want of knowledge:
- Membership needs volume, which a panel lacks: every wallet with a sample in the last two days is on the board.
- Volume is "0.0" unless the recording has a volume column.
- The newest point is the newest sample, not the instant of the request: nothing is known about "now".
- A panel does not say which addresses are vaults, so the vaults list is empty; and it has one scope, so the perp windows
  equal the others.

A window shows every sample inside it and the last one at or before its start. allTime begins at the recording's first
sample of the wallet, with the synthetic zero point before it, and is thinned as the exchange does: all samples of the
last 30 days and every sample another window shows, one a week before that (the first of each week since the first
sample), one a fortnight beyond 180 days. Its PnL is the recorded cumulative one.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, IntArray
from hl_assets.exchange.sandbox.board import in_board_order, return_on_investment
from hl_assets.exchange.sandbox.errors import NoTruthError
from hl_assets.exchange.sandbox.recording import Track
from hl_assets.exchange.sandbox.source import BOARD_WINDOWS, SPAN_MS, Board, Portfolio, Truth, Vault
from hl_assets.exchange.sandbox.windows import Samples, as_perp, scope_windows

PRESENT_MS = 2 * DAY_MS
_DAILY_MS = 30 * DAY_MS
_WEEKLY_MS = 180 * DAY_MS
_FAR_MS = 36_525 * DAY_MS


class RecordedPanel:
    """Samples of real accounts, replayed.

    Args:
        tracks: Samples by address, as read by `read_recording`; addresses ascending.
        thin: Thin old samples of allTime as the exchange does; False shows all of them.
    """

    def __init__(self, tracks: Mapping[str, Track], thin: bool = True) -> None:
        self._tracks = tracks
        self._thin = thin

    @property
    def newest_ms(self) -> int:
        """Instant of the recording's newest sample."""
        return max(int(track.instants[-1]) for track in self._tracks.values())

    def span_ms(self) -> tuple[int, int]:
        """Any instant can be asked; before the recording nobody is there, after it nobody is present."""
        return 0, _FAR_MS

    def wallets_at(self, now_ms: int) -> Sequence[str]:
        """Addresses on the board, in its order."""
        return self.board_at(now_ms).addresses

    def board_at(self, now_ms: int) -> Board:
        """Rows of every wallet with a sample in the two days up to `now_ms`."""
        present = [(address, known) for address in self._tracks if (known := self._present(address, now_ms))]
        rows = [self._row(self._tracks[address], known, now_ms) for address, known in present]
        pnl, roi, volume = (np.array([row[part] for row in rows]).reshape(-1, 4) for part in range(3))
        order = in_board_order(volume[:, BOARD_WINDOWS.index("month")], np.arange(len(present)))
        tracks = [self._tracks[present[row][0]] for row in order]
        newest = [present[row][1] - 1 for row in order]
        return Board(
            addresses=[present[row][0] for row in order],
            names=[track.names[row] for track, row in zip(tracks, newest, strict=True)],
            account_value=np.array(
                [track.account_value[row] for track, row in zip(tracks, newest, strict=True)], dtype=np.int64
            ),
            pnl=pnl.astype(np.int64)[order],
            roi=roi.astype(np.float64)[order],
            volume=volume.astype(np.int64)[order],
        )

    def portfolio_at(self, wallet: str, now_ms: int) -> Portfolio | None:
        """The eight windows of the samples up to `now_ms`; None before the first one."""
        track = self._tracks.get(wallet)
        known = 0 if track is None else _known(track, now_ms)
        if track is None or known == 0:
            return None
        samples = Samples(track.instants[:known], track.account_value[:known], track.pnl[:known])
        shown = self._shown(samples.instants, now_ms)
        windows = scope_windows(samples, shown, self._volumes(track, known, shown))
        return {**windows, **as_perp(windows)}

    def vaults_at(self, now_ms: int) -> Sequence[Vault]:  # noqa: ARG002  (a Source must take it)
        """None: a panel does not say which addresses are vaults."""
        return []

    def truth_at(self, wallet: str, now_ms: int, instants_ms: IntArray | None) -> Truth:  # noqa: ARG002
        """Always refused: what lies behind recorded samples is unknown."""
        raise NoTruthError(f"the true index of {wallet} is unknown: a recorded panel holds samples only")

    def truth_summaries(self) -> Sequence[Mapping[str, object]]:
        """Nothing is known."""
        return []

    def _present(self, address: str, now_ms: int) -> int:
        """Number of samples known of a wallet that is on the board; 0 if it is not."""
        track = self._tracks[address]
        known = _known(track, now_ms)
        return known if known and track.instants[known - 1] >= now_ms - PRESENT_MS else 0

    def _row(self, track: Track, known: int, now_ms: int) -> tuple[list[int], list[float], list[int]]:
        """PnL, ROI and volume of each board window."""
        value, pnl = track.account_value[:known], track.pnl[:known]
        net = value - pnl
        gains, bases, volumes = [], [], []
        for name in BOARD_WINDOWS:
            if name == "allTime":  # PnL counts from creation, so the account began with nothing
                gains.append(int(pnl[-1]))
                bases.append((0, max(int(net.max()), 0)))
                volumes.append(int(track.volume[known - 1]))
                continue
            start = _start(track.instants[:known], now_ms - SPAN_MS[name])
            gains.append(int(pnl[-1] - pnl[start]))
            bases.append((int(value[start]), int((net[start:] - net[start]).max())))
            volumes.append(int(track.volume[known - 1] - track.volume[start]))
        first, paid = np.array(bases, dtype=np.int64).T
        return gains, return_on_investment(np.array(gains, dtype=np.int64), first, paid).tolist(), volumes

    def _shown(self, instants: IntArray, now_ms: int) -> dict[str, IntArray]:
        shown = {name: instants[_start(instants, now_ms - span) :] for name, span in SPAN_MS.items()}
        return {**shown, "allTime": self._all_time(instants, now_ms, shown["month"])}

    def _all_time(self, instants: IntArray, now_ms: int, month: IntArray) -> IntArray:
        if not self._thin:
            return instants
        age = now_ms - instants
        keep = age < _DAILY_MS
        for days, limit in ((7, _WEEKLY_MS), (14, _FAR_MS)):
            period = (instants - instants[0]) // (days * DAY_MS)
            keep |= (np.diff(period, prepend=-1) > 0) & (age < limit)
        return np.union1d(instants[keep], month)

    def _volumes(self, track: Track, known: int, shown: Mapping[str, IntArray]) -> dict[str, int]:
        total = int(track.volume[known - 1])
        starts = {name: int(np.searchsorted(track.instants, shown[name][0])) for name in SPAN_MS}
        return {**{name: total - int(track.volume[row]) for name, row in starts.items()}, "allTime": total}


def _known(track: Track, now_ms: int) -> int:
    """How many samples are dated at or before now."""
    return int(np.searchsorted(track.instants, now_ms, side="right"))


def _start(instants: IntArray, cut_ms: int) -> int:
    """Row of the last sample at or before the cut, else the first."""
    return max(int(np.searchsorted(instants, cut_ms, side="right")) - 1, 0)
