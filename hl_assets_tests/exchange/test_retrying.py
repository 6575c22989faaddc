from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.exchange.errors import ExchangeRejectedError, ExchangeUnavailableError
from hl_assets.exchange.retrying import (
    Throttle,
    full_jitter,
    http_date,
    retry_after,
    status_error,
    transport_error,
)

REQUEST = httpx.Request("POST", "https://api.example/info")


def answer(status: int, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, request=REQUEST)


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (408, "timeout", True),
        (429, "rate_limited", True),
        (500, "server_error", True),
        (502, "server_error", True),
        (503, "server_error", True),
        (504, "server_error", True),
        (599, "server_error", True),
        (400, "rejected", False),
        (403, "rejected", False),
        (404, "rejected", False),
        (422, "rejected", False),
        (204, "unexpected_status", False),
        (301, "unexpected_status", False),
    ],
)
@pytest.mark.parametrize("body", [b"null", b"", b"<html>502</html>", b"Failed to deserialize", b"\xff\x00"])
def test_a_status_decides_whether_to_ask_again(status: int, kind: str, transient: bool, body: bytes) -> None:
    error = status_error(
        answer(status), body, endpoint="portfolio", wallet="0x" + "1" * 40, retry_after_max_seconds=60
    )
    assert error is not None
    assert type(error) is (ExchangeUnavailableError if transient else ExchangeRejectedError)
    assert (error.kind, error.transient, error.status) == (kind, transient, status)
    assert error.advice
    assert "{" not in str(error)


def test_200_is_no_error() -> None:
    assert status_error(answer(200), b"null", endpoint="x", wallet=None, retry_after_max_seconds=60) is None


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (httpx.ReadTimeout("slow"), None, "timeout"),
        (httpx.ReadTimeout("slow"), 200, "timeout"),
        (httpx.ConnectTimeout(""), None, "timeout"),
        (httpx.ConnectError("refused"), None, "transport"),
        (httpx.RemoteProtocolError("Server disconnected"), None, "transport"),
        (httpx.RemoteProtocolError("incomplete"), 200, "truncated_body"),
        (httpx.ReadError("reset"), 200, "truncated_body"),
        (httpx.DecodingError("bad gzip"), 200, "truncated_body"),
    ],
)
def test_transport_errors_are_transient(error: httpx.RequestError, status: int | None, kind: str) -> None:
    typed = transport_error(error, endpoint="portfolio", wallet=None, host="api.example", status=status)
    assert (typed.kind, typed.status, typed.transient) == (kind, status, True)
    assert "api.example" in str(typed)


DATE = "Fri, 22 Aug 2025 11:45:21 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 0 "}, 0.0),
        ({"retry_after": "60"}, 60.0),
        ({"retry_after": "61"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "1e3"}, None),
        ({"retry_after": "9" * 5000}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 22 Aug 2025 11:45:31 GMT", "date": DATE}, 10.0),
        ({"retry_after": "Fri, 22 Aug 2025 11:45:31 GMT"}, None),
        ({"retry_after": "Fri, 22 Aug 2025 11:45:11 GMT", "date": DATE}, None),
        ({"retry_after": "Sat, 23 Aug 2025 11:45:31 GMT", "date": DATE}, None),
    ],
)
def test_retry_after_is_honoured_when_sane(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(answer(429, **headers), 60.0) == seconds


@given(st.text(max_size=40))
def test_no_date_header_can_crash(text: str) -> None:
    instant = http_date(text)
    assert instant is None or instant.tzinfo is UTC


def test_a_date_header_is_read_in_utc() -> None:
    assert http_date(DATE) == datetime(2025, 8, 22, 11, 45, 21, tzinfo=UTC)
    assert http_date("Fri, 22 Aug 2025 13:45:21 +0200") == datetime(2025, 8, 22, 11, 45, 21, tzinfo=UTC)


@given(st.integers(1, 10_000), st.floats(0, 100), st.floats(0.001, 100))
def test_backoff_stays_within_its_bounds(attempt: int, base: float, longest: float) -> None:
    wait = full_jitter(attempt, base_seconds=base, max_seconds=longest)
    assert 0 <= wait <= min(longest, base * 2.0 ** min(attempt - 1, 60))


def test_backoff_is_spread_over_its_whole_range() -> None:
    waits = sorted(full_jitter(3, base_seconds=1, max_seconds=60) for _ in range(2000))
    assert waits[0] < 0.1
    assert waits[-1] > 3.9
    assert 1.8 < sum(waits) / len(waits) < 2.2


class TestThrottle:
    def test_one_burst_of_refusals_is_one_pause(self) -> None:
        throttle = Throttle(4.0, 60.0)
        assert throttle.refused(sent_at=10.0, now=10.3, asked_for=None) is not None
        for sent_at in (10.0, 10.1, 10.3):
            assert throttle.refused(sent_at=sent_at, now=10.4, asked_for=None) is None

    def test_pauses_double_while_refusals_go_on_and_end_at_the_longest(self) -> None:
        throttle = Throttle(4.0, 20.0)
        now = 0.0
        for longest in (4.0, 8.0, 16.0, 20.0, 20.0):
            pause = throttle.refused(sent_at=now + 0.1, now=now + 0.2, asked_for=None)
            assert pause is not None
            assert longest / 2 <= pause <= longest
            now += 100.0

    def test_an_answer_ends_the_streak_but_only_one_asked_for_after_the_pause_began(self) -> None:
        throttle = Throttle(4.0, 60.0)
        throttle.refused(sent_at=0.0, now=1.0, asked_for=None)
        throttle.answered(sent_at=0.5)
        second = throttle.refused(sent_at=2.0, now=3.0, asked_for=None)
        assert second is not None
        assert second >= 4.0
        throttle.answered(sent_at=4.0)
        third = throttle.refused(sent_at=5.0, now=6.0, asked_for=None)
        assert third is not None
        assert third <= 4.0

    def test_retry_after_prolongs_the_pause(self) -> None:
        assert Throttle(1.0, 60.0).refused(sent_at=0.0, now=1.0, asked_for=42.0) == 42.0
