"""Untrusted text: what steers a reader is gone, everything else stays."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.api.text import NAME_LENGTH, safe_name, safe_prose

_FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("night owl", "night owl"),
        ("Zoë 🦉 名前", "Zoë 🦉 名前"),
        ("\x1b[31mred", "[31mred"),
        ("\u202egnp.exe", "gnp.exe"),
        ("two\nlines\r\n", "twolines"),
        ("\u200b\u200b", ""),
        ("a\u2028b\x00c", "abc"),
        ("\ud800", ""),
        (None, None),
        (3.5, None),
    ],
)
def test_names(name: object, safe: str | None) -> None:
    assert safe_name(name) == safe


@given(st.text(alphabet=st.characters(codec=None), max_size=1_000))
def test_no_name_steers_a_reader(name: str) -> None:
    safe = safe_name(name)
    assert safe is not None
    assert len(safe) <= NAME_LENGTH
    assert not {unicodedata.category(character) for character in safe} & _FORBIDDEN


def test_prose_keeps_its_lines() -> None:
    assert safe_prose("one\ntwo\u202e\n\x07three") == "one\ntwo\nthree"
