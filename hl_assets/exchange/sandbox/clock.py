"""The virtual clock of the local exchange: real, frozen at an instant, or running from an instant at a speed.

Not here: what is answered at an instant (sources), nor the rate limiter's time, which is always real.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from hl_assets.exchange.sandbox.errors import SandboxConfigError

_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799

ClockMode = Literal["real", "frozen", "running"]
NanosecondClock = Callable[[], int]


def parse_instant(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 date or instant; without an offset it is UTC.

    Raises:
        SandboxConfigError: The text is not an ISO 8601 date or instant.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise SandboxConfigError(
            f"not an ISO 8601 instant: {text!r} (example: 2026-05-31T00:00:00Z)"
        ) from error
    return to_ms(moment)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970; a moment without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def iso(instant_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, for people and control answers; the bare number beyond the years 1 to 9999."""
    seconds, rest = divmod(instant_ms, 1000)
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return f"{instant_ms} ms"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{rest:03d}Z"


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How virtual time runs. `at_ms` is needed unless the mode is real; `speed` counts only when running."""

    mode: ClockMode = "real"
    at_ms: int | None = None
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in ("real", "frozen", "running"):
            raise SandboxConfigError(f"clock mode {self.mode!r} is none of real, frozen, running")
        if self.mode != "real" and self.at_ms is None:
            raise SandboxConfigError(f"clock mode {self.mode!r} needs an instant")
        if not 0 < self.speed <= 1_000_000:
            raise SandboxConfigError(f"clock speed {self.speed!r} is not in (0, 1000000]")

    @classmethod
    def frozen(cls, at: datetime | str) -> Self:
        """Time stands still at an instant."""
        return cls(mode="frozen", at_ms=parse_instant(at) if isinstance(at, str) else to_ms(at))

    @classmethod
    def running(cls, at: datetime | str, speed: float = 1.0) -> Self:
        """Time starts at an instant when the sandbox starts, `speed` virtual seconds a real second."""
        return cls(mode="running", at_ms=parse_instant(at) if isinstance(at, str) else to_ms(at), speed=speed)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`real`, an ISO instant (frozen there), or `INSTANT@SPEED` (running from there).

        Raises:
            SandboxConfigError: The text is none of these.
        """
        if text.strip().lower() == "real":
            return cls()
        instant, at, speed = text.partition("@")
        if not at:
            return cls.frozen(instant)
        try:
            factor = float(speed.strip().removesuffix("x"))
        except ValueError as error:
            raise SandboxConfigError(f"clock speed {speed!r} in {text!r} is not a number") from error
        return cls.running(instant, factor)


class VirtualClock:
    """Answers "what time is it on the exchange"; settable while requests are served.

    Args:
        setting: How time runs at first.
        wall_ns: Nanoseconds since 1970, for real mode.
        monotonic_ns: Nanoseconds that never go back, for running mode.
    """

    def __init__(
        self,
        setting: ClockSetting,
        wall_ns: NanosecondClock = time.time_ns,
        monotonic_ns: NanosecondClock = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self.set(setting)

    def set(self, setting: ClockSetting) -> None:
        """Run as the setting says from this real moment on."""
        with self._lock:
            self._setting = setting
            self._started_ns = self._monotonic_ns()

    def advance(self, seconds: float) -> None:
        """Move a frozen or running clock by virtual seconds (negative: back).

        Raises:
            SandboxConfigError: The clock shows real time, which cannot be moved.
        """
        if self.setting.mode == "real":
            raise SandboxConfigError(
                "a real clock cannot be advanced; freeze it or run it from an instant first"
            )
        target = self.now_ms() + round(seconds * 1000)
        self.set(ClockSetting(self.setting.mode, target, self.setting.speed))

    @property
    def setting(self) -> ClockSetting:
        """The setting in force."""
        with self._lock:
            return self._setting

    def now_ms(self) -> int:
        """Virtual milliseconds since 1970."""
        with self._lock:
            setting, started = self._setting, self._started_ns
        if setting.at_ms is None:
            return self._wall_ns() // 1_000_000
        if setting.mode == "frozen":
            return setting.at_ms
        return setting.at_ms + int((self._monotonic_ns() - started) * setting.speed) // 1_000_000
