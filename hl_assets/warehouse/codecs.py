"""How columns are compressed: a codec per kind of type, chosen by measurement (`python -m benchmarks storage`).

Belongs here: the codec of a ClickHouse type. Does not belong here: exceptions, which a contract's column states (`codec`).

Measured on what ticks store, bytes per row against ClickHouse's default LZ4: ZSTD(1) is within a tenth of the best of
eight codecs for floats, text, words and numbers, at 1.2 times LZ4's insert time; Gorilla and FPC lose to it on such
floats; ZSTD(3) saves 2 % more for twice the insert time. Instants in a table's order differ little from one row to the
next, so Delta halves them. Collections repeat whole phrases, so a deeper search pays: ZSTD(9) takes half of ZSTD(1).
"""

DEFAULT = "ZSTD(1)"
PHRASES = "ZSTD(9)"
"""For long text that repeats itself."""
_BY_PREFIX = {
    # The width is what ClickHouse would add by itself; written out, what is stored compares equal.
    "DateTime64(": "Delta(8), ZSTD(1)",
    "DateTime(": "Delta(4), ZSTD(1)",
    "Array(": PHRASES,
    "Map(": PHRASES,
}


def codec_of_type(clickhouse_type: str) -> str:
    """The codec of a column of this type, as ClickHouse prints it inside `CODEC(...)`.

    Nullable instants are no sequence (their nulls are zeros), so they are compressed like other values.
    """
    return next(
        (codec for prefix, codec in _BY_PREFIX.items() if clickhouse_type.startswith(prefix)), DEFAULT
    )
