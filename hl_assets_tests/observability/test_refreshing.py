"""One reading for many scrapes, none for an outage, and no waiting for what does not answer."""

import asyncio
import threading

import pytest

from hl_assets.observability.facts import MoneyFacts, PlatformFacts
from hl_assets.observability.refreshing import Refreshed
from hl_assets.warehouse.errors import WarehouseUnavailableError

FACTS = PlatformFacts(money=MoneyFacts({}, {}, 0, 0.0))


class Source:
    """A warehouse that can be away or silent."""

    def __init__(self) -> None:
        self.readings = 0
        self.away = False
        self.answers = threading.Event()
        self.answers.set()

    def read(self) -> PlatformFacts:
        self.readings += 1
        assert self.answers.wait(30)
        if self.away:
            raise WarehouseUnavailableError("away", unreachable=True)
        return FACTS


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def refreshed(source: Source, clock: list[float]) -> Refreshed:
    return Refreshed(source.read, keep_seconds=15, patience_seconds=0.2, clock=lambda: clock[0])


async def test_a_reading_serves_everybody_for_a_while(
    refreshed: Refreshed, source: Source, clock: list[float]
) -> None:
    await asyncio.gather(*(refreshed.refresh() for _ in range(20)))
    clock[0] += 14
    await refreshed.refresh()
    assert source.readings == 1
    assert refreshed.newest.facts is FACTS
    clock[0] += 2
    await refreshed.refresh()
    assert source.readings == 2


async def test_an_outage_is_known_and_not_asked_again_and_again(
    refreshed: Refreshed, source: Source, clock: list[float]
) -> None:
    await refreshed.refresh()
    source.away = True
    clock[0] += 16
    for _ in range(5):
        await refreshed.refresh()
        assert refreshed.newest.facts is None, "what was known before the outage is not what is known now"
    assert source.readings == 2
    source.away = False
    clock[0] += 16
    await refreshed.refresh()
    assert refreshed.newest.facts is FACTS


async def test_a_silent_warehouse_is_not_waited_for_and_its_answer_counts_when_it_comes(
    refreshed: Refreshed, source: Source
) -> None:
    source.answers.clear()
    for _ in range(2):
        await asyncio.wait_for(refreshed.refresh(), 5)
        assert refreshed.newest.facts is None
        assert refreshed.newest.seconds is None
    assert source.readings == 1, "it is not asked a second time while the first is under way"
    source.answers.set()
    async with asyncio.timeout(5):
        while refreshed.newest.facts is None:  # noqa: ASYNC110 - it comes by itself, that is the point
            await asyncio.sleep(0.01)
    await refreshed.refresh()
    assert source.readings == 1
    assert refreshed.newest.facts is FACTS


async def test_what_is_no_outage_is_an_error() -> None:
    def broken() -> PlatformFacts:
        raise ZeroDivisionError

    refreshed = Refreshed(broken, keep_seconds=15)
    with pytest.raises(ZeroDivisionError):
        await refreshed.refresh()
