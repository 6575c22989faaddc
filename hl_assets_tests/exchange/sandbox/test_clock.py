from datetime import UTC, datetime

import pytest

from hl_assets.exchange.sandbox import ClockSetting, SandboxConfigError
from hl_assets.exchange.sandbox.clock import VirtualClock, iso, parse_instant

T = 1_780_272_000_000


class Hands:
    """A real clock moved by hand, nanoseconds."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01", T),
        ("2026-06-01T00:00:00Z", T),
        ("2026-06-01T02:00:00+02:00", T),
        ("2026-06-01 00:00:00.250", T + 250),
    ],
)
def test_instants_without_an_offset_are_utc(text: str, expected: int):
    assert parse_instant(text) == expected


def test_iso_is_utc_with_milliseconds():
    assert iso(T + 7) == "2026-06-01T00:00:00.007Z"


def test_real_clock_follows_the_wall():
    wall = Hands()
    clock = VirtualClock(ClockSetting(), wall_ns=wall)
    assert clock.now_ms() == 5_000
    wall.ns += 1_500_000_000
    assert clock.now_ms() == 6_500
    with pytest.raises(SandboxConfigError, match="real clock"):
        clock.advance(1)


def test_frozen_clock_stands_still_until_advanced():
    hands = Hands()
    clock = VirtualClock(ClockSetting.frozen("2026-06-01"), monotonic_ns=hands)
    hands.ns += 10**12
    assert clock.now_ms() == T
    clock.advance(600)
    assert clock.now_ms() == T + 600_000


def test_running_clock_runs_at_its_speed_and_keeps_it_when_advanced():
    hands = Hands()
    clock = VirtualClock(ClockSetting.running(datetime(2026, 6, 1, tzinfo=UTC), 60), monotonic_ns=hands)
    hands.ns += 2_000_000_000
    assert clock.now_ms() == T + 120_000
    clock.advance(-20)
    hands.ns += 1_000_000_000
    assert clock.now_ms() == T + 160_000


def test_text_forms():
    assert ClockSetting.parse("real") == ClockSetting()
    assert ClockSetting.parse("2026-06-01T00:00Z") == ClockSetting("frozen", T)
    assert ClockSetting.parse("2026-06-01T00:00Z@60x") == ClockSetting("running", T, 60.0)


@pytest.mark.parametrize("text", ["yesterday", "2026-06-01@fast", "2026-06-01@0", "2026-06-01@-1", "@60"])
def test_unusable_texts_are_refused_by_name(text: str):
    with pytest.raises(SandboxConfigError):
        ClockSetting.parse(text)


def test_a_mode_that_needs_an_instant_is_refused_without_one():
    with pytest.raises(SandboxConfigError, match="needs an instant"):
        ClockSetting("frozen")
