import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.exchange.addresses import InvalidAddressError, is_system_address, normalize_address

VALID = st.text("0123456789abcdefABCDEF", min_size=40, max_size=40).map("0x".__add__)


@given(VALID)
def test_a_valid_address_becomes_its_lower_case_and_stays_there(text: str) -> None:
    normal = normalize_address(text)
    assert normal == text.lower()
    assert normalize_address(normal) == normal


@given(st.text(max_size=80) | st.text("0123456789abcdefxX \n", min_size=38, max_size=46))
def test_any_other_text_is_refused_with_a_printable_message(text: str) -> None:
    valid = len(text) == 42 and text.startswith("0x") and all(c in "0123456789abcdefABCDEF" for c in text[2:])
    if valid:
        assert normalize_address(text) == text.lower()
        return
    with pytest.raises(InvalidAddressError) as caught:
        normalize_address(text)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0x" + "1" * 39,
        "0x" + "1" * 41,
        "0X" + "1" * 40,
        " 0x" + "1" * 40,
        "0x" + "1" * 40 + "\n",
        "0x" + "g" * 40,
        "0x" + "\u0661" * 40,  # Arabic digits are digits to some libraries
        "\ud800" * 42,
        "0x" + "1" * 10_000_000,
        None,
        42,
    ],
)
def test_near_misses_are_refused(text: object) -> None:
    with pytest.raises(InvalidAddressError, match="not a wallet address") as caught:
        normalize_address(text)  # type: ignore[arg-type]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "text",
    [
        "0x" + "f" * 40,
        "0x" + "F" * 40,
        "0x" + "2" * 40,
        "0x2000000000000000000000000000000000000000",
        "0x20000000000000000000000000000000000000c5",
        "0x20000000000000000000000000000000FFFFFFFF",
    ],
)
def test_system_addresses(text: str) -> None:
    assert is_system_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "0xdfc24b077bc1425ad1dea75bcb6f8158e10df303",
        "0x2000000000000000000000000000000100000000",
        "0x2100000000000000000000000000000000000000",
        "0x" + "f" * 39 + "e",
    ],
)
def test_traders_are_no_system_addresses(text: str) -> None:
    assert not is_system_address(text)


def test_asking_about_no_address_is_an_error() -> None:
    with pytest.raises(InvalidAddressError):
        is_system_address("0xffff")
