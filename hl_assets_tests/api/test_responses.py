"""Conditional requests and content coding."""

import pytest

from hl_assets.api.responses import has_it, takes_gzip

ETAG = 'W/"0123abcd"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (ETAG, True),
        ('"0123abcd"', True),  # compared weakly
        (f'"other", {ETAG}', True),
        ('W/"other"', False),
        ("0123abcd", False),  # not a tag
        ('"' * 10_000, False),
    ],
)
def test_if_none_match(header: str | None, expected: bool) -> None:
    assert has_it(header, ETAG) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("GZIP", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("identity", False),
        ("xgzip", False),
        ("gzip, " * 5_000, False),
    ],
)
def test_accept_encoding(header: str, expected: bool) -> None:
    assert takes_gzip(header) is expected
