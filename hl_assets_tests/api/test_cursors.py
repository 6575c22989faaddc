"""Cursors: what goes in comes out, and nothing else is taken for one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.api.cursors import make_cursor, offset_of, query_hash
from hl_assets.api.problems import INVALID_PARAMETER, OTHER_SNAPSHOT, ProblemError

SNAPSHOT, OTHER = "0123456789abcdef", "fedcba9876543210"
QUERY = query_hash([("sort", "roi"), ("limit", "50")])


@given(st.integers(0, 1_000_000))
def test_a_cursor_says_where_its_page_begins(offset: int) -> None:
    cursor = make_cursor(SNAPSHOT, QUERY, offset)
    assert offset_of(cursor, SNAPSHOT, QUERY) == offset
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_without_one_the_list_begins_at_its_beginning() -> None:
    assert offset_of(None, SNAPSHOT, QUERY) == 0


def test_a_cursor_of_another_snapshot_is_a_conflict_that_names_the_present_one() -> None:
    with pytest.raises(ProblemError) as caught:
        offset_of(make_cursor(OTHER, QUERY, 50), SNAPSHOT, QUERY)
    assert caught.value.kind is OTHER_SNAPSHOT
    assert caught.value.extension == {"current_snapshot": SNAPSHOT}


def test_a_cursor_of_other_parameters_is_refused() -> None:
    cursor = make_cursor(SNAPSHOT, query_hash([("sort", "trust"), ("limit", "50")]), 50)
    with pytest.raises(ProblemError) as caught:
        offset_of(cursor, SNAPSHOT, QUERY)
    assert caught.value.kind is INVALID_PARAMETER


def test_the_order_of_parameters_does_not_matter() -> None:
    assert query_hash([("limit", "50"), ("sort", "roi")]) == QUERY


@given(st.text(max_size=200) | st.binary(max_size=90).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_nothing_else_is_a_cursor(text: str) -> None:
    with pytest.raises(ProblemError):
        offset_of(text, SNAPSHOT, QUERY)
