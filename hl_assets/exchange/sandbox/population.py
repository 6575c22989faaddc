"""The simulated population: a `Source` whose every answer is a function of seed, wallet and instant.

About 95 % of `wallets` are on the board at the epoch; the others are young traders below 10 million USD of volume,
accounts that fell off, and small vaults. After the epoch more join. Windows of the real board that describe non-perp
wealth contradict each other; that oddity is not imitated: here all windows come from one series.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hl_assets.exchange.sandbox.arrays import DAY_MS, FloatArray, IntArray
from hl_assets.exchange.sandbox.board import in_board_order, is_member, return_on_investment
from hl_assets.exchange.sandbox.clock import parse_instant
from hl_assets.exchange.sandbox.errors import NoTruthError, SandboxConfigError
from hl_assets.exchange.sandbox.ledger import Ledger, State
from hl_assets.exchange.sandbox.names import addresses, display_names, leaders, vault_name
from hl_assets.exchange.sandbox.path import Horizon
from hl_assets.exchange.sandbox.randomness import Stream, stream_keys, words
from hl_assets.exchange.sandbox.sampling import Sampler
from hl_assets.exchange.sandbox.source import BOARD_WINDOWS, SPAN_MS, Board, Portfolio, Truth, Vault
from hl_assets.exchange.sandbox.specials import make_special
from hl_assets.exchange.sandbox.traits import FUTURE_DAYS, HISTORY_DAYS, NEVER, Archetype, draw_traits
from hl_assets.exchange.sandbox.volume import VolumeLedger
from hl_assets.exchange.sandbox.windows import Samples, as_perp, scope_windows, with_baseline_fault

MIN_WALLETS, MAX_WALLETS = 20, 50_000
BASELINE_FAULT_MS = parse_instant("2024-05-01T23:16:00.110Z")
_WARM_UP_DAYS = 30
_SPARKLINE_POINTS = 12


class SimulatedPopulation:
    """Accounts with deposits, withdrawals, wipe-outs and a known skill.

    Args:
        wallets: Wallets born before the epoch, 20 to 50,000.
        seed: Everything follows from it.
        epoch_ms: Answers exist from three years before to two years after it.

    Raises:
        SandboxConfigError: The number of wallets is out of range.
    """

    def __init__(self, wallets: int, seed: int, epoch_ms: int) -> None:
        if not MIN_WALLETS <= wallets <= MAX_WALLETS:
            raise SandboxConfigError(f"wallets = {wallets} is not in {MIN_WALLETS} .. {MAX_WALLETS}")
        self._epoch_ms = epoch_ms
        self._horizon = Horizon(epoch_ms - round((HISTORY_DAYS + _WARM_UP_DAYS) * DAY_MS))
        self._traits = draw_traits(seed, wallets, epoch_ms)
        specials = make_special(self._traits, epoch_ms)
        self._ledger = Ledger(self._traits, self._horizon)
        self._volume = VolumeLedger(self._traits, self._horizon)
        self._addresses = addresses(self._traits.keys)
        self._names = display_names(self._traits.keys)
        self._vault_names: dict[int, str] = {}
        self._relationships: dict[int, Mapping[str, object]] = {}
        for wallet, special in enumerate(specials):
            self._addresses[wallet] = special.address or self._addresses[wallet]
            self._names[wallet] = special.display_name
            self._relationships[wallet] = special.relationship
            if special.name is not None:
                self._vault_names[wallet] = special.name
        self._number = {address: wallet for wallet, address in enumerate(self._addresses)}
        self._address_rank = np.argsort(np.argsort(np.array(self._addresses)))
        self._everyone = np.arange(len(self._addresses), dtype=np.int64)

    def span_ms(self) -> tuple[int, int]:
        """Three years before the epoch to two years after it."""
        return self._epoch_ms - round(HISTORY_DAYS * DAY_MS), self._epoch_ms + round(FUTURE_DAYS * DAY_MS)

    def wallets_at(self, now_ms: int) -> Sequence[str]:
        """Addresses on the board, in its order."""
        return self.board_at(now_ms).addresses

    def board_at(self, now_ms: int) -> Board:
        """Rows of every account that is a member at `now_ms`."""
        value = self._state(self._everyone, now_ms).account_value
        total = self._volumes(self._everyone, now_ms)
        members = np.flatnonzero(is_member(value, total) & (self._traits.born_ms <= now_ms))
        volume = total[members, None] - self._volumes_before(members, now_ms)
        order = in_board_order(volume[:, BOARD_WINDOWS.index("month")], self._address_rank[members])
        wallets = members[order]
        pnl, roi = self._performance(wallets, now_ms)
        return Board(
            addresses=[self._addresses[wallet] for wallet in wallets],
            names=[self._names[wallet] for wallet in wallets],
            account_value=value[wallets],
            pnl=pnl,
            roi=roi,
            volume=volume[order],
        )

    def portfolio_at(self, wallet: str, now_ms: int) -> Portfolio | None:
        """The eight windows; None before the wallet's first deposit."""
        number = self._number.get(wallet)
        if number is None or self._traits.born_ms[number] > now_ms:
            return None
        shown = self._shown(number, now_ms)
        samples = self._samples(number, _union(shown))
        total = self._volumes_before(np.array([number]), now_ms)[0]
        volumes = dict(
            zip(BOARD_WINDOWS, (self._volumes(np.array([number]), now_ms)[0] - total).tolist(), strict=True)
        )
        everything = scope_windows(samples, shown, volumes)
        share = 1.0 - float(self._traits.spot_share[number])
        perp = dict(
            as_perp(everything if share == 1.0 else scope_windows(samples.scaled(share), shown, volumes))
        )
        if self._traits.baseline_fault[number]:
            perp["perpAllTime"] = with_baseline_fault(perp["perpAllTime"], BASELINE_FAULT_MS)
        return {**everything, **perp}

    def vaults_at(self, now_ms: int) -> Sequence[Vault]:
        """User vaults and the protocol's vaults created until `now_ms`."""
        kind = self._traits.archetype
        vault = (kind == Archetype.VAULT) | (kind == Archetype.PROTOCOL_VAULT)
        wallets = np.flatnonzero(vault & (self._traits.born_ms <= now_ms))
        if wallets.size == 0:
            return []
        value = self._state(wallets, now_ms).account_value
        pnls = {name: self._sparklines(wallets, name, now_ms) for name in BOARD_WINDOWS}
        people = leaders(self._traits.keys[wallets])
        return [
            Vault(
                name=self._vault_name(int(wallet)),
                address=self._addresses[wallet],
                leader=people[row],
                tvl=int(value[row]),
                is_closed=bool(value[row] == 0),
                relationship=self._relationships.get(int(wallet), {"type": "normal"}),
                created_ms=int(self._traits.born_ms[wallet]),
                apr=_yearly(int(pnls["month"][row, -1]), int(value[row])),
                pnls={name: lines[row] for name, lines in pnls.items()},
            )
            for row, wallet in enumerate(wallets)
        ]

    def truth_at(self, wallet: str, now_ms: int, instants_ms: IntArray | None) -> Truth:
        """The true index; at the published instants unless told others."""
        number = self._number.get(wallet)
        if number is None:
            raise NoTruthError(f"{wallet} is not in the simulated population")
        instants = _union(self._shown(number, now_ms)) if instants_ms is None else instants_ms
        state = self._state_at(number, instants)
        traits = self._traits
        return Truth(
            wallet=wallet,
            archetype=Archetype(traits.archetype[number]).name.lower(),
            skill=float(traits.skill[number]),
            drift=float(traits.drift[number]),
            volatility=float(traits.volatility[number]),
            born_ms=int(traits.born_ms[number]),
            traits=self._habits(number),
            instants=instants,
            index=state.index,
            epoch=state.epoch,
            funded=state.account_value > 0,
        )

    def truth_summaries(self) -> Sequence[Mapping[str, object]]:
        """Address, archetype, skill, volatility and birth of every wallet."""
        traits = self._traits
        columns = (traits.archetype, traits.skill, traits.volatility, traits.born_ms)
        return [
            {
                "wallet": address,
                "archetype": Archetype(kind).name.lower(),
                "skill": skill,
                "volatility": volatility,
                "born_ms": born,
            }
            for address, kind, skill, volatility, born in zip(
                self._addresses, *(column.tolist() for column in columns), strict=True
            )
        ]

    def _performance(self, wallets: IntArray, now_ms: int) -> tuple[IntArray, FloatArray]:
        """PnL and ROI of each board window."""
        now = np.full(wallets.shape, now_ms, dtype=np.int64)
        end = self._state(wallets, now_ms).pnl
        pnl, roi = [], []
        for name in BOARD_WINDOWS:
            start_ms = self._start(name, now_ms)
            start = self._state(wallets, start_ms)
            paid = self._ledger.largest_net_deposits(wallets, np.full_like(now, start_ms), now)
            pnl.append(end - start.pnl)
            roi.append(return_on_investment(pnl[-1], start.account_value, paid))
        return np.stack(pnl, axis=1), np.stack(roi, axis=1)

    def _start(self, window: str, now_ms: int) -> int:
        span = SPAN_MS.get(window)
        return self._horizon.origin_ms if span is None else max(now_ms - span, self._horizon.origin_ms)

    def _state(self, wallets: IntArray, now_ms: int) -> State:
        return self._ledger.at(wallets, np.full(wallets.shape, now_ms, dtype=np.int64))

    def _state_at(self, wallet: int, instants_ms: IntArray) -> State:
        return self._ledger.at(np.full(instants_ms.shape, wallet, dtype=np.int64), instants_ms)

    def _samples(self, wallet: int, instants_ms: IntArray) -> Samples:
        state = self._state_at(wallet, instants_ms)
        return Samples(instants_ms, state.account_value, state.pnl)

    def _shown(self, wallet: int, now_ms: int) -> dict[str, IntArray]:
        """Instants of each window, the moving last point included."""
        windows = self._sampler(wallet).windows(now_ms)
        return {name: np.append(instants, now_ms) for name, instants in windows.items()}

    def _sampler(self, wallet: int) -> Sampler:
        key = self._traits.keys[wallet : wallet + 1]
        sampler = Sampler(
            origin_ms=self._horizon.origin_ms,
            phase_ms=int(self._traits.phase_ms[wallet]),
            jitter_key=stream_keys(key, Stream.SAMPLE_JITTER),
            pattern_key=stream_keys(key, Stream.SAMPLE_PATTERN),
            first=0,
            busy=bool(self._traits.busy[wallet]),
        )
        known_ms = int(self._traits.born_ms[wallet] + self._traits.sample_delay_ms[wallet])
        return sampler.starting(sampler.point_after(known_ms))

    def _volumes(self, wallets: IntArray, now_ms: int) -> IntArray:
        return self._volume.at(wallets, np.full(wallets.shape, now_ms, dtype=np.int64))

    def _volumes_before(self, wallets: IntArray, now_ms: int) -> IntArray:
        """All-time volume at the start of each board window, shape (wallets, 4)."""
        return np.stack([self._volumes(wallets, self._start(name, now_ms)) for name in BOARD_WINDOWS], axis=1)

    def _sparklines(self, wallets: IntArray, window: str, now_ms: int) -> IntArray:
        """PnL at evenly spaced instants of the window, from 0, shape (vaults, points)."""
        start = np.full(wallets.shape, self._start(window, now_ms), dtype=np.int64)
        if window == "allTime":
            start = self._traits.born_ms[wallets]
        steps = np.linspace(0.0, 1.0, _SPARKLINE_POINTS)
        instants = start[:, None] + np.rint((now_ms - start)[:, None] * steps).astype(np.int64)
        state = self._ledger.at(np.repeat(wallets, _SPARKLINE_POINTS), instants.ravel())
        pnl = state.pnl.reshape(instants.shape)
        return pnl - pnl[:, :1]

    def _vault_name(self, wallet: int) -> str:
        drawn = int(words(stream_keys(self._traits.keys[wallet : wallet + 1], Stream.NAME), 2)[0])
        return self._vault_names.get(wallet) or vault_name(drawn)

    def _habits(self, wallet: int) -> dict[str, object]:
        traits = self._traits
        fault = traits.baseline_fault[wallet] and traits.born_ms[wallet] < BASELINE_FAULT_MS
        return {
            "sharpe_of_returns": float(traits.skill[wallet] + traits.volatility[wallet] / 2),
            "exit_ms": _happens(int(traits.exit_ms[wallet])),
            "wipe_ms": [_happens(wipe) for wipe in traits.wipe_ms[wallet].tolist()],
            "refund_ms": [_happens(refund) for refund in traits.refund_ms[wallet].tolist()],
            "spot_share": float(traits.spot_share[wallet]),
            "gifted": bool(traits.paid_in[wallet] < traits.capital[wallet]),
            "perp_baseline_fault": bool(fault),
            "mean_days_between_flows": float(traits.flow_gap[wallet]),
        }


def _union(shown: Mapping[str, IntArray]) -> IntArray:
    return np.unique(np.concatenate(list(shown.values())))


def _happens(instant_ms: int) -> int | None:
    return None if instant_ms >= NEVER else instant_ms


def _yearly(month_pnl: int, value: int) -> float:
    return 0.0 if value <= 0 else month_pnl / value * 365.25 / 30
