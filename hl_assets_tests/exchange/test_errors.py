import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.exchange.errors import (
    ExchangeError,
    ExchangeRejectedError,
    ExchangeUnavailableError,
    PayloadShapeError,
    UndecodableBodyError,
    excerpt,
)

WALLET = "0x" + "a" * 40
ERRORS = [
    ExchangeUnavailableError(
        "no answer in time",
        kind="timeout",
        endpoint="portfolio",
        wallet=WALLET,
        url="https://api.example/info",
        status=504,
        attempts=6,
        advice="Wait.",
        retry_after_seconds=3.0,
    ),
    ExchangeRejectedError(
        "refused", kind="rejected", endpoint="leaderboard", advice="Check the host.", status=422
    ),
    PayloadShapeError("$[0][1].vlm", "5", "Expected `str`", endpoint="portfolio", wallet=WALLET),
    UndecodableBodyError("3 bytes", endpoint="leaderboard"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling(error: ExchangeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)


def test_the_message_names_endpoint_wallet_status_attempts_and_what_to_do() -> None:
    message = str(ERRORS[0])
    for fact in (
        "portfolio",
        WALLET,
        "https://api.example/info",
        "HTTP 504",
        "6 attempts",
        "no answer in time",
        "Wait.",
    ):
        assert fact in message


def test_only_unavailability_is_transient() -> None:
    assert [error.transient for error in ERRORS] == [True, False, False, False]


@given(
    st.text() | st.binary() | st.lists(st.text()) | st.dictionaries(st.text(), st.floats()) | st.integers()
)
def test_an_excerpt_is_short_and_printable_ascii(value: object) -> None:
    text = excerpt(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 240


@pytest.mark.parametrize(
    "value", ["\ud800" * 10**6, b"\xff" * 10**6, "x" * 10**7, 10**3000, [["a" * 10**6]] * 10**5]
)
def test_an_excerpt_of_something_huge_is_short(value: object) -> None:
    assert len(excerpt(value)) <= 240
