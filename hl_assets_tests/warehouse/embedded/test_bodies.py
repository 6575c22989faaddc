"""Bodies: every encoding there and back, forms as the driver sends them, damage named."""

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata

from hl_assets.warehouse.embedded.bodies import BodyError, compress, decompress, form_fields


@given(st.binary(max_size=3000))
def test_every_encoding_is_undone(body: bytes) -> None:
    assert decompress(body, "") == decompress(body, "identity") == body
    assert decompress(lz4.frame.compress(body), "lz4") == body
    assert decompress(zstd.compress(body), "zstd") == body
    assert decompress(gzip.compress(body), "gzip") == body
    assert decompress(zlib.compress(body), "deflate") == body


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("lz4", lz4.frame.compress), ("zstd", zstd.compress), ("gzip", gzip.compress)],
)
@given(parts=st.lists(st.binary(max_size=500), min_size=1, max_size=4))
def test_a_body_may_be_several_frames(
    encoding: str, pack: Callable[[bytes], bytes], parts: list[bytes]
) -> None:
    """The driver compresses every block of rows by itself and sends them one after the other."""
    assert decompress(b"".join(pack(part) for part in parts), encoding) == b"".join(parts)


def test_a_second_frame_that_is_cut_is_named() -> None:
    frame = lz4.frame.compress(b"rows" * 1000)
    with pytest.raises(BodyError, match="not valid lz4"):
        decompress(frame + frame[:-5], "lz4")


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_damage_is_named(encoding: str) -> None:
    with pytest.raises(BodyError, match=f"not valid {encoding}"):
        decompress(b"certainly not compressed", encoding)


def test_unknown_encoding_is_named() -> None:
    with pytest.raises(BodyError, match="'br' is not supported"):
        decompress(b"", "br")


def test_answers_are_compressed_as_accepted_and_worthwhile() -> None:
    body = b"x" * 100_000
    assert compress(b"small", "lz4") == (b"small", None)
    assert compress(body, "zstd, br") == (body, None)
    packed, encoding = compress(body, "gzip, lz4;q=0.5")
    assert encoding == "lz4"
    assert lz4.frame.decompress(packed) == body
    packed, encoding = compress(body, "gzip")
    assert encoding == "gzip"
    assert gzip.decompress(packed) == body


@given(
    st.dictionaries(
        st.from_regex(r"param_[a-z_]{1,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    )
)
@settings(max_examples=30)
def test_forms_are_read_as_the_driver_writes_them(fields: dict[str, str]) -> None:
    fields = {"query": "SELECT 'é\r\n\t'", **fields}
    body, content_type = encode_multipart_formdata(fields)
    assert form_fields(body, content_type) == fields


def test_forms_with_files_and_broken_forms_are_refused() -> None:
    body, content_type = encode_multipart_formdata({"table": ("rows.csv", "1,2")})
    with pytest.raises(BodyError, match="external tables"):
        form_fields(body, content_type)
    with pytest.raises(BodyError, match="not a form"):
        form_fields(b"nothing", "multipart/form-data")
