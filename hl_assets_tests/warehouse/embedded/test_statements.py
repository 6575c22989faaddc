"""Where the data of an INSERT begins, and which format a statement names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.warehouse.embedded.statements import DataInsert, output_format, split_insert


@pytest.mark.parametrize(
    ("body", "statement", "form", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02", "INSERT INTO t ", "Native", b"\x01\x02"),
        (b"insert into t (a, b)\nformat CSV\n1,2\n", "insert into t (a, b)\n", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV\r\n1", "INSERT INTO t ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", b""),
        (b"INSERT INTO t FORMAT Native\n\n\x00", "INSERT INTO t ", "Native", b"\n\x00"),
        (
            b"-- why\n/* FORMAT X */ INSERT INTO t FORMAT TSV\nx",
            "-- why\n/* FORMAT X */ INSERT INTO t ",
            "TSV",
            b"x",
        ),
        (
            b"INSERT INTO t SETTINGS a='FORMAT X', b=1 FORMAT CSV\n1",
            "INSERT INTO t SETTINGS a='FORMAT X', b=1 ",
            "CSV",
            b"1",
        ),
        (
            b"INSERT INTO `my format` (format, values) FORMAT CSV\n1",
            "INSERT INTO `my format` (format, values) ",
            "CSV",
            b"1",
        ),
        (b'INSERT INTO "a \\" b".`c``d` FORMAT CSV\n1', 'INSERT INTO "a \\" b".`c``d` ', "CSV", b"1"),
    ],
)
def test_data_begins_after_the_format(body: bytes, statement: str, form: str, data: bytes) -> None:
    assert split_insert(body) == DataInsert(statement, form, data)


@pytest.mark.parametrize(
    "body",
    [
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t VALUES (1, 'FORMAT Native')",
        b"INSERT INTO t SELECT 1 FORMAT Null",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t",
        b"",
        b"-- INSERT INTO t FORMAT CSV\nSELECT 1",
        b"\xff\xfe",
    ],
)
def test_other_statements_are_whole(body: bytes) -> None:
    assert split_insert(body) is None


@given(st.binary(max_size=200))
def test_any_bytes_survive_as_data(data: bytes) -> None:
    found = split_insert(b"INSERT INTO t (a) FORMAT Native\n" + data)
    assert found is not None
    assert found.data == data


@given(st.binary(max_size=60))
def test_any_bytes_are_judged_without_an_accident(body: bytes) -> None:
    try:
        found = split_insert(body)
    except UnicodeDecodeError:
        return
    assert found is None or body.endswith(found.data)


@pytest.mark.parametrize(
    ("sql", "form"),
    [
        ("SELECT 1", None),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1\n format Native\n;", "Native"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads=1", "CSV"),
        ("SELECT 'FORMAT CSV' AS x", None),
    ],
)
def test_output_format(sql: str, form: str | None) -> None:
    assert output_format(sql) == form
