"""The cache of answers: made once, bounded, nothing kept that failed."""

import asyncio
import gzip

import pytest

from hl_assets.api.caching import Body, BodyCache


def maker(raw: bytes, calls: list[bytes], pause: float = 0.0):
    async def make() -> Body:
        calls.append(raw)
        await asyncio.sleep(pause)
        return Body(raw)

    return make


async def test_an_answer_is_made_once_however_many_ask() -> None:
    cache, calls = BodyCache(10_000), list[bytes]()
    found = await asyncio.gather(*(cache.get("a", maker(b"x", calls, 0.01)) for _ in range(20)))
    assert calls == [b"x"]
    assert {body.raw for body in found} == {b"x"}
    assert await cache.get("a", maker(b"y", calls)) is found[0]


async def test_who_goes_away_does_not_take_the_answer_along() -> None:
    cache, calls = BodyCache(10_000), list[bytes]()
    impatient = asyncio.ensure_future(cache.get("a", maker(b"x", calls, 0.05)))
    patient = asyncio.ensure_future(cache.get("a", maker(b"y", calls)))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert (await patient).raw == b"x"


async def test_a_failure_is_told_to_everybody_and_not_kept() -> None:
    async def fail() -> Body:
        await asyncio.sleep(0.01)
        raise LookupError("gone")

    cache = BodyCache(10_000)
    results = await asyncio.gather(*(cache.get("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 3
    assert (await cache.get("a", maker(b"x", []))).raw == b"x"


async def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    cache = BodyCache(20_000)
    for number in range(50):
        await cache.get(number, maker(bytes(1_000), []))
        await cache.get(0, maker(bytes(1_000), []))
    assert cache.bytes <= 20_000
    assert cache.bytes == sum(body.size for body in cache._bodies.values())
    assert cache.find(0) is not None, "used all the time"
    assert cache.find(1) is None
    assert cache.find(49) is not None


@pytest.mark.parametrize("max_bytes", [0, 100])
async def test_what_is_too_large_is_not_kept(max_bytes: int) -> None:
    cache = BodyCache(max_bytes)
    assert (await cache.get("a", maker(b"x" * 10, []))).raw == b"x" * 10
    assert len(cache) == 0
    assert cache.bytes == 0


def test_a_body_is_named_by_its_content() -> None:
    assert Body(b"x").etag == Body(b"x").etag != Body(b"y").etag
    body = Body(b"x" * 5_000)
    assert gzip.decompress(body.packed()) == body.raw
    assert body.packed() is body.packed()
