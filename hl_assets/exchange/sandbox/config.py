"""Settings of the local exchange, given by whoever starts it. Nothing here reads the environment."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hl_assets.exchange.sandbox.clock import ClockSetting
from hl_assets.exchange.sandbox.errors import SandboxConfigError
from hl_assets.exchange.sandbox.faults import FaultRule
from hl_assets.exchange.sandbox.ratelimit import DEFAULT_LIMIT

DEFAULT_EPOCH = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What the local exchange serves, and how.

    Args:
        recording: CSV or CSV.gz panel to replay, or a folder of `hl-assets record`; None simulates a population.
        wallets: Simulated wallets born before the epoch, 20 to 50,000; some 95 % are on the board at the epoch.
        seed: Seed of the population and of fault draws.
        epoch: The simulated population answers from three years before this to two years after it.
        clock: Virtual time; None is real time for a simulation and frozen at the newest sample or round for a recording.
        weight_limit: Weight a minute and client address; None enforces nothing.
        faults: Faults that are on from the start.
        refresh_minutes: How long a leaderboard or vaults body stays the same (virtual time).
        indented: Leaderboard body indented by two, which gives the real body's size; False sends it compact.
        thin_recording: Thin a recording's old samples as the exchange does.

    Raises:
        SandboxConfigError: A value is out of range.
    """

    recording: Path | None = None
    wallets: int = 2_000
    seed: int = 7
    epoch: datetime = DEFAULT_EPOCH
    clock: ClockSetting | None = None
    weight_limit: int | None = DEFAULT_LIMIT
    faults: tuple[FaultRule, ...] = ()
    refresh_minutes: int = 60
    indented: bool = True
    thin_recording: bool = True

    def __post_init__(self) -> None:
        if self.epoch.tzinfo is None:
            raise SandboxConfigError(f"epoch {self.epoch.isoformat()} has no time zone; give it in UTC")
        if self.weight_limit is not None and self.weight_limit < 0:
            raise SandboxConfigError(
                f"weight_limit = {self.weight_limit} is negative; None switches the limit off"
            )
        if self.refresh_minutes < 1:
            raise SandboxConfigError(f"refresh_minutes = {self.refresh_minutes} is below 1")
