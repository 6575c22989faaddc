"""Frames to columns and back: what may be stored, and the types that come back."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import InvalidSliceError, WarehouseError
from hl_assets.warehouse.frames import bindable, storable, utc_text, without_rows
from hl_assets.warehouse.publish import Publisher
from hl_assets_tests.warehouse.contracts import EVERYTHING, MARKS, PROVENANCE, T0, everything, marks


def test_every_type_comes_back_as_it_went(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([EVERYTHING])
    frame = everything()
    Publisher(warehouse).replace_slice(EVERYTHING, T0, frame, PROVENANCE)
    pd.testing.assert_frame_equal(warehouse.read_table(EVERYTHING), frame)


def test_nan_is_null_and_null_is_nan(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([EVERYTHING])
    Publisher(warehouse).replace_slice(EVERYTHING, T0, everything(), PROVENANCE)
    counts = warehouse.read_rows(
        "SELECT countIf(maybe IS NULL), countIf(isNaN(maybe)), countIf(name IS NULL), countIf(style IS NULL), "
        "countIf(seen_before IS NULL), countIf(is_uniform IS NULL), countIf(rank IS NULL) FROM everything"
    )
    assert counts == [(1, 0, 1, 1, 1, 1, 1)]


def test_columns_are_chosen_and_conform(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([EVERYTHING])
    Publisher(warehouse).replace_slice(EVERYTHING, T0, everything(), PROVENANCE)
    chosen = warehouse.read_table(EVERYTHING, columns=["rank", "name"], order_by=["-wallet"])
    expected = everything().iloc[::-1][["rank", "name"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(chosen, expected)


def test_no_rows_have_types_too(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([EVERYTHING])
    empty = warehouse.read_table(EVERYTHING)
    pd.testing.assert_frame_equal(empty, EVERYTHING.empty())
    asked = warehouse.read_frame("SELECT as_of, name, maybe, rank, is_known, seen_at, flags FROM everything")
    assert {name: str(dtype) for name, dtype in asked.dtypes.items()} == {
        "as_of": "datetime64[s, UTC]",
        "name": "object",
        "maybe": "float64",
        "rank": "UInt32",
        "is_known": "bool",
        "seen_at": "datetime64[ms, UTC]",
        "flags": "object",
    }


def test_types_without_rows_equal_types_with_rows(warehouse: Warehouse) -> None:
    sql = (
        "SELECT toDateTime(1, 'Asia/Tokyo') AS a, toDateTime64(1, 3, 'UTC') AS b, toDateTime64(1, 6, 'UTC') AS c, "
        "toNullable(toDateTime64(1, 9, 'UTC')) AS d, toDate(1) AS e, toUInt8(1) AS f, toNullable(toInt64(1)) AS g, "
        "1.5 AS h, toNullable(1.5) AS i, true AS j, 'x' AS k, toNullable('x') AS l, map('a', 1) AS m, [1] AS n, "
        "toFloat32(1) AS o, toLowCardinality('x') AS p, toInt16(1) AS q, toNullable(toDateTime(1, 'UTC')) AS r"
    )
    warehouse.ensure_tables([])
    found = warehouse.read_frame(sql)
    without = warehouse.read_frame(f"SELECT * FROM ({sql}) WHERE a < toDateTime(0)")
    assert found.dtypes.to_dict() == without.dtypes.to_dict()
    assert list(without.columns) == list("abcdefghijklmnopqr")


def test_statement_without_result_has_no_columns() -> None:
    assert list(without_rows("").columns) == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("plain", np.nan, "plain: 1 null values"),
        ("origin", None, "origin: 1 null values"),
        ("wallet", None, "wallet: 1 null values"),
        ("flags", None, "flags: 1 null values"),
        ("seen_at", pd.NaT, "seen_at: 1 null values"),
        ("n_points", 2**32, "4294967296 does not fit UInt32"),
        ("n_points", -1, "-1 does not fit UInt32"),
        ("rank", 2**32, "4294967296 does not fit UInt32"),
        ("rank", -5, "-5 does not fit UInt32"),
    ],
)
def test_what_cannot_be_stored_is_refused(column: str, value: object, said: str) -> None:
    frame = everything()
    frame[column] = pd.Series([value, *frame[column].iloc[1:]], dtype=frame[column].dtype)
    with pytest.raises(InvalidSliceError, match=said):
        storable(EVERYTHING, frame)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (marks(T0, [1.0]).drop(columns="mark"), r"missing columns \['mark'\]"),
        (marks(T0, [1.0]).assign(more=1), r"unknown columns \['more'\]"),
        (marks(T0, [1.0]).assign(mark="many"), "marks.mark: not representable as float64"),
    ],
)
def test_frames_of_another_shape_are_refused(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(InvalidSliceError, match=said):
        storable(MARKS, frame)


def test_instants_are_bound_as_utc(warehouse: Warehouse) -> None:
    tokyo = datetime(2026, 11, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    assert utc_text(tokyo) == "2026-11-01 00:00:00"
    bound = bindable(
        {
            "a": tokyo,
            "b": [pd.Timestamp(tokyo)],
            "c": (tokyo, 1),
            "d": date(2026, 11, 1),
            "e": np.int64(4),
            "f": "x",
        }
    )
    text = "2026-11-01 00:00:00"
    assert bound == {"a": text, "b": [text], "c": (text, 1), "d": "2026-11-01", "e": 4, "f": "x"}
    assert utc_text(T0.replace(microsecond=250)) == "2026-11-01 00:00:00.000250"
    warehouse.ensure_tables([])
    sql = "SELECT {t:DateTime('UTC')} = toDateTime('2026-11-01 00:00:00', 'UTC'), toString({m:DateTime64(3, 'UTC')})"
    parameters = {"t": tokyo, "m": T0.replace(microsecond=7000)}
    assert warehouse.read_rows(sql, parameters) == [(1, "2026-11-01 00:00:00.007")]


def test_naive_instants_are_refused() -> None:
    with pytest.raises(WarehouseError, match="'t' is a datetime without a time zone"):
        bindable({"t": datetime(2026, 11, 1)})


def test_values_are_bound_not_pasted(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    nasty = "'; DROP TABLE publications; -- \\' \n\t{x:String} é"
    many = [f"{nasty}{number}" for number in range(3000)]
    sql = "SELECT {x:String}, {xs:Array(String)}[3000], length({xs:Array(String)})"
    assert warehouse.read_rows(sql, {"x": nasty, "xs": many}) == [(nasty, many[-1], 3000)]
    assert warehouse.read_rows("SELECT count() FROM publications") == [(0,)]


def test_read_rows_gives_aware_datetimes(warehouse: Warehouse) -> None:
    warehouse.ensure_tables([])
    [(second, milli)] = warehouse.read_rows("SELECT toDateTime(60, 'UTC'), toDateTime64(60.5, 3, 'UTC')")
    assert second == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert milli == datetime(1970, 1, 1, 0, 1, 0, 500_000, tzinfo=UTC)
